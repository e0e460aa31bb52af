package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// TestOrders: which of two values allows more. One that allows no more is never
// called laxer.
func TestOrders(t *testing.T) {
	one, two := posture.Filter{Instructions: []posture.Instruction{{K: 1}}}, posture.Filter{Instructions: []posture.Instruction{{K: 2}}}
	extent := func(n uint32) []posture.IDExtent { return []posture.IDExtent{{Count: n}, {Inside: 50, Count: 1}} }
	for name, tt := range map[string]struct{ got, want order }{
		"a number that grants: more":         {lowerIsStricter[int32](1, 2), laxer},
		"a number that grants: the same":     {lowerIsStricter[int32](2, 2), stricter},
		"a number that grants: less":         {lowerIsStricter[int32](2, 1), stricter},
		"a number that restrains: more":      {higherIsStricter[int32](1, 2), stricter},
		"a number that restrains: the same":  {higherIsStricter[int32](2, 2), stricter},
		"a number that restrains: less":      {higherIsStricter[int32](2, 1), laxer},
		"a switch that restrains: on":        {trueIsStricter(false, true), stricter},
		"a switch that restrains: off":       {trueIsStricter(true, false), laxer},
		"a switch that grants: on":           {falseIsStricter(false, true), laxer},
		"a switch that grants: off":          {falseIsStricter(true, false), stricter},
		"an id map: more":                    {mapOrder(extent(1), extent(2)), laxer},
		"an id map: as many":                 {mapOrder(extent(2), extent(2)), other},
		"an id map: less":                    {mapOrder(extent(2), extent(1)), stricter},
		"filters: fewer":                     {filterOrder([]posture.Filter{one, two}, []posture.Filter{one}), laxer},
		"filters: as many":                   {filterOrder([]posture.Filter{one}, []posture.Filter{two}), other},
		"filters: more":                      {filterOrder([]posture.Filter{one}, []posture.Filter{one, two}), stricter},
		"utilisation: more":                  {clampOrder(posture.Uclamp{Value: 1}, posture.Uclamp{Value: 2}), laxer},
		"utilisation: the same, by default":  {clampOrder(posture.Uclamp{Value: 1, User: true}, posture.Uclamp{Value: 1}), other},
		"utilisation: less":                  {clampOrder(posture.Uclamp{Value: 2}, posture.Uclamp{Value: 1}), stricter},
		"propagation: the same":              {propagationOrder(posture.PropagationSlave, posture.PropagationSlave), stricter},
		"propagation: no word for it":        {propagationOrder(posture.PropagationSharedSlave, "x"), stricter},
		"dumpable: to its user":              {dumpableOrder(0, 1), laxer},
		"dumpable: to root, not to its user": {dumpableOrder(1, 2), stricter},
		"dumpable: to nobody":                {dumpableOrder(1, 0), stricter},
		"dumpable: to root, not to nobody":   {dumpableOrder(0, 2), laxer},
		"dumpable: to nobody, not to root":   {dumpableOrder(2, 0), stricter},
		"a user: root":                       {uidOrder(7, 0), laxer},
		"a user: instead of root":            {uidOrder(0, 7), stricter},
		"a user: another":                    {uidOrder(7, 8), other},
		"a death signal: none":               {pdeathsigOrder(9, 0), laxer},
		"a death signal: some":               {pdeathsigOrder(0, 9), stricter},
		"a death signal: another":            {pdeathsigOrder(9, 15), other},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", name, tt.got, tt.want)
		}
	}
}

// Filters differ in what they do, and in each of the flags that they keep.
func TestEqualFilter(t *testing.T) {
	f := posture.Filter{Instructions: []posture.Instruction{{Code: 1, JT: 2, JF: 3, K: 4}}}
	for name, change := range map[string]func(*posture.Filter){
		"log":                   func(f *posture.Filter) { f.Log = true },
		"killable":              func(f *posture.Filter) { f.WaitKillable = true },
		"listener":              func(f *posture.Filter) { f.HasNotifier = true },
		"code":                  func(f *posture.Filter) { f.Instructions = []posture.Instruction{{Code: 9, JT: 2, JF: 3, K: 4}} },
		"longer":                func(f *posture.Filter) { f.Instructions = append(f.Instructions, posture.Instruction{}) },
		"none":                  func(f *posture.Filter) { f.Instructions = nil },
		"log and killable":      func(f *posture.Filter) { f.Log, f.WaitKillable = true, true },
		"killable and listener": func(f *posture.Filter) { f.HasNotifier, f.WaitKillable = true, true },
	} {
		g := f
		change(&g)
		if equalFilter(&f, &g) || equalFilter(&g, &f) || sameFilter(f, g) || sameFilter(g, f) {
			t.Errorf("%s makes no difference", name)
		}
		if h := g; !equalFilter(&g, &h) || !sameFilter(g, h) {
			t.Errorf("%s: not the same as itself", name)
		}
	}
}

// TestFresh: what a process has that nobody has changed anything about.
func TestFresh(t *testing.T) {
	fresh := map[Field]string{
		SchedNice: "0", SchedPolicy: "0", SchedIOPrio: "0", SchedTimerSlack: "50000", OOMScoreAdj: "0", Personality: "0", Securebits: "0",
		NoNewPrivs: "false", FSUmask: "18", MemoryCoredumpFilter: "51", MemoryTHPDisabled: "0", MemoryPolicy: "0", SeccompMode: "0", LandlockLayers: "0",
	}
	for f := range NumFields {
		p := sample.Caller()
		v, known := fresh[f]
		if known {
			set(t, p, f, []byte(v))
		}
		if is, can := Fresh(f, p); is != known || can != known {
			t.Errorf("%s %v: fresh %v, known %v", f, f.Value(p), is, can)
		}
		if known {
			sample.Mutations[f.String()](p)
			if is, can := Fresh(f, p); is || !can {
				t.Errorf("%s %v: fresh %v, known %v", f, f.Value(p), is, can)
			}
		}
		f.Forget(p, "x")
		if is, can := Fresh(f, p); is || can {
			t.Errorf("%s, which was not read: fresh %v, known %v", f, is, can)
		}
	}
}

