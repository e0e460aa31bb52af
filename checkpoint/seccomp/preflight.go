package seccomp

import (
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/internal/cbpf"
)

// Arg is an argument of a call to come. The zero Arg is one that is not known.
type Arg struct {
	Known bool
	Value uint64
}

// Call is a system call that will be made under a filter, by a process of the
// filter's native ABI.
type Call struct {
	Stage    string // what it is made for, for the error text
	Name     string
	Args     [6]Arg
	Optional bool // worth a warning, but not an error
}

// Effect is what a program does to a call: every decision that some values of
// the arguments which are not known lead to, strongest first.
type Effect []cbpf.Decision

// passes reports whether a decision lets the call run, or leaves that to who
// answers the notifications.
func passes(d cbpf.Decision) bool {
	return d.Action == cbpf.Allow || d.Action == cbpf.Log || d.Action == cbpf.UserNotify
}

// Blocked reports whether no value of the unknown arguments lets the call run.
func (e Effect) Blocked() bool { return !slices.ContainsFunc(e, passes) }

// Allowed reports whether the call runs whatever the unknown arguments are, and
// nobody is asked or told.
func (e Effect) Allowed() bool {
	return !slices.ContainsFunc(e, func(d cbpf.Decision) bool { return d.Action != cbpf.Allow })
}

// Certain reports whether all values of the unknown arguments let the call run.
func (e Effect) Certain() bool {
	return !slices.ContainsFunc(e, func(d cbpf.Decision) bool { return !passes(d) })
}

// Effect returns what the program does to c. It fails with ErrUnknownCall if
// the native ABI has no such call.
func (p *Program) Effect(c Call) (Effect, error) {
	nr, ok := CallNumber(p.Native, c.Name)
	if !ok {
		return nil, &Error{Rule: -1, Name: c.Name, Err: ErrUnknownCall, Why: "not a call of " + string(p.Native)}
	}
	r := cbpf.AnyRegion()
	r.Fix(cbpf.WordArch, p.Native.Audit())
	r.Fix(cbpf.WordNR, nr)
	for i, a := range c.Args {
		if a.Known {
			r.Fix(cbpf.WordArg+2*i, uint32(a.Value))
			r.Fix(cbpf.WordArg+2*i+1, uint32(a.Value>>32))
		} else if p.Native.Narrow() {
			r.Fix(cbpf.WordArg+2*i+1, 0)
		}
	}
	var e Effect
	err := cbpf.Explore(p.Instructions, &r, func(ret uint32, _ *cbpf.Region) error {
		if d := cbpf.Decide(ret); !slices.Contains(e, d) {
			e = append(e, d)
		}
		return nil
	})
	slices.SortFunc(e, func(a, b cbpf.Decision) int {
		switch {
		case a.Action.StrongerThan(b.Action):
			return -1
		case b.Action.StrongerThan(a.Action):
			return 1
		}
		return int(a.Data) - int(b.Data)
	})
	return e, err
}

// Preflight checks calls that are still to be made once the program is
// loaded, such as the execve that follows. The first one that it would kill or
// fail, whatever the arguments that are not known, is returned as an *[Error]
// that matches [ErrBlocked] and names the call and its stage. Calls that are
// Optional, and those that only some arguments let run, are left to
// [PreflightWarnings].
func Preflight(prog *Program, calls []Call) error {
	for _, c := range calls {
		if c.Optional {
			continue
		}
		e, err := prog.Effect(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Stage, err)
		}
		if e.Blocked() {
			return &Error{Rule: -1, Name: c.Name, Err: ErrBlocked, Why: fmt.Sprintf(
				"stage %s comes after the filter is loaded and gets %s; allow %s", c.Stage, e[0], c.Name)}
		}
	}
	return nil
}

// PreflightWarnings describes the calls that Preflight lets pass although the
// program blocks them for some or, if they are Optional, all arguments.
func PreflightWarnings(prog *Program, calls []Call) []string {
	var out []string
	for _, c := range calls {
		e, err := prog.Effect(c)
		switch {
		case err != nil:
			out = append(out, fmt.Sprintf("%s: %v", c.Stage, err))
		case e.Blocked():
			out = append(out, fmt.Sprintf("%s: %s gets %s", c.Stage, c.Name, e[0]))
		case !e.Certain():
			out = append(out, fmt.Sprintf("%s: %s gets %s for some arguments", c.Stage, c.Name, e[0]))
		}
	}
	return out
}
