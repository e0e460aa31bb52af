package checkpoint

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signal sends a signal to the workload's process, never to a process that has
// got its pid since. It is refused before the program runs ([ErrNotRunning];
// Abort ends a parked one, SignalWhenRunning waits) and after the end
// ([ErrEnded]); otherwise it answers what pidfd_send_signal(2) does.
func (w *Workload) Signal(sig syscall.Signal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != Running && !w.state.ended() {
		return fmt.Errorf("%w: it is %s", ErrNotRunning, w.state)
	}
	return w.signal(sig)
}

// signal is for a workload that runs, or has. The caller holds w.mu.
func (w *Workload) signal(sig syscall.Signal) error {
	if w.state.ended() {
		return fmt.Errorf("%w: %s", ErrEnded, w.result)
	}
	err := unix.PidfdSendSignal(w.pidfd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: it is ending", ErrEnded)
	}
	return err
}

// maxPending bounds the signals that wait for a program to run.
const maxPending = 1024

// SignalWhenRunning is Signal for a workload that need not run yet: the signal
// is kept, and sent when execve has succeeded, before anybody learns that the
// workload runs, and after those that were kept before it. Nil means "sent" for
// a running workload and "kept" for another; what never runs gets none, and the
// kernel's answer to a kept signal is not told.
//
// SIGKILL is kept like any other: it ends the program, not the checkpoint. To
// end a workload that does not run yet use Abort or Kill. What the kernel makes
// of several pending signals is its own: equal ones below 32 become one, and
// lower numbers are taken first (signal(7)).
//
// A workload of [Launcher.Go] is not watched for execve, and takes none
// ([ErrNotRunning]).
func (w *Workload) SignalWhenRunning(sig syscall.Signal) error {
	if sig < 1 || sig > 64 {
		return fmt.Errorf("signal %d: %w", sig, unix.EINVAL)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.state == Running || w.state.ended():
		return w.signal(sig)
	case !w.watched:
		return fmt.Errorf("%w: its execve is not watched", ErrNotRunning)
	case len(w.pending) == maxPending:
		return fmt.Errorf("%d signals wait already: %w", maxPending, unix.EAGAIN)
	}
	w.pending = append(w.pending, sig)
	return nil
}

// flush sends what was kept. The caller holds w.mu, the workload runs.
func (w *Workload) flush() {
	for _, sig := range w.pending {
		_ = unix.PidfdSendSignal(w.pidfd, sig, nil, 0)
	}
	w.pending = nil
}
