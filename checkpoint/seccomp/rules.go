package seccomp

import (
	"cmp"
	"slices"

	"github.com/holdshort/holdshort/internal/cbpf"
)

// rule is one rule for one system call number: if all conditions hold, the
// filter returns ret.
type rule struct {
	conds []Condition
	ret   uint32
}

// expander turns a policy into rules by ABI and number.
type expander struct {
	policy  *Policy
	dialect Dialect
	def     uint32 // the default action's return value
	prog    *Program
}

// group is all numbers of one audit architecture.
type group struct {
	audit uint32
	spans []span
}

// span is an interval of numbers, up to the next span, with the same rules.
type span struct {
	lo     uint32
	rules  []rule
	def    uint32 // if no rule matches
	narrow bool   // compare low halves only
}

func (x *expander) closed() uint32 {
	if x.dialect == Libseccomp {
		return uint32(cbpf.KillThread) // SCMP_ACT_KILL, its bad architecture action
	}
	return uint32(cbpf.KillProcess)
}

// groups lays the ABIs out over the numbers of their audit architectures.
func (x *expander) groups(targets []abi) []group {
	var out []group
	for i := 0; i < len(targets); i++ {
		g := group{audit: targets[i].audit}
		switch targets[i].arch {
		case ArchX86_64:
			g.spans = x.spans(targets[i], 0)
			if j := slices.IndexFunc(targets, func(a abi) bool { return a.arch == ArchX32 }); j >= 0 {
				g.spans = append(g.spans, x.spans(targets[j], cbpf.X32Bit)...)
				targets = slices.Delete(slices.Clone(targets), j, j+1)
				if x.dialect != Libseccomp { // it gives negative numbers to x32
					g.spans = x.close(g.spans, 1<<31)
				}
			} else {
				g.spans = x.close(g.spans, cbpf.X32Bit)
			}
		case ArchX32: // without x86_64
			g.spans = append(x.close(nil, 0), x.spans(targets[i], cbpf.X32Bit)...)
			if x.dialect != Libseccomp {
				g.spans = x.close(g.spans, 1<<31)
			}
		default:
			g.spans = x.spans(targets[i], 0)
		}
		g.spans = merge(g.spans)
		out = append(out, g)
	}
	return out
}

// close ends the numbers at lo: from there on calls are killed. libseccomp
// lets -1 through to the default action: a tracer uses it to skip a call.
func (x *expander) close(spans []span, lo uint32) []span {
	spans = append(spans, span{lo: lo, def: x.closed()})
	if x.dialect == Libseccomp && lo != 0 {
		spans = append(spans, span{lo: ^uint32(0), def: x.def})
	}
	return spans
}

// spans covers the numbers of one ABI from first on.
func (x *expander) spans(a abi, first uint32) []span {
	byNR := x.rules(a)
	nrs := make([]uint32, 0, len(byNR))
	for nr := range byNR {
		nrs = append(nrs, nr)
	}
	slices.Sort(nrs)
	narrow := x.dialect == Libseccomp && (a.narrow || a.arch == ArchX32)
	out := make([]span, 0, 2*len(nrs)+1)
	next := first // the first number not covered yet
	for _, nr := range nrs {
		if nr > next {
			out = append(out, span{lo: next, def: x.def})
		}
		out = append(out, span{lo: nr, rules: x.order(byNR[nr]), def: x.def, narrow: narrow})
		next = nr + 1
	}
	return append(out, span{lo: next, def: x.def})
}

// rules lists the rules of each number of an ABI, in the policy's order.
func (x *expander) rules(a abi) map[uint32][]rule {
	byNR := make(map[uint32][]rule, 512)
	for i := range x.policy.Syscalls {
		r := &x.policy.Syscalls[i]
		ret := returnValue(r.Action, r.ErrnoRet)
		if x.dialect == Libseccomp && ret == x.def {
			continue
		}
		alternatives := x.alternatives(i, r)
		for _, name := range r.Names {
			row, ok := findCall(name)
			if ok && row.nr[a.column] >= 0 {
				nr := uint32(row.nr[a.column])
				for _, c := range alternatives {
					byNR[nr] = append(byNR[nr], rule{conds: c, ret: ret})
				}
			}
			if a.muxed {
				x.multiplexed(a, name, alternatives, ret, byNR)
			}
		}
	}
	return byNR
}

// alternatives splits a rule that has two conditions on one argument, as runc
// and crun do: each condition alone is enough.
func (x *expander) alternatives(i int, r *Rule) [][]Condition {
	var seen [6]bool
	twice := false
	for _, c := range r.Args {
		twice = twice || seen[c.Index]
		seen[c.Index] = true
		if c.Op == OpMaskedEqual && c.ValueTwo&^c.Value != 0 {
			x.warn("syscalls[%d]: valueTwo %#x has bits outside of the mask %#x: it never matches (libseccomp drops the bits)", i, c.ValueTwo, c.Value)
		}
	}
	out := [][]Condition{r.Args}
	if twice {
		x.warn("syscalls[%d]: two conditions on one argument: either is enough, as in runc and crun", i)
		out = make([][]Condition, len(r.Args))
		for j := range r.Args {
			out[j] = r.Args[j : j+1]
		}
	}
	if x.dialect == Libseccomp {
		for j := range out {
			out[j] = cutMasks(out[j])
		}
	}
	return out
}

