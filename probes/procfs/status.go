package procfs

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

// status reads /proc/PID/status, proc_pid_status(5).
func (t *task) status() error {
	b, err := t.file("status", true)
	if err != nil {
		return gone(err)
	}
	p := t.p
	user, pids := t.r.foreignUser, t.r.foreignPID
	const absent = "the kernel does not show it"
	p.Seccomp.Count = posture.Unreadable[uint32](absent + " (since Linux 5.9)")
	p.FS.Umask = posture.Unreadable[uint32]("the file system state was already released")
	var pending uint64
	p.Memory.THPDisabled = posture.Unreadable[uint32](absent + " (since Linux 5.0)")
	p.Process.ShadowStack = posture.Unreadable[uint64](absent + " (since Linux 6.6, on x86)")
	p.Memory.MemsAllowed = posture.Unreadable[[]uint64](absent)
	var ssb, branch []byte
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		key, v, _ := bytes.Cut(line, []byte(":"))
		v = bytes.TrimLeft(v, "\t ")
		switch string(key) {
		case "Umask":
			p.FS.Umask = posture.Known(uint32(number(v, 8)))
		case "Tgid":
			p.Process.PID = val(uint32(number(v, 10)), pids)
		case "PPid":
			p.Process.Parent = val(uint32(number(v, 10)), pids)
		case "TracerPid":
			p.Process.Tracer = val(uint32(number(v, 10)), pids)
		case "NSpid":
			f := bytes.Fields(v)
			p.Process.PIDInside = posture.Known(uint32(number(f[len(f)-1], 10)))
		case "Uid":
			f := words(v)
			p.IDs.UID, p.IDs.EUID, p.IDs.SUID, p.IDs.FSUID = val(f[0], user), val(f[1], user), val(f[2], user), val(f[3], user)
		case "Gid":
			f := words(v)
			p.IDs.GID, p.IDs.EGID, p.IDs.SGID, p.IDs.FSGID = val(f[0], user), val(f[1], user), val(f[2], user), val(f[3], user)
		case "Groups":
			list := []uint32{}
			for f := range bytes.FieldsSeq(v) {
				list = append(list, uint32(number(f, 10)))
			}
			p.IDs.Groups = val(list, user)
		case "Threads":
			p.Process.Threads = posture.Known(uint32(number(v, 10)))
		case "SigPnd", "ShdPnd":
			pending |= number(v, 16)
			p.Signals.Pending = posture.Known(pending)
		case "SigBlk":
			p.Signals.Blocked = posture.Known(number(v, 16))
		case "SigIgn":
			p.Signals.Ignored = posture.Known(number(v, 16))
		case "CapInh":
			p.Capabilities.Inheritable = posture.Known(posture.CapSet(number(v, 16)))
		case "CapPrm":
			p.Capabilities.Permitted = posture.Known(posture.CapSet(number(v, 16)))
		case "CapEff":
			p.Capabilities.Effective = posture.Known(posture.CapSet(number(v, 16)))
		case "CapBnd":
			p.Capabilities.Bounding = posture.Known(posture.CapSet(number(v, 16)))
		case "CapAmb":
			p.Capabilities.Ambient = posture.Known(posture.CapSet(number(v, 16)))
		case "NoNewPrivs":
			p.Privilege.NoNewPrivs = posture.Known(number(v, 10) != 0)
		case "Seccomp":
			p.Seccomp.Mode = posture.Known(uint32(number(v, 10)))
		case "Seccomp_filters":
			p.Seccomp.Count = posture.Known(uint32(number(v, 10)))
		case "Speculation_Store_Bypass":
			ssb = v
		case "SpeculationIndirectBranch":
			branch = v
		case "Cpus_allowed":
			p.Sched.Affinity = posture.Known(mask(v))
		case "Mems_allowed":
			p.Memory.MemsAllowed = posture.Known(mask(v))
		case "THP_enabled":
			p.Memory.THPDisabled = thp(number(v, 10) != 0)
		case "x86_Thread_features":
			p.Process.ShadowStack = shadowStack(v)
		}
	}
	p.Privilege.SpecFlags = speculation(ssb, branch)
	return nil
}

