package checkpoint

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// Sched is a scheduling policy as in sched_setattr(2). Runtime, Deadline and
// Period are for the deadline policy, and so are Reclaim (it may use bandwidth
// that others leave, SCHED_FLAG_RECLAIM) and Overrun (SIGXCPU when it uses more
// than its own, SCHED_FLAG_DL_OVERRUN).
//
// A deadline task needs CAP_SYS_NICE and an affinity of all CPUs of its root
// domain (EPERM); EBUSY means that the CPUs have not that much time left. It
// cannot fork unless ResetOnFork is set (EAGAIN), see sched(7).
//
// What comes after the policy in a launch, execve above all, counts as well. A
// Runtime of much less than a millisecond is soon over, and then SIGXCPU may end
// the workload before its program runs, or be pending when it starts
// (kernel/time/posix-cpu-timers.c, check_dl_overrun).
type Sched struct {
	Policy      int           `json:"policy"`
	Priority    int           `json:"priority,omitempty"`
	ResetOnFork bool          `json:"reset_on_fork,omitempty"`
	Reclaim     bool          `json:"reclaim,omitempty"`
	Overrun     bool          `json:"overrun,omitempty"`
	Runtime     time.Duration `json:"runtime,omitempty"`
	Deadline    time.Duration `json:"deadline,omitempty"`
	Period      time.Duration `json:"period,omitempty"`
}

// IOPrio is an I/O scheduling class (1 realtime, 2 best effort, 3 idle) and a
// level in it (0 to 7), as in ioprio_set(2).
type IOPrio struct {
	Class int `json:"class"`
	Level int `json:"level"`
}

// Uclamp bounds the utilization that the scheduler assumes of the workload, 0
// to 1024 being a whole CPU of the largest kind: what frequency it asks for, and
// which CPU it chooses. It is kept over execve.
//
// Since Linux 5.3 with CONFIG_UCLAMP_TASK; else EOPNOTSUPP. Raising the minimum
// needs CAP_SYS_NICE.
type Uclamp struct {
	Min Option[int] `json:"min,omitzero"`
	Max Option[int] `json:"max,omitzero"`
}

// IsZero reports that nothing is asked for.
func (u Uclamp) IsZero() bool { return !u.Min.Set && !u.Max.Set }

// sched_flags of struct sched_attr, include/uapi/linux/sched.h.
const (
	schedResetOnFork = 1 << 0
	schedReclaim     = 1 << 1
	schedOverrun     = 1 << 2
	schedKeepPolicy  = 1 << 3
	schedKeepParams  = 1 << 4
	schedClampMin    = 1 << 5
	schedClampMax    = 1 << 6
)

// sched sets what decides when and where the workload runs. All of it is kept
// over execve.
//
// CAP_SYS_NICE counts in the initial user namespace only (can_nice and
// user_check_sched_setscheduler, kernel/sched/syscalls.c; ioprio_check_cap,
// block/ioprio.c). A child in another has it no more, so there the agent sets
// what needs it. The policy it leaves to the child if that clones once more: a
// deadline task may not, and others may lose it there (reset on fork).
func (p *plan) sched(cfg *Config) {
	who, to := agent.N(0), &p.setup
	if p.inUserNS() && cfg == p.cfg { // the agent's own steps are over when something is applied later
		who, to = agent.R(agent.RegPID), &p.agent
	}
	if v := cfg.Nice; v.Set {
		to.add(StageSched, -1, "nice", agent.Sys(unix.SYS_SETPRIORITY, agent.N(unix.PRIO_PROCESS), who, agent.N(v.Value)))
	}
	if v := cfg.IOPrio; v.Set {
		const whoProcess, classShift = 1, 13
		to.add(StageSched, -1, "ioprio", agent.Sys(unix.SYS_IOPRIO_SET, agent.N(whoProcess), who,
			agent.N(v.Value.Class<<classShift|v.Value.Level)))
	}
	if p.second {
		who, to = agent.N(0), &p.setup
	}
	if v := cfg.Scheduler; v.Set {
		b := v.Value.attr(cfg.Nice.Value)
		to.add(StageSched, -1, "policy", agent.Sys(unix.SYS_SCHED_SETATTR, who, agent.B(b), agent.N(0)))
	}
	if !cfg.Uclamp.IsZero() {
		to.add(StageSched, -1, "uclamp", agent.Sys(unix.SYS_SCHED_SETATTR, who, agent.B(cfg.Uclamp.attr()), agent.N(0)))
	}
	if len(cfg.Affinity) > 0 {
		mask := bitmap(cfg.Affinity)
		p.setup.add(StageSched, -1, "affinity", agent.Sys(unix.SYS_SCHED_SETAFFINITY, agent.N(0), agent.N(len(mask)), agent.B(mask)))
	}
	if v := cfg.TimerSlack; v.Set {
		p.setup.add(StageSched, -1, "timer slack", prctl(unix.PR_SET_TIMERSLACK, v.Value))
	}
	if cfg.CoreSched {
		// A cookie of its own, for this task; its children inherit it.
		p.setup.add(StageSched, -1, "core_sched", prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_CREATE, 0, unix.PR_SCHED_CORE_SCOPE_THREAD, 0))
	}
	if cfg.IOFlusher {
		p.setup.add(StageSched, -1, "io_flusher", prctl(unix.PR_SET_IO_FLUSHER, 1, 0, 0, 0))
	}
}

