package oracle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
)

// The judge's own reading of a policy, for every number of every ABI that the
// machine can have. It follows the package comment of package seccomp, and
// nothing of that package's compiler.

type filterPolicy struct {
	policy  *seccomp.Policy
	o       *SeccompOptions
	def     uint32
	spans   []wantedSpan
	highest map[seccomp.Arch]uint32 // the highest number that the policy names
	filters []cbpf.Checked
}

// wantedSpan is what the policy wants for the numbers lo to hi of one ABI.
type wantedSpan struct {
	arch   seccomp.Arch
	lo, hi uint32
	rules  []wantedRule
	def    uint32
	narrow bool // conditions compare low halves
	cut    bool // bits of valueTwo outside of the mask do not count
	open   bool // the policy lists the ABI
}

type wantedRule struct {
	conds []seccomp.Condition
	ret   uint32
}

func newFilterPolicy(p *seccomp.Policy, o *SeccompOptions) (*filterPolicy, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if o.Native.Audit() == 0 {
		return nil, fmt.Errorf("no system call table for %q", o.Native)
	}
	j := &filterPolicy{policy: p, o: o, highest: map[seccomp.Arch]uint32{}}
	j.def = wantedReturn(p.DefaultAction, p.DefaultErrnoRet)
	if !o.IgnoreUnknown {
		if unknown := unknownNames(p); len(unknown) > 0 {
			return nil, fmt.Errorf("unknown system calls: %s", strings.Join(unknown, ", "))
		}
	}
	for _, a := range append([]seccomp.Arch{o.Native}, o.Native.Compat()...) {
		j.layOut(a)
	}
	return j, nil
}

