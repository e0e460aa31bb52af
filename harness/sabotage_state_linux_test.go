package harness

import (
	"fmt"
	"os"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// write plants a value in a file of the parked child's /proc directory.
func write(name, value string) func(*testing.T, *Runner, *checkpoint.Workload) {
	return func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
		t.Helper()
		file := fmt.Sprintf("/proc/%d/%s", w.HostPID(), name)
		before, err := os.ReadFile(file)
		if err != nil {
			t.Skip("needs " + name + ": " + err.Error())
		}
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			t.Fatalf("%s was %q: %v", file, before, err)
		}
	}
}

var strangeMemory = checkpoint.Config{Memory: checkpoint.Memory{
	DenyWriteExec: true, THPDisable: checkpoint.Some(true), Policy: checkpoint.Some(checkpoint.MemPolicy{Mode: checkpoint.MPOLInterleave, Nodes: []int{0}}),
}}

// TestSabotageState plants faults in what is mostly as in the caller.
func TestSabotageState(t *testing.T) {
	deadline := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 20e6, Deadline: 40e6, Period: 50e6}
	}
	second := []string{"process.scheduler.deadline"} // sched_getattr(2) says it again
	with := func(change func(s *checkpoint.Sched)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { change(&c.Scheduler.Value) })
	}
	table(t, []sabotage{
		{
			name: "autogroup/no session", need: func(t *testing.T, _ *Runner) string {
				t.Helper()
				if _, err := os.Stat("/proc/self/autogroup"); err != nil {
					return "CONFIG_SCHED_AUTOGROUP"
				}
				return ""
			},
			ask: func(_ *testing.T, q *request.Request) { q.Ext.Session = true }, tamper: config(func(c *checkpoint.Config) { c.Session = false }),
			want: finds{"sched.autogroup": oracle.Inherited}, also: []string{"process."},
		},
		{
			name: "autogroup/nice",
			parked: func(t *testing.T, r *Runner, w *checkpoint.Workload) {
				t.Helper()
				write("autogroup", "5")(t, r, w)
				// The group is the session's, and so ours too.
				t.Cleanup(func() { _ = os.WriteFile("/proc/self/autogroup", []byte("0"), 0) })
			},
			want: finds{"sched.autogroup_nice": oracle.Leaked},
		},
		{
			name: "memory/write and execute", need: launches("PR_SET_MDWE", checkpoint.Config{Memory: checkpoint.Memory{DenyWriteExec: true}}),
			ask:    func(_ *testing.T, q *request.Request) { q.Ext.Memory.DenyWriteExec = true },
			tamper: config(func(c *checkpoint.Config) { c.Memory.DenyWriteExec = false }), want: finds{"memory.mdwe": oracle.Ignored},
		},
		{
			name: "memory/unasked", need: launches("PR_SET_MDWE, PR_SET_THP_DISABLE, set_mempolicy", strangeMemory),
			tamper: config(func(c *checkpoint.Config) { c.Memory = strangeMemory.Memory }),
			want: finds{
				"memory.mdwe": oracle.Leaked, "memory.thp_disabled": oracle.Leaked, "memory.policy": oracle.Leaked, "memory.nodes": oracle.Leaked,
			},
		},
		{
			name: "memory/merge unasked", need: launches("PR_SET_MEMORY_MERGE", checkpoint.Config{Memory: checkpoint.Memory{Merge: checkpoint.Some(true)}}),
			tamper: config(func(c *checkpoint.Config) { c.Memory.Merge = checkpoint.Some(true) }), want: finds{"memory.merge_any": oracle.Leaked},
		},
		{name: "coredump filter", parked: write("coredump_filter", "0x7f"), want: finds{"memory.coredump_filter": oracle.Leaked}},
		{
			name:   "not randomized",
			tamper: config(func(c *checkpoint.Config) { c.Personality = checkpoint.Some(uint32(0x0040000)) }),
			want:   finds{"privilege.personality": oracle.Leaked, "memory.randomized": oracle.Leaked},
		},
		{
			name: "deadline/skipped", ask: deadline, tamper: config(func(c *checkpoint.Config) { c.Scheduler = none[checkpoint.Sched]() }),
			want: finds{
				"sched.policy": oracle.Ignored, "sched.deadline_runtime_ns": oracle.Ignored, "sched.deadline_ns": oracle.Ignored, "sched.deadline_period_ns": oracle.Ignored,
			},
			also: append(second, "sched.timer_slack_ns"),
		},
		{name: "deadline/more runtime", ask: deadline, tamper: with(func(s *checkpoint.Sched) { s.Runtime += 1e6 }), want: finds{"sched.deadline_runtime_ns": oracle.Weaker}, also: second},
		{name: "deadline/less runtime", ask: deadline, tamper: with(func(s *checkpoint.Sched) { s.Runtime -= 1e6 }), want: finds{"sched.deadline_runtime_ns": oracle.Stronger}, also: second},
		{name: "deadline/another deadline", ask: deadline, tamper: with(func(s *checkpoint.Sched) { s.Deadline += 1e6 }), want: finds{"sched.deadline_ns": oracle.Weaker}, also: second},
		{name: "deadline/another period", ask: deadline, tamper: with(func(s *checkpoint.Sched) { s.Period += 1e6 }), want: finds{"sched.deadline_period_ns": oracle.Weaker}, also: second},
		{
			name: "deadline/unasked",
			parked: func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
				t.Helper()
				a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 20e6, Deadline: 40e6, Period: 50e6}
				if err := unix.SchedSetAttr(w.HostPID(), &a, 0); err != nil {
					t.Skip("needs SCHED_DEADLINE: " + err.Error())
				}
			},
			want: finds{
				"sched.policy": oracle.Leaked, "sched.deadline_runtime_ns": oracle.Leaked, "sched.deadline_ns": oracle.Leaked, "sched.deadline_period_ns": oracle.Leaked,
			},
			also: []string{"sched.timer_slack_ns"},
		},
	})
}
