package devices

import (
	"fmt"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/holdshort/holdshort/internal/memlock"
	"golang.org/x/sys/unix"
)

// Offsets in struct bpf_cgroup_dev_ctx, and types as it has them
// (uapi/linux/bpf.h).
const (
	ctxAccessType, ctxMajor, ctxMinor = 0, 4, 8

	devBlock, devChar = 1, 2
)

// Instructions is the program of a list of rules: it returns 1 to allow an
// access and 0 to deny it. Rules are looked at from the last to the first.
func Instructions(rules []Rule) asm.Instructions {
	const context, typ, major, minor, rest, scratch = asm.R1, asm.R2, asm.R4, asm.R5, asm.R3, asm.R0
	p := asm.Instructions{
		asm.LoadMem(typ, context, ctxAccessType, asm.Word),
		asm.Mov.Reg(rest, typ),
		asm.RSh.Imm(rest, 16), // what is asked for and not decided yet
		asm.And.Imm(typ, 0xffff),
		asm.LoadMem(major, context, ctxMajor, asm.Word),
		asm.LoadMem(minor, context, ctxMinor, asm.Word),
		asm.JEq.Imm(rest, 0, "any"),
	}
	end := func(result int32) asm.Instructions {
		return asm.Instructions{asm.Mov.Imm(asm.R0, result), asm.Return()}
	}
	// each adds the tests of all rules; decide says what a rule that matches
	// does, and ends by going on.
	each := func(section string, decide func(r *Rule, next string) asm.Instructions) {
		for i := len(rules) - 1; i >= 0; i-- {
			r := &rules[i]
			next := section + strconv.Itoa(i)
			if r.Type != All {
				n := int32(devChar)
				if r.Type == Block {
					n = devBlock
				}
				p = append(p, asm.JNE.Imm(typ, n, next))
			}
			for _, n := range []struct {
				reg  asm.Register
				want int64
			}{{major, r.Major}, {minor, r.Minor}} {
				if n.want != Any {
					p = append(p, asm.JNE.Imm32(n.reg, int32(uint32(n.want)), next))
				}
			}
			p = append(p, decide(r, next)...)
			p = append(p, asm.Mov.Reg(typ, typ).WithSymbol(next)) // the next rule begins here
		}
		p = append(p, end(0)...)
	}
	each("all", func(r *Rule, next string) asm.Instructions {
		if !r.Allow {
			return append(asm.Instructions{
				asm.Mov.Reg(scratch, rest),
				asm.And.Imm(scratch, int32(r.Access)),
				asm.JEq.Imm(scratch, 0, next),
			}, end(0)...)
		}
		return append(asm.Instructions{
			asm.And.Imm(rest, int32(Every&^r.Access)),
			asm.JNE.Imm(rest, 0, next),
		}, end(1)...)
	})
	p = append(p, asm.Mov.Imm(rest, int32(Every)).WithSymbol("any")) // the parts that no rule has denied
	each("any", func(r *Rule, next string) asm.Instructions {
		if !r.Allow {
			return append(asm.Instructions{
				asm.And.Imm(rest, int32(Every&^r.Access)),
				asm.JNE.Imm(rest, 0, next),
			}, end(0)...)
		}
		return append(asm.Instructions{
			asm.Mov.Reg(scratch, rest),
			asm.And.Imm(scratch, int32(r.Access)),
			asm.JEq.Imm(scratch, 0, next),
		}, end(1)...)
	})
	return p
}

// Program is a list of rules in the kernel.
type Program struct{ prog *ebpf.Program }

// Load gives the program of a list of rules to the kernel. The caller closes
// it; what it is attached to keeps it.
//
// It needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN (EPERM), and Linux 4.15
// with CONFIG_CGROUP_BPF (EINVAL).
func Load(rules []Rule) (*Program, error) {
	spec := &ebpf.ProgramSpec{
		Name: "holdshort_dev", Type: ebpf.CGroupDevice, AttachType: ebpf.AttachCGroupDevice,
		Instructions: Instructions(rules), License: "Apache-2.0",
	}
	var p *ebpf.Program
	err := memlock.Retry(func() (err error) {
		p, err = ebpf.NewProgram(spec)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load device program: %w", err)
	}
	return &Program{p}, nil
}

// Attach puts it onto the version 2 cgroup that is open at fd. Programs that
// the cgroup and its ancestors have already stay, and an access must be allowed
// by all of them. It holds until the cgroup is removed, or until [Program.Detach].
//
// EPERM, for a caller with the privilege, means that another program is attached
// there, or above, without BPF_F_ALLOW_MULTI.
func (p *Program) Attach(fd int) error {
	err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: fd, Program: p.prog, Attach: ebpf.AttachCGroupDevice, Flags: unix.BPF_F_ALLOW_MULTI})
	if err != nil {
		return fmt.Errorf("attach device program: %w", err)
	}
	return nil
}

// Detach takes it off again.
func (p *Program) Detach(fd int) error {
	err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: fd, Program: p.prog, Attach: ebpf.AttachCGroupDevice})
	if err != nil {
		return fmt.Errorf("detach device program: %w", err)
	}
	return nil
}

// Close gives the descriptor back; it may be called twice.
func (p *Program) Close() error { return p.prog.Close() }
