package checkpoint

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// How a workload follows its child, from what the agent reports of it to the
// one terminal event.

// onEvent follows the child. It runs on the agent's reader.
func (w *Workload) onEvent(ev *agent.Event, fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev.Kind {
	case agent.Spawned:
		w.spawned(ev, fd)
	case agent.Parked, agent.Running:
		// A child is reported by its parent, and may be faster than that.
		if w.unborn > 0 {
			w.early = append(w.early, ev.Kind)
			return
		}
		w.follow(ev.Kind)
	case agent.ExecPipe:
		if w.state.ended() {
			unix.Close(fd)
			return
		}
		w.execFD = fd
		go w.watchExec()
	case agent.Refused:
		e := fail(StageClone, "", unix.Errno(ev.Code))
		e.Hint = hint(StageClone, "", unix.Errno(ev.Code))
		w.end(Result{State: Failed, Err: e})
	case agent.Stopped:
		w.record(Event{Kind: EventStopped, Signal: syscall.Signal(ev.Code)})
	case agent.Continued:
		w.record(Event{Kind: EventContinued})
	case agent.Exited:
		if w.state == Proceeding && w.watched && ev.Flags&agent.Execed != 0 {
			w.follow(agent.Running) // it was faster than the watch
		}
		w.end(w.exited(ev))
		if ev.Flags&agent.Held != 0 && !w.leaving { // else its new parent is to reap it
			go w.launched.Release()
		}
	case 0:
		w.orphaned()
	}
}

func (w *Workload) spawned(ev *agent.Event, fd int) {
	if w.result.State.ended() {
		unix.Close(fd)
		return
	}
	if w.unborn--; w.pidfd >= 0 && int(ev.PID) != w.launched.SecondPID() {
		unix.Close(fd) // the agent's report of the first half, overtaken by that half's own of the second
	} else {
		w.closeFDs()
		w.pid, w.pidfd = int(ev.PID), fd
	}
	if w.unborn > 0 {
		return
	}
	w.record(Event{Kind: EventSpawned})
	if w.state == Proceeding && w.ready == nil && len(w.log.events) == 1 {
		w.record(Event{Kind: EventProceeding})
		w.enterPhase(PhaseExec)
	}
	for _, k := range w.early {
		w.follow(k)
	}
	w.early = nil
}

// follow takes in what the child did once it is known who that is.
func (w *Workload) follow(k agent.EventKind) {
	if k == agent.Parked {
		w.stampParked()
		select {
		case w.parked <- struct{}{}:
		default:
		}
		return
	}
	w.state = Running
	w.record(Event{Kind: EventRunning})
	w.enterPhase(PhaseRun)
	w.flush()
	close(w.started)
}

// exited turns the end of the child into a result.
func (w *Workload) exited(ev *agent.Event) Result {
	out := w.launched.Outcome()
	w.stampEnd()
	w.pid = int(ev.PID)
	r := Result{HostPID: w.pid, During: w.state, Rusage: out.Rusage, Ran: ev.Flags&agent.Execed != 0, Err: w.cause}
	switch {
	case w.abort && !r.Ran:
		r.State, r.Err = Aborted, nil
	case r.Err != nil:
		r.State = Failed
	case out.State == agent.StateFailed:
		r.State, r.Err = Failed, w.failed(w.current, out, true)
	case out.State == agent.StateAgentFailed:
		r.State, r.Err = Failed, w.failed(w.plan.agent.steps, out, false)
	case w.state == Aborted:
		r.State = Aborted
	case ev.How == cldExited:
		r.State, r.ExitCode = Exited, int(ev.Code)
		if !r.Ran {
			r.State = Failed
			r.Err = fail(StageAgent, "", fmt.Errorf("child exited with %d before its program ran", ev.Code))
		}
	default:
		r.State, r.Signal, r.Core = Signaled, syscall.Signal(ev.Code), ev.How == cldDumped
	}
	return r
}

// si_code of SIGCHLD, sigaction(2).
const (
	cldExited = 1
	cldDumped = 3
)

