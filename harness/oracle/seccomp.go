package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
	"github.com/holdshort/holdshort/probes/posture"
)

// SeccompDifference is one way in which installed filters are not what a policy
// means: some system calls, what the policy wants for them, what they get.
type SeccompDifference struct {
	// Outcome is Weaker or Stronger by the kernel's order of actions; Weaker
	// also for the same action with other data (errno(1) for errno(38)).
	// Unobservable: nothing is known of these calls. Ignored, Leaked: the
	// filters as a whole.
	Outcome Outcome `json:"outcome"`
	// Arch is the ABI, empty if the filters as a whole are meant.
	Arch seccomp.Arch `json:"arch,omitempty"`
	Name string       `json:"name,omitempty"` // of the call, empty for numbers without one
	NR   uint32       `json:"nr"`             // first number
	Last uint32       `json:"last_nr"`        // last number
	// Example is a call with this difference: its arguments, and its number.
	Example     [6]uint64 `json:"example_args"`
	ExampleNR   uint32    `json:"example_nr"`
	ArgsMatter  bool      `json:"args_matter,omitempty"` // other arguments may be treated as wanted
	Want        string    `json:"want"`
	Got         string    `json:"got"`
	Explanation string    `json:"why,omitempty"`
}

func (d SeccompDifference) String() string {
	if d.Arch == "" {
		return fmt.Sprintf("%s: want %s, got %s%s", d.Outcome, d.Want, d.Got, because(d.Explanation))
	}
	call := fmt.Sprintf("%#x", d.NR)
	if d.Name != "" {
		call = fmt.Sprintf("%s(%d)", d.Name, d.NR)
	} else if d.Last != d.NR {
		call += fmt.Sprintf("-%#x", d.Last)
	}
	if d.ArgsMatter {
		call += fmt.Sprintf(" args %#x", d.Example)
	}
	return fmt.Sprintf("%s: %s %s: want %s, got %s%s", d.Outcome, d.Arch, call, d.Want, d.Got, because(d.Explanation))
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// SeccompOptions say how to read a policy and what else is known.
type SeccompOptions struct {
	// Caller are the filters that the workload inherited, newest first.
	Caller []posture.Filter
	// Dialect is [seccomp.Libseccomp] for engines that compile with it.
	Dialect seccomp.Dialect
	// IgnoreUnknown: names that no table has do not count. Without it they make
	// the policy Unobservable.
	IgnoreUnknown bool
	// NewerIsENOSYS accepts errno(ENOSYS) for numbers above the highest that
	// the policy names: runc puts that before its filter.
	NewerIsENOSYS bool
	// Native is the ABI of the observed machine; this program's if empty.
	Native seccomp.Arch
}

// CheckSeccomp compares the filters observed on a task, newest first, with what
// policy means; a nil policy means the caller's filters and nothing else. No
// differences means: every system call of every ABI that the machine can have
// (every number, every argument) gets what the policy wants, and the caller's
// filters are still beneath.
//
// The answer is exact, not sampled: the filters are explored path by path (see
// package cbpf) and each path is compared with the policy over its whole set
// of inputs. The policy is read by an evaluator of its own, not by the
// compiler of package seccomp; only the tables of numbers are shared. Where the
// exploration gives up, the calls concerned are Unobservable.
//
// Several added filters are judged together, as the kernel combines them. Not
// judged: SECCOMP_FILTER_FLAG_SPEC_ALLOW, which is visible in the task's
// speculation flags, and TSYNC, which leaves no trace.
//
// Results are cached by a hash of everything that goes in. The returned slice is
// shared: do not change it.
func CheckSeccomp(policy *seccomp.Policy, observed []posture.Filter, o SeccompOptions) []SeccompDifference {
	if o.Native == "" {
		o.Native = seccomp.NativeArch()
	}
	key := seccompKeyOf(policy, observed, &o)
	if d, ok := seccompCache.get(key); ok {
		return d
	}
	d := checkSeccomp(policy, observed, &o)
	seccompCache.put(key, d)
	return d
}

func checkSeccomp(policy *seccomp.Policy, observed []posture.Filter, o *SeccompOptions) []SeccompDifference {
	for i, f := range slices.Concat(observed, o.Caller) {
		if len(f.Instructions) == 0 {
			why := f.InstructionsLost
			if why == "" {
				why = "no instructions"
			}
			return wholeChain(Unobservable, "the filters' instructions", fmt.Sprintf("filter %d unreadable", i), why)
		}
	}
	added := len(observed) - len(o.Caller)
	counts := fmt.Sprintf("%d filters, the caller has %d", len(observed), len(o.Caller))
	switch {
	case added < 0:
		return wholeChain(Weaker, "the caller's filters", counts, "")
	case !slices.EqualFunc(observed[added:], o.Caller, sameFilter):
		return wholeChain(Leaked, "the caller's filters beneath", "other filters", "")
	case policy == nil && added > 0:
		return wholeChain(Leaked, "no filter", counts, "")
	case policy == nil:
		return nil
	case added == 0:
		return wholeChain(Ignored, "a filter", "none added", counts)
	}
	j, err := newFilterPolicy(policy, o)
	if err != nil {
		return wholeChain(Unobservable, "a policy that can be judged", "one that cannot", err.Error())
	}
	diffs := j.flags(observed[:added])
	for _, f := range observed[:added] {
		c, err := cbpf.Check(cbpfProgram(f.Instructions))
		if err != nil {
			return append(diffs, wholeChain(Unobservable, "a program that the kernel loads", "an invalid one", err.Error())...)
		}
		j.filters = append(j.filters, c)
	}
	return append(diffs, j.compare()...)
}

func wholeChain(o Outcome, want, got, why string) []SeccompDifference {
	return []SeccompDifference{{Outcome: o, Want: want, Got: got, Explanation: why}}
}

func sameFilter(a, b posture.Filter) bool {
	return a.Log == b.Log && a.WaitKillable == b.WaitKillable && a.HasNotifier == b.HasNotifier &&
		slices.Equal(a.Instructions, b.Instructions)
}

func cbpfProgram(in []posture.Instruction) []cbpf.Instruction {
	out := make([]cbpf.Instruction, len(in))
	for i, x := range in {
		out[i] = cbpf.Instruction(x)
	}
	return out
}

// flags compares what of the flags of seccomp(2) a filter keeps.
func (j *filterPolicy) flags(added []posture.Filter) []SeccompDifference {
	var out []SeccompDifference
	log := slices.Contains(j.policy.Flags, seccomp.FlagLog)
	for _, f := range added {
		switch {
		case f.Log && !log:
			out = append(out, wholeChain(Stronger, "no flag LOG", "LOG", "")...)
		case log && !f.Log:
			out = append(out, wholeChain(Weaker, "flag LOG", "none", "")...)
		}
		switch listens := j.listens(); {
		case f.HasNotifier && !listens:
			out = append(out, wholeChain(Leaked, "no listener", "a listener", "")...)
		case !f.HasNotifier && listens:
			out = append(out, wholeChain(Weaker, "a listener", "none", "its notified calls get ENOSYS")...)
		}
		switch killable := slices.Contains(j.policy.Flags, seccomp.FlagWaitKillable); {
		case f.WaitKillable && !killable:
			out = append(out, wholeChain(Leaked, "no flag WAIT_KILLABLE_RECV", "WAIT_KILLABLE_RECV", "")...)
		case !f.WaitKillable && killable:
			out = append(out, wholeChain(Weaker, "flag WAIT_KILLABLE_RECV", "none", "")...)
		}
	}
	return out
}

// listens: the policy asks for a listener, by an action or by a flag.
func (j *filterPolicy) listens() bool {
	if slices.Contains(j.policy.Flags, seccomp.FlagNewListener) || j.policy.DefaultAction == seccomp.ActNotify {
		return true
	}
	for i := range j.policy.Syscalls {
		if j.policy.Syscalls[i].Action == seccomp.ActNotify {
			return true
		}
	}
	return false
}

// outcomeOf orders two decisions; Equal if they do the same.
func outcomeOf(want, got cbpf.Decision) Outcome {
	switch {
	case want == got:
		return Equal
	case got.Action.StrongerThan(want.Action):
		return Stronger
	}
	return Weaker
}

// found collects the differences of one span of numbers.
type found struct {
	list []SeccompDifference
	span *wantedSpan
	j    *filterPolicy
}

// maxPerSpan bounds the differences reported for one call: what is got and
// wanted for other arguments of it adds little.
const maxPerSpan = 4

func (f *found) compare(want, got uint32, r *cbpf.Region) error {
	w, g := cbpf.Decide(want), cbpf.Decide(got)
	o := outcomeOf(w, g)
	if o == Equal || f.j.isENOSYSStub(f.span, g) {
		return nil
	}
	for i := range f.list {
		if f.list[i].Want == w.String() && f.list[i].Got == g.String() {
			return nil
		}
	}
	if len(f.list) >= maxPerSpan {
		return nil
	}
	d := SeccompDifference{
		Outcome: o, Arch: f.span.arch, NR: f.span.lo, Last: f.span.hi, Want: w.String(), Got: g.String(),
	}
	if f.span.lo == f.span.hi {
		d.Name = seccomp.CallName(f.span.arch, f.span.lo)
	}
	x, err := r.Example()
	if err != nil {
		d.Explanation = "no example: " + err.Error()
	}
	d.Example, d.ExampleNR = x.Args, uint32(x.NR)
	for i := range 6 {
		d.ArgsMatter = d.ArgsMatter || !r.Free(cbpf.WordArg+2*i) || !f.span.arch.Narrow() && !r.Free(cbpf.WordArg+2*i+1)
	}
	f.list = append(f.list, d)
	return nil
}

// compare judges all spans of numbers of all ABIs of the machine.
func (j *filterPolicy) compare() []SeccompDifference {
	var out []SeccompDifference
	for i := range j.spans {
		s := &j.spans[i]
		f := found{span: s, j: j}
		region := cbpf.AnyRegion()
		region.Fix(cbpf.WordArch, s.arch.Audit())
		region.Between(cbpf.WordNR, s.lo, s.hi)
		if s.arch.Narrow() {
			// Registers of these ABIs are 32 bits wide: the kernel shows
			// filters zeros above.
			for a := range 6 {
				region.Fix(cbpf.WordArg+2*a+1, 0)
			}
		}
		budget := evaluations
		err := j.run(0, uint32(cbpf.Allow), &region, func(got uint32, r *cbpf.Region) error {
			return s.decide(r, &budget, func(want uint32) error { return f.compare(want, got, r) })
		})
		if err != nil {
			why := err.Error()
			if !errors.Is(err, cbpf.ErrTooComplex) {
				why = "internal: " + why
			}
			f.list = append(f.list, SeccompDifference{
				Outcome: Unobservable, Arch: s.arch, Name: seccomp.CallName(s.arch, s.lo), NR: s.lo, Last: s.hi,
				ExampleNR: s.lo, Want: "a filter that can be followed", Got: "one that cannot", Explanation: why,
			})
		}
		out = append(out, f.list...)
	}
	return out
}

// run explores the filters from number i on, newest first, and combines their
// results as the kernel does.
func (j *filterPolicy) run(i int, ret uint32, r *cbpf.Region, visit func(uint32, *cbpf.Region) error) error {
	if i == len(j.filters) {
		return visit(ret, r)
	}
	return j.filters[i].Explore(r, func(got uint32, r *cbpf.Region) error {
		return j.run(i+1, cbpf.Combine(ret, got), r, visit)
	})
}

func appendFilter(b []byte, f *posture.Filter) []byte {
	flags := byte(0)
	for i, set := range [...]bool{f.Log, f.WaitKillable, f.HasNotifier} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Instructions)))
	for _, in := range f.Instructions {
		b = binary.LittleEndian.AppendUint64(b, uint64(in.Code)|uint64(in.JT)<<16|uint64(in.JF)<<24|uint64(in.K)<<32)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.InstructionsLost)))
	return append(b, f.InstructionsLost...)
}
