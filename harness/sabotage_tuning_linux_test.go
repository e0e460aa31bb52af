package harness

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// launches is a need: the kernel takes the request.
func launches(what string, c checkpoint.Config) func(*testing.T, *Runner) string {
	return func(t *testing.T, r *Runner) string {
		t.Helper()
		c.Args = []string{"/bin/true"}
		if res, err := r.launcher.Run(bg, &c, nil); err != nil || res.Err != nil {
			return what
		}
		return ""
	}
}

// TestSabotageTuning plants faults in what scheduler and memory management are
// told.
func TestSabotageTuning(t *testing.T) {
	deadline := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.Scheduler = &specs.Scheduler{
			Policy: specs.SchedDeadline, Runtime: 1e7, Deadline: 2e7, Period: 3e7,
			Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork, specs.SchedFlagReclaim},
		}
	}
	isDeadline := launches("SCHED_DEADLINE", checkpoint.Config{Scheduler: checkpoint.Some(checkpoint.Sched{
		Policy: 6, Runtime: 10 * time.Millisecond, Deadline: 20 * time.Millisecond, Period: 30 * time.Millisecond,
	})})
	late := []string{"sched."} // a deadline task has no slack, no nice value, …
	clamp := func(_ *testing.T, q *request.Request) { q.Ext.Uclamp = request.Uclamp{Max: new(500)} }
	clampBoth := func(_ *testing.T, q *request.Request) { q.Ext.Uclamp = request.Uclamp{Min: new(100), Max: new(500)} }
	clamped := func(o oracle.Outcome, field string) finds {
		return finds{"holdshort.uclamp": oracle.Weaker, field: o}
	}
	clamps := launches("CONFIG_UCLAMP_TASK", checkpoint.Config{Uclamp: checkpoint.Uclamp{Max: checkpoint.Some(500)}})
	group := func(_ *testing.T, q *request.Request) { q.Ext.Session, q.Ext.AutogroupNice = true, new(6) }
	groups := func(*testing.T, *Runner) string {
		if b, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); err != nil || b[0] != '1' {
			return "autogroups: CONFIG_SCHED_AUTOGROUP, kernel.sched_autogroup_enabled"
		}
		return ""
	}
	policy := func(mode specs.MemoryPolicyModeType, nodes string) func(*testing.T, *request.Request) {
		return func(_ *testing.T, q *request.Request) {
			q.Spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: mode, Nodes: nodes}
		}
	}
	numa := launches("CONFIG_NUMA", checkpoint.Config{Memory: checkpoint.Memory{Policy: checkpoint.Some(checkpoint.MemPolicy{Mode: checkpoint.MPOLLocal})}})
	thp := func(_ *testing.T, q *request.Request) { q.Ext.Memory.THPDisable = new(true) }
	huge := launches("CONFIG_TRANSPARENT_HUGEPAGE", checkpoint.Config{Memory: checkpoint.Memory{THPDisable: checkpoint.Some(true)}})
	merge := func(_ *testing.T, q *request.Request) { q.Ext.Memory.Merge = new(true) }
	ksm := func(*testing.T, *Runner) string {
		if b, err := os.ReadFile("/proc/self/ksm_stat"); err != nil || !strings.Contains(string(b), "ksm_merge_any") {
			return "ksm_merge_any in /proc/PID/ksm_stat"
		}
		return ""
	}
	flusher := func(_ *testing.T, q *request.Request) { q.Ext.IOFlusher = true }
	resource := launches("CAP_SYS_RESOURCE", checkpoint.Config{IOFlusher: true})
	weak := func(field string) finds { return finds{field: oracle.Weaker} }
	table(t, []sabotage{
		{name: "deadline/skipped", need: isDeadline, ask: deadline, tamper: config(func(c *checkpoint.Config) { c.Scheduler = none[checkpoint.Sched]() }), want: finds{"process.scheduler.deadline": oracle.Weaker, "sched.policy": oracle.Ignored}, also: late},
		{name: "deadline/more runtime", need: isDeadline, ask: deadline, tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Runtime++ }), want: weak("process.scheduler.deadline"), also: late},
		{name: "deadline/another period", need: isDeadline, ask: deadline, tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Period-- }), want: weak("process.scheduler.deadline"), also: late},
		{name: "deadline/another deadline", need: isDeadline, ask: deadline, tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Deadline++ }), want: weak("process.scheduler.deadline"), also: late},
		{name: "deadline/no reclaim", need: isDeadline, ask: deadline, tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Reclaim = false }), want: weak("process.scheduler.deadline"), also: late},
		{name: "uclamp/skipped", need: clamps, ask: clamp, tamper: config(func(c *checkpoint.Config) { c.Uclamp = checkpoint.Uclamp{} }), want: clamped(oracle.Ignored, "sched.uclamp_max"), also: late},
		{name: "uclamp/more", need: clamps, ask: clamp, tamper: config(func(c *checkpoint.Config) { c.Uclamp.Max.Value++ }), want: clamped(oracle.Weaker, "sched.uclamp_max"), also: late},
		{name: "uclamp/no least", need: clamps, ask: clampBoth, tamper: config(func(c *checkpoint.Config) { c.Uclamp.Min = none[int]() }), want: clamped(oracle.Ignored, "sched.uclamp_min")},
		{name: "uclamp/another least", need: clamps, ask: clampBoth, tamper: config(func(c *checkpoint.Config) { c.Uclamp.Min.Value-- }), want: clamped(oracle.Stronger, "sched.uclamp_min")},
		{name: "uclamp/unasked", need: clamps, tamper: config(func(c *checkpoint.Config) { c.Uclamp.Max = checkpoint.Some(500) }), want: finds{"sched.uclamp_max": oracle.Leaked}},
		{name: "autogroup/skipped", need: groups, ask: group, tamper: config(func(c *checkpoint.Config) { c.AutogroupNice = none[int]() }), want: weak("holdshort.autogroupNice"), also: late},
		{name: "autogroup/less", need: groups, ask: group, tamper: config(func(c *checkpoint.Config) { c.AutogroupNice.Value-- }), want: weak("holdshort.autogroupNice"), also: late},
		{name: "core scheduling/skipped", need: launches("CONFIG_SCHED_CORE and simultaneous multithreading", checkpoint.Config{CoreSched: true}), ask: func(_ *testing.T, q *request.Request) { q.Ext.CoreSched = true }, tamper: config(func(c *checkpoint.Config) { c.CoreSched = false }), want: finds{"sched.core_cookie": oracle.Ignored}},
		{name: "memory policy/skipped", need: numa, ask: policy(specs.MpolBind, "0"), tamper: config(func(c *checkpoint.Config) { c.Memory.Policy.Set = false }), want: weak("linux.memoryPolicy"), also: []string{"memory."}},
		{name: "memory policy/another mode", need: numa, ask: policy(specs.MpolBind, "0"), tamper: config(func(c *checkpoint.Config) { c.Memory.Policy.Value.Mode = checkpoint.MPOLInterleave }), want: weak("linux.memoryPolicy"), also: []string{"memory."}},
		{name: "memory policy/a flag more", need: numa, ask: policy(specs.MpolBind, "0"), tamper: config(func(c *checkpoint.Config) { c.Memory.Policy.Value.Flags = checkpoint.MPOLStaticNodes }), want: weak("linux.memoryPolicy"), also: []string{"memory."}},
		{name: "memory policy/local skipped", need: numa, ask: policy(specs.MpolLocal, ""), tamper: config(func(c *checkpoint.Config) { c.Memory.Policy.Set = false }), want: weak("linux.memoryPolicy"), also: []string{"memory."}},
		{name: "thp/skipped", need: huge, ask: thp, tamper: config(func(c *checkpoint.Config) { c.Memory.THPDisable.Set = false }), want: weak("holdshort.memory.thpDisable"), also: []string{"memory."}},
		{name: "thp/allowed", need: huge, ask: thp, tamper: config(func(c *checkpoint.Config) { c.Memory.THPDisable.Value = false }), want: weak("holdshort.memory.thpDisable"), also: []string{"memory."}},
		{name: "merge/skipped", need: ksm, ask: merge, tamper: config(func(c *checkpoint.Config) { c.Memory.Merge.Set = false }), want: weak("holdshort.memory.merge"), also: []string{"memory."}},
		{name: "io flusher/skipped", need: resource, ask: flusher, tamper: config(func(c *checkpoint.Config) { c.IOFlusher = false }), want: finds{"holdshort.ioFlusher": oracle.Weaker, "process.io_flusher": oracle.Ignored}},
		{name: "io flusher/unasked", need: resource, tamper: config(func(c *checkpoint.Config) { c.IOFlusher = true }), want: finds{"process.io_flusher": oracle.Leaked}},
	})
}
