package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// State is where a workload is in its life. It ends in exactly one of Exited,
// Signaled, Aborted and Failed.
type State string

// The states of a workload.
const (
	Spawning   State = "spawning"
	Parked     State = "parked"
	Proceeding State = "proceeding"
	Running    State = "running"
	Exited     State = "exited"
	Signaled   State = "signaled"
	Aborted    State = "aborted"
	Failed     State = "failed"
	// Left is the end of a workload for who has left it parked.
	Left State = "left"
)

// Result is how a workload ended.
type Result struct {
	State State
	// During is the state in which the end came: Parked for a child that was
	// killed at the checkpoint.
	During State
	// Ran reports whether the program was ever entered: execve succeeded,
	// as PF_FORKNOEXEC of the process tells.
	Ran      bool
	ExitCode int
	Signal   syscall.Signal
	Core     bool // a core was dumped
	Err      error
	Rusage   syscall.Rusage
	HostPID  int
	// Timeout is the phase that took too long, if that is why it ended.
	Timeout *TimeoutError
	// OOM reports, for a workload in a memory cgroup of its launch, whether
	// the kernel killed something there for want of memory while it lived.
	OOM Option[bool]
	// Phases and Stops are its times, and the stops by job control.
	Phases Phases
	Stops  []Stop
}

// Workload is one process between clone and its end.
type Workload struct {
	launcher *Launcher
	plan     *plan
	launched *agent.Launch

	verb sync.Mutex // one verb at a time

	mu       sync.Mutex
	state    State
	current  steps // of the batch that the child works on
	unborn   int   // clones whose Spawned event is still to come
	early    []agent.EventKind
	pid      int
	pidfd    int
	procDir  int
	execFD   int     // read end of the exec pipe, -1 for none
	pipeAt   int     // which of the descriptors that were passed is its other end, -1 for none
	arenaAt  int     // and which is the shared memory
	veths    []int   // interface indices of the host's ends
	result   *Result // once it has ended
	cause    error   // what the host ends it for
	begun    time.Time
	watched  bool // execve is reported
	abort    bool // while it was spawning
	leaving  bool // parked, for somebody else to take over
	pending  []syscall.Signal
	log      eventLog
	stamps   stamps
	clock    *time.Timer // of the phase
	phase    int         // number of the last clock
	timeout  *TimeoutError
	oomKills Option[uint64] // before it was born

	parked  chan struct{} // one token for each time it parks
	ready   chan struct{} // closed when it is parked and the host's steps are done, or it has ended; nil unless Begin
	arrival error         // why it did not get there; valid once ready
	started chan struct{} // closed when it runs, or has ended
	done    chan struct{} // closed when it has ended and result is final
}

// unended is the result of all that have none yet.
var unended Result

func newWorkload(l *Launcher, p *plan) *Workload {
	return &Workload{
		launcher: l, plan: p, state: Spawning, result: &unended, pidfd: -1, procDir: -1, execFD: -1, pipeAt: -1, arenaAt: -1,
		parked: make(chan struct{}, 1), started: make(chan struct{}), done: make(chan struct{}),
	}
}

func (w *Workload) needsHost() bool {
	return len(w.plan.first)+len(w.plan.host)+len(w.plan.last) > 0 || w.plan.opts.BeforeRoot != nil || w.plan.listener >= 0
}

// launch sends the first batch to the agent.
func (w *Workload) launch(list steps, execEvent bool) error {
	p := w.plan
	w.current = list
	w.begun, w.watched = time.Now(), execEvent
	if n, ok := p.cfg.Cgroup.oomKills(); ok {
		w.oomKills = Some(n)
	}
	if hasExec(list) {
		w.state = Proceeding
	}
	if execEvent {
		w.unborn = 1 + clones(list)
	}
	parks := w.state == Spawning
	ours := parks && (p.opts.Stay || w.launcher.agent.Live() < earlyPipes)
	fds := p.fds
	if ours {
		pipe, err := w.execPipe()
		if err != nil {
			return w.unlaunched(err)
		}
		defer unix.Close(pipe)
		w.pipeAt = len(fds)
		fds = append(slices.Clip(fds), pipe)
	}
	if p.opts.Stay {
		arena, err := w.launcher.agent.ArenaFD()
		if err != nil {
			return w.unlaunched(fail(StageAgent, "", err))
		}
		defer unix.Close(arena)
		w.arenaAt = len(fds)
		fds = append(slices.Clip(fds), arena)
	}
	spec := &agent.Spec{
		CloneFlags: p.cloneFlags, CgroupFD: p.cgroupFD, FDs: fds, AgentOps: p.agent.steps, Ops: list, Cleanup: p.cleanup(),
		Times:     p.opts.Times,
		ExecEvent: execEvent && !parks, ExecPipe: parks && !ours, NoSpawned: !execEvent, Hold: parks, Orphan: p.opts.orphan(),
	}
	w.mu.Lock() // the first event must find launched
	l, err := w.launcher.agent.Launch(spec, w.onEvent)
	w.launched = l
	if err == nil {
		if !execEvent {
			w.record(Event{Kind: EventProceeding})
		}
		w.enterPhase(PhaseSpawn)
	}
	w.mu.Unlock()
	if err != nil {
		return w.unlaunched(fail(StageAgent, "", err))
	}
	p.close()
	return nil
}

