package seccomp

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/internal/cbpf"
	"pgregory.net/rapid"
)

// meaning is the package comment as code: what a policy means for one call. It
// is concrete where the compiler is clever.
func meaning(p *Policy, o Options, d *cbpf.Data) uint32 {
	lib := o.Dialect == Libseccomp
	closed := uint32(cbpf.KillProcess)
	if lib {
		closed = uint32(cbpf.KillThread)
	}
	listed := p.Architectures
	if len(listed) == 0 || lib {
		listed = append(slices.Clone(listed), o.Native)
	}
	nr := uint32(d.NR)
	def := returnValue(p.DefaultAction, p.DefaultErrnoRet)
	a := Arch("")
	switch d.Arch {
	case cbpf.ArchX86_64:
		a = ArchX86_64
		if nr >= cbpf.X32Bit {
			a = ArchX32
			if lib && !slices.Contains(listed, ArchX32) && slices.Contains(listed, ArchX86_64) && nr == 0xffffffff {
				return def
			}
			if !lib && nr >= 1<<31 {
				return closed
			}
		}
	case cbpf.ArchI386:
		a = ArchX86
	case cbpf.ArchAARCH64:
		a = ArchAARCH64
	case cbpf.ArchARM:
		a = ArchARM
	}
	if !slices.Contains(listed, a) {
		return closed
	}
	type way struct {
		conds []Condition
		ret   uint32
	}
	var ways []way
	for _, r := range p.Syscalls {
		ret := returnValue(r.Action, r.ErrnoRet)
		if lib && ret == def {
			continue
		}
		sets := [][]Condition{r.Args}
		if len(r.Args) > 1 && hasTwice(r.Args) {
			sets = nil
			for _, c := range r.Args {
				sets = append(sets, []Condition{c})
			}
		}
		for i := range sets {
			if lib {
				sets[i] = slices.DeleteFunc(slices.Clone(sets[i]), func(c Condition) bool { return c.Op == OpMaskedEqual && c.Value == 0 })
			}
		}
		for _, n := range r.Names {
			if got, ok := CallNumber(a, n); ok && got == nr {
				for _, s := range sets {
					ways = append(ways, way{s, ret})
				}
			}
			mux, sel, mask, ok := Multiplexed(a, n)
			if got, _ := CallNumber(a, mux); !ok || got != nr {
				continue
			}
			switch {
			case lib:
				for _, s := range sets {
					w := way{[]Condition{{Op: OpEqual, Value: sel}}, ret}
					for _, c := range s {
						if c.Index != 0 {
							w.conds = append(w.conds, c)
						}
					}
					ways = append(ways, w)
				}
			case len(r.Args) == 0 || int32(ret&0xffff0000) <= int32(def&0xffff0000):
				ways = append(ways, way{[]Condition{{Op: OpMaskedEqual, Value: mask, ValueTwo: sel}}, ret})
			}
		}
	}
	if lib {
		for _, w := range ways {
			if len(w.conds) == 0 {
				return w.ret
			}
		}
	}
	for _, w := range ways {
		ok := true
		for _, c := range w.conds {
			arg, v, two := d.Args[c.Index], c.Value, c.ValueTwo
			if lib {
				if c.Op == OpMaskedEqual {
					two &= v
				}
				if a.Narrow() || a == ArchX32 {
					arg, v, two = arg&0xffffffff, v&0xffffffff, two&0xffffffff
				}
			}
			switch c.Op {
			case OpEqual:
				ok = ok && arg == v
			case OpNotEqual:
				ok = ok && arg != v
			case OpLess:
				ok = ok && arg < v
			case OpLessEqual:
				ok = ok && arg <= v
			case OpGreater:
				ok = ok && arg > v
			case OpGreaterEqual:
				ok = ok && arg >= v
			case OpMaskedEqual:
				ok = ok && arg&v == two
			}
		}
		if ok {
			return w.ret
		}
	}
	return def
}

func hasTwice(args []Condition) bool {
	for i, c := range args {
		for _, d := range args[:i] {
			if c.Index == d.Index {
				return true
			}
		}
	}
	return false
}

var (
	someNames = []string{
		"read", "write", "openat", "execve", "ioctl", "socket", "bind", "recvfrom", "socketcall", "ipc", "semop", "msgget", "clone",
		"personality", "mseal", "listns", "uretprobe", "_llseek", "cacheflush", "s390_sthyi", "rt_sigreturn", "exit_group", "getpid",
	}
	someValues = []uint64{0, 1, 2, 3, 0xf, 0x10, 0xff, 0xffffffff, 1 << 32, 1<<32 | 2, 0xffffffff00000000, ^uint64(0), 1 << 63, 0x8000000000000001}
)

