package checkpoint

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Phase names a stretch of a workload's life in timeouts.
type Phase string

// The phases.
const (
	PhaseSpawn  Phase = "spawn"  // until it is parked
	PhaseParked Phase = "parked" // until it is let go
	PhaseExec   Phase = "exec"   // until its program runs
	PhaseRun    Phase = "run"    // until it has ended
	PhaseExit   Phase = "exit"   // from a request to end until it has
)

// Timeouts limit each phase of a workload's life; zero is no limit. A workload
// that takes longer is killed, with everything that [Workload.KillTree] can
// reach, and its result says in which phase that was.
type Timeouts struct {
	Spawn, Parked, Exec time.Duration
	// Run is how long the program may run. Then it gets SIGKILL, or, with
	// Exit, first SIGTERM and as long as Exit says.
	Run, Exit time.Duration
}

func (t *Timeouts) of(p Phase) time.Duration {
	switch p {
	case PhaseSpawn:
		return t.Spawn
	case PhaseParked:
		return t.Parked
	case PhaseExec:
		return t.Exec
	case PhaseRun:
		return t.Run
	}
	return t.Exit
}

func (t *Timeouts) validate() error {
	for _, p := range []Phase{PhaseSpawn, PhaseParked, PhaseExec, PhaseRun, PhaseExit} {
		if d := t.of(p); d < 0 {
			return fail(StageConfig, "", fmt.Errorf("timeout of %s in phase %s: %w", d, p, unix.EINVAL))
		}
	}
	return nil
}

// TimeoutError says which phase took too long. It matches
// [os.ErrDeadlineExceeded] and [context.DeadlineExceeded].
type TimeoutError struct {
	Phase  Phase
	After  time.Duration
	before *TimeoutError // exit: why it was asked to end
}

func (e *TimeoutError) Error() string {
	if e.before != nil {
		return fmt.Sprintf("timeout of %s in phase %s, then of %s in phase %s", e.before.After, e.before.Phase, e.After, e.Phase)
	}
	return fmt.Sprintf("timeout of %s in phase %s", e.After, e.Phase)
}

// Timeout is true, as the interface of package net has it.
func (e *TimeoutError) Timeout() bool { return true }

// Is matches the errors that other packages have for it.
func (e *TimeoutError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded
}

// enterPhase starts the clock of a phase and stops that of the last one. The
// caller holds w.mu.
func (w *Workload) enterPhase(p Phase) {
	if w.clock != nil {
		w.clock.Stop()
		w.clock = nil
	}
	limit := w.plan.opts.Timeouts.of(p)
	if limit == 0 || w.state.ended() {
		return
	}
	w.phase++
	n := w.phase
	w.clock = time.AfterFunc(limit, func() { w.timedOut(n, p, limit) })
}

// timedOut ends a workload whose phase took too long.
func (w *Workload) timedOut(n int, p Phase, after time.Duration) {
	w.mu.Lock()
	if n != w.phase || w.clock == nil || w.state.ended() {
		w.mu.Unlock()
		return
	}
	w.timeout = &TimeoutError{Phase: p, After: after, before: w.timeout}
	if p == PhaseRun && w.plan.opts.Timeouts.Exit > 0 {
		w.enterPhase(PhaseExit)
		_ = unix.PidfdSendSignal(w.pidfd, unix.SIGTERM, nil, 0)
		w.mu.Unlock()
		return
	}
	if p != PhaseRun && p != PhaseExit && w.cause == nil {
		w.cause = w.timeout
	}
	w.mu.Unlock()
	_, _ = w.KillTree(context.Background())
}

// Stop asks a running workload to end with SIGTERM, kills it with everything
// that [Workload.KillTree] reaches if it has not ended after the grace, and
// returns when it is gone. One that does not run yet is killed at once, since
// it has no program that could react; one that has ended is left alone.
func (w *Workload) Stop(ctx context.Context, grace time.Duration) error {
	if w.Signal(unix.SIGTERM) == nil && grace > 0 {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
		case <-t.C:
		}
	}
	_, err := w.KillTree(ctx)
	return err
}