// Bits of task_struct.atomic_flags, include/linux/sched.h.
const (
	ssbDisable      = 1 << 3
	ssbForce        = 1 << 4
	branchDisable   = 1 << 5
	branchForce     = 1 << 6
	perTaskUnlikely = 0 // where there is no choice for each task, no bit can be set
)

// speculation turns what proc_pid_status(5) says of the two controls into the
// task's bits (fs/proc/array.c and arch_prctl_spec_ctrl_get).
func speculation(ssb, branch []byte) posture.Value[uint32] {
	var bits uint32
	switch string(ssb) {
	case "thread vulnerable", "not vulnerable", "vulnerable", "globally mitigated":
		bits |= perTaskUnlikely
	case "thread mitigated":
		bits |= ssbDisable
	case "thread force mitigated":
		bits |= ssbDisable | ssbForce
	default:
		return posture.Unreadable[uint32](fmt.Sprintf("the kernel says %q of the store bypass", ssb))
	}
	switch string(branch) {
	case "conditional enabled", "not affected", "always enabled", "always disabled":
	case "conditional disabled":
		bits |= branchDisable
	case "conditional force disabled":
		bits |= branchDisable | branchForce
	default:
		return posture.Unreadable[uint32](fmt.Sprintf("the kernel says %q of indirect branches", branch))
	}
	return posture.Known(bits)
}

// number reads digits up to whatever else comes; 0 if there are none.
func number(b []byte, base uint64) (n uint64) {
	for _, c := range b {
		d := uint64(255)
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		}
		if d >= base {
			break
		}
		n = n*base + d
	}
	return n
}

// words are up to four numbers.
func words(b []byte) (w [4]uint32) {
	i := 0
	for f := range bytes.FieldsSeq(b) {
		if i < len(w) {
			w[i] = uint32(number(f, 10))
		}
		i++
	}
	return w
}

// mask reads a bitmap as the kernel prints it: words of 32 bits, the highest
// first. Trailing zero words are left out, as in package posture.
func mask(b []byte) []uint64 {
	n := bytes.Count(b, []byte(",")) + 1
	list := make([]uint64, (n+1)/2)
	for i := n - 1; len(b) > 0; i-- {
		var w []byte
		w, b, _ = bytes.Cut(b, []byte(","))
		list[i/2] |= number(w, 16) << (32 * (i % 2))
	}
	for len(list) > 0 && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	return list
}

// stat is what is used of /proc/PID/stat.
type stat struct {
	session, group, tty, flags int64
	nice, priority, policy     int64
}

// Numbers of fields, proc_pid_stat(5).
const (
	statGroup    = 5
	statSession  = 6
	statTTY      = 7
	statFlags    = 9
	statNice     = 19
	statPriority = 40
	statPolicy   = 41
)

// statFile reads /proc/PID/stat.
func (t *task) statFile() error {
	b, err := t.file("stat", true)
	if err != nil {
		return gone(err)
	}
	i := bytes.LastIndexByte(b, ')') // the name may have any other in it
	if i < 0 {
		return unix.EBADMSG
	}
	s, n := &t.stat, 3
	for f := range bytes.FieldsSeq(b[i+1:]) {
		switch n {
		case statGroup:
			s.group = signed(f)
		case statSession:
			s.session = signed(f)
		case statTTY:
			s.tty = signed(f)
		case statFlags:
			s.flags = signed(f)
		case statNice:
			s.nice = signed(f)
		case statPriority:
			s.priority = signed(f)
		case statPolicy:
			s.policy = signed(f)
		}
		n++
	}
	if n <= statPolicy {
		return unix.EBADMSG
	}
	q, pids := &t.p.Process, t.r.foreignPID
	q.Session, q.Group = val(uint32(s.session), pids), val(uint32(s.group), pids)
	pid, known := q.PID.Get()
	q.SessionLeader = val(s.session == int64(pid), pids)
	if !known {
		q.SessionLeader = posture.Unreadable[bool](pids)
	}
	// new_encode_dev, include/linux/kdev_t.h.
	tty := uint32(s.tty)
	q.TTY = posture.Known(posture.TTY{Major: tty >> 8 & 0xfff, Minor: tty&0xff | tty>>12&0xfff00})
	t.taskFlags()
	return nil
}

func signed(b []byte) int64 {
	if len(b) > 0 && b[0] == '-' {
		return -int64(number(b[1:], 10))
	}
	return int64(number(b, 10))
}
