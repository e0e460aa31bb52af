package oracle

import (
	"errors"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
	"github.com/holdshort/holdshort/probes/posture"
	"pgregory.net/rapid"
)

var (
	seccompNames = []string{
		"read", "write", "openat", "execve", "ioctl", "socket", "bind", "socketcall", "ipc", "semop", "msgget", "clone",
		"personality", "mseal", "listns", "_llseek", "cacheflush", "rt_sigreturn", "exit_group",
	}
	seccompValues = []uint64{0, 1, 2, 3, 0xf, 0x10, 0xff, 0xffffffff, 1 << 32, 1<<32 | 2, 0xffffffff00000000, ^uint64(0), 1 << 63}
)

func drawPolicy() *rapid.Generator[seccomp.Policy] {
	value := rapid.OneOf(rapid.SampledFrom(seccompValues), rapid.Uint64())
	action := rapid.SampledFrom([]seccomp.Action{
		seccomp.ActKill, seccomp.ActKillProcess, seccomp.ActTrap, seccomp.ActErrno, seccomp.ActTrace, seccomp.ActAllow, seccomp.ActAllow, seccomp.ActLog, seccomp.ActNotify,
	})
	cond := rapid.Custom(func(t *rapid.T) seccomp.Condition {
		return seccomp.Condition{
			Index: rapid.UintRange(0, 2).Draw(t, "index"), Value: value.Draw(t, "value"), ValueTwo: value.Draw(t, "two"),
			Op: rapid.SampledFrom([]seccomp.Operator{
				seccomp.OpNotEqual, seccomp.OpLess, seccomp.OpLessEqual, seccomp.OpEqual, seccomp.OpGreater,
				seccomp.OpGreaterEqual, seccomp.OpMaskedEqual,
			}).Draw(t, "op"),
		}
	})
	rule := rapid.Custom(func(t *rapid.T) seccomp.Rule {
		r := seccomp.Rule{Names: rapid.SliceOfN(rapid.SampledFrom(seccompNames), 1, 5).Draw(t, "names"), Action: action.Draw(t, "action")}
		if r.Action == seccomp.ActErrno && rapid.Bool().Draw(t, "set") {
			n := rapid.SampledFrom([]uint{0, 1, 22, 38, 4095}).Draw(t, "errno")
			r.ErrnoRet = &n
		}
		r.Args = rapid.SliceOfN(cond, 0, 3).Draw(t, "args")
		return r
	})
	return rapid.Custom(func(t *rapid.T) seccomp.Policy {
		return seccomp.Policy{
			DefaultAction: action.Draw(t, "default"),
			Architectures: rapid.SliceOfNDistinct(rapid.SampledFrom([]seccomp.Arch{
				seccomp.ArchX86_64, seccomp.ArchX86, seccomp.ArchX32, seccomp.ArchAARCH64, seccomp.ArchARM,
			}), 0, 4, rapid.ID).Draw(t, "archs"),
			Syscalls: rapid.SliceOfN(rule, 0, 6).Draw(t, "rules"),
		}
	})
}

func installed(prog []cbpf.Instruction) posture.Filter {
	var f posture.Filter
	for _, in := range prog {
		f.Instructions = append(f.Instructions, posture.Instruction(in))
	}
	return f
}

// loaded is what the kernel keeps of a program and of the flags it came with.
func loaded(p *seccomp.Program) posture.Filter {
	f := installed(p.Instructions)
	f.Log, f.HasNotifier, f.WaitKillable = p.Flags&2 != 0, p.Flags&8 != 0, p.Flags&32 != 0
	return f
}

// What the compiler makes of a policy is what the judge reads in it.
func TestJudgeAcceptsTheCompiler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy().Draw(t, "policy")
		dialect := rapid.SampledFrom([]seccomp.Dialect{seccomp.FirstMatch, seccomp.Libseccomp}).Draw(t, "dialect")
		native := rapid.SampledFrom([]seccomp.Arch{seccomp.ArchX86_64, seccomp.ArchAARCH64}).Draw(t, "native")
		prog, err := p.Compile(seccomp.Options{Dialect: dialect, Native: native})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range CheckSeccomp(&p, []posture.Filter{loaded(prog)}, SeccompOptions{Dialect: dialect, Native: native}) {
			if d.Outcome != Unobservable {
				t.Fatalf("%s\n%s", d, cbpf.Disassemble(prog.Instructions))
			}
			t.Skip("too complex: " + d.Explanation) // honest, and counted by rapid
		}
	})
}

