package oracle

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
	"github.com/holdshort/holdshort/probes/posture"
)

func TestSeccompDifference_String(t *testing.T) {
	for want, d := range map[string]SeccompDifference{
		"ignored: want a filter, got none (why not)": {Outcome: Ignored, Want: "a filter", Got: "none", Explanation: "why not"},
		"weaker: SCMP_ARCH_X86_64 read(0): want errno(1), got allow": {
			Outcome: Weaker, Arch: seccomp.ArchX86_64, Name: "read", Want: "errno(1)", Got: "allow",
		},
		"weaker: SCMP_ARCH_X86_64 0x1f4: want errno(1), got allow": {
			Outcome: Weaker, Arch: seccomp.ArchX86_64, NR: 500, Last: 500, Want: "errno(1)", Got: "allow",
		},
		"stronger: SCMP_ARCH_X86_64 0x1f4-0x1ff args [0x1 0x0 0x0 0x0 0x0 0x5]: want allow, got trap (x)": {
			Outcome: Stronger, Arch: seccomp.ArchX86_64, NR: 500, Last: 511, ArgsMatter: true, Example: [6]uint64{1, 0, 0, 0, 0, 5}, Want: "allow", Got: "trap", Explanation: "x",
		},
	} {
		if got := d.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// The gravest counts: Weaker, then other findings, then what is not known.
func TestSummarizeSeccomp(t *testing.T) {
	of := func(o Outcome) SeccompDifference { return SeccompDifference{Outcome: o, Want: "w", Got: string(o)} }
	for name, tt := range map[string]struct {
		diffs []SeccompDifference
		want  Outcome
		why   string
	}{
		"none":                             {nil, Equal, ""},
		"one":                              {[]SeccompDifference{of(Stronger)}, Stronger, "stronger: want w, got stronger"},
		"the gravest is last":              {[]SeccompDifference{of(Unobservable), of(Stronger), of(Weaker)}, Weaker, "weaker: want w, got weaker, and 2 more"},
		"the gravest is first":             {[]SeccompDifference{of(Weaker), of(Stronger), of(Unobservable), of(Leaked)}, Weaker, "weaker: want w, got weaker, and 3 more"},
		"a finding, and what is not known": {[]SeccompDifference{of(Unobservable), of(Leaked)}, Leaked, "leaked: want w, got leaked, and 1 more"},
		"the first of equals":              {[]SeccompDifference{of(Stronger), of(Leaked)}, Stronger, "stronger: want w, got stronger, and 1 more"},
	} {
		if o, why := SummarizeSeccomp(tt.diffs); o != tt.want || why != tt.why {
			t.Errorf("%s: %s %q, want %s %q", name, o, why, tt.want, tt.why)
		}
	}
}

// TestSpansCoverAllNumbers: what no span covers is never judged, so that a filter
// could do there what it likes.
func TestSpansCoverAllNumbers(t *testing.T) {
	all := []seccomp.Arch{seccomp.ArchX86_64, seccomp.ArchX86, seccomp.ArchX32, seccomp.ArchAARCH64, seccomp.ArchARM}
	for _, native := range []seccomp.Arch{seccomp.ArchX86_64, seccomp.ArchAARCH64} {
		for _, dialect := range []seccomp.Dialect{seccomp.FirstMatch, seccomp.Libseccomp} {
			for listed := range 1 << len(all) {
				p := seccompFrom(t, `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","write","exit_group"],"action":"SCMP_ACT_ALLOW"}]}`)
				for i, a := range all {
					if listed>>i&1 != 0 {
						p.Architectures = append(p.Architectures, a)
					}
				}
				j, err := newFilterPolicy(p, &SeccompOptions{Native: native, Dialect: dialect})
				if err != nil {
					t.Fatal(err)
				}
				byAudit := map[uint32][]wantedSpan{}
				for _, s := range j.spans {
					byAudit[s.arch.Audit()] = append(byAudit[s.arch.Audit()], s)
				}
				if len(byAudit) != 2 { // those of the native and of the compatible calls
					t.Errorf("%s %s %v: %d architectures", native, dialect, p.Architectures, len(byAudit))
				}
				for _, spans := range byAudit {
					slices.SortFunc(spans, func(a, b wantedSpan) int { return int(int64(a.lo) - int64(b.lo)) })
					next := uint64(0)
					for _, s := range spans {
						if uint64(s.lo) != next || s.hi < s.lo {
							t.Errorf("%s %s %v: from %#x to %#x, after %#x", native, dialect, p.Architectures, s.lo, s.hi, next)
						}
						next = uint64(s.hi) + 1
					}
					if next != 1<<32 {
						t.Errorf("%s %s %v: nothing from %#x on", native, dialect, p.Architectures, next)
					}
				}
			}
		}
	}
}

// What is wanted for numbers that belong to no call: seccomp(2) has the whole
// range of x32 on the same architecture as x86_64, and negative numbers.
func TestNumbersOfX32(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ERRNO","architectures":[ARCHES],"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`
	for name, tt := range map[string]struct {
		dialect seccomp.Dialect
		arches  string
		wants   map[uint32]string
	}{
		"ours, without":       {seccomp.FirstMatch, `"SCMP_ARCH_X86_64"`, map[uint32]string{0: "allow", 1: "errno(1)", cbpf.X32Bit: "kill_process", 1 << 31: "kill_process", ^uint32(0): "kill_process"}},
		"ours, with":          {seccomp.FirstMatch, `"SCMP_ARCH_X86_64","SCMP_ARCH_X32"`, map[uint32]string{0: "allow", cbpf.X32Bit: "allow", cbpf.X32Bit + 1: "errno(1)", 1 << 31: "kill_process", ^uint32(0): "kill_process"}},
		"libseccomp, without": {seccomp.Libseccomp, `"SCMP_ARCH_X86_64"`, map[uint32]string{0: "allow", cbpf.X32Bit: "kill_thread", 1 << 31: "kill_thread", ^uint32(0) - 1: "kill_thread", ^uint32(0): "errno(1)"}},
		"libseccomp, with":    {seccomp.Libseccomp, `"SCMP_ARCH_X86_64","SCMP_ARCH_X32"`, map[uint32]string{0: "allow", cbpf.X32Bit: "allow", 1 << 31: "errno(1)", ^uint32(0): "errno(1)"}},
	} {
		p := seccompFrom(t, strings.Replace(text, "ARCHES", tt.arches, 1))
		j, err := newFilterPolicy(p, &SeccompOptions{Native: seccomp.ArchX86_64, Dialect: tt.dialect})
		if err != nil {
			t.Fatal(err)
		}
		for nr, want := range tt.wants {
			i := slices.IndexFunc(j.spans, func(s wantedSpan) bool {
				return s.arch.Audit() == cbpf.ArchX86_64 && s.lo <= nr && nr <= s.hi
			})
			if i < 0 {
				t.Errorf("%s: nothing about %#x", name, nr)
				continue
			}
			ret := j.spans[i].def
			if len(j.spans[i].rules) > 0 {
				ret = j.spans[i].rules[0].ret
			}
			if got := cbpf.Decide(ret).String(); got != want {
				t.Errorf("%s: %#x wants %s, want %s", name, nr, got, want)
			}
		}
	}
}

// allowedIf puts instructions in front of a filter: calls of one architecture are
// allowed where a half of an argument is not zero.
func allowedIf(f posture.Filter, arch uint32, word int) posture.Filter {
	out := []cbpf.Instruction{
		{Code: cbpf.LoadAbs, K: 4},
		{Code: cbpf.JumpEqual, K: arch, JF: 3},
		{Code: cbpf.LoadAbs, K: uint32(4 * word)},
		{Code: cbpf.JumpEqual, K: 0, JT: 1},
		ret(cbpf.Allow),
	}
	for _, in := range f.Instructions {
		out = append(out, cbpf.Instruction(in))
	}
	return installed(out)
}

// TestHalvesOfArguments: registers of 32-bit calls have no upper half, so what a
// filter does with one does not matter; everywhere else it does.
func TestHalvesOfArguments(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"]}`
	policy, good := seccompFrom(t, text), filterOf(t, text)
	for i := range 6 {
		for _, half := range []int{0, 1} {
			word := cbpf.WordArg + 2*i + half
			for arch, name := range map[uint32]seccomp.Arch{cbpf.ArchX86_64: seccomp.ArchX86_64, cbpf.ArchI386: seccomp.ArchX86} {
				diffs := CheckSeccomp(policy, []posture.Filter{allowedIf(good, arch, word)}, onAMD64)
				if name == seccomp.ArchX86 && half == 1 {
					if len(diffs) > 0 {
						t.Errorf("%s argument %d: %v", name, i, diffs)
					}
					continue
				}
				// x32 has the same architecture, and is judged apart.
				diffs = slices.DeleteFunc(slices.Clone(diffs), func(d SeccompDifference) bool { return d.Arch == seccomp.ArchX32 && name == seccomp.ArchX86_64 })
				if len(diffs) != 1 || diffs[0].Outcome != Weaker || diffs[0].Arch != name || !diffs[0].ArgsMatter {
					t.Errorf("%s argument %d, half %d: %v", name, i, half, diffs)
					continue
				}
				if v := diffs[0].Example[i] >> (32 * half) & 0xffffffff; v == 0 {
					t.Errorf("%s argument %d, half %d: the example %#x does not show it", name, i, half, diffs[0].Example)
				}
			}
		}
	}
	for _, d := range CheckSeccomp(policy, []posture.Filter{raw(ret(cbpf.Allow))}, onAMD64) {
		if d.ArgsMatter {
			t.Errorf("%s: no argument matters", d)
		}
	}
}

// Differences of one call are told apart by what is wanted and what is got, and
// only the first few are told.
func TestDifferencesOfOneCall(t *testing.T) {
	const rule = `{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","errnoRet":NUMBER,"args":[{"index":0,"value":VALUE,"op":"SCMP_CMP_EQ"}]}`
	policy := func(numbers ...string) *seccomp.Policy {
		var rules []string
		for i, n := range numbers {
			rules = append(rules, strings.NewReplacer("NUMBER", n, "VALUE", string(rune('1'+i))).Replace(rule))
		}
		return seccompFrom(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[`+strings.Join(rules, ",")+`]}`)
	}
	const text = `{"defaultAction":"SCMP_ACT_ALLOW"}`
	for name, tt := range map[string]struct {
		policy *seccomp.Policy
		wants  []string
	}{
		"two":            {policy("5", "6"), []string{"errno(5)", "errno(6)"}},
		"twice the same": {policy("5", "6", "5"), []string{"errno(5)", "errno(6)"}},
		"many":           {policy("5", "6", "7", "8", "9", "10"), []string{"errno(5)", "errno(6)", "errno(7)", "errno(8)"}},
	} {
		var wants []string
		for _, d := range CheckSeccomp(tt.policy, []posture.Filter{filterOf(t, text)}, onAMD64) {
			if d.Arch == seccomp.ArchX86_64 {
				wants = append(wants, d.Want)
			}
		}
		slices.Sort(wants)
		if !slices.Equal(wants, tt.wants) {
			t.Errorf("%s: %q, want %q", name, wants, tt.wants)
		}
	}
	// What is got may differ, where the same is wanted.
	deny := seccompFrom(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_TRAP"}]}`)
	prog, err := policy("5", "6").Compile(seccomp.Options{Native: seccomp.ArchX86_64})
	if err != nil {
		t.Fatal(err)
	}
	var gots []string
	for _, d := range CheckSeccomp(deny, []posture.Filter{loaded(prog)}, onAMD64) {
		gots = append(gots, d.Got)
	}
	slices.Sort(gots)
	if want := []string{"allow", "errno(5)", "errno(6)"}; !slices.Equal(gots, want) {
		t.Errorf("got %q, want %q", gots, want)
	}
}

func TestFlagLog(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}`
	silent := filterOf(t, text)
	silent.Log = false
	policy := seccompFrom(t, text)
	if o, why := SummarizeSeccomp(CheckSeccomp(policy, []posture.Filter{filterOf(t, text)}, onAMD64)); o != Equal {
		t.Errorf("%s %s", o, why)
	}
	if o, why := SummarizeSeccomp(CheckSeccomp(policy, []posture.Filter{silent}, onAMD64)); o != Weaker || !strings.Contains(why, "flag LOG") {
		t.Errorf("without it: %s %s", o, why)
	}
}

// The number that the policy names last is not newer than the policy.
func TestNewerIsENOSYS_Last(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}`
	o := onAMD64
	o.NewerIsENOSYS = true
	stub := []cbpf.Instruction{
		{Code: cbpf.LoadAbs, K: 4},
		{Code: cbpf.JumpEqual, K: cbpf.ArchX86_64, JF: 4},
		{Code: cbpf.LoadAbs},
		{Code: cbpf.JumpGE, K: cbpf.X32Bit, JT: 2},
		{Code: cbpf.JumpGE, K: 1, JF: 1}, // from write on
		ret(cbpf.Errno | 38),
	}
	for _, in := range filterOf(t, text).Instructions {
		stub = append(stub, cbpf.Instruction(in))
	}
	diffs := CheckSeccomp(seccompFrom(t, text), []posture.Filter{installed(stub)}, o)
	if len(diffs) != 1 || diffs[0].Name != "write" || diffs[0].Outcome != Stronger {
		t.Errorf("got %v", diffs)
	}
}

// libseccomp drops a comparison under a mask of zero, so that a rule with no
// other is one without conditions, which comes before those that have some.
func TestLibseccompMaskOfZero(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
		{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","errnoRet":5,"args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
		{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","errnoRet":6,"args":[{"index":1,"value":0,"valueTwo":7,"op":"SCMP_CMP_MASKED_EQ"}]}]}`
	seen := filterOf(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","errnoRet":6}]}`)
	ways := func(d seccomp.Dialect) [][]seccomp.Condition {
		p := seccompFrom(t, text)
		j := &filterPolicy{policy: p, o: &SeccompOptions{Dialect: d}}
		before := slices.Clone(p.Syscalls[1].Args)
		out := j.waysToMatch(p.Syscalls[1].Args)
		if !slices.Equal(before, p.Syscalls[1].Args) {
			t.Error("the policy was changed")
		}
		return out
	}
	if w := ways(seccomp.Libseccomp); len(w) != 1 || len(w[0]) != 0 {
		t.Errorf("libseccomp: %v", w)
	}
	if w := ways(seccomp.FirstMatch); len(w) != 1 || len(w[0]) != 1 {
		t.Errorf("ours: %v", w)
	}
	o := onAMD64
	o.Dialect = seccomp.Libseccomp
	for _, d := range CheckSeccomp(seccompFrom(t, text), []posture.Filter{seen}, o) {
		if d.Arch == seccomp.ArchX86_64 && d.Name == "ioctl" {
			t.Errorf("libseccomp: %s", d)
		}
	}
}

// Conditions that would take too long are given up, and called so.
func TestBudgetOfConditions(t *testing.T) {
	s := wantedSpan{arch: seccomp.ArchX86_64, rules: []wantedRule{{[]seccomp.Condition{{Value: 1, Op: seccomp.OpEqual}}, 0}}}
	for budget, ok := range map[int]bool{1: false, 2: false, 3: true, 100: true} {
		r := cbpf.AnyRegion()
		visited, left := 0, budget
		err := s.decide(&r, &left, func(uint32) error { visited++; return nil })
		if (err == nil) != ok || err != nil && !errors.Is(err, cbpf.ErrTooComplex) {
			t.Errorf("a budget of %d: %v", budget, err)
		}
		if ok && (visited != 3 || left != budget-2) {
			t.Errorf("a budget of %d: %d parts, %d left", budget, visited, left)
		}
	}
}

// The ABI of this machine is that of the program, unless told otherwise.
func TestNativeByDefault(t *testing.T) {
	prog, err := seccompFrom(t, denyPtrace).Compile(seccomp.Options{Native: seccomp.NativeArch()})
	if err != nil {
		t.Fatal(err)
	}
	if d := CheckSeccomp(seccompFrom(t, denyPtrace), []posture.Filter{installed(prog.Instructions)}, SeccompOptions{}); len(d) > 0 {
		t.Errorf("got %v", d)
	}
	if d := CheckSeccomp(seccompFrom(t, denyPtrace), []posture.Filter{installed(prog.Instructions)}, SeccompOptions{Native: "z"}); len(d) != 1 || d[0].Outcome != Unobservable {
		t.Errorf("of a machine that nobody knows: %v", d)
	}
}

// What was given up for its size and what went wrong are told apart.
func TestCompareGivesUp(t *testing.T) {
	wrong := wantedSpan{arch: seccomp.ArchX86_64, lo: 3, hi: 3, rules: []wantedRule{{[]seccomp.Condition{{Op: "?"}}, 0}}}
	d := (&filterPolicy{policy: &seccomp.Policy{}, o: &SeccompOptions{}, spans: []wantedSpan{wrong}}).compare()
	if len(d) != 1 || d[0].Outcome != Unobservable || !strings.HasPrefix(d[0].Explanation, "internal: ") || d[0].Name != "close" {
		t.Errorf("got %v", d)
	}
	computes := raw(cbpf.Instruction{Code: cbpf.LoadAbs, K: 16}, cbpf.Instruction{Code: cbpf.AddK, K: 1}, cbpf.Instruction{Code: cbpf.ReturnA})
	for _, d := range CheckSeccomp(seccompFrom(t, denyPtrace), []posture.Filter{computes}, onAMD64) {
		if strings.HasPrefix(d.Explanation, "internal") {
			t.Errorf("got %v", d)
		}
	}
}
