package oracle

import (
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// state has the rules of what is mostly as in the caller, with what fork and
// execve make of it. It runs after the rules that it looks at.
func (b *builder) state() {
	b.armed()
	b.clamps()
	b.autogroup()
	b.memory()
	b.attached()
	b.propagation()
	put(b, CgroupFrozen, &b.w.Cgroup.Frozen, false, Promised, "a frozen workload would not run")
	if b.r.Ext.OwnKeyring() {
		b.puzzle(KeyringSessionOwner, Implied, b.e.rules[KeyringSession].source, notFixed)
	}
	b.tuned()
}

// armed: mode and flag are set together (seccomp_assign_mode, kernel/seccomp.c).
// A wrong mode is a finding of its own, so the flag is held against the mode
// that is seen.
func (b *builder) armed() {
	r := &b.e.rules[SeccompMode]
	b.rule(SeccompArmed, r.class, r.source)
	b.e.rules[SeccompArmed].pred = isArmed
}

// clamps: what was asked for is inherited; a default depends on policy and on
// sysctls (__setscheduler_uclamp and uclamp_fork, kernel/sched).
func (b *builder) clamps() {
	w := &b.w.Sched
	if reset, ok := b.c.Sched.ResetOnFork.Get(); ok && reset {
		const src = "the caller's SCHED_FLAG_RESET_ON_FORK"
		if w.UclampMin.IsKnown() {
			put(b, SchedUclampMin, &w.UclampMin, posture.Uclamp{}, Implied, src)
		}
		if w.UclampMax.IsKnown() {
			put(b, SchedUclampMax, &w.UclampMax, posture.Uclamp{Value: 1024}, Implied, src)
		}
	}
	if sc := b.p.Scheduler; sc != nil {
		const src = "process.scheduler"
		policy, _ := w.Policy.Get()
		switch v, ok := w.UclampMin.Get(); {
		case !ok || v.User:
		case policy == 1 || policy == 2: // sysctl kernel.sched_util_clamp_min_rt_default
			b.puzzle(SchedUclampMin, Implied, src, notFixed)
		default:
			put(b, SchedUclampMin, &w.UclampMin, posture.Uclamp{}, Implied, src)
		}
		if v, ok := w.UclampMax.Get(); ok && !v.User {
			put(b, SchedUclampMax, &w.UclampMax, posture.Uclamp{Value: 1024}, Implied, src)
		}
		if sc.Policy == specs.SchedDeadline {
			put(b, SchedDeadlineRuntime, &w.DeadlineRuntime, sc.Runtime, Requested, src)
			put(b, SchedDeadline, &w.Deadline, sc.Deadline, Requested, src)
			put(b, SchedDeadlinePeriod, &w.DeadlinePeriod, sc.Period, Requested, src) // which Validate wants
			return
		}
	}
	// fork clears them (init_dl_entity, in older kernels __dl_clear_params).
	const src = "not SCHED_DEADLINE"
	put(b, SchedDeadlineRuntime, &w.DeadlineRuntime, 0, Promised, src)
	put(b, SchedDeadline, &w.Deadline, 0, Promised, src)
	put(b, SchedDeadlinePeriod, &w.DeadlinePeriod, 0, Promised, src)
}

// autogroup: setsid(2) makes a new one, also while sched_autogroup_enabled is 0.
func (b *builder) autogroup() {
	if !b.r.Ext.Session && !b.p.Terminal {
		return
	}
	src := b.e.rules[ProcessSession].source
	b.rule(SchedAutogroup, Implied, src)
	b.e.rules[SchedAutogroup].pred = isFresh
	put(b, SchedAutogroupNice, &b.w.Sched.AutogroupNice, 0, Implied, src)
}

func (b *builder) memory() {
	w := &b.w.Memory
	if moved, src := b.cpusetMoves(); moved {
		// cpuset_attach gives the new cpuset's nodes, and rebinds the policy.
		b.puzzle(MemoryMemsAllowed, Implied, src, notFixed)
		if p, ok := w.Policy.Get(); !ok || p != 0 {
			b.puzzle(MemoryNodes, Implied, src, notFixed)
		}
	}
	// mmf_init_flags (include/linux/mm_types.h), at fork and at execve.
	const refuseExecGain, noInherit = 1, 2
	if v, ok := w.MDWE.Get(); ok && v&noInherit != 0 {
		put(b, MemoryMDWE, &w.MDWE, v&^(refuseExecGain|noInherit), Implied, "the caller's PR_MDWE_NO_INHERIT")
	}
	// execve keeps it since 6.7 (3c6f33b7273a), and drops it before.
	if v, ok := w.MergeAny.Get(); !ok || v {
		b.puzzle(MemoryMergeAny, Implied, "execve", notFixed)
	}
	b.randomized()
}

// randomized: load_elf_binary sets PF_RANDOMIZE unless the personality or the
// sysctl kernel.randomize_va_space forbids it. The caller's own flag tells what
// the sysctl says.
func (b *builder) randomized() {
	const noRandomize = 0x0040000 // ADDR_NO_RANDOMIZE
	at := &b.w.Memory.Randomized
	on, ok1 := at.Get()
	before, ok2 := b.c.Privilege.Personality.Get()
	after, ok3 := b.w.Privilege.Personality.Get()
	r := b.e.rules[Personality]
	class := Kept
	if r.class == Requested {
		class = Implied
	}
	switch {
	case ok3 && after&noRandomize != 0:
		put(b, MemoryRandomized, at, false, class, r.source)
	case ok1 && ok2 && ok3 && (on || before&noRandomize == 0):
		put(b, MemoryRandomized, at, on, class, r.source)
	default:
		b.puzzle(MemoryRandomized, class, r.source, "whether the kernel lays out programs at random is not known")
	}
}

// attached: what execve takes off a task.
func (b *builder) attached() {
	w := &b.w.Process
	put(b, ProcessSyscallDispatch, &w.SyscallDispatch, false, Promised, "execve ends it")
	put(b, ProcessShadowStack, &w.ShadowStack, 0, Promised, "execve ends it")
	put(b, ProcessIOUring, &w.IOUring, false, Promised, "execve drops it")
}