// cutMasks drops what libseccomp drops: bits outside of a mask, and conditions
// whose mask is zero and that therefore compare nothing.
func cutMasks(conds []Condition) []Condition {
	out := make([]Condition, 0, len(conds))
	for _, c := range conds {
		if c.Op == OpMaskedEqual {
			if c.Value == 0 {
				continue
			}
			c.ValueTwo &= c.Value
		}
		out = append(out, c)
	}
	return out
}

// order returns the rules that count, in the order to try them.
func (x *expander) order(rules []rule) []rule {
	if x.dialect == Libseccomp {
		if i := slices.IndexFunc(rules, func(r rule) bool { return len(r.conds) == 0 }); i >= 0 {
			rules = rules[i : i+1]
		}
	}
	for i, r := range rules {
		if len(r.conds) == 0 { // later rules are never reached
			return rules[:i+1]
		}
	}
	for len(rules) > 0 && rules[len(rules)-1].ret == x.def {
		rules = rules[:len(rules)-1] // what happens anyway
	}
	return rules
}

// merge joins neighbouring spans that do the same.
func merge(spans []span) []span {
	out := spans[:0]
	for _, s := range spans {
		// A span of rules that end in one without conditions.
		if len(s.rules) == 1 && len(s.rules[0].conds) == 0 {
			s.def, s.rules = s.rules[0].ret, nil
		}
		if n := len(out); n > 0 && (out[n-1].lo == s.lo) {
			out = out[:n-1] // an empty span
		}
		if n := len(out); n > 0 && same(&out[n-1], &s) {
			continue
		}
		out = append(out, s)
	}
	return out
}

func same(a, b *span) bool {
	if a.def != b.def || len(a.rules) != len(b.rules) || len(a.rules) > 0 && a.narrow != b.narrow {
		return false
	}
	for i := range a.rules {
		if a.rules[i].ret != b.rules[i].ret || !slices.Equal(a.rules[i].conds, b.rules[i].conds) {
			return false
		}
	}
	return true
}

// muxCall is the first argument that makes a multiplexer do a call.
type muxCall struct {
	mux  string
	call uint64
}

// muxCalls are the calls of socketcall (linux/net.h) and ipc (linux/ipc.h).
var muxCalls = map[string]muxCall{
	"socket": {"socketcall", 1}, "bind": {"socketcall", 2}, "connect": {"socketcall", 3}, "listen": {"socketcall", 4},
	"accept": {"socketcall", 5}, "getsockname": {"socketcall", 6}, "getpeername": {"socketcall", 7},
	"socketpair": {"socketcall", 8}, "send": {"socketcall", 9}, "recv": {"socketcall", 10},
	"sendto": {"socketcall", 11}, "recvfrom": {"socketcall", 12}, "shutdown": {"socketcall", 13},
	"setsockopt": {"socketcall", 14}, "getsockopt": {"socketcall", 15}, "sendmsg": {"socketcall", 16},
	"recvmsg": {"socketcall", 17}, "accept4": {"socketcall", 18}, "recvmmsg": {"socketcall", 19},
	"sendmmsg": {"socketcall", 20},
	"semop":    {"ipc", 1}, "semget": {"ipc", 2}, "semctl": {"ipc", 3}, "semtimedop": {"ipc", 4},
	"msgsnd": {"ipc", 11}, "msgrcv": {"ipc", 12}, "msgget": {"ipc", 13}, "msgctl": {"ipc", 14},
	"shmat": {"ipc", 21}, "shmdt": {"ipc", 22}, "shmget": {"ipc", 23}, "shmctl": {"ipc", 24},
}

// Multiplexed returns the multiplexing call and the selector by which name can
// also be made on a; the selector is in the bits of mask of the first argument.
func Multiplexed(a Arch, name string) (mux string, selector, mask uint64, ok bool) {
	x, known := a.abi()
	m, found := muxCalls[name]
	if !known || !x.muxed || !found {
		return "", 0, 0, false
	}
	mask = 0xffffffff // socketcall's selector is an int
	if m.mux == "ipc" {
		mask = 0xffff // ipc has a version above it
	}
	return m.mux, m.call, mask, true
}

// multiplexed adds the rules for the way through socketcall or ipc.
func (x *expander) multiplexed(a abi, name string, alternatives [][]Condition, ret uint32, byNR map[uint32][]rule) {
	mux, selector, mask, ok := Multiplexed(a.arch, name)
	if !ok {
		return
	}
	row, _ := findCall(mux)
	nr := uint32(row.nr[a.column])
	sel := Condition{Index: 0, Op: OpMaskedEqual, Value: mask, ValueTwo: selector}
	if x.dialect == Libseccomp {
		// libseccomp compares the whole argument, and keeps the conditions on
		// other arguments although they hold something else here.
		sel = Condition{Index: 0, Op: OpEqual, Value: selector}
		for _, alt := range alternatives {
			conds := []Condition{sel}
			for _, c := range alt {
				if c.Index != 0 {
					conds = append(conds, c)
				}
			}
			byNR[nr] = append(byNR[nr], rule{conds: conds, ret: ret})
		}
		return
	}
	if len(alternatives) != 1 || len(alternatives[0]) != 0 {
		if cmp.Compare(int32(ret&0xffff0000), int32(x.def&0xffff0000)) > 0 {
			x.warn("%s on %s: conditions cannot be checked through %s; not allowed there", name, a.arch, mux)
			return
		}
		x.warn("%s on %s: conditions cannot be checked through %s; applied to all of it there", name, a.arch, mux)
	}
	byNR[nr] = append(byNR[nr], rule{conds: []Condition{sel}, ret: ret})
}
