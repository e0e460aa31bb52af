package harness

import (
	"maps"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
)

type approve struct{}

func (approve) JudgeFilter(*specs.LinuxSeccomp, *posture.Filter) (oracle.Outcome, string) {
	return oracle.Equal, ""
}

var features = oracle.Features{AllCaps: sample.AllCaps, Seccomp: approve{}}

func facts() *oracle.Facts {
	f := &oracle.Facts{
		PID: posture.Known[uint32](1234), PIDInside: posture.Known[uint32](17), Parent: posture.Known[uint32](900),
		CgroupV2: posture.Known[uint64](4711), CgroupV1: []posture.CgroupV1{{Controller: "memory", ID: 99}},
		Root: posture.Known(posture.Inode{Dev: 5, Ino: 6}), Cwd: posture.Known(posture.Inode{Dev: 5, Ino: 7}),
		Exe: posture.Known(posture.Inode{Dev: 5, Ino: 8}), ExeNlink: posture.Known[uint32](1),
	}
	f.Joined.Namespaces.PID = posture.Known(posture.Namespace{Inode: 4026532900, Owner: 4026531837, Level: 1})
	f.Joined.Namespaces.Net = posture.Known(posture.Namespace{Inode: 4026532901, Owner: 4026531837})
	return f
}

func parse(t testing.TB, text string) *request.Request {
	t.Helper()
	r, err := request.Parse([]byte(text), true)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expectation(t testing.TB, name string) *oracle.Expectation {
	t.Helper()
	return oracle.Expect(parse(t, sample.Requests[name]), sample.Caller(), features).With(facts())
}

// seen are the three snapshots of a posture that does not change.
func seen(p *posture.Posture) []Snapshot {
	yes := posture.Known(true)
	q, r := *p, *p
	return []Snapshot{
		{At: AtExec, IPIsEntry: yes, Posture: p, NSSinceProceed: 40_000},
		{At: AtReturn, IPIsEntry: yes, Posture: &q, NSSinceProceed: 42_000},
		{At: AtFirst, IPIsEntry: yes, Posture: &r, NSSinceProceed: 45_000},
	}
}

func findings(r *Result) []string {
	var out []string
	for i := range r.Checks {
		if r.Checks[i].Outcome.Finding() {
			out = append(out, r.Checks[i].Name()+": "+string(r.Checks[i].Outcome))
		}
	}
	return out
}

func TestJudge_Constrained(t *testing.T) {
	for name := range sample.Requests {
		e := expectation(t, name)
		res := Judge(e, seen(e.Sample()), nil, 0)
		if res.Verdict != Constrained || res.Findings != 0 || res.ExitCode() != ExitClean {
			t.Errorf("%s: %s, findings %v, reasons %v", name, res.Verdict, findings(res), res.Reasons)
		}
	}
}

// TestJudge_OneMutation: any single difference is found, by its name, and
// nothing else is.
func TestJudge_OneMutation(t *testing.T) {
	names := slices.Sorted(maps.Keys(sample.Requests))
	rapid.Check(t, func(t *rapid.T) {
		e := oracle.Expect(mustParse(sample.Requests[rapid.SampledFrom(names).Draw(t, "request")]), sample.Caller(), features).With(facts())
		f := oracle.Field(rapid.IntRange(0, int(oracle.NumFields)-1).Draw(t, "field"))
		got := e.Sample()
		if o, _ := e.Compare(f, got); o == oracle.Unobservable {
			t.Skip("has no wanted value")
		}
		sample.Mutations[f.String()](got)
		res := Judge(e, seen(got), nil, 0)
		if fs := findings(res); res.Verdict != Violated || len(fs) != 1 || !strings.HasPrefix(fs[0], f.String()+":") || res.ExitCode() != ExitFinding {
			t.Fatalf("a change of %s: %s, findings %v", f, res.Verdict, fs)
		}
	})
}

// TestJudge_OneChange: a field that changes between two of the snapshots is
// late, whichever of the values is the wanted one.
func TestJudge_OneChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := oracle.Expect(mustParse(sample.Requests["typical"]), sample.Caller(), features).With(facts())
		f := oracle.Field(rapid.IntRange(0, int(oracle.NumFields)-1).Draw(t, "field"))
		if o, _ := e.Compare(f, e.Sample()); o == oracle.Unobservable || f == oracle.SignalsPending {
			t.Skip("is not compared")
		}
		snaps := seen(e.Sample())
		sample.Mutations[f.String()](snaps[rapid.IntRange(0, 2).Draw(t, "instant")].Posture)
		res := Judge(e, snaps, nil, 0)
		if want := []string{f.String() + ": late"}; res.Verdict != Violated || !slices.Equal(findings(res), want) {
			t.Fatalf("%s: findings %v, want %v", res.Verdict, findings(res), want)
		}
	})
}