// unlaunched takes back what was made for a child that the agent was not asked for.
func (w *Workload) unlaunched(err error) error {
	w.closeExec()
	w.plan.close()
	return errors.Join(err, w.plan.undo())
}

func hasExec(s steps) bool { return len(s) > 0 && s[len(s)-1].stage == StageExec }

func clones(s steps) int {
	n := 0
	for i := range s {
		if s[i].op.NR == agent.OpClone {
			n++
		}
	}
	return n
}

// spawn brings the child to the checkpoint.
func (w *Workload) spawn(ctx context.Context) error {
	if err := w.bear(); err != nil {
		return err
	}
	return w.bringUp(ctx)
}

// bear starts the child.
func (w *Workload) bear() error {
	setup := w.plan.setup.steps[:w.plan.beforeRoot()]
	if len(w.plan.first) > 0 {
		setup = nil
	}
	return w.launch(setup, true)
}

// bringUp waits until it is parked and does what is the host's.
func (w *Workload) bringUp(ctx context.Context) error {
	p := w.plan
	if err := w.awaitParked(ctx); err != nil {
		return err
	}
	if len(p.first) > 0 {
		if err := w.hostSteps(ctx, p.first); err != nil {
			return err
		}
		if err := w.next(ctx, p.setup.steps[:p.beforeRoot()]); err != nil {
			return err
		}
	}
	if p.opts.BeforeRoot != nil {
		step := hostStep{StageMounts, "before the change of root", p.opts.BeforeRoot}
		if err := w.hostSteps(ctx, []hostStep{step}); err != nil {
			return err
		}
		if err := w.next(ctx, p.setup.steps[p.beforeRoot():]); err != nil {
			return err
		}
	}
	if err := w.hostSteps(ctx, p.host); err != nil {
		return err
	}
	if err := w.hostSteps(ctx, p.last); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.ended() {
		return w.result.failure()
	}
	w.state = Parked
	w.record(Event{Kind: EventParked})
	w.enterPhase(PhaseParked)
	return nil
}

func (s State) ended() bool {
	return s == Exited || s == Signaled || s == Aborted || s == Failed || s == Left
}

// hostSteps runs what only the host can do. The child is parked and is not
// reaped before the host releases it, so its pid cannot come to mean another.
func (w *Workload) hostSteps(ctx context.Context, steps []hostStep) error {
	for _, s := range steps {
		err := s.do(w)
		if err == nil {
			err = w.alive()
		}
		if err == nil {
			w.stampHost(&s)
			continue
		}
		var e *Error
		if !errors.As(err, &e) {
			e = fail(s.stage, s.object, err)
		}
		var errno unix.Errno
		if e.Hint == "" && errors.As(e.Err, &errno) {
			e.Hint = hint(e.Stage, e.Object, errno)
		}
		return w.giveUp(ctx, e)
	}
	return nil
}

// giveUp ends a parked child after a failure of the host's.
func (w *Workload) giveUp(ctx context.Context, e *Error) error {
	w.mu.Lock()
	if w.cause == nil {
		w.cause = e
	}
	w.mu.Unlock()
	w.launched.Abort()
	w.thaw()
	<-w.done
	return e
}

// alive fails if the child has ended meanwhile.
func (w *Workload) alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.ended() {
		return w.result.failure()
	}
	return nil
}

// failure is the result as the error of a verb that expected something else.
func (r *Result) failure() error {
	if r.Err != nil {
		return r.Err
	}
	return fmt.Errorf("%w: %s", ErrEnded, r)
}

func (w *Workload) awaitParked(ctx context.Context) error {
	if ctx.Err() == nil { // else select might not look at it
		select {
		case <-w.parked:
			return nil
		case <-w.done:
			return w.result.failure()
		case <-ctx.Done():
		}
	}
	_ = w.launched.Kill(unix.SIGKILL)
	<-w.done
	return fmt.Errorf("%w: the child was killed before it was parked", context.Cause(ctx))
}

func (w *Workload) awaitRunning(ctx context.Context) error {
	select {
	case <-w.started:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == Running || w.result.Ran {
		return nil
	}
	return w.result.failure()
}

// next gives the parked child a batch and waits until it is parked again.
func (w *Workload) next(ctx context.Context, list steps) error {
	if len(list) == 0 {
		return nil
	}
	if err := w.send(list); err != nil {
		return err
	}
	return w.awaitParked(ctx)
}

func (w *Workload) send(list steps) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.ended() {
		return w.result.failure()
	}
	w.current, w.stamps.done = list, false
	w.unborn += clones(list)
	if err := w.launched.Continue(list); err != nil {
		return fail(StageAgent, "", err)
	}
	return nil
}

