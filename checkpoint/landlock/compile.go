package landlock

import (
	"errors"
	"fmt"
)

// NotSupported is a right that the running kernel's ABI lacks; it matches
// [errors.ErrUnsupported].
type NotSupported struct {
	Field string
	Right Right // empty: Landlock itself
	ABI   int   // that brought it
	Have  int   // the kernel's, 0 for none
}

func (e *NotSupported) Error() string {
	have := "this kernel has no Landlock, or it is not among the LSMs that it was booted with"
	if e.Have > 0 {
		have = fmt.Sprintf("this kernel has ABI %d", e.Have)
	}
	what := fmt.Sprintf("%q needs Landlock ABI %d", e.Right, e.ABI)
	return fmt.Sprintf("%s: %s (since Linux %s), and %s", e.Field, what, Since(e.ABI), have)
}

// Is reports whether target is errors.ErrUnsupported.
func (e *NotSupported) Is(target error) bool { return target == errors.ErrUnsupported }

// Compiled is a policy in the kernel's terms.
type Compiled struct {
	Layers []Layer
	// Dropped names what BestEffort left out: "layers[0].scoped: signal".
	Dropped []string
}

// Layer is one ruleset.
type Layer struct {
	Index           int // in Policy.Layers
	FS, Net, Scoped uint64
	Paths           []PathRule
	Ports           []PortRule
	Flags           uint32
}

// PathRule is struct landlock_path_beneath_attr with a path for the descriptor.
type PathRule struct {
	Index  int // in Ruleset.PathBeneath
	Path   string
	Access uint64
}

// PortRule is struct landlock_net_port_attr.
type PortRule struct {
	Index  int // in Ruleset.NetPort
	Port   uint16
	Access uint64
}

// Compile turns a valid policy into what a kernel of the given ABI takes; 0 is
// a kernel without Landlock. All that is not supported is reported, joined,
// each an [*NotSupported]; with BestEffort nothing is, and a layer of which
// nothing is left is left out as a whole.
//
// What is dropped makes a layer weaker, with one exception: without "refer"
// the kernel forbids to move files between directories altogether.
func (p *Policy) Compile(abi int) (*Compiled, error) {
	c := &Compiled{}
	var errs []error
	mask := func(field string, k Kind, list []Right) (m uint64) {
		for _, r := range list {
			b := rights[k][r]
			switch {
			case b.abi <= abi:
				m |= 1 << b.n
			case p.BestEffort:
				c.Dropped = append(c.Dropped, fmt.Sprintf("%s: %s", field, r))
			default:
				errs = append(errs, &NotSupported{Field: field, Right: r, ABI: b.abi, Have: abi})
			}
		}
		return m
	}
	for i := range p.Layers {
		l, f := &p.Layers[i], at("layers", i)
		out := Layer{Index: i}
		out.FS = mask(f+".handledAccessFS", FS, l.HandledAccessFS)
		out.Net = mask(f+".handledAccessNet", Net, l.HandledAccessNet)
		out.Scoped = mask(f+".scoped", Scope, l.Scoped)
		out.Flags = uint32(mask(f+".restrictFlags", Flag, l.RestrictFlags))
		// A rule is about handled rights, so what is missing was reported.
		for j, r := range l.PathBeneath {
			if m, _ := Mask(FS, r.AllowedAccess); m&out.FS != 0 {
				out.Paths = append(out.Paths, PathRule{j, r.Path, m & out.FS})
			}
		}
		for j, r := range l.NetPort {
			if m, _ := Mask(Net, r.AllowedAccess); m&out.Net != 0 {
				out.Ports = append(out.Ports, PortRule{j, r.Port, m & out.Net})
			}
		}
		if out.FS|out.Net|out.Scoped != 0 {
			c.Layers = append(c.Layers, out)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// Blocks says why no file of a mounted file system could be executed under the
// policy, or is empty: execve(2) needs "execute" and "read_file", where they
// are handled, for the program and for its interpreter (do_open_execat in
// fs/exec.c opens for both). That some rule grants them does not mean that it
// does for the right file; the kernel says that. A memfd needs no rule, since
// its mount is an internal one (is_access_to_paths_allowed,
// security/landlock/fs.c).
func (c *Compiled) Blocks() string {
	for i := range c.Layers {
		l := &c.Layers[i]
		for _, r := range []Right{"execute", "read_file"} {
			b := uint64(1) << rights[FS][r].n
			granted := l.FS&b == 0
			for _, p := range l.Paths {
				granted = granted || p.Access&b != 0
			}
			if !granted {
				return fmt.Sprintf("layers[%d] handles %q and no rule of it allows that: the program could not be executed", l.Index, r)
			}
		}
	}
	return ""
}
