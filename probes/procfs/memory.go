package procfs

import (
	"bytes"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// Flags of task_struct.flags, which /proc/PID/stat shows whole
// (include/linux/sched.h).
const (
	pfForkNoExec = 0x40
	pfMCEProcess = 0x80
	pfMCEEarly   = 0x8000000
	pfRandomize  = 0x400000
	pfIOFlusher  = 0x80000 | 0x100000 // PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, see PR_SET_IO_FLUSHER in kernel/sys.c
)

// taskFlags takes what there is out of the flags.
func (t *task) taskFlags() {
	f, q := t.stat.flags, &t.p.Process
	t.p.Exec.ForkNoExec = posture.Known(f&pfForkNoExec != 0)
	t.p.Memory.Randomized = posture.Known(f&pfRandomize != 0)
	q.IOFlusher = posture.Known(f&pfIOFlusher == pfIOFlusher)
	switch f & (pfMCEProcess | pfMCEEarly) {
	case pfMCEProcess:
		q.MCEKill = posture.Known(posture.MCEKillLate)
	case pfMCEProcess | pfMCEEarly:
		q.MCEKill = posture.Known(posture.MCEKillEarly)
	default:
		q.MCEKill = posture.Known(posture.MCEKillDefault)
	}
}

// memory reads what the process's memory is subject to.
func (t *task) memory() {
	m := &t.p.Memory
	if b, err := t.file("coredump_filter", true); err != nil {
		m.CoredumpFilter = lost[uint32](err)
	} else {
		m.CoredumpFilter = posture.Known(uint32(number(b, 16)))
	}
	m.MergeAny = posture.Unreadable[bool]("/proc/PID/ksm_stat does not show it (since Linux 6.16)")
	if b, err := t.file("ksm_stat", true); err == nil {
		if _, v, ok := bytes.Cut(b, []byte("ksm_merge_any:")); ok {
			m.MergeAny = posture.Known(bytes.HasPrefix(bytes.TrimLeft(v, " \t"), []byte("yes")))
		}
	}
	t.policy()
}

// modes are the names of the policies, by number (policy_modes,
// mm/mempolicy.c).
var modes = [...]string{"default", "prefer", "bind", "interleave", "local", "prefer (many)", "weighted interleave"}

// policy finds the policy of the task in numa_maps: a mapping that has none of
// its own and is no file's is shown with it (show_numa_map, fs/proc/task_mmu.c).
func (t *task) policy() {
	m := &t.p.Memory
	b, err := t.file("numa_maps", false)
	switch {
	case err != nil:
		m.Policy, m.Nodes = lost[uint32](err), lost[[]uint64](err)
		return
	}
	const why = "no mapping in numa_maps shows it"
	m.Policy, m.Nodes = posture.Unreadable[uint32](why), posture.Unreadable[[]uint64](why)
	for line := range bytes.Lines(b) {
		_, s, _ := strings.Cut(string(line), " ")
		if strings.Contains(s, " file=") {
			continue
		}
		mode, nodes, ok := parsePolicy(s)
		if ok {
			m.Policy, m.Nodes = posture.Known(mode), posture.Known(nodes)
		}
		return
	}
}

// parsePolicy reads "bind=static:0-1,4 anon=1 …".
func parsePolicy(s string) (mode uint32, nodes []uint64, ok bool) {
	nodes = []uint64{}
	best := 0
	for i, name := range modes {
		rest, found := strings.CutPrefix(s, name)
		if found && len(name) > best && (rest == "" || strings.ContainsRune(" =:\n", rune(rest[0]))) && !strings.HasPrefix(rest, " (") {
			mode, best, ok = uint32(i), len(name), true
		}
	}
	s, _, _ = strings.Cut(s[best:], " ")
	flags, list, _ := strings.Cut(strings.TrimSpace(s), ":")
	for f := range strings.FieldsFuncSeq(flags, func(r rune) bool { return r == '=' || r == '|' }) {
		switch f { // MPOL_F_STATIC_NODES and the like, linux/mempolicy.h
		case "static":
			mode |= 1 << 15
		case "relative":
			mode |= 1 << 14
		case "balancing":
			mode |= 1 << 13
		default:
			ok = false
		}
	}
	for r := range strings.SplitSeq(list, ",") {
		if r == "" {
			continue
		}
		from, to, isRange := strings.Cut(r, "-")
		first := number([]byte(from), 10)
		last := first
		if isRange {
			last = number([]byte(to), 10)
		}
		for n := first; n <= last && n < 1024; n++ {
			for uint64(len(nodes)) <= n/64 {
				nodes = append(nodes, 0)
			}
			nodes[n/64] |= 1 << (n % 64)
		}
	}
	return mode, nodes, ok
}

// thp is what THP_enabled of /proc/PID/status comes to; it does not tell "no"
// from "except where advised".
func thp(enabled bool) posture.Value[uint32] {
	if enabled {
		return posture.Known[uint32](0)
	}
	if unix.Access("/sys/kernel/mm/transparent_hugepage", unix.F_OK) != nil {
		return posture.Unreadable[uint32]("this kernel has no transparent huge pages")
	}
	return posture.Known[uint32](1)
}

// shadowStack reads x86_Thread_features of /proc/PID/status, since Linux 6.6.
func shadowStack(b []byte) posture.Value[uint64] {
	var bits uint64 // ARCH_SHSTK_SHSTK and ARCH_SHSTK_WRSS, asm/prctl.h
	for f := range bytes.FieldsSeq(b) {
		switch string(f) {
		case "shstk":
			bits |= 1
		case "wrss":
			bits |= 2
		}
	}
	return posture.Known(bits)
}

// dispatch asks whether system calls go to a handler in the process itself.
func (t *task) dispatch() {
	d := &t.p.Process.SyscallDispatch
	if !t.traced {
		*d = posture.Unreadable[bool]("it takes a tracer to read it")
		return
	}
	on, err := sys.SyscallDispatch(t.pid)
	if err != nil {
		*d = posture.Unreadable[bool]("PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG: " + err.Error() + " (since Linux 6.4)")
		return
	}
	*d = posture.Known(on)
}

// autogroup reads /proc/PID/autogroup, sched(7).
func (t *task) autogroup() {
	s := &t.p.Sched
	b, err := t.file("autogroup", true)
	if err != nil {
		s.Autogroup, s.AutogroupNice = lost[uint64](err), lost[int32](err)
		return
	}
	rest, ok := bytes.CutPrefix(b, []byte("/autogroup-"))
	id, nice, ok2 := bytes.Cut(rest, []byte(" nice "))
	if !ok || !ok2 {
		const why = "the task is in no group of this kind"
		s.Autogroup, s.AutogroupNice = posture.Unreadable[uint64](why), posture.Unreadable[int32](why)
		return
	}
	s.Autogroup, s.AutogroupNice = posture.Known(number(id, 10)), posture.Known(int32(signed(nice)))
}

// freezing reports whether a version 2 cgroup, or one above it, is to be frozen.
// The root has no such file.
func (h hierarchy) freezing(path string) posture.Value[bool] {
	if h.root != "/" {
		return posture.Unreadable[bool]("what is above the reader's cgroup cannot be seen")
	}
	for ; path != "/" && path != "."; path = filepath.Dir(path) {
		var b [2]byte
		fd, err := unix.Open(filepath.Join(h.at, path, "cgroup.freeze"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return lost[bool](err)
		}
		_, err = unix.Read(fd, b[:])
		_ = unix.Close(fd)
		if err != nil {
			return lost[bool](err)
		}
		if b[0] == '1' {
			return posture.Known(true)
		}
	}
	return posture.Known(false)
}

// propagation looks the mount up that the root directory lies in. Its line is
// there only if the process can reach the mount's own root.
func (t *task) propagation(mount uint64) posture.Value[posture.Propagation] {
	b, err := t.file("mountinfo", false)
	if err != nil {
		return lost[posture.Propagation](err)
	}
	for line := range bytes.Lines(b) {
		if number(line, 10) != mount {
			continue
		}
		options, _, _ := bytes.Cut(line, []byte(" - "))
		has := func(tag string) bool { return bytes.Contains(options, []byte(tag)) }
		switch shared, slave := has(" shared:"), has(" master:"); {
		case shared && slave:
			return posture.Known(posture.PropagationSharedSlave)
		case shared:
			return posture.Known(posture.PropagationShared)
		case slave:
			return posture.Known(posture.PropagationSlave)
		case has(" unbindable"):
			return posture.Known(posture.PropagationUnbindable)
		}
		return posture.Known(posture.PropagationPrivate)
	}
	return posture.Unreadable[posture.Propagation]("the mount of the root directory is not in the process's mount table")
}