// TestJudge_OneGap: a field that was asked for and not read makes the verdict
// unknown; one that was not asked for is listed.
func TestJudge_OneGap(t *testing.T) {
	names := slices.Sorted(maps.Keys(sample.Requests))
	rapid.Check(t, func(t *rapid.T) {
		e := oracle.Expect(mustParse(sample.Requests[rapid.SampledFrom(names).Draw(t, "request")]), sample.Caller(), features).With(facts())
		f := oracle.Field(rapid.IntRange(0, int(oracle.NumFields)-1).Draw(t, "field"))
		got := e.Sample()
		f.Forget(got, "gone")
		res := Judge(e, seen(got), nil, 0)
		want := Constrained
		if e.Class(f) == oracle.Requested || limitsAsked(e, f) {
			want = Unknown
		}
		if res.Verdict != want || len(findings(res)) > 0 {
			t.Fatalf("without %s: %s, want %s; findings %v", f, res.Verdict, want, findings(res))
		}
		if c := res.Checks[f]; c.Outcome != oracle.Unobservable || c.Why != "gone" {
			t.Fatalf("without %s: %s (%s)", f, c.Outcome, c.Why)
		}
		if want == Unknown && res.ExitCode() != ExitUnsupported {
			t.Fatalf("exit code %d", res.ExitCode())
		}
	})
}

// limitsAsked: the limits are known or unknown together.
func limitsAsked(e *oracle.Expectation, f oracle.Field) bool {
	return f >= oracle.RlimitCPU && f <= oracle.RlimitRTTime && len(e.Request().Process().Rlimits) > 0
}

func TestJudge_MissingEvidence(t *testing.T) {
	e := expectation(t, "typical")
	for name, tt := range map[string]struct {
		snaps func([]Snapshot) []Snapshot
		lost  uint64
		want  Verdict
		code  int
	}{
		"no first is fine": {func(s []Snapshot) []Snapshot { return s[:2] }, 0, Constrained, 0},
		"no return":        {func(s []Snapshot) []Snapshot { return s[:1] }, 0, Unknown, 4},
		"first says more":  {func(s []Snapshot) []Snapshot { return []Snapshot{s[0], s[2]} }, 0, Constrained, 0},
		"no return, lost":  {func(s []Snapshot) []Snapshot { return []Snapshot{s[0], s[2]} }, 1, Unknown, 4},
		"no return, and a first that may not be it": {func(s []Snapshot) []Snapshot {
			s[2].IPIsEntry = posture.Value[bool]{}
			return []Snapshot{s[0], s[2]}
		}, 0, Unknown, 4},
		"no exec":          {func(s []Snapshot) []Snapshot { return s[1:] }, 0, Unknown, 4},
		"nothing":          {func([]Snapshot) []Snapshot { return nil }, 0, Unknown, 4},
		"exit only":        {func(s []Snapshot) []Snapshot { s[0].At = AtExit; return s[:1] }, 0, Unknown, 4},
		"lost records":     {func(s []Snapshot) []Snapshot { return s }, 1, Unknown, 4},
		"not at the entry": {func(s []Snapshot) []Snapshot { s[1].IPIsEntry = posture.Known(false); return s }, 0, Unknown, 4},
		"two execs":        {func(s []Snapshot) []Snapshot { return append(s, s[0]) }, 0, Unknown, 4},
		"empty postures": {func(s []Snapshot) []Snapshot {
			*s[0].Posture, *s[1].Posture = posture.Posture{}, posture.Posture{}
			return s[:2]
		}, 0, Unknown, 3},
		"a posture is nil":   {func(s []Snapshot) []Snapshot { s[0].Posture = nil; return s }, 0, Unknown, 4},
		"entry not readable": {func(s []Snapshot) []Snapshot { s[0].IPIsEntry = posture.Value[bool]{}; return s }, 0, Constrained, 0},
		"only exec knows all": {func(s []Snapshot) []Snapshot {
			*s[1].Posture, *s[2].Posture = posture.Posture{}, posture.Posture{}
			return s
		}, 0, Constrained, 0},
	} {
		t.Run(name, func(t *testing.T) {
			res := Judge(e, tt.snaps(seen(e.Sample())), nil, tt.lost)
			if res.Verdict != tt.want || res.ExitCode() != tt.code {
				t.Errorf("%s, exit %d, want %s, %d; reasons %v", res.Verdict, res.ExitCode(), tt.want, tt.code, res.Reasons)
			}
			if res.Verdict == Unknown && len(res.Reasons) == 0 {
				t.Error("no reason is given")
			}
		})
	}
	t.Run("nothing asked for, nothing seen", func(t *testing.T) {
		e := expectation(t, "nothing")
		if res := Judge(e, seen(&posture.Posture{}), nil, 0); res.Verdict == Constrained {
			t.Error("constrained without any evidence")
		}
	})
}

