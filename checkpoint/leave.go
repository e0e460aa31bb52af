package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// ErrGone is that of a process which was left and is not there any more.
var ErrGone = errors.New("the process that was left parked has ended")

// LeftProcess is a parked workload that its launcher has left, as plain data:
// another process may let it go with [Adopt]. It needs no agent and nobody who
// watches; its parent is whom the kernel gives an orphan, the next subreaper
// above (prctl(2)) or process 1 of its pid namespace.
type LeftProcess struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // in clock ticks after boot, see proc_pid_stat(5): with PID it names the process
	// Numbers of its descriptors: of the memory with its last steps, and of a
	// pipe that execve closes.
	Arena    int        `json:"arena"`
	Pipe     int        `json:"pipe"`
	Listener int        `json:"listener"` // the step that makes a seccomp listener, -1 for none
	Where    agent.Left `json:"where"`
	Steps    []LeftStep `json:"steps"`
	// Made are the cgroup directories that the launch has made.
	Made []string `json:"made,omitempty"`
}

// LeftStep is what a last step is for, to be told if it fails.
type LeftStep struct {
	Stage  Stage  `json:"stage"`
	Index  int    `json:"index"`
	Object string `json:"object,omitempty"`
}

// Leave lets go of a parked workload without letting it run: it stays parked
// when this process and its agent end, for somebody else to take over. It must
// have been asked for ([Options].Stay). What the launch has made (cgroups, links)
// stays too and is then the caller's to remove. [Launcher.Leave] follows, since
// with its agent alive the workload has not got its new parent yet; if this
// process dies before, the workload is killed. It may be adopted before, too, and
// proceed: the agent does not reap it, so that its end is its new parent's to see.
func (w *Workload) Leave(ctx context.Context) (*LeftProcess, error) {
	w.verb.Lock()
	defer w.verb.Unlock()
	if err := w.leave(Parked, Parked); err != nil {
		return nil, err
	}
	p := w.plan
	if w.arenaAt < 0 || w.pipeAt < 0 || p.opts.Relay != nil || p.cfg.Init {
		return nil, fail(StageAgent, "leave", fmt.Errorf("%w: needs Options.Stay, and neither a relay nor an init", unix.EINVAL))
	}
	w.launched.Stay()
	w.mu.Lock()
	// To park anew, and without what this process had as standard descriptors,
	// whose readers may wait for the end.
	again := batch{}
	for fd := range 3 {
		again.add(StageStdio, fd, "", agent.Sys(unix.SYS_DUP3, agent.R(agent.RegNull), agent.N(fd), agent.N(0)))
	}
	w.current = again.steps
	err := w.launched.Continue(again.steps)
	w.mu.Unlock()
	if err != nil {
		return nil, fail(StageAgent, "leave", err)
	}
	if err := w.awaitParked(ctx); err != nil {
		return nil, err
	}
	stat, err := w.readStat()
	if err != nil {
		return nil, fail(StageAgent, "leave", err)
	}
	where, err := w.launched.Deposit(p.final.steps)
	if err != nil {
		return nil, fail(StageAgent, "leave", err)
	}
	left := &LeftProcess{
		PID: w.HostPID(), Started: stat.started, Where: where, Listener: p.listener,
		Arena: w.launched.Number(w.arenaAt), Pipe: w.launched.Number(w.pipeAt),
		Steps: make([]LeftStep, len(p.final.steps)), Made: p.made,
	}
	for i, s := range p.final.steps {
		left.Steps[i] = LeftStep{s.stage, s.index, s.object}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaving = true
	p.made, w.veths, p.deviceProgram, w.oomKills = nil, nil, nil, Option[uint64]{}
	return left, nil
}

// Leave ends the agent and leaves alone what [Workload.Leave] was called for,
// and what runs. Other workloads are killed.
func (l *Launcher) Leave() error { return l.agent.Leave() }

func (w *Workload) readStat() (processStat, error) {
	fd, err := w.openProc("stat")
	if err != nil {
		return processStat{}, err
	}
	f := os.NewFile(uintptr(fd), "stat")
	defer f.Close()
	return statOf(f)
}

// processStat is of /proc/PID/stat, see proc_pid_stat(5).
type processStat struct {
	state   byte
	flags   uint64
	started uint64
}

func (s *processStat) execed() bool { return s.flags&0x40 == 0 } // PF_FORKNOEXEC
func (s *processStat) dead() bool   { return s.state == 'Z' || s.state == 'X' }

func statOf(f *os.File) (processStat, error) {
	b := make([]byte, 1024)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return processStat{}, err
	}
	b = b[:n]
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return processStat{}, fmt.Errorf("stat: %w", io.ErrUnexpectedEOF)
	}
	s := processStat{state: fields[0][0]}
	if s.flags, err = strconv.ParseUint(string(fields[6]), 10, 64); err == nil {
		s.started, err = strconv.ParseUint(string(fields[19]), 10, 64)
	}
	return s, err
}