// Proceed lets the workload go. It returns nil once the program runs: execve
// has succeeded. If a last step fails the workload has ended, and the error is
// an [*Error] that says which. If ctx ends first the outcome is open: ask Wait.
func (w *Workload) Proceed(ctx context.Context) error {
	w.verb.Lock()
	defer w.verb.Unlock()
	if err := w.leave(Parked, Proceeding); err != nil {
		return err
	}
	// Its pid is not used any more as that of a process which cannot be reaped.
	w.launched.Unhold()
	if err := w.send(w.plan.final.steps); err != nil {
		return err
	}
	go w.watchExec()
	if err := w.handListener(ctx); err != nil {
		return err
	}
	return w.awaitRunning(ctx)
}

// leave moves from one state to the next, or says why not.
func (w *Workload) leave(from, to State) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == from {
		w.state = to
		if to == Proceeding {
			w.record(Event{Kind: EventProceeding})
			w.enterPhase(PhaseExec)
		}
		return nil
	}
	if w.state.ended() {
		return w.result.failure()
	}
	return fmt.Errorf("%w: it is %s", ErrNotParked, w.state)
}

// Abort ends a workload that is parked, or still on its way there, without it
// ever running, and returns when it is gone. It is refused once the workload
// proceeds: use Signal then.
func (w *Workload) Abort(ctx context.Context) error {
	if w.abortSpawning() {
		return w.awaitDone(ctx)
	}
	w.verb.Lock()
	defer w.verb.Unlock()
	if err := w.leave(Parked, Aborted); err != nil {
		return err
	}
	w.launched.Abort()
	w.thaw()
	return w.awaitDone(ctx)
}

// abortSpawning kills a child that is not parked yet.
func (w *Workload) abortSpawning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != Spawning {
		return false
	}
	w.abort = true
	_ = w.launched.Kill(unix.SIGKILL)
	w.thaw()
	return true
}

// Kill sends SIGKILL through the agent, in any state; a workload that has ended
// is left alone. The result then says in which state it was killed.
func (w *Workload) Kill() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.ended() {
		return nil
	}
	defer w.thaw()
	return w.launched.Kill(unix.SIGKILL)
}

// Wait returns how the workload ended. Any number of goroutines may wait, also
// after the end. If ctx ends first the workload is left alone.
func (w *Workload) Wait(ctx context.Context) (Result, error) {
	select {
	case <-w.done:
		return *w.result, nil
	default:
	}
	w.launched.Spin()
	select {
	case <-w.done:
		return *w.result, nil
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

// Done is closed when the workload has ended.
func (w *Workload) Done() <-chan struct{} { return w.done }

// HostPID is the workload's process id as the host sees it, 0 before the child
// exists. It may be used while the workload is parked or running; a parked one
// is not reaped, so its pid is not given to another process.
func (w *Workload) HostPID() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pid
}

// Info is a snapshot of a workload.
type Info struct {
	State   State    `json:"state"`
	HostPID int      `json:"host_pid"`
	PID     int      `json:"pid"` // inside its pid namespace; 0 if it has ended
	Args    []string `json:"args"`
	// Dropped names what a best-effort part of the request left out, since
	// this kernel lacks it.
	Dropped []string `json:"dropped,omitempty"`
}

// Info returns what is known now, also after the end.
func (w *Workload) Info() Info {
	w.mu.Lock()
	i := Info{State: w.state, HostPID: w.pid, Args: w.plan.cfg.Args, Dropped: w.plan.dropped}
	w.mu.Unlock()
	if !i.State.ended() && i.HostPID > 0 {
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(i.HostPID) + "/status"); err == nil {
			if _, rest, ok := strings.Cut(string(b), "\nNSpid:"); ok {
				line, _, _ := strings.Cut(rest, "\n")
				f := strings.Fields(line)
				i.PID, _ = strconv.Atoi(f[len(f)-1])
			}
		}
	}
	return i
}

// PIDFD returns a new descriptor of the process, to be closed by the caller.
func (w *Workload) PIDFD() (*os.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pidfd < 0 {
		return nil, ErrEnded
	}
	fd, err := unix.FcntlInt(uintptr(w.pidfd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// openProc opens a file of the child's /proc directory, which is pinned, so
// that it is the child's or none.
func (w *Workload) openProc(name string) (int, error) { return w.openProcAt(name, unix.O_RDONLY) }

func (w *Workload) openProcAt(name string, flags int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pidfd < 0 {
		return -1, w.result.failure()
	}
	if w.procDir < 0 {
		dir, err := unix.Open("/proc/"+strconv.Itoa(w.pid), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		w.procDir = dir
	}
	return unix.Openat(w.procDir, name, flags|unix.O_CLOEXEC, 0)
}
