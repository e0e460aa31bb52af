package request

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Uclamp bounds the utilization that the scheduler assumes of the workload, in
// 1024ths of the largest CPU.
type Uclamp struct {
	Min *int `json:"min,omitempty"`
	Max *int `json:"max,omitempty"`
}

// IsZero reports that nothing is asked for.
func (u Uclamp) IsZero() bool { return u.Min == nil && u.Max == nil }

// Memory is how the kernel treats the workload's memory; linux.memoryPolicy is
// about where it is.
type Memory struct {
	// THPDisable turns transparent huge pages off, or on again: prctl(2)
	// PR_SET_THP_DISABLE.
	THPDisable *bool `json:"thpDisable,omitempty"`
	// Merge lets the kernel merge equal pages, or not: PR_SET_MEMORY_MERGE.
	Merge *bool `json:"merge,omitempty"`
	// DenyWriteExec refuses mappings that are both writable and executable:
	// PR_SET_MDWE.
	DenyWriteExec bool `json:"denyWriteExec,omitempty"`
}

// IsZero reports that nothing is asked for.
func (m Memory) IsZero() bool { return m.THPDisable == nil && m.Merge == nil && !m.DenyWriteExec }

// memoryModes are in the order of the kernel's numbers, set_mempolicy(2).
var memoryModes = []specs.MemoryPolicyModeType{
	specs.MpolDefault, specs.MpolPreferred, specs.MpolBind, specs.MpolInterleave, specs.MpolLocal, specs.MpolPreferredMany, specs.MpolWeightedInterleave,
}

// memoryFlags are the bits that are combined with a mode.
var memoryFlags = map[specs.MemoryPolicyFlagType]uint32{
	specs.MpolFStaticNodes: 1 << 15, specs.MpolFRelativeNodes: 1 << 14, specs.MpolFNumaBalancing: 1 << 13,
}

// MemoryMode returns the number of a mode of linux.memoryPolicy.
func MemoryMode(m specs.MemoryPolicyModeType) (uint32, bool) {
	i := slices.Index(memoryModes, m)
	return uint32(max(i, 0)), i >= 0
}

// MemoryFlags returns the bits of the flags of linux.memoryPolicy.
func MemoryFlags(list []specs.MemoryPolicyFlagType) (bits uint32, ok bool) {
	for _, f := range list {
		b := memoryFlags[f]
		if b == 0 {
			return 0, false
		}
		bits |= b
	}
	return bits, true
}

// DeadlineFlags are bits of sched_flags in sched_setattr(2) that only the
// deadline policy has.
func DeadlineFlags(list []specs.LinuxSchedulerFlag) (bits uint64) {
	for _, f := range list {
		switch f {
		case specs.SchedFlagReclaim:
			bits |= 2
		case specs.SchedFlagDLOverrun:
			bits |= 4
		}
	}
	return bits
}

func (c *checker) tuning(r *Request) {
	e := &r.Ext
	u := e.Uclamp
	c.check(deref(u.Min) >= 0 && deref(u.Min) <= 1024, "holdshort.uclamp.min", "%d is not in 0…1024", deref(u.Min))
	c.check(deref(u.Max) >= 0 && deref(u.Max) <= 1024, "holdshort.uclamp.max", "%d is not in 0…1024", deref(u.Max))
	c.check(u.Min == nil || u.Max == nil || *u.Min <= *u.Max, "holdshort.uclamp", "min %d is above max %d", deref(u.Min), deref(u.Max))
	n := e.AutogroupNice
	c.check(n == nil || *n >= -20 && *n <= 19, "holdshort.autogroupNice", "%d is not in -20…19", deref(n))
	c.check(n == nil || e.Session, "holdshort.autogroupNice", "needs holdshort.session: it would change every task of the caller's")
	if s := r.Process().Scheduler; s != nil && s.Policy != specs.SchedDeadline {
		c.check(DeadlineFlags(s.Flags) == 0, "process.scheduler.flags", "reclaim and overrun are for SCHED_DEADLINE")
	}
	c.memoryPolicy(r.Linux().MemoryPolicy)
}

func (c *checker) memoryPolicy(p *specs.LinuxMemoryPolicy) {
	if p == nil {
		return
	}
	const f = "linux.memoryPolicy"
	_, ok := MemoryMode(p.Mode)
	c.check(ok, f+".mode", "unknown mode %q", p.Mode)
	c.cpuList(f+".nodes", p.Nodes)
	none := p.Mode == specs.MpolDefault || p.Mode == specs.MpolLocal
	c.check(!none || p.Nodes == "", f+".nodes", "%s takes none", p.Mode)
	c.check(none || p.Mode == specs.MpolPreferred || p.Nodes != "", f+".nodes", "is empty: %s needs nodes", p.Mode)
	bits, ok := MemoryFlags(p.Flags)
	c.check(ok, f+".flags", "unknown flag in %v", p.Flags)
	c.check(bits>>14 != 3, f+".flags", "static and relative nodes exclude each other")
}