func genPolicy() *rapid.Generator[Policy] {
	value := rapid.OneOf(rapid.SampledFrom(someValues), rapid.Uint64())
	action := rapid.SampledFrom([]Action{ActKill, ActKillProcess, ActKillThread, ActTrap, ActErrno, ActErrno, ActTrace, ActAllow, ActAllow, ActLog})
	errnoRet := func(t *rapid.T, a Action) *uint {
		if !a.takesErrno() || rapid.Bool().Draw(t, "default errno") {
			return nil
		}
		n := rapid.SampledFrom([]uint{0, 1, 22, 38, 4095}).Draw(t, "errno")
		return &n
	}
	cond := rapid.Custom(func(t *rapid.T) Condition {
		return Condition{
			Index: rapid.UintRange(0, 2).Draw(t, "index"), Value: value.Draw(t, "value"), ValueTwo: value.Draw(t, "two"),
			Op: rapid.SampledFrom([]Operator{OpNotEqual, OpLess, OpLessEqual, OpEqual, OpGreater, OpGreaterEqual, OpMaskedEqual}).Draw(t, "op"),
		}
	})
	rule := rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{Names: rapid.SliceOfN(rapid.SampledFrom(someNames), 1, 6).Draw(t, "names"), Action: action.Draw(t, "action")}
		r.ErrnoRet = errnoRet(t, r.Action)
		r.Args = rapid.SliceOfN(cond, 0, 3).Draw(t, "args")
		return r
	})
	return rapid.Custom(func(t *rapid.T) Policy {
		p := Policy{DefaultAction: action.Draw(t, "default")}
		p.DefaultErrnoRet = errnoRet(t, p.DefaultAction)
		p.Architectures = rapid.SliceOfNDistinct(rapid.SampledFrom([]Arch{ArchX86_64, ArchX86, ArchX32, ArchAARCH64, ArchARM}), 0, 5, rapid.ID).Draw(t, "archs")
		p.Syscalls = rapid.SliceOfN(rule, 0, 8).Draw(t, "rules")
		return p
	})
}

// near draws values around those that a policy compares with.
func near(t *rapid.T, p *Policy) uint64 {
	pool := slices.Clone(someValues)
	for _, r := range p.Syscalls {
		for _, c := range r.Args {
			pool = append(pool, c.Value, c.ValueTwo, c.Value&c.ValueTwo, c.ValueTwo|^c.Value)
		}
	}
	v := rapid.SampledFrom(pool).Draw(t, "near")
	return v + rapid.SampledFrom([]uint64{0, 0, 1, ^uint64(0), 1 << 32, ^uint64(1<<32 - 1)}).Draw(t, "off")
}

func genCall(t *rapid.T, p *Policy) cbpf.Data {
	a := rapid.SampledFrom([]Arch{ArchX86_64, ArchX86, ArchX32, ArchAARCH64, ArchARM, ArchRISCV64}).Draw(t, "arch")
	d := cbpf.Data{Arch: a.Audit(), IP: rapid.Uint64().Draw(t, "ip")}
	if nr, ok := CallNumber(a, rapid.SampledFrom(someNames).Draw(t, "name")); ok && rapid.IntRange(0, 9).Draw(t, "odd") > 0 {
		d.NR = int32(nr)
	} else {
		d.NR = int32(rapid.OneOf(rapid.SampledFrom([]uint32{0, 471, 472, 1000, cbpf.X32Bit - 1, cbpf.X32Bit, 0x7fffffff, 1 << 31, 0xfffffffe, 0xffffffff}), rapid.Uint32()).Draw(t, "nr"))
	}
	for i := range d.Args {
		d.Args[i] = near(t, p)
		if a.Narrow() {
			d.Args[i] &= 0xffffffff
		}
	}
	return d
}

// What is compiled does what the policy means, in both dialects.
func TestCompileMeansThePolicy(t *testing.T) {
	for _, dialect := range []Dialect{FirstMatch, Libseccomp} {
		t.Run("dialect "+string(dialect), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := genPolicy().Draw(t, "policy")
				o := Options{Dialect: dialect, Native: rapid.SampledFrom([]Arch{ArchX86_64, ArchAARCH64}).Draw(t, "native")}
				prog, err := p.Compile(o)
				if err != nil {
					t.Fatal(err)
				}
				again, err := p.Compile(o)
				if err != nil || !slices.Equal(again.Instructions, prog.Instructions) {
					t.Fatal("not deterministic")
				}
				for range 40 {
					d := genCall(t, &p)
					got, err := cbpf.Run(prog.Instructions, &d)
					if want := meaning(&p, o, &d); err != nil || got != want {
						text, _ := json.Marshal(p)
						t.Fatalf("%+v: got %s, %v; want %s\n%s\n%s", d, cbpf.Decide(got), err, cbpf.Decide(want), text, cbpf.Disassemble(prog.Instructions))
					}
				}
			})
		})
	}
}

// A policy goes through JSON unchanged, and its digest with it.
func TestPolicyJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicy().Draw(t, "policy")
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q Policy
		if err := json.Unmarshal(text, &q); err != nil {
			t.Fatal(err)
		}
		if p.Digest() != q.Digest() {
			t.Fatalf("digest changed over %s", text)
		}
	})
}
