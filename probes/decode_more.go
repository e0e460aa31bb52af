package probes

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
	"github.com/holdshort/holdshort/probes/posture"
)

func (b builder) is(m bpf.ProbesMore) bool { return b.more&m != 0 }

func (b builder) without(m bpf.ProbesMore, why string) string {
	if b.is(m) {
		return ""
	}
	return why
}

const layerSize = 12

// layers is the number of Landlock layers whose masks are in the tail.
func layers(e *bpf.ProbesEvent) int {
	k := &e.Core
	if bpf.ProbesMore(k.More)&bpf.ProbesMoreMORE_MASKS == 0 || bpf.ProbesFailed(k.Failed)&bpf.ProbesFailedFAIL_MASKS != 0 {
		return 0
	}
	return int(min(k.LandlockLayers, 16))
}

func (b builder) landlock(p *posture.Posture, masks []byte, facts *kernelFacts) {
	k := &b.e.Core
	l := &p.Landlock
	why := first(b.lacks(bpf.ProbesHaveHAVE_LANDLOCK, first(facts.landlockWhy, whyFault)), b.failed(bpf.ProbesFailedFAIL_LANDLOCK))
	if facts.noLandlock { // where there is no Landlock nobody is in a domain
		l.Layers, l.Rules, l.Handled = posture.Known[uint32](0), posture.Known[uint32](0), posture.Known([]posture.LandlockLayer{})
		l.RuleList = posture.Known([]posture.LandlockRule{})
		return
	}
	l.Layers = val(k.LandlockLayers, why)
	l.Rules = val(k.LandlockRules, why)
	list := make([]posture.LandlockLayer, len(masks)/layerSize)
	for i := range list {
		c := cursor{masks[i*layerSize:]}
		list[i] = posture.LandlockLayer{FS: c.u32(), Net: c.u32(), Scope: c.u32()}
		// Whatever handles files denies this one, also where the kernel
		// does not write it down (landlock(7), LANDLOCK_ACCESS_FS_REFER).
		const refer = 1 << 13
		if list[i].FS != 0 {
			list[i].FS |= refer
		}
	}
	l.Handled = val(list, first(why, b.without(bpf.ProbesMoreMORE_MASKS, "this kernel keeps them in a form that is not known"),
		b.failed(bpf.ProbesFailedFAIL_MASKS)))
}

// sched reads what scheduling depends on beside what builder.task does.
func (b builder) sched(p *posture.Posture) {
	k, s := &b.e.Core, &p.Sched
	fail := b.failed(bpf.ProbesFailedFAIL_SCHED)
	why := first(b.without(bpf.ProbesMoreMORE_DEADLINE, whyConfig), fail)
	s.DeadlineRuntime, s.Deadline, s.DeadlinePeriod = val(k.DlRuntime, why), val(k.DlDeadline, why), val(k.DlPeriod, why)
	why = first(b.without(bpf.ProbesMoreMORE_UCLAMP, whyConfig+" (CONFIG_UCLAMP_TASK)"), fail)
	clamp := func(v uint32) posture.Value[posture.Uclamp] {
		return val(posture.Uclamp{Value: v &^ (1 << 31), User: v>>31 != 0}, why)
	}
	s.UclampMin, s.UclampMax = clamp(k.UclampMin), clamp(k.UclampMax)
	why = first(b.without(bpf.ProbesMoreMORE_AUTOGROUP, whyConfig+" (CONFIG_SCHED_AUTOGROUP)"), fail)
	s.Autogroup, s.AutogroupNice = val(k.Autogroup, why), val(k.AutogroupNice, why)
}

// attached reads what hangs off the task.
func (b builder) attached(q *posture.Process) {
	k := &b.e.Core
	fail := b.failed(bpf.ProbesFailedFAIL_SCHED)
	q.SyscallDispatch = val(b.is(bpf.ProbesMoreMORE_DISPATCH), first(
		b.without(bpf.ProbesMoreMORE_DISPATCH_KNOWN, "this kernel does not have it (since 5.11, where system calls enter by common code)"),
		b.failed(bpf.ProbesFailedFAIL_SECCOMP)))
	q.ShadowStack = val(k.ShadowStack, first(b.without(bpf.ProbesMoreMORE_SHADOW_STACK, "this kernel has no shadow stacks"), fail))
	q.IOUring = val(b.is(bpf.ProbesMoreMORE_IO_URING), first(b.without(bpf.ProbesMoreMORE_IO_URING_KNOWN, whyConfig+" (CONFIG_IO_URING)"), fail))
	q.IOUringRestricted = val(b.is(bpf.ProbesMoreMORE_IO_RESTRICT),
		first(b.without(bpf.ProbesMoreMORE_IO_RESTRICT_KNOWN, "this kernel has no restrictions of tasks"), fail))

	fail = b.failed(bpf.ProbesFailedFAIL_TASK)
	mce := posture.MCEKillDefault
	switch k.TaskFlags & (pfMCEProcess | pfMCEEarly) {
	case pfMCEProcess:
		mce = posture.MCEKillLate
	case pfMCEProcess | pfMCEEarly:
		mce = posture.MCEKillEarly
	}
	q.MCEKill = val(mce, fail)
	q.IOFlusher = val(k.TaskFlags&pfIOFlusher == pfIOFlusher, fail)
}

