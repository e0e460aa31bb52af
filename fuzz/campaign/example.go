package campaign

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
)

// Example is a case that was constrained, and the state that it showed.
type Example struct {
	ID     string            `json:"id"` // of the state, as in a [Signature]
	State  map[string]string `json:"state"`
	Values map[string]string `json:"values"`
	// Seed and Index give the details that are no parameter.
	Seed  uint64 `json:"seed"`
	Index uint64 `json:"index"`
	// Kernel is where it was seen, and Model what had it.
	Kernel string `json:"kernel"`
	Model  string `json:"model"`
	// Request is the case itself, for machines with another model, Dir where its
	// files were, and Caller who made it. They may be left out.
	Request *request.Request `json:"request,omitempty"`
	Dir     string           `json:"dir,omitempty"`
	Caller  []string         `json:"caller,omitempty"`
}

// Differs says in what a state is another than the example's.
func (e *Example) Differs(state map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(e.State)) {
		if got, ok := state[k]; !ok || got != e.State[k] {
			out = append(out, fmt.Sprintf("%s: %q there, %q here", k, e.State[k], got))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(state)) {
		if _, ok := e.State[k]; !ok {
			out = append(out, fmt.Sprintf("%s: not known there, %q here", k, state[k]))
		}
	}
	return out
}

// simpler chooses one of two examples of a state: that with fewer parameters on, and
// of those that are alike always the same.
func simpler(a, b *Example) *Example {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case len(a.Values) != len(b.Values):
		if len(a.Values) < len(b.Values) {
			return a
		}
		return b
	case (a.Request == nil) != (b.Request == nil):
		if a.Request != nil {
			return a
		}
		return b
	}
	return larger(a, b)
}

var errNoModel = errors.New("campaign: the results do not have the model")

// Examples are those of a corpus: one of each state, in order of the states.
func (r *Results) Examples() []*Example {
	return slices.SortedFunc(maps.Values(r.examples), func(a, b *Example) int { return cmp.Compare(a.ID, b.ID) })
}

// Collect makes examples of the states that the campaigns of the results have
// seen; it returns, for each campaign of which it cannot, why. build makes the
// request, and may be nil; it returns nil where it cannot.
func (r *Results) Collect(build func(info Info, a fuzz.Assignment, e *Example)) (why []error) {
	for _, o := range r.Outcomes() {
		if len(o.signatures) == 0 {
			continue
		}
		if o.Model == nil {
			why = append(why, errNoModel)
			continue
		}
		md, err := o.Model.Model()
		var seq *fuzz.Sequence
		if err == nil {
			seq, err = o.Sequence(md)
		}
		if err != nil {
			why = append(why, err)
			continue
		}
		for _, s := range o.Signatures() {
			a := seq.At(s.Index)
			e := &Example{
				ID: s.ID, State: s.State, Values: md.Words(a), Seed: o.Info.Seed, Index: s.Index, Kernel: o.Info.Kernel, Model: o.Info.Model,
				Caller: md.Caller(a),
			}
			if build != nil {
				build(o.Info, a, e)
			}
			r.example(e)
		}
	}
	return why
}

// Keep leaves out the examples that it is not true of.
func (r *Results) Keep(which func(*Example) bool) {
	maps.DeleteFunc(r.examples, func(_ string, e *Example) bool { return !which(e) })
}

func (r *Results) example(e *Example) {
	if r.examples == nil {
		r.examples = map[string]*Example{}
	}
	r.examples[e.ID] = simpler(r.examples[e.ID], e)
}
