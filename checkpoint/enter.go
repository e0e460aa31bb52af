package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// Aspect is one part of what a workload takes from the target that it enters.
type Aspect string

// The aspects.
const (
	TakeCgroup      Aspect = "cgroup"      // every cgroup in which the target is and the agent is not
	TakeLimits      Aspect = "limits"      // resource limits and oom_score_adj
	TakeCredentials Aspect = "credentials" // ids, groups, the five capability sets, no_new_privs
	TakeRoot        Aspect = "root"        // root directory; as cwd, only with the mount namespace
	TakeCwd         Aspect = "cwd"
	TakeUmask       Aspect = "umask"
	TakeSeccomp     Aspect = "seccomp"
)

var aspects = []Aspect{TakeCgroup, TakeLimits, TakeCredentials, TakeRoot, TakeCwd, TakeUmask, TakeSeccomp}

// Enter starts the workload beside a running process, the target: in its
// namespaces and cgroups, under its limits, with its credentials and filters.
// What the Config itself asks for comes before what the target has.
//
// The target is held by a pidfd and an open /proc/PID from before anything is
// read of it until the workload has joined it, so that no other process can be
// meant; if it ends meanwhile the launch fails at the stage "enter" with ESRCH.
//
// Ids and groups are those of the target's main thread; where real, effective
// and saved id differ the effective one is taken. Some things cannot be read of
// another process and are not taken: securebits, keyrings, Landlock domains,
// memory policy. Scheduling is left alone. The capabilities are those that an
// execve by the target with these sets would keep.
type Enter struct {
	// PID of the target, unless [Options.Target] is a pidfd of it.
	PID int `json:"pid,omitempty"`
	// Namespaces to join; nil is every one in which the target differs from
	// the agent. What Config.Namespaces names is not taken from the target.
	Namespaces []NamespaceKind `json:"namespaces,omitempty"`
	// Skip lists what is not taken.
	Skip []Aspect `json:"skip,omitempty"`
	// StopTarget allows the target to be stopped for a moment by ptrace(2),
	// which is the only way to copy its seccomp filters: it sees an
	// interrupted system call at most, but cannot be under a debugger. It
	// needs CAP_SYS_ADMIN in the initial user namespace. A target that has
	// filters is refused without it, unless "seccomp" is skipped.
	StopTarget bool `json:"stop_target,omitempty"`
}

func (e *Enter) takes(a Aspect) bool { return !slices.Contains(e.Skip, a) }

func (e *Enter) validate(v *validator, c *Config) {
	if e == nil {
		return
	}
	v.check(e.PID >= 0, "enter.pid", "pid %d", e.PID)
	for i, k := range e.Namespaces {
		v.check(cloneFlag[k] != 0, fmt.Sprintf("enter.namespaces[%d]", i), "unknown kind %q", k)
	}
	for i, a := range e.Skip {
		v.check(slices.Contains(aspects, a), fmt.Sprintf("enter.skip[%d]", i), "unknown word %q", a)
	}
	v.check(!c.Init, "init", "cannot be in a pid namespace that is entered")
}

// target is the process that is entered, while the launch is prepared.
type target struct {
	name    string // for errors
	pid     int
	pidfd   *os.File
	dir     *os.File // its /proc directory
	flags   uint64   // CLONE_NEW* to join
	root    *os.File
	cwd     *os.File
	groups  []uint32 // as the host has them, to be set before the user namespace is left
	early   bool     // they are
	filters []agent.Filter
}

// targetOf pins the process that cfg enters and fills cfg, which is the
// launch's own, with what is taken from it. It returns nil if none is entered.
func (l *Launcher) targetOf(cfg *Config, opts *Options) (*target, error) {
	if cfg.Enter == nil {
		return nil, nil
	}
	t := &target{}
	err := t.pin(cfg.Enter.PID, opts.Target)
	if err == nil {
		err = t.read(cfg, l.agent.PID(), l.env)
	}
	if err == nil {
		// It lives, so every number and file read since was its own.
		err = t.alive()
	}
	if err == nil {
		return t, nil
	}
	if dead := t.alive(); dead != nil {
		err = dead
	}
	t.close()
	var e *Error
	if !errors.As(err, &e) {
		e = fail(StageEnter, t.name, err)
	}
	return nil, e
}

func (t *target) close() {
	if t == nil {
		return
	}
	for _, f := range []*os.File{t.pidfd, t.dir, t.root, t.cwd} {
		if f != nil {
			f.Close()
		}
	}
}

func (t *target) pin(pid int, pidfd *os.File) error {
	t.name = "pid " + strconv.Itoa(pid)
	var fd int
	var err error
	switch {
	case pidfd != nil:
		t.name = "pidfd"
		if fd, err = unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		if t.pid, err = pidOf(fd); err != nil {
			unix.Close(fd)
			return err
		}
		t.name = "pid " + strconv.Itoa(t.pid)
		if pid != 0 && pid != t.pid {
			unix.Close(fd)
			return fmt.Errorf("the pidfd is of process %d, not %d: %w", t.pid, pid, unix.EINVAL)
		}
	case pid > 0:
		if fd, err = unix.PidfdOpen(pid, 0); err != nil {
			return err
		}
		t.pid = pid
	default:
		return fmt.Errorf("neither a pid nor Options.Target: %w", unix.EINVAL)
	}
	t.pidfd = os.NewFile(uintptr(fd), "pidfd")
	if t.dir, err = os.Open("/proc/" + strconv.Itoa(t.pid)); err != nil {
		return err
	}
	return t.alive()
}

// pidOf reads the pid of a pidfd, as pidfd_open(2) describes; -1 is "ended".
func pidOf(pidfd int) (int, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0, err
	}
	pid, ok := line(string(b), "Pid:")
	n, err := strconv.Atoi(pid)
	switch {
	case !ok || err != nil || n == 0:
		return 0, fmt.Errorf("not a pidfd of a process that is visible here: %w", unix.EINVAL)
	case n < 0:
		return 0, unix.ESRCH
	}
	return n, nil
}

func (t *target) alive() error {
	if t.pidfd == nil {
		return nil
	}
	if endedWithin(int(t.pidfd.Fd()), 0) {
		return &Error{Stage: StageEnter, Index: -1, Object: t.name, Err: unix.ESRCH, Hint: "the target has ended"}
	}
	return nil
}

// open opens a file of the target's /proc directory.
func (t *target) open(name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(t.dir.Fd()), name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// join has the workload enter the target's namespaces, all of them in one call
// (setns(2) with a pidfd, since Linux 5.8): the kernel checks every one with
// the credentials of before, so namespaces that the target's user namespace
// owns and those of an outer one can be joined alike.
func (p *plan) join() {
	t := p.target
	if t == nil {
		return
	}
	if t.early {
		p.setup.add(StageEnter, -1, "groups", setgroups(t.groups))
	}
	if t.flags != 0 {
		reg := p.pass(int(t.pidfd.Fd()))
		p.setup.add(StageEnter, -1, t.name, agent.Sys(unix.SYS_SETNS, agent.R(reg), agent.N(t.flags)))
	}
	if t.root != nil {
		reg := p.pass(int(t.root.Fd()))
		p.setup.add(StageEnter, -1, "root", agent.Sys(unix.SYS_FCHDIR, agent.R(reg)), agent.Sys(unix.SYS_CHROOT, agent.S(".")))
	}
	if t.cwd != nil {
		reg := p.pass(int(t.cwd.Fd()))
		p.setup.add(StageEnter, -1, "cwd", agent.Sys(unix.SYS_FCHDIR, agent.R(reg)))
	}
}
