package seccomp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/internal/cbpf"
)

// Options are what Compile needs beside the policy.
type Options struct {
	// IgnoreUnknown drops names that no table has, as runc and crun do without
	// a word, and architectures without a table; Program.Dropped lists them.
	// Without it they are errors.
	IgnoreUnknown bool
	// Dialect says how overlapping rules are read.
	Dialect Dialect
	// Native replaces [NativeArch], for filters of another machine.
	Native Arch
}

// Program is a compiled policy.
type Program struct {
	Instructions []cbpf.Instruction
	Flags        uint32   // SECCOMP_FILTER_FLAG bits for seccomp(2)
	Native       Arch     // the ABI of the machine it was compiled for
	Dropped      []string // names and architectures left out, sorted (IgnoreUnknown)
	Warnings     []string // rules that may not mean what their author thinks
}

// Validate reports all defects of the policy that do not depend on [Options],
// joined, each an *[Error].
func (p *Policy) Validate() error {
	var errs []error
	bad := func(rule int, name string, err error, why string) {
		errs = append(errs, &Error{Rule: rule, Name: name, Err: err, Why: why})
	}
	action := func(rule int, field string, a Action, errnoRet *uint) {
		_, known := kernelActions[a]
		switch {
		case !known:
			bad(rule, field, ErrUnknownValue, fmt.Sprintf("action %q", a))
		case errnoRet != nil && !a.takesErrno():
			bad(rule, field, ErrInvalid, fmt.Sprintf("%s takes no errnoRet", a))
		case errnoRet != nil && a == ActErrno && *errnoRet > cbpf.MaxErrno:
			bad(rule, field, ErrInvalid, fmt.Sprintf("errnoRet %d, the kernel takes up to %d", *errnoRet, cbpf.MaxErrno))
		case errnoRet != nil && *errnoRet > 0xffff:
			bad(rule, field, ErrInvalid, fmt.Sprintf("errnoRet %d does not fit 16 bits", *errnoRet))
		}
	}
	action(-1, "defaultAction", p.DefaultAction, p.DefaultErrnoRet)
	for _, f := range p.Flags {
		switch {
		case f == FlagWaitKillable && !p.Listens():
			bad(-1, string(f), ErrInvalid, "it needs a listener: a rule with "+string(ActNotify))
		case flagBits[f] == 0:
			bad(-1, string(f), ErrUnknownValue, "no such flag")
		}
	}
	for _, a := range p.Architectures {
		if _, ok := a.abi(); !ok && !slices.Contains(otherArches, a) {
			bad(-1, string(a), ErrUnknownArch, "")
		}
	}
	for i, r := range p.Syscalls {
		action(i, "action", r.Action, r.ErrnoRet)
		if len(r.Names) == 0 {
			bad(i, "names", ErrInvalid, "no system calls")
		}
		for _, c := range r.Args {
			if c.Index > 5 {
				bad(i, "args", ErrInvalid, fmt.Sprintf("argument %d, there are 0 to 5", c.Index))
			}
			if !operators[c.Op] {
				bad(i, "args", ErrUnknownValue, fmt.Sprintf("operator %q", c.Op))
			}
		}
	}
	return errors.Join(errs...)
}

// flags are the policy's for seccomp(2). With a listener the call answers its
// descriptor, so a failure of TSYNC must be told in another way than by the
// number of a thread (seccomp_set_mode_filter, kernel/seccomp.c).
func (p *Policy) flags() (bits uint32) {
	for _, f := range p.Flags {
		bits |= flagBits[f]
	}
	if p.Listens() {
		bits |= flagBits[FlagNewListener]
		if bits&flagBits[FlagTSync] != 0 {
			bits |= flagBits[FlagTSyncESRCH]
		}
	}
	return bits
}

// returnValue is what a filter returns for an action.
func returnValue(a Action, errnoRet *uint) uint32 {
	ret := uint32(kernelActions[a])
	if a.takesErrno() {
		data := uint(1) // EPERM
		if errnoRet != nil {
			data = *errnoRet
		}
		ret |= uint32(data)
	}
	return ret
}

// Compile turns the policy into a filter program. It is deterministic: equal
// policies and options give equal programs.
//
// Errors are *[Error] or several joined: ErrUnknownCall, ErrUnknownArch,
// ErrUnknownValue, ErrInvalid, ErrNotSupported for what the policy says,
// ErrTooLarge for one that needs more than 4096 instructions.
func (p *Policy) Compile(o Options) (*Program, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if o.Native == "" {
		o.Native = NativeArch()
	}
	prog := &Program{Native: o.Native}
	prog.Flags = p.flags()
	targets, err := p.targets(o, prog)
	if err != nil {
		return nil, err
	}
	x := expander{policy: p, dialect: o.Dialect, def: returnValue(p.DefaultAction, p.DefaultErrnoRet), prog: prog}
	if err := x.names(o); err != nil {
		return nil, err
	}
	prog.Instructions = emit(x.groups(targets), x.closed())
	if n := len(prog.Instructions); n > cbpf.MaxInstructions {
		return nil, &Error{Rule: -1, Err: ErrTooLarge, Why: fmt.Sprintf(
			"%d instructions, the kernel takes %d; merge rules or drop conditions", n, cbpf.MaxInstructions)}
	}
	slices.Sort(prog.Dropped)
	prog.Dropped = slices.Compact(prog.Dropped)
	return prog, cbpf.Validate(prog.Instructions)
}

// targets are the ABIs that the policy opens, in the order of the table.
func (p *Policy) targets(o Options, prog *Program) ([]abi, error) {
	wanted := p.Architectures
	if len(wanted) == 0 || o.Dialect == Libseccomp { // libseccomp always has the native one
		wanted = append(slices.Clone(wanted), o.Native)
	}
	for _, a := range wanted {
		if _, ok := a.abi(); ok {
			continue
		}
		if !o.IgnoreUnknown || a == o.Native {
			return nil, &Error{Rule: -1, Name: string(a), Err: ErrNotSupported, Why: "no system call table for this architecture"}
		}
		prog.Dropped = append(prog.Dropped, string(a))
	}
	var out []abi
	for _, x := range abis {
		if slices.Contains(wanted, x.arch) {
			out = append(out, x)
		}
	}
	return out, nil
}

// names refuses or drops unknown names.
func (x *expander) names(o Options) error {
	var errs []error
	for i, r := range x.policy.Syscalls {
		for _, n := range r.Names {
			if KnownCall(n) {
				continue
			}
			if o.IgnoreUnknown {
				x.prog.Dropped = append(x.prog.Dropped, n)
				continue
			}
			why := ""
			if near := nearest(n); near != "" {
				why = fmt.Sprintf("did you mean %q?", near)
			}
			errs = append(errs, &Error{Rule: i, Name: n, Err: ErrUnknownCall, Why: why})
		}
	}
	return errors.Join(errs...)
}

func (x *expander) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(x.prog.Warnings, func(s string) bool { return strings.EqualFold(s, w) }) {
		x.prog.Warnings = append(x.prog.Warnings, w)
	}
}
