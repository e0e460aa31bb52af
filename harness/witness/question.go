package witness

import (
	"fmt"

	"github.com/holdshort/holdshort/internal/cbpf"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Question is something that the witness finds out by a few calls.
type Question struct {
	// Name says what is asked: a field of the posture ("ids.uid"), or what is
	// tried ("write /etc/hostname").
	Name  string
	Calls []Call
	// answer compares what the calls returned with what was to be expected.
	answer func(f *Facts, o []Outcome) Answer
}

// Standing is how an answer stands to what was expected.
type Standing string

// The standings of an answer.
const (
	Agrees    Standing = "agrees"
	Disagrees Standing = "disagrees"
	// Silent: the witness could not say, or nothing was known to compare it
	// with.
	Silent Standing = "silent"
)

// Answer is one question's outcome.
type Answer struct {
	Question string   `json:"question"`
	Standing Standing `json:"standing"`
	Want     string   `json:"want,omitempty"` // what posture or request say
	Got      string   `json:"got,omitempty"`  // what the witness saw
	Why      string   `json:"why,omitempty"`  // of a silent one
}

// Facts are what answers are compared with.
type Facts struct {
	// Posture is that of the witness's first instruction. It is not nil.
	Posture *posture.Posture
	// Begun and Ended are CLOCK_MONOTONIC before and after the witness ran,
	// in nanoseconds, outside every time namespace; Boot is CLOCK_BOOTTIME
	// minus CLOCK_MONOTONIC.
	Begun, Ended, Boot int64
	// MAC: a security module other than capabilities, Yama and Landlock is
	// active, and may refuse what capabilities allow.
	MAC bool
}

func silent(format string, args ...any) Answer {
	return Answer{Standing: Silent, Why: fmt.Sprintf(format, args...)}
}

// compare is the answer of two values.
func compare[T comparable](want, got T) Answer {
	a := Answer{Standing: Agrees, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	if want != got {
		a.Standing = Disagrees
	}
	return a
}

// Plan is a list of questions as one run of the witness.
type Plan struct {
	questions []Question
	first     []int // number of each question's first call
	calls     int
	// Left are questions that are not asked, since a seccomp filter would
	// kill the witness.
	left    []Answer
	filters [][]cbpf.Instruction
}

// maxCalls is what the program holds.
const maxCalls = 1024

// NewPlan arranges questions for a witness that will run under these seccomp
// filters, newest first. A question of which a call would be fatal is left out,
// unless the call is guarded. It fails if there is more than the program holds.
func NewPlan(questions []Question, filters [][]cbpf.Instruction) (*Plan, error) {
	p := &Plan{filters: filters}
	for _, q := range questions {
		if why := fatal(q.Calls, filters); why != "" {
			a := silent("%s", why)
			a.Question = q.Name
			p.left = append(p.left, a)
			continue
		}
		p.questions = append(p.questions, q)
		p.first = append(p.first, p.calls)
		p.calls += len(q.Calls)
	}
	if p.calls > maxCalls {
		return nil, fmt.Errorf("witness: %d calls, at most %d: %w", p.calls, maxCalls, unix.E2BIG)
	}
	return p, nil
}

// fatal says which call a filter would answer by other than an error, or
// nothing.
func fatal(calls []Call, filters [][]cbpf.Instruction) string {
	for i := range calls {
		c := &calls[i]
		if c.Guarded {
			continue
		}
		if d := decide(c, filters); d.Action != cbpf.Allow && d.Action != cbpf.Log && d.Action != cbpf.Errno {
			return fmt.Sprintf("not asked: the filter's answer to system call %d is %s", c.NR, d)
		}
	}
	return ""
}

// decide is what filters say of a call. Addresses are not known before: a
// filter that looks at them is taken at its word for one of the program's.
func decide(c *Call, filters [][]cbpf.Instruction) cbpf.Decision {
	if len(filters) == 0 {
		return cbpf.Decision{Action: cbpf.Allow}
	}
	d := cbpf.Data{NR: int32(c.NR), Arch: nativeArch, IP: 0x201300}
	for i, a := range c.Args {
		d.Args[i] = uint64(a.n)
		if a.kind == 'x' || a.kind == 'o' || a.kind == 'r' {
			d.Args[i] = 0x203800
		}
	}
	ret, err := cbpf.RunStack(filters, &d)
	if err != nil {
		return cbpf.Decision{Action: cbpf.KillProcess}
	}
	return cbpf.Decide(ret)
}

// Allows reports whether the filters let a system call pass, whatever its
// arguments are.
func (p *Plan) Allows(nr uint32) bool {
	a := decide(&Call{NR: nr}, p.filters).Action
	return a == cbpf.Allow || a == cbpf.Log
}

// Args are the arguments of the program, without its name.
func (p *Plan) Args() []string {
	var out []string
	for i := range p.questions {
		for j := range p.questions[i].Calls {
			out = append(out, p.questions[i].Calls[j].text(p.first[i]))
		}
	}
	return out
}

// Judge compares what the witness wrote with the facts: one answer for each
// question, in order, then those that were not asked. The second result reports
// whether the witness came to its end.
func (p *Plan) Judge(written []byte, f *Facts) ([]Answer, bool) {
	outcomes, end := parse(written, p.calls)
	filters, known := f.filters()
	if !known {
		filters = p.filters // those that were asked for, which nobody has seen
	}
	answers := make([]Answer, 0, len(p.questions)+len(p.left))
	for i := range p.questions {
		q := &p.questions[i]
		o := outcomes[p.first[i] : p.first[i]+len(q.Calls)]
		var a Answer
		switch {
		case !told(o) && !end:
			a = silent("the witness ended before it answered")
		case !told(o):
			a = silent("a child ended without an answer")
		default:
			var filtered bool
			if a, filtered = underFilter(q.Calls, o, filters); !filtered {
				a = q.answer(f, o)
			}
		}
		a.Question = q.Name
		answers = append(answers, a)
	}
	return append(answers, p.left...), end
}

// filters are those that the posture has, newest first, if all their
// instructions could be read.
func (f *Facts) filters() ([][]cbpf.Instruction, bool) {
	list, known := f.Posture.Seccomp.Filters.Get()
	out := make([][]cbpf.Instruction, len(list))
	for i := range list {
		known = known && list[i].InstructionsLost == ""
		for _, in := range list[i].Instructions {
			out[i] = append(out[i], cbpf.Instruction(in))
		}
	}
	return out, known
}

// underFilter answers for calls that the filters do not let through: they must
// have been answered as the filters say, and then tell nothing else.
func underFilter(calls []Call, o []Outcome, filters [][]cbpf.Instruction) (Answer, bool) {
	for i := range calls {
		d := decide(&calls[i], filters)
		switch d.Action {
		case cbpf.Errno:
			want := unix.Errno(d.Data)
			if o[i].Made && o[i].Result != -int64(want) {
				return Answer{
					Standing: Disagrees, Want: fmt.Sprintf("system call %d answered with %s by the filter", calls[i].NR, unix.ErrnoName(want)),
					Got: o[i].String(),
				}, true
			}
			return Answer{Standing: Agrees, Want: "the filter's " + unix.ErrnoName(want), Got: o[i].String()}, true
		case cbpf.UserNotify, cbpf.Trace:
			return silent("the seccomp filter's answer to system call %d is %s", calls[i].NR, d), true
		case cbpf.KillProcess, cbpf.KillThread, cbpf.Trap:
			if !calls[i].Guarded {
				return silent("the seccomp filter's answer to system call %d is %s, and yet there is an answer", calls[i].NR, d), true
			}
		}
	}
	return Answer{}, false
}

func told(list []Outcome) bool {
	for i := range list {
		if o := &list[i]; !o.Made && o.Signal == 0 && o.NoTry == 0 {
			return false
		}
	}
	return true
}
