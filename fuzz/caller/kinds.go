package caller

import (
	"errors"
	"os"
	"os/signal"
	"strconv"

	"github.com/holdshort/holdshort/fuzz/caller/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Numbers of what the kinds have. None is anybody's default.
const (
	umask     = 0o137
	nice      = 5
	slack     = 1234567
	oomAdjust = 300
	limitCore = 4096
	limitLock = 99
	limitMQ   = 8192
	ioPrio    = 2<<13 | 6 // best effort
	noRandom  = 0x40000   // ADDR_NO_RANDOMIZE
	dump      = 0x7f
	// Neither of the capabilities is needed for anything that a launch does.
	netRaw, auditWrite, wakeAlarm = 13, 29, 35
	hostName                      = "not-the-callers"
)

// kinds: those of scheduling first, since a new policy sets the niceness, and a
// filter and no_new_privs last.
var kinds = []Kind{
	{
		Name: "batch", Says: "SCHED_BATCH, and a best-effort I/O priority of 6",
		Kept: map[string]string{"sched.policy": "3", "sched.ioprio": "0x4006"},
		thread: func() error {
			a := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH}
			return errors.Join(unix.SchedSetAttr(0, a, 0), sys.IOPrio(ioPrio))
		},
	},
	{
		Name: "nice", Says: "a niceness of 5", Kept: map[string]string{"sched.nice": "5"},
		thread: func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) },
	},
	{
		Name: "affinity", Says: "only one of several CPUs", Kept: map[string]string{"sched.affinity": strconv.Itoa(lastCPU)},
		thread: func() error {
			if lastCPU < 0 {
				return unix.ENODEV
			}
			var set unix.CPUSet
			set.Set(lastCPU)
			return unix.SchedSetaffinity(0, &set)
		},
	},
	{
		Name: "timer slack", Says: "a timer slack of 1234567 ns", Kept: map[string]string{"sched.timer_slack_ns": "1234567"},
		thread: func() error { return unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0) },
	},
	{
		Name: "umask", Says: "a umask of 0137", Kept: map[string]string{"fs.umask": "0137"},
		thread: func() error {
			// Directory and umask are all threads' until then.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			unix.Umask(umask)
			return nil
		},
	},
	{
		Name: "directory", Says: "another working directory", Kept: map[string]string{"fs.cwd": inode("/")},
		thread: func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			return unix.Chdir("/dev")
		},
	},
	{
		Name: "personality", Says: "ADDR_NO_RANDOMIZE", Kept: map[string]string{"privilege.personality": "0x40000", "memory.randomized": "false"},
		thread: func() error { return sys.Personality(noRandom) },
	},
	{
		Name: "uts namespace", Says: "a uts namespace of its own", Kept: map[string]string{"uts.hostname": strconv.Quote(hostName)},
		thread: func() error {
			if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
				return err
			}
			return unix.Sethostname([]byte(hostName))
		},
	},
	{ // A keyring is known by its number, which the agent's alone tells.
		Name: "keyring", Says: "a session keyring of its own",
		thread: func() error { _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); return err },
	},
	{
		Name: "groups", Says: "supplementary groups", Kept: map[string]string{"ids.groups": "4 4242"},
		thread: func() error { return sys.Setgroups([]uint32{4, 4242}) },
	},
	{
		Name: "blocked signals", Says: "SIGTERM, SIGUSR1 and a realtime signal blocked",
		thread: func() error {
			var set unix.Sigset_t
			for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGUSR1, 40} {
				set.Val[0] |= 1 << (s - 1)
			}
			return unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
		},
	},
	{
		Name: "ignored signals", Says: "SIGUSR2, SIGWINCH and a realtime signal ignored",
		process: func() (func() error, error) {
			list := []os.Signal{unix.SIGUSR2, unix.SIGWINCH, unix.Signal(41)}
			signal.Ignore(list...)
			return func() error {
				// Reset leaves what was ignored ignored.
				c := make(chan os.Signal, len(list))
				signal.Notify(c, list...)
				signal.Stop(c)
				return nil
			}, nil
		},
	},
	{
		Name: "descriptors", Says: "a directory and a file open, to be kept by execve",
		process: func() (func() error, error) {
			var open []int
			undo := func() error {
				for _, fd := range open {
					unix.Close(fd)
				}
				return nil
			}
			for _, path := range []string{"/", "/proc/self/status"} {
				fd, err := unix.Open(path, unix.O_RDONLY, 0)
				if err == nil {
					open = append(open, fd)
					fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 150)
				}
				if err != nil {
					return nil, errors.Join(err, undo())
				}
				open = append(open, fd)
			}
			return undo, nil
		},
	},
	{
		Name: "environment", Says: "a variable in the environment",
		process: func() (func() error, error) {
			const name = "HOLDSHORT_OF_THE_CALLER"
			return func() error { return os.Unsetenv(name) }, os.Setenv(name, "secret")
		},
	},
	{
		Name: "limits", Says: "soft limits below the hard ones",
		Kept: map[string]string{"rlimits.core": "4096", "rlimits.locks": "99", "rlimits.msgqueue": "8192"},
		process: func() (func() error, error) {
			var undo []func() error
			back := func() (err error) {
				for _, f := range undo {
					err = errors.Join(err, f())
				}
				return err
			}
			for n, v := range map[int]uint64{unix.RLIMIT_CORE: limitCore, rlimitLocks: limitLock, rlimitMsgqueue: limitMQ} {
				var was unix.Rlimit
				err := unix.Prlimit(0, n, nil, &was)
				if err == nil && was.Max < v {
					err = unix.EPERM
				}
				if err == nil {
					err = unix.Prlimit(0, n, &unix.Rlimit{Cur: v, Max: was.Max}, nil)
				}
				if err != nil {
					return nil, errors.Join(err, back())
				}
				undo = append(undo, func() error { return unix.Prlimit(0, n, &was, nil) })
			}
			return back, nil
		},
	},
	{
		Name: "oom_score_adj", Says: "an oom_score_adj of 300", Kept: map[string]string{"oom.score_adj": "300"},
		process: func() (func() error, error) { return file("/proc/self/oom_score_adj", "", strconv.Itoa(oomAdjust)) },
	},
	{
		Name: "core dumps", Says: "a coredump_filter of 0x7f", Kept: map[string]string{"memory.coredump_filter": "0x7f"},
		process: func() (func() error, error) {
			return file("/proc/self/coredump_filter", "0x", strconv.FormatInt(dump, 16))
		},
	},
	{
		Name: "huge pages", Says: "no transparent huge pages", Kept: map[string]string{"memory.thp_disabled": "1"},
		process: func() (func() error, error) {
			was, err := unix.PrctlRetInt(unix.PR_GET_THP_DISABLE, 0, 0, 0, 0)
			if err != nil {
				return nil, err
			}
			return func() error { return unix.Prctl(unix.PR_SET_THP_DISABLE, uintptr(was), 0, 0, 0) }, unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)
		},
	},
	{
		Name: "securebits", Says: "SECBIT_NO_SETUID_FIXUP", Kept: map[string]string{"privilege.securebits": "0x4"},
		thread: func() error { return unix.Prctl(unix.PR_SET_SECUREBITS, 1<<2, 0, 0, 0) },
	},
	{
		Name: "ambient capabilities", Says: "two ambient capabilities",
		Kept: map[string]string{"capabilities.ambient": posture.CapSet(1<<netRaw | 1<<auditWrite).String()},
		thread: func() error {
			h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var d [2]unix.CapUserData
			if err := unix.Capget(&h, &d[0]); err != nil {
				return err
			}
			d[0].Inheritable |= 1<<netRaw | 1<<auditWrite
			if err := unix.Capset(&h, &d[0]); err != nil {
				return err
			}
			for _, c := range []uintptr{netRaw, auditWrite} {
				if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		Name: "bounding set", Says: "a bounding set without CAP_WAKE_ALARM",
		thread: func() error {
			if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, wakeAlarm, 0, 0, 0); err != nil || has == 0 {
				return unix.EPERM // nothing would be another
			}
			return unix.Prctl(unix.PR_CAPBSET_DROP, wakeAlarm, 0, 0, 0)
		},
	},
	{
		Name: "filter", Says: "a seccomp filter, which allows everything", Kept: map[string]string{"seccomp.mode": "2", "seccomp.filter_count": "1"},
		thread: sys.AllowAll,
	},
	{
		Name: "no_new_privs", Says: "no_new_privs", Kept: map[string]string{"privilege.no_new_privs": "true"},
		thread: func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
	},
}

const rlimitLocks, rlimitMsgqueue = 10, 12

// file writes a file that says what it was before, and leaves the prefix out then.
func file(path, prefix, value string) (func() error, error) {
	was, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return func() error { return write(path, append([]byte(prefix), was...)) }, write(path, []byte(prefix+value))
}

func write(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// lastCPU is the last of the CPUs that this process may use, -1 if there is but
// one.
var lastCPU = func() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil || set.Count() < 2 {
		return -1
	}
	last := -1
	for n := range 1024 {
		if set.IsSet(n) {
			last = n
		}
	}
	return last
}()

// inode is a file as postures write it.
func inode(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return ""
	}
	return posture.Inode{Dev: st.Dev, Ino: st.Ino}.String()
}
