package engine

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

// tuning translates what decides how the workload is scheduled and where its
// memory is.
func (t *translator) tuning() {
	c, e := t.cfg, &t.req.Ext
	option := func(n *int) checkpoint.Option[int] {
		if n == nil {
			return checkpoint.Option[int]{}
		}
		return checkpoint.Some(*n)
	}
	flag := func(b *bool) checkpoint.Option[bool] {
		if b == nil {
			return checkpoint.Option[bool]{}
		}
		return checkpoint.Some(*b)
	}
	c.Uclamp = checkpoint.Uclamp{Min: option(e.Uclamp.Min), Max: option(e.Uclamp.Max)}
	c.AutogroupNice = option(e.AutogroupNice)
	c.CoreSched, c.IOFlusher = e.CoreSched, e.IOFlusher
	c.Memory = checkpoint.Memory{THPDisable: flag(e.Memory.THPDisable), Merge: flag(e.Memory.Merge), DenyWriteExec: e.Memory.DenyWriteExec}
	if p := t.req.Linux().MemoryPolicy; p != nil {
		nodes, err := request.CPUNumbers(p.Nodes)
		t.fail("linux.memoryPolicy.nodes", err)
		bits, ok := request.MemoryFlags(p.Flags)
		t.refuse(!ok, "linux.memoryPolicy.flags")
		c.Memory.Policy = checkpoint.Some(checkpoint.MemPolicy{Mode: checkpoint.MemMode(p.Mode), Nodes: nodes, Flags: bits})
	}
}

// schedulerFlags takes over the flags that say something on their own. Those
// that keep a policy are about changes, and those of the clamps come without
// the value: holdshort.uclamp has it.
func (t *translator) schedulerFlags(list []specs.LinuxSchedulerFlag, out *checkpoint.Sched) {
	for _, f := range list {
		switch f {
		case specs.SchedFlagResetOnFork:
			out.ResetOnFork = true
		case specs.SchedFlagReclaim:
			out.Reclaim = true
		case specs.SchedFlagDLOverrun:
			out.Overrun = true
		case specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax:
			t.refuse(true, "process.scheduler.flags", string(f), "comes without a value, holdshort.uclamp has one")
		default:
			t.refuse(true, "process.scheduler.flags", string(f))
		}
	}
}

// resctrl says why linux.intelRdt is refused.
func (t *translator) resctrl() string {
	if t.host.Resctrl == "" {
		return "no resctrl file system is mounted here; the kernel needs CONFIG_X86_CPU_RESCTRL or ARM64 MPAM, and the CPU to have it"
	}
	return "resctrl groups are not set up by this launcher"
}
