package matchers

import "github.com/onsi/gomega/types"

// matcher is a [types.GomegaMatcher] of a few functions. say completes "The
// workload …" and is given whether it should have been so; saw is what was
// there instead.
type matcher struct {
	match func(actual any) (bool, error)
	say   func(to bool) string
	saw   func(to bool) string
}

var _ types.GomegaMatcher = (*matcher)(nil)

func (m *matcher) Match(actual any) (bool, error) { return m.match(actual) }

func (m *matcher) FailureMessage(any) string { return m.message(true) }

func (m *matcher) NegatedFailureMessage(any) string { return m.message(false) }

func (m *matcher) message(to bool) string {
	s := "The workload " + m.say(to)
	if saw := m.saw(to); saw != "" {
		s += "\n" + saw
	}
	return s
}

// should is the verb of a sentence.
func should(to bool) string {
	if to {
		return "should"
	}
	return "should not"
}