func unknownNames(p *seccomp.Policy) []string {
	var out []string
	for _, r := range p.Syscalls {
		for _, n := range r.Names {
			if !seccomp.KnownCall(n) && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func wantedReturn(a seccomp.Action, errnoRet *uint) uint32 {
	data := uint32(1)
	if errnoRet != nil {
		data = uint32(*errnoRet)
	}
	switch a {
	case seccomp.ActKill, seccomp.ActKillThread:
		return uint32(cbpf.KillThread)
	case seccomp.ActKillProcess:
		return uint32(cbpf.KillProcess)
	case seccomp.ActTrap:
		return uint32(cbpf.Trap)
	case seccomp.ActErrno:
		return uint32(cbpf.Errno) | data
	case seccomp.ActTrace:
		return uint32(cbpf.Trace) | data
	case seccomp.ActNotify:
		return uint32(cbpf.UserNotify)
	case seccomp.ActLog:
		return uint32(cbpf.Log)
	}
	return uint32(cbpf.Allow)
}

func (j *filterPolicy) listed(a seccomp.Arch) bool {
	if len(j.policy.Architectures) == 0 || j.o.Dialect == seccomp.Libseccomp {
		if a == j.o.Native {
			return true
		}
	}
	return slices.Contains(j.policy.Architectures, a)
}

// layOut adds the spans of one ABI.
func (j *filterPolicy) layOut(a seccomp.Arch) {
	lib := j.o.Dialect == seccomp.Libseccomp
	closed := uint32(cbpf.KillProcess)
	if lib {
		closed = uint32(cbpf.KillThread)
	}
	add := func(lo, hi, def uint32) {
		j.spans = append(j.spans, wantedSpan{arch: a, lo: lo, hi: hi, def: def})
	}
	// The numbers of the ABI. x86_64 and x32 share an audit architecture; bit 30
	// tells them apart, and a negative number belongs to neither.
	lo, hi := uint32(0), ^uint32(0)
	switch a {
	case seccomp.ArchX86_64:
		hi = cbpf.X32Bit - 1
	case seccomp.ArchX32:
		lo, hi = cbpf.X32Bit, 1<<31-1
		x32 := j.listed(a)
		switch {
		case lib && x32:
			hi = ^uint32(0) // libseccomp sends all of these to x32's rules
		case lib:
			hi = ^uint32(0) - 1
			add(^uint32(0), ^uint32(0), j.def)
		default:
			add(1<<31, ^uint32(0), closed)
		}
	}
	if !j.listed(a) {
		add(lo, hi, closed)
		return
	}
	rules := j.rulesOf(a)
	nrs := make([]uint32, 0, len(rules))
	for nr := range rules {
		nrs = append(nrs, nr)
	}
	slices.Sort(nrs)
	next, full := lo, false
	for _, nr := range nrs {
		if nr > next {
			j.spans = append(j.spans, wantedSpan{arch: a, lo: next, hi: nr - 1, def: j.def, open: true})
		}
		j.spans = append(j.spans, wantedSpan{
			arch: a, lo: nr, hi: nr, rules: rules[nr], def: j.def, open: true,
			narrow: lib && (a.Narrow() || a == seccomp.ArchX32), cut: lib,
		})
		j.highest[a] = nr
		next, full = nr+1, nr == hi
	}
	if !full {
		j.spans = append(j.spans, wantedSpan{arch: a, lo: next, hi: hi, def: j.def, open: true})
	}
}

// rulesOf lists the rules by number, in the order in which they are tried.
func (j *filterPolicy) rulesOf(a seccomp.Arch) map[uint32][]wantedRule {
	lib := j.o.Dialect == seccomp.Libseccomp
	out := map[uint32][]wantedRule{}
	for _, r := range j.policy.Syscalls {
		ret := wantedReturn(r.Action, r.ErrnoRet)
		if lib && ret == j.def {
			continue
		}
		for _, name := range r.Names {
			for _, conds := range j.waysToMatch(r.Args) {
				if nr, ok := seccomp.CallNumber(a, name); ok {
					out[nr] = append(out[nr], wantedRule{conds, ret})
				}
			}
			j.throughMux(a, name, r.Args, ret, out)
		}
	}
	if lib {
		for nr, rules := range out {
			for _, r := range rules {
				if len(r.conds) == 0 {
					out[nr] = []wantedRule{r}
					break
				}
			}
		}
	}
	return out
}

// waysToMatch: a rule with two conditions on one argument matches when any of
// its conditions holds, else when all do.
func (j *filterPolicy) waysToMatch(args []seccomp.Condition) [][]seccomp.Condition {
	ways := waysToMatch(args)
	if j.o.Dialect == seccomp.Libseccomp {
		// A mask of zero compares nothing: libseccomp drops the condition.
		for i := range ways {
			ways[i] = slices.DeleteFunc(slices.Clone(ways[i]), func(c seccomp.Condition) bool {
				return c.Op == seccomp.OpMaskedEqual && c.Value == 0
			})
		}
	}
	return ways
}

func waysToMatch(args []seccomp.Condition) [][]seccomp.Condition {
	used := map[uint]int{}
	for _, c := range args {
		if used[c.Index]++; used[c.Index] == 2 {
			var ways [][]seccomp.Condition
			for _, c := range args {
				ways = append(ways, []seccomp.Condition{c})
			}
			return ways
		}
	}
	return [][]seccomp.Condition{args}
}

// throughMux adds what the policy wants for a call made through socketcall or
// ipc, where its arguments are in memory.
func (j *filterPolicy) throughMux(a seccomp.Arch, name string, args []seccomp.Condition, ret uint32, out map[uint32][]wantedRule) {
	mux, selector, mask, ok := seccomp.Multiplexed(a, name)
	if !ok {
		return
	}
	nr, _ := seccomp.CallNumber(a, mux)
	sel := seccomp.Condition{Op: seccomp.OpMaskedEqual, Value: mask, ValueTwo: selector}
	if j.o.Dialect != seccomp.Libseccomp {
		weaker := cbpf.Decide(j.def).Action.StrongerThan(cbpf.Decide(ret).Action)
		if len(args) == 0 || !weaker {
			out[nr] = append(out[nr], wantedRule{[]seccomp.Condition{sel}, ret})
		}
		return
	}
	sel = seccomp.Condition{Op: seccomp.OpEqual, Value: selector}
	for _, conds := range j.waysToMatch(args) {
		r := wantedRule{[]seccomp.Condition{sel}, ret}
		for _, c := range conds {
			if c.Index != 0 {
				r.conds = append(r.conds, c)
			}
		}
		out[nr] = append(out[nr], r)
	}
}

// isENOSYSStub recognises what runc answers for calls newer than the policy.
func (j *filterPolicy) isENOSYSStub(s *wantedSpan, got cbpf.Decision) bool {
	highest, named := j.highest[s.arch]
	return j.o.NewerIsENOSYS && s.open && named && s.lo > highest &&
		got == cbpf.Decision{Action: cbpf.Errno, Data: 38}
}

// evaluations bounds the work for one span.
const evaluations = 1 << 16

// decide calls visit with what the policy wants, once for each part of region
// that its conditions tell apart; region is that part during the call.
func (s *wantedSpan) decide(region *cbpf.Region, budget *int, visit func(uint32) error) error {
	e := evaluation{s: s, r: region, budget: budget, visit: visit}
	return e.rule(0)
}

type evaluation struct {
	s      *wantedSpan
	r      *cbpf.Region
	budget *int
	visit  func(uint32) error
}

func (e *evaluation) rule(i int) error {
	if i == len(e.s.rules) {
		return e.visit(e.s.def)
	}
	return e.cond(i, 0)
}

func (e *evaluation) cond(i, n int) error {
	if n == len(e.s.rules[i].conds) {
		return e.visit(e.s.rules[i].ret)
	}
	yes := func() error { return e.cond(i, n+1) }
	no := func() error { return e.rule(i + 1) }
	return e.holds(e.s.rules[i].conds[n], yes, no)
}

// split calls yes and no for the parts where the test holds and fails.
func (e *evaluation) split(t cbpf.Test, yes, no func() error) error {
	if *e.budget--; *e.budget <= 0 {
		return fmt.Errorf("%w: the policy's conditions", cbpf.ErrTooComplex)
	}
	if _, err := e.r.Assume(t, true, yes); err != nil {
		return err
	}
	_, err := e.r.Assume(t, false, no)
	return err
}

// holds evaluates a condition on the two halves of its argument.
func (e *evaluation) holds(c seccomp.Condition, yes, no func() error) error {
	low := cbpf.WordArg + 2*int(c.Index)
	test := func(high bool, op cbpf.Op, mask, k uint64) cbpf.Test {
		if high {
			return cbpf.Test{Word: low + 1, Op: op, Mask: uint32(mask >> 32), K: uint32(k >> 32)}
		}
		return cbpf.Test{Word: low, Op: op, Mask: uint32(mask), K: uint32(k)}
	}
	// both: both halves equal k under mask.
	both := func(mask, k uint64, yes, no func() error) error {
		lower := func() error { return e.split(test(false, cbpf.OpEqual, mask, k), yes, no) }
		if e.s.narrow {
			return lower()
		}
		return e.split(test(true, cbpf.OpEqual, mask, k), lower, no)
	}
	// above: greater than k, or equal if the operator says so.
	const all = ^uint64(0)
	above := func(op cbpf.Op, k uint64, yes, no func() error) error {
		lower := func() error { return e.split(test(false, op, all, k), yes, no) }
		if e.s.narrow {
			return lower()
		}
		notAbove := func() error { return e.split(test(true, cbpf.OpEqual, all, k), lower, no) }
		return e.split(test(true, cbpf.OpGT, all, k), yes, notAbove)
	}
	switch c.Op {
	case seccomp.OpEqual:
		return both(all, c.Value, yes, no)
	case seccomp.OpNotEqual:
		return both(all, c.Value, no, yes)
	case seccomp.OpMaskedEqual:
		want := c.ValueTwo
		if e.s.cut {
			want &= c.Value
		}
		return both(c.Value, want, yes, no)
	case seccomp.OpGreater:
		return above(cbpf.OpGT, c.Value, yes, no)
	case seccomp.OpGreaterEqual:
		return above(cbpf.OpGE, c.Value, yes, no)
	case seccomp.OpLess:
		return above(cbpf.OpGE, c.Value, no, yes)
	case seccomp.OpLessEqual:
		return above(cbpf.OpGT, c.Value, no, yes)
	}
	return fmt.Errorf("operator %q", c.Op)
}
