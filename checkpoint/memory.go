package checkpoint

import (
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// Memory is how the kernel treats the workload's memory.
//
// Flags of an address space outlive execve only where the kernel copies them
// into the new one (MMF_INIT_MASK, include/linux/mm_types.h). Of those that can
// be set by prctl(2) all three are copied: THP disable, MDWE, and, since Linux
// 6.7, KSM merging. They are set by the child on its own address space, which
// it shares with nobody, so nothing of them reaches the agent.
type Memory struct {
	// Policy is where pages are allocated: set_mempolicy(2).
	Policy Option[MemPolicy] `json:"policy,omitzero"`
	// THPDisable turns transparent huge pages off (true) or allows them
	// again where the caller has them off (false): PR_SET_THP_DISABLE.
	THPDisable Option[bool] `json:"thp_disable,omitzero"`
	// Merge lets the kernel merge equal pages with those of others (ksm),
	// or stops it: PR_SET_MEMORY_MERGE. Since Linux 6.4, and kept over
	// execve since 6.7; else EINVAL.
	Merge Option[bool] `json:"merge,omitzero"`
	// DenyWriteExec is PR_SET_MDWE: no mapping is ever both writable and
	// executable, nor becomes executable later. It cannot be taken back.
	// Since Linux 6.3; else EINVAL.
	DenyWriteExec bool `json:"deny_write_exec,omitempty"`
}

// MemPolicy is a NUMA memory policy as set_mempolicy(2) takes it. The nodes
// must be among those that the workload's cpuset allows (EINVAL).
type MemPolicy struct {
	Mode  MemMode `json:"mode"`
	Nodes []int   `json:"nodes,omitempty"`
	// Flags are the MPOL_F_ bits that are combined with the mode.
	Flags uint32 `json:"flags,omitempty"`
}

// MemMode is a mode of a memory policy, spelt as in set_mempolicy(2).
type MemMode string

// The modes of set_mempolicy(2). PreferredMany is since Linux 5.15,
// WeightedInterleave since 6.9.
const (
	MPOLDefault            MemMode = "MPOL_DEFAULT"
	MPOLPreferred          MemMode = "MPOL_PREFERRED"
	MPOLBind               MemMode = "MPOL_BIND"
	MPOLInterleave         MemMode = "MPOL_INTERLEAVE"
	MPOLLocal              MemMode = "MPOL_LOCAL"
	MPOLPreferredMany      MemMode = "MPOL_PREFERRED_MANY"
	MPOLWeightedInterleave MemMode = "MPOL_WEIGHTED_INTERLEAVE"
)

// memModes are in the order of the kernel's numbers (uapi/linux/mempolicy.h).
var memModes = [...]MemMode{MPOLDefault, MPOLPreferred, MPOLBind, MPOLInterleave, MPOLLocal, MPOLPreferredMany, MPOLWeightedInterleave}

func (m MemMode) number() int {
	for i, name := range memModes {
		if m == name {
			return i
		}
	}
	return -1
}

// Flags of a memory policy, uapi/linux/mempolicy.h.
const (
	MPOLStaticNodes   = 1 << 15
	MPOLRelativeNodes = 1 << 14
	MPOLNumaBalancing = 1 << 13
)

const memPolicyMaxNodes = 1 << 10

// memory sets policy and flags of the child's memory.
func (p *plan) memory(cfg *Config) {
	m := &cfg.Memory
	if v := m.Policy; v.Set {
		mode := uint32(v.Value.Mode.number()) | v.Value.Flags
		op := agent.Sys(unix.SYS_SET_MEMPOLICY, agent.N(mode), agent.N(0), agent.N(0))
		if len(v.Value.Nodes) > 0 {
			mask := bitmap(v.Value.Nodes)
			// The kernel looks at one bit less than it is told (get_nodes, mm/mempolicy.c).
			op = agent.Sys(unix.SYS_SET_MEMPOLICY, agent.N(mode), agent.B(mask), agent.N(8*len(mask)+1))
		}
		p.setup.add(StageMemory, -1, "mempolicy", op)
	}
	if v := m.THPDisable; v.Set {
		p.setup.add(StageMemory, -1, "thp_disable", prctl(unix.PR_SET_THP_DISABLE, number(v.Value), 0, 0, 0))
	}
	if v := m.Merge; v.Set {
		p.setup.add(StageMemory, -1, "merge", prctl(unix.PR_SET_MEMORY_MERGE, number(v.Value), 0, 0, 0))
	}
	if m.DenyWriteExec {
		p.setup.add(StageMemory, -1, "deny_write_exec", prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))
	}
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// validateTuning judges what sched.go and memory.go do.
func (c *Config) validateTuning(v *validator) {
	u := c.Uclamp
	v.check(u.Min.Value >= 0 && u.Min.Value <= 1024, "uclamp.min", "%d is not in 0…1024", u.Min.Value)
	v.check(u.Max.Value >= 0 && u.Max.Value <= 1024, "uclamp.max", "%d is not in 0…1024", u.Max.Value)
	v.check(!u.Min.Set || !u.Max.Set || u.Min.Value <= u.Max.Value, "uclamp", "min %d is above max %d", u.Min.Value, u.Max.Value)
	n := c.AutogroupNice
	v.check(n.Value >= -20 && n.Value <= 19, "autogroup_nice", "%d is not in -20…19", n.Value)
	v.check(!n.Set || c.Session, "autogroup_nice", "needs a session of its own: it would change every task of the caller's")
	if p := c.Memory.Policy; p.Set {
		mode := p.Value.Mode
		v.check(mode.number() >= 0, "memory.policy.mode", "unknown mode %q", mode)
		none := mode == MPOLDefault || mode == MPOLLocal
		v.check(!none || len(p.Value.Nodes) == 0, "memory.policy.nodes", "%s takes none", mode)
		v.check(none || mode == MPOLPreferred || len(p.Value.Nodes) > 0, "memory.policy.nodes", "is empty: %s needs nodes", mode)
		v.check(p.Value.Flags&^(MPOLStaticNodes|MPOLRelativeNodes|MPOLNumaBalancing) == 0, "memory.policy.flags", "%#x has unknown bits", p.Value.Flags)
		v.check(p.Value.Flags&(MPOLStaticNodes|MPOLRelativeNodes) != MPOLStaticNodes|MPOLRelativeNodes, "memory.policy.flags", "static and relative nodes exclude each other")
		for _, n := range p.Value.Nodes {
			v.check(n >= 0 && n < memPolicyMaxNodes, "memory.policy.nodes", "node %d", n)
		}
	}
	if s := c.Scheduler.Value; s.Policy != 6 {
		v.check(!s.Reclaim && !s.Overrun && s.Runtime|s.Deadline|s.Period == 0, "scheduler", "runtime, deadline, period, reclaim and overrun are for SCHED_DEADLINE")
	}
}

func (c *Config) mergeTuning(patch *Config) {
	set(&c.AutogroupNice, patch.AutogroupNice)
	set(&c.Uclamp.Min, patch.Uclamp.Min)
	set(&c.Uclamp.Max, patch.Uclamp.Max)
	set(&c.Memory.Policy, patch.Memory.Policy)
	set(&c.Memory.THPDisable, patch.Memory.THPDisable)
	set(&c.Memory.Merge, patch.Memory.Merge)
	c.Memory.DenyWriteExec = c.Memory.DenyWriteExec || patch.Memory.DenyWriteExec
	c.CoreSched = c.CoreSched || patch.CoreSched
	c.IOFlusher = c.IOFlusher || patch.IOFlusher
}

// tuningHint says what usually helps against an errno of sched.go or memory.go.
func tuningHint(object string, errno unix.Errno) string {
	switch {
	case object == "uclamp" && errno == unix.EOPNOTSUPP:
		return "the kernel is built without CONFIG_UCLAMP_TASK"
	case object == "uclamp" && errno == unix.EINVAL:
		return "the minimum would be above the maximum: ask for both; that of a realtime task is /proc/sys/kernel/sched_util_clamp_min_rt_default, as a rule 1024"
	case object == "autogroup" && errno == unix.ENOENT:
		return "the kernel is built without CONFIG_SCHED_AUTOGROUP"
	case object == "autogroup" && errno == unix.EINVAL:
		return "autogroups are switched off, see /proc/sys/kernel/sched_autogroup_enabled"
	case object == "autogroup" && errno == unix.EAGAIN:
		return "without CAP_SYS_ADMIN one write every 100 ms is allowed on the whole machine"
	case object == "core_sched" && errno == unix.ENODEV:
		return "this machine has no simultaneous multithreading"
	case object == "core_sched" && errno == unix.EINVAL:
		return "the kernel is built without CONFIG_SCHED_CORE (since Linux 5.14)"
	case object == "io_flusher" && errno == unix.EPERM:
		return "needs CAP_SYS_RESOURCE in the initial user namespace"
	case object == "policy" && errno == unix.EPERM:
		return "needs CAP_SYS_NICE or RLIMIT_RTPRIO; a deadline also an affinity of all CPUs of the root domain"
	case object == "policy" && errno == unix.EBUSY:
		return "the CPUs have not that much time left for deadlines, see /proc/sys/kernel/sched_rt_runtime_us"
	case object == "policy" && errno == unix.EINVAL:
		return "a priority out of range, or not runtime ≤ deadline ≤ period within /proc/sys/kernel/sched_deadline_period_{min,max}_us"
	case object == "mempolicy" && errno == unix.EINVAL:
		return "a node that the cpuset does not allow, or a mode that is newer than this kernel"
	case object == "nice" && errno == unix.EACCES, object == "nice" && errno == unix.EPERM:
		return "a lower nice value needs CAP_SYS_NICE or RLIMIT_NICE"
	case object == "merge" && errno == unix.EINVAL:
		return "since Linux 6.4, with CONFIG_KSM"
	case object == "deny_write_exec" && errno == unix.EINVAL:
		return "since Linux 6.3"
	case strings.HasPrefix(object, "ioprio") && errno == unix.EPERM:
		return "the realtime class needs CAP_SYS_NICE or CAP_SYS_ADMIN"
	}
	return ""
}