// attr is struct sched_attr in its first version.
func (s *Sched) attr(nice int) []byte {
	flags := number(s.ResetOnFork)*schedResetOnFork | number(s.Reclaim)*schedReclaim | number(s.Overrun)*schedOverrun
	var b []byte
	b = binary.NativeEndian.AppendUint32(b, 48)
	b = binary.NativeEndian.AppendUint32(b, uint32(s.Policy))
	b = binary.NativeEndian.AppendUint64(b, flags)
	b = binary.NativeEndian.AppendUint32(b, uint32(int32(nice)))
	b = binary.NativeEndian.AppendUint32(b, uint32(s.Priority))
	b = binary.NativeEndian.AppendUint64(b, uint64(s.Runtime))
	b = binary.NativeEndian.AppendUint64(b, uint64(s.Deadline))
	return binary.NativeEndian.AppendUint64(b, uint64(s.Period))
}

// attr is struct sched_attr in its second version, which changes nothing but
// the bounds.
func (u Uclamp) attr() []byte {
	b := make([]byte, 56)
	flags := uint64(schedKeepPolicy | schedKeepParams)
	if u.Min.Set {
		flags |= schedClampMin
	}
	if u.Max.Set {
		flags |= schedClampMax
	}
	binary.NativeEndian.PutUint32(b, 56)
	binary.NativeEndian.PutUint64(b[8:], flags)
	binary.NativeEndian.PutUint32(b[48:], uint32(u.Min.Value))
	binary.NativeEndian.PutUint32(b[52:], uint32(u.Max.Value))
	return b
}

// bitmap is a mask of numbers in whole words.
func bitmap(numbers []int) []byte {
	mask := make([]byte, 8)
	for _, n := range numbers {
		for n/8 >= len(mask) {
			mask = append(mask, make([]byte, 8)...)
		}
		mask[n/8] |= 1 << (n % 8)
	}
	return mask
}

// autogroup sets the nice value of the group of tasks that a new session begins
// (sched(7)). Without a session of its own it would be that of every task of
// the caller's session. So the session begins here, and the host writes: the
// child, as user of a namespace, may not open its own file (see [plan.oom]),
// and without CAP_SYS_ADMIN the whole machine has one write every 100 ms
// (proc_sched_autogroup_set_nice, kernel/sched/autogroup.c).
func (p *plan) autogroup(cfg *Config) {
	if v := cfg.AutogroupNice; v.Set {
		if !p.sessionBegun {
			p.setup.add(StageSession, -1, "", agent.Sys(unix.SYS_SETSID))
			p.sessionBegun = true
		}
		text := strconv.Itoa(v.Value)
		p.host = append(p.host, hostStep{StageSched, "autogroup", func(w *Workload) error { return w.writeProc("autogroup", text) }})
	}
}