// failed names the operation that failed.
func (w *Workload) failed(list steps, out agent.Outcome, child bool) *Error {
	if out.PC >= len(list) {
		return fail(StageAgent, "", fmt.Errorf("operation %d: %w", out.PC, out.Err))
	}
	s := list[out.PC]
	e := &Error{Stage: s.stage, Index: s.index, Object: s.object, Child: child, Err: out.Err}
	if s.stage == StageExec {
		// As execvp(3): a candidate that may not be executed outweighs one that is missing.
		for i := range list[:out.PC] {
			if res, done := w.launched.Result(i); done && list[i].stage == StageExec && res == -int64(unix.EACCES) {
				e.Err, e.Object = unix.EACCES, list[i].object
			}
		}
	}
	if errno, ok := errors.AsType[unix.Errno](e.Err); ok {
		e.Hint = hint(e.Stage, e.Object, errno)
		if e.Stage == StageExec && errno == unix.EACCES && w.plan.cfg.Landlock != nil {
			e.Hint += "; or Landlock forbids it: the program and its interpreter need \"execute\" and \"read_file\""
		}
	}
	return e
}

// orphaned: the agent is gone and with it whoever would reap. The child is
// killed through its pidfd, so that nothing runs unsupervised.
func (w *Workload) orphaned() {
	if w.state.ended() {
		return
	}
	if w.leaving {
		w.end(Result{State: Left, HostPID: w.pid, During: w.state})
		return
	}
	r := Result{State: Failed, HostPID: w.pid, During: w.state, Ran: w.state == Running}
	err := fmt.Errorf("%w while the workload was %s", ErrAgentDied, w.state)
	if w.pidfd < 0 {
		w.pid, w.pidfd = w.launched.Orphan()
		r.HostPID = w.pid
	}
	if w.pidfd >= 0 {
		_ = unix.PidfdSendSignal(w.pidfd, unix.SIGKILL, nil, 0)
		if endedWithin(w.pidfd, 5*time.Second) {
			err = fmt.Errorf("%w; the workload was killed", err)
		} else {
			err = fmt.Errorf("%w; the workload was sent SIGKILL but has not ended after 5 s", err)
		}
	}
	r.Err = fail(StageAgent, "", err)
	w.end(r)
}

// endedWithin waits for the end of a process that is not ours to reap.
func endedWithin(pidfd int, limit time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for end := time.Now().Add(limit); ; {
		n, err := unix.Poll(poll, int(max(time.Until(end).Milliseconds(), 0)))
		if err != unix.EINTR {
			return n == 1
		}
	}
}

func (w *Workload) closeFDs() {
	for _, fd := range []*int{&w.pidfd, &w.procDir} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

func (w *Workload) closeExec() {
	if w.execFD >= 0 {
		unix.Close(w.execFD)
		w.execFD = -1
	}
}

// end records the one terminal event.
func (w *Workload) end(r Result) {
	if w.result.State.ended() {
		return
	}
	w.closeFDs()
	w.closeExec()
	if w.clock != nil {
		w.clock.Stop()
	}
	if w.state != Running {
		defer close(w.started)
	}
	r.Timeout, r.Phases, r.Stops = w.timeout, w.phases(time.Now()), w.stops()
	w.state, w.result = r.State, &r
	p := w.plan
	if len(p.made)+len(w.veths) == 0 && p.deviceProgram == nil && p.opts.Relay == nil && !w.oomKills.Set {
		w.over()
		return
	}
	go func() {
		var oom Option[bool]
		if n, ok := p.cfg.Cgroup.oomKills(); ok && w.oomKills.Set {
			oom = Some(n > w.oomKills.Value)
		}
		removeVeths(w.veths)
		err := p.undo()
		if p.opts.Relay != nil {
			p.opts.Relay.Drain()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.result.OOM = oom
		if w.result.Err == nil {
			w.result.Err = err
		}
		w.over()
	}()
}

// over is the one terminal event. The caller holds w.mu.
func (w *Workload) over() {
	r := w.result
	w.record(Event{Kind: EventKind(r.State), HostPID: r.HostPID, Signal: r.Signal, ExitCode: r.ExitCode, Err: r.Err})
	close(w.done)
}