func TestJudge_FindingsOutweighDoubt(t *testing.T) {
	e := expectation(t, "typical")
	got := e.Sample()
	got.Privilege.NoNewPrivs = posture.Known(false)
	res := Judge(e, seen(got)[:1], nil, 5)
	if res.Verdict != Violated || res.Findings != 1 || len(res.Reasons) != 2 {
		t.Errorf("%s, %v, reasons %v", res.Verdict, findings(res), res.Reasons)
	}
}

func TestJudge_Beyond(t *testing.T) {
	req := parse(t, `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["true"],"cwd":"/"},
		"linux":{"namespaces":[{"type":"mount"},{"type":"ipc"}],"sysctl":{"kernel.shmmax":"1"}},"mounts":[{"destination":"/tmp","type":"tmpfs"}]}`)
	e := oracle.Expect(req, sample.Caller(), features).With(facts())
	propagation := Evidence{Field: "mounts.propagation", Known: true, Holds: true}
	judge := func(ev ...Evidence) *Result { return Judge(e, seen(e.Sample()), append(ev, propagation), 0) }
	good := []Evidence{{Field: "mounts[0]", Known: true, Holds: true}, {Field: "linux.sysctl.kernel.shmmax", Known: true, Holds: true, Got: "1"}}
	if r := judge(good...); r.Verdict != Constrained {
		t.Errorf("with evidence: %s %v %v", r.Verdict, r.Reasons, findings(r))
	}
	if r := judge(good[0]); r.Verdict != Unknown || r.ExitCode() != ExitUnsupported || !strings.Contains(r.Reasons[0], "kernel.shmmax") {
		t.Errorf("without evidence of one: %s %v", r.Verdict, r.Reasons)
	}
	bad := Evidence{Field: "linux.sysctl.kernel.shmmax", Known: true, Got: "2"}
	if r := judge(good[0], good[1], bad); r.Verdict != Violated || r.Findings != 1 {
		t.Errorf("with evidence against it: %s", r.Verdict)
	}
}

func TestJudge_Outcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*posture.Posture)
		field  oracle.Field
		want   oracle.Outcome
	}{
		"a limit ignored":        {func(p *posture.Posture) { p.Rlimits = sample.Caller().Rlimits }, oracle.RlimitNoFile, oracle.Ignored},
		"a larger limit":         {func(p *posture.Posture) { setLimit(p, 65, 128) }, oracle.RlimitNoFile, oracle.Weaker},
		"a smaller limit":        {func(p *posture.Posture) { setLimit(p, 1, 1) }, oracle.RlimitNoFile, oracle.Stronger},
		"a capability too many":  {func(p *posture.Posture) { p.Capabilities.Bounding = posture.Known[posture.CapSet](1<<5 | 1 | 1<<21) }, oracle.CapBounding, oracle.Weaker},
		"a capability too few":   {func(p *posture.Posture) { p.Capabilities.Bounding = posture.Known[posture.CapSet](1) }, oracle.CapBounding, oracle.Stronger},
		"no new user namespace":  {func(p *posture.Posture) { p.Namespaces.User = sample.Caller().Namespaces.User }, oracle.NSUser, oracle.Ignored},
		"the caller's variables": {func(p *posture.Posture) { p.Exec.Env = posture.Known([]string{"PATH=/bin", "SECRET=1"}) }, oracle.ExecEnv, oracle.Weaker},
		"a descriptor of another": {func(p *posture.Posture) {
			p.Files = posture.Known(posture.Files{Open: []posture.File{{FD: 0}, {FD: 1}, {FD: 2}, {FD: 3}, {FD: 4}, {FD: 15}}})
		}, oracle.OpenFiles, oracle.Weaker},
		"another CPU": {func(p *posture.Posture) { p.Sched.Affinity = posture.Known([]uint64{7}) }, oracle.SchedAffinity, oracle.Weaker},
		"other owner of a namespace": {func(p *posture.Posture) {
			ns, _ := p.Namespaces.Net.Get()
			ns.Owner = 4026531837
			p.Namespaces.Net = posture.Known(ns)
		}, oracle.NSNet, oracle.Weaker},
		"a leaked keyring": {func(p *posture.Posture) { p.Keyrings.Thread = sample.Caller().Keyrings.Thread }, oracle.KeyringThread, oracle.Inherited},
		"a tracer":         {func(p *posture.Posture) { p.Process.Tracer = posture.Known[uint32](1) }, oracle.ProcessTracer, oracle.Leaked},
		"a kept field":     {func(p *posture.Posture) { p.Sched.CoreCookie = posture.Known[uint64](1) }, oracle.SchedCoreCookie, oracle.Leaked},
	} {
		t.Run(name, func(t *testing.T) {
			e := expectation(t, "typical")
			got := e.Sample()
			tt.change(got)
			res := Judge(e, seen(got), nil, 0)
			if o := res.Checks[tt.field].Outcome; o != tt.want {
				t.Errorf("%s is %s, want %s (%s)", tt.field, o, tt.want, res.Checks[tt.field].Why)
			}
		})
	}
}

