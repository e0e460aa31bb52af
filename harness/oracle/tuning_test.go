package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

func TestCoreSchedulingCookie(t *testing.T) {
	const ask = `{"process":{"args":["x"]},"holdshort":{"keepIDs":true,"coreSched":true}}`
	for name, row := range map[string]struct {
		caller, got uint64
		want        Outcome
	}{
		"none":         {0, 0, Ignored},
		"its own":      {0, 7, Equal},
		"the caller's": {7, 7, Ignored},
		"taken away":   {7, 0, Weaker},
		"another":      {7, 8, Equal},
	} {
		caller := sample.Caller()
		caller.Sched.CoreCookie = posture.Known(row.caller)
		e := Expect(mustParse(t, ask), caller, testFeatures).With(testFacts())
		got := e.Sample()
		if o, why := e.Compare(SchedCoreCookie, got); o != Equal {
			t.Errorf("%s: the sample is %s (%s)", name, o, why)
		}
		got.Sched.CoreCookie = posture.Known(row.got)
		if o, _ := e.Compare(SchedCoreCookie, got); o != row.want {
			t.Errorf("%s: %s, want %s", name, o, row.want)
		}
	}
	e := Expect(mustParse(t, `{"process":{"args":["x"]},"holdshort":{"keepIDs":true}}`), sample.Caller(), testFeatures).With(testFacts())
	got := e.Sample()
	got.Sched.CoreCookie = posture.Known[uint64](7)
	if o, _ := e.Compare(SchedCoreCookie, got); o != Leaked {
		t.Errorf("unasked: %s, want leaked", o)
	}
}

// TestAskedTuning: each of them needs evidence.
func TestAskedTuning(t *testing.T) {
	r := mustParse(t, `{"process":{"args":["x"],"scheduler":{"policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":3}},
		"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"}},
		"holdshort":{"keepIDs":true,"session":true,"autogroupNice":0,"uclamp":{"min":0},"ioFlusher":true,"memory":{"thpDisable":false,"merge":false,"denyWriteExec":true}}}`)
	seen := map[string]bool{}
	for _, b := range Asked(r) {
		seen[b.Field] = true
	}
	for _, f := range []string{
		"process.scheduler.deadline", "linux.memoryPolicy", "holdshort.uclamp", "holdshort.autogroupNice", "holdshort.ioFlusher",
		"holdshort.memory.thpDisable", "holdshort.memory.merge",
	} {
		if !seen[f] {
			t.Errorf("%s needs no evidence", f)
		}
	}
}

// TestCpusetByAnyName: CPUs may be asked for in three places, and each of them
// moves the affinity that is expected.
func TestCpusetByAnyName(t *testing.T) {
	for name, more := range map[string]string{
		"spec":    `"linux":{"cgroupsPath":"/x","resources":{"cpu":{"cpus":"1"}}}`,
		"unified": `"linux":{"cgroupsPath":"/x","resources":{"unified":{"cpuset.cpus":"1","cpuset.cpus.partition":"root"}}}`,
		"limits":  `"holdshort":{"keepIDs":true,"cgroup":{"v2":"/x","limits":[{"file":"cpuset.cpus","value":"1"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := mustParse(t, `{"process":{"args":["x"]},`+more+`}`)
			caller := &posture.Posture{}
			caller.Sched.Affinity = posture.Known([]uint64{1}) // what a partition left it
			e := Expect(r, caller, Features{CPUs: []uint64{3}, CgroupV2: true})
			for mask, holds := range map[uint64]bool{2: true, 1: false, 3: false} {
				got := &posture.Posture{}
				got.Sched.Affinity = posture.Known([]uint64{mask})
				if o, why := e.Compare(SchedAffinity, got); (o == Equal) != holds {
					t.Errorf("CPUs %b: %s (%s)", mask, o, why)
				}
			}
		})
	}
}