// More flags of task_struct.flags (include/linux/sched.h; equal from 5.10 to
// 7.3). PR_SET_IO_FLUSHER sets PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, which
// had another name before 5.8 (kernel/sys.c).
const (
	pfMCEProcess = 0x80
	pfRandomize  = 0x400000
	pfMCEEarly   = 0x8000000
	pfIOFlusher  = 0x80000 | 0x100000
)

// Bits of mm_struct.flags (include/linux/mm_types.h).
const (
	mmfDumpFilter    = 2 // shift of nine bits
	mmfTHPAdvised    = 1 << 23
	mmfDisableTHP    = 1 << 24
	mmfMDWE          = 1 << 28 // 6.3
	mmfMDWENoInherit = 1 << 29 // 6.7; from 6.4 to 6.6 MMF_VM_MERGE_ANY
	mmfMergeAny      = 1 << 30 // 6.7
)

func (b builder) memory(p *posture.Posture, facts *kernelFacts) {
	k, m := &b.e.Core, &p.Memory
	p.Memory.Randomized = val(k.TaskFlags&pfRandomize != 0, b.failed(bpf.ProbesFailedFAIL_TASK))

	fail := b.failed(bpf.ProbesFailedFAIL_MEMORY)
	wide := ""
	if b.is(bpf.ProbesMoreMORE_NODES_WIDE) {
		wide = fmt.Sprintf("there are nodes beyond the %d that can be read", len(k.MemsAllowed)*64)
	}
	numa := first(b.without(bpf.ProbesMoreMORE_NUMA, whyConfig+" (CONFIG_NUMA)"), fail)
	mode, flags := k.Mempolicy&0xffff, k.Mempolicy>>16
	const (
		preferred, local = 1, 4   // MPOL_PREFERRED, MPOL_LOCAL
		flagLocal        = 1 << 1 // MPOL_F_LOCAL, up to 5.14: MPOL_PREFERRED without a node
	)
	if mode == preferred && flags&flagLocal != 0 {
		mode = local
	}
	nodes := trimmed(k.PolicyNodes[:])
	if mode == local {
		nodes = []uint64{} // what stands there was never written (mpol_set_nodemask, mm/mempolicy.c)
	}
	const modeFlags = 0xe000 // those of set_mempolicy(2); the others are the kernel's own
	m.Policy = val(mode|flags&modeFlags, numa)
	m.Nodes = val(nodes, first(numa, wide))
	m.MemsAllowed = val(trimmed(k.MemsAllowed[:]), first(b.without(bpf.ProbesMoreMORE_MEMS, whyConfig+" (CONFIG_CPUSETS)"), fail, wide))

	why := first(b.lacks(bpf.ProbesHaveHAVE_MM, whyNoMM), b.without(bpf.ProbesMoreMORE_MM_FLAGS, whyConfig), b.failed(bpf.ProbesFailedFAIL_MM))
	f := k.MmFlags
	m.CoredumpFilter = val(uint32(f>>mmfDumpFilter&0x1ff), why)
	thp := uint32(0)
	switch {
	case f&mmfTHPAdvised != 0:
		thp = 3
	case f&mmfDisableTHP != 0:
		thp = 1
	}
	m.THPDisabled = val(thp, why)
	mdwe, merge := uint32(f>>28&1), f&mmfMergeAny != 0
	switch {
	case f&mmfMDWENoInherit == 0:
	case f&mmfMDWE == 0 && !facts.noMergeBit29: // PR_MDWE_NO_INHERIT is never alone
		merge = true
	case facts.noMergeBit29 || merge:
		mdwe |= 2
	default:
		why = first(why, "this kernel may mean one of two things by the same bit")
	}
	m.MDWE, m.MergeAny = val(mdwe, why), val(merge, why)
}

// trimmed copies a mask without its trailing zero words.
func trimmed(mask []uint64) []uint64 {
	for len(mask) > 0 && mask[len(mask)-1] == 0 {
		mask = mask[:len(mask)-1]
	}
	return slices.Clone(mask)
}

func propagation(p bpf.ProbesPropagation) posture.Propagation {
	const both = bpf.ProbesPropagationPROP_SHARED | bpf.ProbesPropagationPROP_SLAVE
	switch {
	case p&both == both:
		return posture.PropagationSharedSlave
	case p&bpf.ProbesPropagationPROP_SHARED != 0:
		return posture.PropagationShared
	case p&bpf.ProbesPropagationPROP_SLAVE != 0:
		return posture.PropagationSlave
	case p&bpf.ProbesPropagationPROP_UNBINDABLE != 0:
		return posture.PropagationUnbindable
	}
	return posture.PropagationPrivate
}

// mergeBitMoved reports whether MMF_VM_MERGE_ANY is bit 30 of an mm's flags, as
// since 6.7, and not 29 (24e41bf8a6b4). The bits are macros, which type
// information does not have, and setting one to see would not be undone, so
// here a version has to do. It is only asked where one bit could mean both.
func mergeBitMoved() bool {
	var u unix.Utsname
	var major, minor int
	if unix.Uname(&u) != nil {
		return false
	}
	n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return n == 2 && (major > 6 || major == 6 && minor >= 7)
}