// One instruction of a good filter is changed. Whatever the judge then says is
// true: a difference has an example that shows it, and without differences no
// call that a search around all constants tries is treated otherwise.
func TestJudgeFindsSabotage(t *testing.T) {
	found, silent := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy().Draw(t, "policy")
		native := seccomp.ArchX86_64
		prog, err := p.Compile(seccomp.Options{Native: native})
		if err != nil {
			t.Fatal(err)
		}
		good := prog.Instructions
		bad := slices.Clone(good)
		i := rapid.IntRange(0, len(bad)-1).Draw(t, "at")
		in := &bad[i]
		switch rapid.IntRange(0, 5).Draw(t, "how") {
		case 0:
			in.K++
		case 1:
			in.K ^= 1 << rapid.IntRange(0, 31).Draw(t, "bit")
		case 2:
			in.JT, in.JF = in.JF, in.JT
		case 3:
			in.JF++
		case 4:
			in.Code = rapid.SampledFrom([]uint16{cbpf.JumpEqual, cbpf.JumpGT, cbpf.JumpGE, cbpf.JumpSet, cbpf.AndK, cbpf.LoadAbs, cbpf.ReturnK, cbpf.Jump}).Draw(t, "code")
		case 5:
			in.K = 4 * uint32(rapid.IntRange(0, 15).Draw(t, "word"))
		}
		if cbpf.Validate(bad) != nil {
			t.Skip("invalid")
		}
		f := loaded(&seccomp.Program{Instructions: bad, Flags: prog.Flags})
		diffs := CheckSeccomp(&p, []posture.Filter{f}, SeccompOptions{Native: native})
		observable := true
		for _, d := range diffs {
			if d.Outcome == Unobservable {
				observable = false
				continue
			}
			x := cbpf.Data{NR: int32(d.ExampleNR), Arch: d.Arch.Audit(), Args: d.Example}
			want, _ := cbpf.Run(good, &x)
			got, _ := cbpf.Run(bad, &x)
			// The example has the smallest instruction pointer that goes with
			// it, which is 0 unless the sabotage made the filter look there.
			if cbpf.Decide(want) == cbpf.Decide(got) && !looksAtIP(bad) {
				t.Fatalf("%s, but both give %s\n%s", d, cbpf.Decide(got), cbpf.Disassemble(bad))
			}
		}
		if len(diffs) > 0 {
			found++
			return
		}
		silent++
		if !observable {
			return
		}
		bruteForce(good, &p, bad, func(d *cbpf.Data, want, got uint32) {
			t.Fatalf("judge is silent, but %+v gives %s instead of %s\n%s", *d, cbpf.Decide(got), cbpf.Decide(want), cbpf.Disassemble(bad))
		})
	})
	t.Logf("%d changes found, %d without effect", found, silent)
	if found == 0 || silent == 0 {
		t.Error("one of the two sides was never tested")
	}
}

func looksAtIP(p []cbpf.Instruction) bool {
	return slices.ContainsFunc(p, func(in cbpf.Instruction) bool {
		return in.Code == cbpf.LoadAbs && in.K/8 == cbpf.WordIP/2
	})
}

// bruteForce runs both programs around every constant that they contain.
func bruteForce(good []cbpf.Instruction, p *seccomp.Policy, bad []cbpf.Instruction, differ func(d *cbpf.Data, want, got uint32)) {
	words := []uint32{0, 1, 0xffffffff, 1 << 31, cbpf.X32Bit}
	for _, in := range slices.Concat(good, bad) {
		words = append(words, in.K-1, in.K, in.K+1, ^in.K)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	var args []uint64
	for _, r := range p.Syscalls {
		for _, c := range r.Args {
			for _, v := range []uint64{c.Value, c.ValueTwo, c.Value & c.ValueTwo, c.ValueTwo | ^c.Value} {
				args = append(args, v, v+1, v-1, v^1<<32, v&0xffffffff, v|0xffffffff)
			}
		}
	}
	args = append(args, 0, ^uint64(0))
	slices.Sort(args)
	args = slices.Compact(args)
	for _, arch := range []uint32{cbpf.ArchX86_64, cbpf.ArchI386} {
		for _, nr := range words {
			for i, v := range args {
				d := cbpf.Data{NR: int32(nr), Arch: arch, Args: [6]uint64{v, args[(i*7+1)%len(args)], args[(i*3+2)%len(args)]}}
				if arch == cbpf.ArchI386 {
					for j := range d.Args {
						d.Args[j] &= 0xffffffff
					}
				}
				want, err := cbpf.Run(good, &d)
				got, err2 := cbpf.Run(bad, &d)
				if errors.Join(err, err2) != nil || cbpf.Decide(want) != cbpf.Decide(got) {
					differ(&d, want, got)
				}
			}
		}
	}
}