func setLimit(p *posture.Posture, soft, hard uint64) {
	l, _ := p.Rlimits.Get()
	l[7] = posture.Rlimit{Soft: soft, Hard: hard}
	p.Rlimits = posture.Known(l)
}

func TestTruncatedFiles(t *testing.T) {
	e := expectation(t, "typical")
	got := e.Sample()
	open, _ := got.Files.Get()
	got.Files = posture.Known(posture.Files{Open: open.Open[:3], Truncated: 2})
	if r := Judge(e, seen(got), nil, 0); r.Verdict != Unknown {
		t.Errorf("the right number, not all seen: %s", r.Verdict)
	}
	got.Files = posture.Known(posture.Files{Open: open.Open[:3], Truncated: 3})
	if r := Judge(e, seen(got), nil, 0); r.Verdict != Violated {
		t.Errorf("one too many: %s", r.Verdict)
	}
}

func TestRefuse(t *testing.T) {
	r := Refuse(expectation(t, "typical"), "linux.seccomp", "needs CAP_SYS_ADMIN")
	if r.Verdict != Unknown || r.ExitCode() != ExitUnsupported || r.Checks[0].Outcome != oracle.Refused {
		t.Errorf("%+v", r)
	}
}

func mustParse(text string) *request.Request {
	r, err := request.Parse([]byte(text), true)
	if err != nil {
		panic(err)
	}
	return r
}

func BenchmarkExpectAndJudge(b *testing.B) {
	req, caller := parse(b, sample.Requests["typical"]), sample.Caller()
	f := facts()
	snaps := seen(oracle.Expect(req, caller, features).With(f).Sample())
	b.Run("new request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r := Judge(oracle.Expect(req, caller, features).With(f), snaps, nil, 0); r.Verdict != Constrained {
				b.Fatal(r.Verdict, findings(r))
			}
		}
	})
	b.Run("same request", func(b *testing.B) {
		b.ReportAllocs()
		var c oracle.Cache
		other := sample.Caller() // equal, not the same
		c.Expect(req, caller, &features)
		for b.Loop() {
			if r := Judge(c.Expect(req, other, &features).With(f), snaps, nil, 0); r.Verdict != Constrained {
				b.Fatal(r.Verdict)
			}
		}
	})
}

// Freeze mode without the reading that was asked for is no pass, whatever the
// reason that there is none.
func TestJudge_NeverFrozen(t *testing.T) {
	e := expectation(t, "typical")
	frozen := &launch{r: &Runner{proc: &procfs.Reader{}, observer: &probes.Observer{}}}
	if res := Judge(e, frozen.addFrozen(seen(e.Sample())), nil, 0); res.Verdict != Unknown || res.Cause != EvidenceLost {
		t.Errorf("%s (%s); want unknown, evidence lost", res.Verdict, res.Cause)
	}
	plain := &launch{r: &Runner{}}
	if res := Judge(e, plain.addFrozen(seen(e.Sample())), nil, 0); res.Verdict != Constrained {
		t.Errorf("%s; want constrained: nobody asked for it", res.Verdict)
	}
}
