package oracle

import (
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// tuned has what was asked of scheduler and memory management, and stays over
// execve.
func (b *builder) tuned() {
	x, w := &b.r.Ext, b.w
	clamp := func(f Field, at *posture.Value[posture.Uclamp], v *int) {
		if v != nil {
			put(b, f, at, posture.Uclamp{Value: uint32(*v), User: true}, Requested, "holdshort.uclamp")
		}
	}
	clamp(SchedUclampMin, &w.Sched.UclampMin, x.Uclamp.Min)
	clamp(SchedUclampMax, &w.Sched.UclampMax, x.Uclamp.Max)
	if n := x.AutogroupNice; n != nil {
		put(b, SchedAutogroupNice, &w.Sched.AutogroupNice, int32(*n), Requested, "holdshort.autogroupNice")
	}
	if x.IOFlusher {
		put(b, ProcessIOFlusher, &w.Process.IOFlusher, true, Requested, "holdshort.ioFlusher")
	}
	m := &w.Memory
	if v := x.Memory.THPDisable; v != nil {
		off := uint32(0)
		if *v {
			off = 1
		}
		put(b, MemoryTHPDisabled, &m.THPDisabled, off, Requested, "holdshort.memory.thpDisable")
	}
	if v := x.Memory.Merge; v != nil {
		put(b, MemoryMergeAny, &m.MergeAny, *v, Requested, "holdshort.memory.merge")
	}
	if x.Memory.DenyWriteExec {
		put(b, MemoryMDWE, &m.MDWE, 1, Requested, "holdshort.memory.denyWriteExec")
	}
	b.memoryPolicy()
}

// memoryPolicy: the kernel keeps those of the nodes that the cpuset allows
// (mpol_set_nodemask, mm/mempolicy.c).
func (b *builder) memoryPolicy() {
	p := b.l.MemoryPolicy
	if p == nil {
		return
	}
	const (
		src              = "linux.memoryPolicy"
		preferred, local = 1, 4
		relative         = 1 << 14
	)
	w := &b.w.Memory
	mode, _ := request.MemoryMode(p.Mode)
	flags, _ := request.MemoryFlags(p.Flags)
	asked, err := request.CPUList(p.Nodes)
	if mode == preferred && p.Nodes == "" {
		mode = local // do_set_mempolicy
	}
	put(b, MemoryPolicy, &w.Policy, mode|flags, Requested, src)
	allowed, ok := w.MemsAllowed.Get()
	switch moved, _ := b.cpusetMoves(); {
	case p.Nodes == "":
		put(b, MemoryNodes, &w.Nodes, []uint64{}, Requested, src)
	case err != nil || !ok || moved || flags&relative != 0:
		b.puzzle(MemoryNodes, Implied, src, notFixed)
	default:
		nodes := intersect(asked, allowed)
		if mode == preferred {
			nodes = lowest(nodes)
		}
		put(b, MemoryNodes, &w.Nodes, nodes, Requested, src)
	}
}

// lowest keeps the first bit of a mask.
func lowest(mask []uint64) []uint64 {
	for i, w := range mask {
		if w != 0 {
			out := make([]uint64, i+1)
			out[i] = w & -w
			return out
		}
	}
	return nil
}