// Orphan is a process that was left parked and is now held by this one.
type Orphan struct {
	left  *LeftProcess
	pidfd int
	dir   *os.File // its /proc directory
	stat  *os.File // in it
	mem   *agent.Adopted
	pipe  *os.File
}

// Adopt takes over a workload that was left parked. It fails with [ErrGone] if
// that has ended, and with [ErrNotParked] if somebody has let it go. It needs
// what ptrace(2) needs to read the process. Close gives it up again and leaves
// it as it is.
func Adopt(left *LeftProcess) (*Orphan, error) {
	o := &Orphan{left: left, pidfd: -1}
	err := o.open()
	if err == nil {
		return o, nil
	}
	o.Close()
	switch {
	case errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) && o.gone():
		return nil, ErrGone
	case errors.Is(err, unix.ESTALE):
		return nil, ErrNotParked
	case errors.Is(err, ErrGone):
		return nil, err
	}
	return nil, fail(StageAgent, "adopt", err)
}

func (o *Orphan) gone() bool { return unix.Kill(o.left.PID, 0) == unix.ESRCH }

func (o *Orphan) open() error {
	// First the process is held, then it is looked at whether it is the one
	// that is meant: the number cannot change hands in between.
	var err error
	if o.pidfd, err = unix.PidfdOpen(o.left.PID, 0); err != nil {
		return err
	}
	if o.dir, err = os.Open("/proc/" + strconv.Itoa(o.left.PID)); err != nil {
		return err
	}
	if o.stat, err = o.file("stat", unix.O_RDONLY); err != nil {
		return err
	}
	st, err := statOf(o.stat)
	if err != nil {
		return err
	}
	if st.started != o.left.Started || st.dead() {
		return ErrGone
	}
	if st.execed() {
		return unix.ESTALE
	}
	arena, err := o.file("fd/"+strconv.Itoa(o.left.Arena), unix.O_RDWR)
	if err != nil {
		return err
	}
	defer arena.Close()
	if o.mem, err = agent.Adopt(int(arena.Fd()), o.left.Where); err != nil {
		return err
	}
	// To open the link of a pipe gives another end of it, as of a fifo(7).
	o.pipe, err = o.file("fd/"+strconv.Itoa(o.left.Pipe), unix.O_RDONLY|unix.O_NONBLOCK)
	return err
}

