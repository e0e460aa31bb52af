package procfs

import (
	"bytes"
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// limits reads /proc/PID/limits, whose lines are in the order of the RLIMIT_
// numbers (lnames, fs/proc/base.c). prlimit(2) would take CAP_SYS_RESOURCE over
// a process of another user.
func (t *task) limits() {
	b, err := t.file("limits", true)
	if err != nil {
		t.p.Rlimits = lost[posture.Rlimits](err)
		return
	}
	var l posture.Rlimits
	_, b, _ = bytes.Cut(b, []byte("\n")) // the head
	n := 0
	for line := range bytes.Lines(b) {
		const name = 26 // columns
		if len(line) < name || n == len(l) {
			n = -1
			break
		}
		i := 0
		for f := range bytes.FieldsSeq(line[name:]) {
			v := uint64(math.MaxUint64)
			if string(f) != "unlimited" {
				v = number(f, 10)
			}
			switch i {
			case 0:
				l[n].Soft = v
			case 1:
				l[n].Hard = v
			}
			i++
		}
		n++
	}
	if n != len(l) {
		t.p.Rlimits = posture.Unreadable[posture.Rlimits]("/proc/PID/limits has a form that is not known")
		return
	}
	t.p.Rlimits = posture.Known(l)
}

// numbers reads the files that hold a single one.
func (t *task) numbers() {
	p := t.p
	if b, err := t.file("oom_score_adj", true); err != nil {
		p.OOM.ScoreAdj = lost[int32](err)
	} else {
		p.OOM.ScoreAdj = posture.Known(int32(signed(b)))
	}
	if b, err := t.file("timerslack_ns", true); err != nil {
		p.Sched.TimerSlack = lost[uint64](err)
	} else {
		p.Sched.TimerSlack = posture.Known(number(b, 10))
	}
	if b, err := t.file("personality", true); err != nil {
		p.Privilege.Personality = lost[uint32](err)
	} else {
		p.Privilege.Personality = posture.Known(uint32(number(b, 16)))
	}
	const noAudit = "this kernel is built without it (CONFIG_AUDIT)"
	audit := func(name string) posture.Value[uint32] {
		b, err := t.file(name, true)
		switch {
		case errors.Is(err, unix.ENOENT):
			return posture.Unreadable[uint32](noAudit)
		case err != nil:
			return lost[uint32](err)
		}
		return posture.Known(uint32(number(b, 10)))
	}
	p.Privilege.LoginUID = audit("loginuid")
	if p.Privilege.LoginUID.IsKnown() && t.r.foreignUser != "" {
		p.Privilege.LoginUID = posture.Unreadable[uint32](t.r.foreignUser)
	}
	p.Privilege.SessionID = audit("sessionid")
	t.dumpable()
}

// dumpable: the files of a process in /proc belong to its effective user only
// if it may dump core for that user (task_dump_owner, fs/proc/base.c), else to
// the root of its user namespace.
func (t *task) dumpable() {
	d := &t.p.Privilege.Dumpable
	const why = "/proc shows it only of a process whose user is not root, and only if it is dumpable"
	*d = posture.Unreadable[uint32](why)
	euid, ok := t.p.IDs.EUID.Get()
	var st unix.Stat_t
	if !ok || euid == 0 || unix.Fstatat(t.dir, "status", &st, 0) != nil || st.Uid != euid {
		return
	}
	uids, ok := t.p.UserNS.UIDMap.Get()
	if !ok {
		return
	}
	for _, e := range uids {
		if e.Inside == 0 && e.Host == euid {
			return
		}
	}
	*d = posture.Known[uint32](1)
}

const resetOnFork = 1 // SCHED_FLAG_RESET_ON_FORK, sched_setattr(2)

// sched asks by process id, and so for the main thread.
func (t *task) sched() {
	s := &t.p.Sched
	s.Policy, s.Nice = posture.Known(uint32(t.stat.policy)), posture.Known(int32(t.stat.nice))
	s.RTPriority = posture.Known(uint32(t.stat.priority))
	if a, err := unix.SchedGetAttr(t.pid, 0); err != nil {
		s.ResetOnFork, s.DeadlineRuntime = lost[bool](err), lost[uint64](err)
		s.Deadline, s.DeadlinePeriod = s.DeadlineRuntime, s.DeadlineRuntime
		s.UclampMin, s.UclampMax = lost[posture.Uclamp](err), lost[posture.Uclamp](err)
	} else {
		s.ResetOnFork = posture.Known(a.Flags&resetOnFork != 0)
		if a.Policy != unix.SCHED_DEADLINE {
			a.Runtime = 0 // since 6.12 the slice of an ordinary task
		}
		s.DeadlineRuntime, s.Deadline, s.DeadlinePeriod = posture.Known(a.Runtime), posture.Known(a.Deadline), posture.Known(a.Period)
		// Both are 0 where the kernel has no clamps, and hardly elsewhere.
		why := ""
		if a.Util_min == 0 && a.Util_max == 0 {
			why = "the kernel shows none (CONFIG_UCLAMP_TASK)"
		}
		s.UclampMin, s.UclampMax = val(posture.Uclamp{Value: a.Util_min}, why), val(posture.Uclamp{Value: a.Util_max}, why)
	}
	const process, ioprioClassShift = 1, 13 // IOPRIO_WHO_PROCESS, IOPRIO_CLASS_SHIFT
	n, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, process, uintptr(t.pid), 0)
	switch {
	case errno != 0:
		s.IOPrio = lost[uint32](errno)
	default:
		// Without a class there is no level (ioprio_check_cap, block/ioprio.c),
		// but before 5.15 the kernel shows that of the default all the same
		// (e70344c05995, "block: fix default IO priority handling").
		if n>>ioprioClassShift == 0 {
			n = 0
		}
		s.IOPrio = posture.Known(uint32(n))
	}
	switch cookie, err := sys.CoreCookie(t.pid); {
	case err != nil:
		s.CoreCookie = lost[uint64](err)
	case cookie != 0:
		s.CoreCookie = posture.Unreadable[uint64]("there is one, and the kernel shows only what stands for it")
	default:
		s.CoreCookie = posture.Known[uint64](0)
	}
}
