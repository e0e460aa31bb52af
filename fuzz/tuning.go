package fuzz

import (
	"os"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Tuning says which of the dimensions in this file the kernel has.
type Tuning struct {
	NUMA, THP, KSM, Autogroup, Uclamp, Deadline bool
}

func detectTuning() Tuning {
	has := func(file, text string) bool {
		b, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(b), text)
	}
	try := func(a *unix.SchedAttr) bool {
		a.Size = unix.SizeofSchedAttr
		return onThread(func() error { return unix.SchedSetAttr(0, a, 0) }) == nil
	}
	const keepAll, clampMax = 0x18, 0x40
	return Tuning{
		NUMA:      has("/proc/self/numa_maps", " "),
		THP:       has("/proc/self/status", "THP_enabled:"),
		KSM:       has("/proc/self/ksm_stat", "ksm_merge_any"),
		Autogroup: has("/proc/sys/kernel/sched_autogroup_enabled", "1"),
		Uclamp:    try(&unix.SchedAttr{Flags: keepAll | clampMax, Util_max: 1024}),
		Deadline:  try(&unix.SchedAttr{Policy: unix.SCHED_DEADLINE, Runtime: 1e6, Deadline: 1e8, Period: 1e8}),
	}
}

func tuned(has func(*Tuning) bool) func(*Machine) bool {
	return func(m *Machine) bool { return has(&m.Tuning) }
}

var tuning = []dimension{
	{
		name: "scheduler, deadline", needs: []string{"scheduler"}, can: tuned(func(t *Tuning) bool { return t.Deadline }),
		draw: func(d *drawer) {
			// A deadline task must be allowed every CPU of its root domain.
			if !d.host(capSysNice) || d.on["affinity"] {
				return
			}
			d.deadline()
		},
		has: policy(specs.SchedDeadline),
	},
	{
		name: "uclamp", can: tuned(func(t *Tuning) bool { return t.Uclamp }),
		draw: func(d *drawer) {
			d.r.Ext.Uclamp.Max = new(d.in(0, 1024))
			if d.on["scheduler, realtime"] { // else its minimum is sched_util_clamp_min_rt_default, as a rule 1024
				d.r.Ext.Uclamp.Min = new(0)
			}
		},
		has: func(r *request.Request) bool { return !r.Ext.Uclamp.IsZero() },
	},
	{
		name: "autogroup", needs: []string{"session"}, can: tuned(func(t *Tuning) bool { return t.Autogroup }),
		draw: func(d *drawer) {
			low := 0
			if d.m.Caps&(1<<capSysNice) != 0 {
				low = -20 // the host writes it
			}
			d.r.Ext.Session, d.r.Ext.AutogroupNice = true, new(d.in(low, 19))
		},
		has: func(r *request.Request) bool { return r.Ext.AutogroupNice != nil },
	},
	{
		name: "memory policy", can: tuned(func(t *Tuning) bool { return t.NUMA }),
		draw: func(d *drawer) {
			p := &specs.LinuxMemoryPolicy{Mode: pick(d, specs.MpolLocal, specs.MpolBind, specs.MpolInterleave, specs.MpolPreferred)}
			if p.Mode != specs.MpolLocal {
				p.Nodes = "0"
				if d.chance(30) {
					p.Flags = []specs.MemoryPolicyFlagType{pick(d, specs.MpolFStaticNodes, specs.MpolFRelativeNodes)}
				}
			}
			d.r.Spec.Linux.MemoryPolicy = p
		},
		has: func(r *request.Request) bool { return r.Linux().MemoryPolicy != nil },
	},
	{
		name: "thp disable", can: tuned(func(t *Tuning) bool { return t.THP }),
		draw: func(d *drawer) { d.r.Ext.Memory.THPDisable = new(d.chance(80)) },
		has:  func(r *request.Request) bool { return r.Ext.Memory.THPDisable != nil },
	},
	{
		name: "memory merge", can: tuned(func(t *Tuning) bool { return t.KSM }),
		draw: func(d *drawer) { d.r.Ext.Memory.Merge = new(d.chance(80)) },
		has:  func(r *request.Request) bool { return r.Ext.Memory.Merge != nil },
	},
}

// deadline draws what a deadline task asks for.
func (d *drawer) deadline() {
	// So little that all launches at a time stay within what the CPUs have.
	period := uint64(d.in(50, 100)) * 1e6
	deadline := period - uint64(d.in(0, 10))*1e6
	s := &specs.Scheduler{Policy: specs.SchedDeadline, Runtime: uint64(d.in(20_000, 200_000)), Deadline: deadline, Period: period}
	for _, f := range []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun} {
		if d.chance(30) {
			s.Flags = append(s.Flags, f)
		}
	}
	if slices.Contains(s.Flags, specs.SchedFlagDLOverrun) {
		s.Runtime = 3e6 + s.Runtime*20 // or the signal ends it during execve
	}
	d.r.Spec.Process.Scheduler = s
}