func (o *Orphan) file(name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(o.dir.Fd()), name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Close gives up what is held. It may be called more than once.
func (o *Orphan) Close() {
	for _, f := range []*os.File{o.dir, o.stat, o.pipe} {
		if f != nil {
			f.Close()
		}
	}
	if o.mem != nil {
		o.mem.Close()
	}
	if o.pidfd >= 0 {
		unix.Close(o.pidfd)
	}
	*o = Orphan{left: o.left, pidfd: -1}
}

// Proceed lets the workload go. It returns nil once its program runs, or has
// run, and an [*Error] if a last step has failed; it has ended then. Notify is
// that of [Options] for a filter with a listener, which it must be given for.
//
// If the program and its parent are so fast that both the end of the process
// and its being reaped are over before this process has looked, a process that
// was killed within execve(2) cannot be told from one that was killed right
// after it; the answer is nil then.
func (o *Orphan) Proceed(ctx context.Context, notify func(listener *os.File) error) error {
	if (notify == nil) != (o.left.Listener < 0) {
		return fail(StageSeccomp, "", fmt.Errorf("a listener and nobody who takes it, or the other way round: %w", unix.EINVAL))
	}
	stop := context.AfterFunc(ctx, func() { _ = o.pipe.Close() })
	defer stop()
	if !o.mem.Go() {
		return ErrNotParked
	}
	if notify != nil {
		if err := o.hand(ctx, notify); err != nil {
			_ = unix.PidfdSendSignal(o.pidfd, unix.SIGKILL, nil, 0)
			return err
		}
	}
	if _, err := o.pipe.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: whether it runs is not known", errors.Join(context.Cause(ctx), err))
	}
	for try := 0; ; try++ {
		// The memory first: a child that has failed has said so before it ended.
		out := o.mem.Outcome()
		st, err := statOf(o.stat)
		switch {
		case out.State == agent.StateFailed:
			return o.failed(out)
		case err == nil && st.execed():
			return nil
		case err != nil || st.dead():
			if out.State == agent.StateExecing && err != nil {
				return nil
			}
			return fmt.Errorf("%w: it was killed before its program ran", ErrGone)
		}
		pause(min(try/100, 20) - 1)
	}
}

// hand takes the listener out of the process and gives it to notify.
func (o *Orphan) hand(ctx context.Context, notify func(*os.File) error) error {
	for try := 0; ; try++ {
		if fd, done := o.mem.Result(o.left.Listener); done && fd >= 0 {
			ours, err := unix.PidfdGetfd(o.pidfd, int(fd), 0)
			if err == nil {
				err = notify(os.NewFile(uintptr(ours), "seccomp listener"))
			}
			if err != nil {
				return fail(StageSeccomp, "listener", err)
			}
			o.mem.Pass(o.left.Listener + 1)
			return nil
		}
		if endedWithin(o.pidfd, 0) {
			return nil // Proceed will find out why
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pause(min(try/50, 1))
	}
}

// failed is what a failed step means.
func (o *Orphan) failed(out agent.Outcome) error {
	if out.PC < 0 || out.PC >= len(o.left.Steps) {
		return fail(StageAgent, "", fmt.Errorf("operation %d: %w", out.PC, out.Err))
	}
	s := o.left.Steps[out.PC]
	e := &Error{Stage: s.Stage, Index: s.Index, Object: s.Object, Child: true, Err: out.Err, Hint: hint(s.Stage, s.Object, out.Err)}
	if s.Stage == StageExec {
		for i, c := range o.left.Steps[:out.PC] {
			if res, done := o.mem.Result(i); done && c.Stage == StageExec && res == -int64(unix.EACCES) {
				e.Err, e.Object = unix.EACCES, c.Object
			}
		}
	}
	return e
}

// PIDFD is a new descriptor of the process, the caller's to close.
func (o *Orphan) PIDFD() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(o.pidfd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// beforeRoot is how many steps of the setup come before [Options].BeforeRoot.
func (p *plan) beforeRoot() int {
	switch {
	case p.opts.BeforeRoot == nil:
		return len(p.setup.steps)
	case p.rooting == 0:
		return len(p.setup.steps)
	}
	return p.rooting
}

// RemoveCgroups removes directories that [Cgroup].Create has made, as the end of
// a workload does: what is still in them is killed. Those that are not there
// any more are no error.
func RemoveCgroups(dirs []string) error { return removeCgroups(dirs) }