// A fresh process may run on all CPUs; without these, or what was seen, nothing can
// be said.
func TestFreshAffinity(t *testing.T) {
	for name, tt := range map[string]struct {
		feat, seen   string
		fresh, known bool
	}{
		"all":                {`{"CPUs":[15]}`, `[15]`, true, true},
		"some":               {`{"CPUs":[15]}`, `[7]`, false, true},
		"not seen":           {`{"CPUs":[15]}`, `{"unreadable":"x"}`, false, false},
		"not known":          {`{}`, `[15]`, false, false},
		"neither":            {`{}`, `{"unreadable":"x"}`, false, false},
		"not known, nothing": {`{"CPUs":[]}`, `[]`, false, false},
	} {
		e := launch{feat: tt.feat}.expectation(t)
		got := sample.Caller()
		set(t, got, SchedAffinity, []byte(tt.seen))
		if fresh, known := e.Fresh(SchedAffinity, got); fresh && known != tt.fresh || known != tt.known {
			t.Errorf("%s: fresh %v, known %v", name, fresh, known)
		}
	}
}

// Before the facts of a launch are there, nothing is made up.
func TestExpectWithoutFacts(t *testing.T) {
	seen := sample.Caller()
	for ask, fields := range map[string][]Field{
		`{"linux":{"namespaces":[{"type":"pid","path":"/n"},{"type":"time","path":"/n"}]}}`:                                                                                          {NSPID, NSPIDForChildren, NSTime, NSTimeForChildren, ProcessPID, ProcessPIDInside},
		`{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"layers":[{"handledAccessFS":["write_file"],"pathBeneath":[{"path":"/a","allowedAccess":["write_file"]}]}]}}}`: {LandlockRules, LandlockRuleList},
		`{"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"}]}}`:                                                                                                           {FSRoot, FSCwd, ExecExe, ExecExeNlink},
	} {
		e := Expect(mustParse(t, merge(t, plainRequest, ask)), sample.Caller(), testFeatures)
		for _, f := range fields {
			if o, why := e.Compare(f, seen); o != Unobservable || why != needsFact {
				t.Errorf("%s: %s is %s (%s)", ask, f, o, why)
			}
		}
	}
	const ports = `{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"layers":[{"handledAccessNet":["bind_tcp"],"netPort":[{"port":80,"allowedAccess":["bind_tcp"]}]}]}}}`
	e := Expect(mustParse(t, merge(t, plainRequest, ports)), sample.Caller(), testFeatures)
	got := *seen
	onTop(t, &got, `{"landlock":{"rules":1,"rule_list":[{"layer":1,"kind":"port","port":80,"access":1}]}}`)
	for _, f := range []Field{LandlockRules, LandlockRuleList} {
		if o, why := e.Compare(f, &got); o != Equal {
			t.Errorf("ports need no facts: %s is %s (%s)", f, o, why)
		}
		if o, _ := e.Compare(f, seen); o != Ignored {
			t.Errorf("%s, of which there is nothing, is %s", f, o)
		}
	}
	if NumFields.String() != "unknown field" {
		t.Errorf("a field beyond the last is %q", NumFields.String())
	}
}

// With shares what it can, and changes nothing of what it is made from.
func TestWithShares(t *testing.T) {
	f := testFacts()
	f.Joined.UserNS.UIDMap = posture.Known([]posture.IDExtent{{Count: 1}})
	for ask, want := range map[string]bool{
		``: true,
		`{"holdshort":{"keepIDs":null},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`: true,
		`{"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`:                              false, // the map decides who is root
	} {
		e := Expect(mustParse(t, merge(t, plainRequest, ask)), sample.Caller(), testFeatures)
		if got := e.With(f).plan == e.plan; got != want {
			t.Errorf("%s: shared %v", ask, got)
		}
	}
}

// A sample invents no filters of a caller whose filters were not read.
func TestSample_Unread(t *testing.T) {
	e := launch{caller: `{"seccomp":{"filters":{"unreadable":"x"}}}`}.expectation(t)
	if e.Sample().Seccomp.Filters.IsKnown() {
		t.Error("filters are known")
	}
}

// counter counts how often it is asked.
type counter struct{ n *int }

func (c counter) JudgeFilter(_ *seccompPolicy, f *posture.Filter) (Outcome, string) {
	*c.n++
	if f.Instructions[0].K == 1 {
		return Weaker, "it is 1"
	}
	return Equal, ""
}

// One and the same filter is judged once; what stands at the same place later is
// judged again.
func TestFilterIsJudgedOnce(t *testing.T) {
	n := 0
	feat := testFeatures
	feat.Seccomp = counter{&n}
	e := Expect(mustParse(t, merge(t, plainRequest, `{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}`)), sample.Caller(), feat).With(testFacts())
	in := []posture.Instruction{{Code: 6, K: 2}}
	got := sample.Caller()
	got.Seccomp.Filters = posture.Known([]posture.Filter{{Instructions: in}})
	for range 3 {
		if o, why := e.Compare(SeccompFilters, got); o != Equal || n != 1 {
			t.Errorf("%s (%s), judged %d times", o, why, n)
		}
	}
	in[0].K = 1 // the buffer of the next launch
	if o, why := e.Compare(SeccompFilters, got); o != Weaker || why != "it is 1" {
		t.Errorf("another filter in the same place: %s (%s)", o, why)
	}
}
