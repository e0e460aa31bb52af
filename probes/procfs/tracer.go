package procfs

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
)

// tracer is a thread that traces: the kernel takes requests about a tracee from
// nobody else.
type tracer struct {
	work chan func() (stay bool)
}

// idle keeps tracers for the next one: a new thread costs more than a reading.
var idle = make(chan *tracer, 8)

func getTracer() *tracer {
	select {
	case t := <-idle:
		return t
	default:
	}
	t := &tracer{work: make(chan func() bool)}
	t.start()
	return t
}

// start finds a thread that can be ended: Go keeps the process's first one
// (mexit, runtime/proc.go), and with it would stay whatever it traces.
func (t *tracer) start() {
	begun := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			t.start() // on another one, since this one is taken meanwhile
			close(begun)
			runtime.UnlockOSThread()
			return
		}
		close(begun)
		for f := range t.work { // never unlocked
			if !f() {
				return
			}
		}
	}()
	<-begun
}

// put gives the tracer back; it must not be used any more.
func (t *tracer) put() {
	select {
	case idle <- t:
	default:
		close(t.work)
	}
}

// do runs f on the tracer's thread.
func (t *tracer) do(f func()) {
	done := make(chan struct{})
	t.work <- func() bool { f(); close(done); return true }
	<-done
}

// end lets the thread go, and with it whatever it traces: the only way to let a
// tracee go that is in no stop.
func (t *tracer) end() {
	gone := make(chan struct{})
	t.work <- func() bool { close(gone); return false }
	<-gone
}

// The stops in which a tracee is found.
const (
	groupStop = int(unix.SIGSTOP) | unix.PTRACE_EVENT_STOP<<8 // stopped with its group
	delivery  = int(unix.SIGSTOP)                             // about to be
)

// errMoved: it does not stand still, so what is read of it is not of one
// instant, and not of this one.
var errMoved = errors.New("the process was continued by somebody else")

// await waits until a tracee is in the stop that SIGSTOP leads to, and says in
// which kind. Usually it is there already: a stopped task enters the tracing
// stop within PTRACE_SEIZE (ptrace_attach, kernel/ptrace.c).
func await(ctx context.Context, pid int, here func() error) (int, error) {
	for nap := 20 * time.Microsecond; ; nap = min(2*nap, time.Millisecond) {
		var ws unix.WaitStatus
		n, err := unix.Wait4(pid, &ws, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == pid && !ws.Stopped():
			return 0, unix.ESRCH
		case n == pid:
			stop := int(ws) >> 8
			if stop == groupStop || stop == delivery {
				return stop, nil
			}
			if stop > 64 {
				return 0, errMoved
			}
			if err := sys.ContWith(pid, stop); err != nil { // another signal came first
				return 0, err
			}
			continue
		}
		// It is on its way to the stop, or has gone on since.
		if here != nil {
			if err := here(); err != nil {
				return 0, err
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(nap):
		}
	}
}

// next waits for the next stop of a tracee that was made to go on, and that is
// known to have one before it gets to user mode.
func next(pid int) (int, error) {
	for {
		var ws unix.WaitStatus
		n, err := unix.Wait4(pid, &ws, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n != pid || !ws.Stopped():
			return 0, unix.ESRCH
		default:
			return int(ws) >> 8, nil
		}
	}
}

const sigcont = 1 << (unix.SIGCONT - 1)

// resume lets a tracee go on that is in one of the two stops, with no signal
// left behind. keep says that SIGCONT was pending already and has to be again.
//
// SIGCONT is the only end of a group's stop. It is sent while the task is still
// traced, for then it is not dropped as ignored on sending (sig_ignored,
// kernel/signal.c) and its arrival can be waited for. Unless it is blocked it
// is dropped on delivery, since after an execve there are no handlers. If it is
// blocked it would stay pending for the program to find, so it is delivered to
// the tracer instead, which takes it away: with the signal unblocked for as
// long as the task is in the kernel.
func resume(pid, stop int, keep bool) error {
	if stop == delivery {
		return sys.Detach(pid) // the stop itself is taken away
	}
	mask, err := sys.Sigmask(pid)
	if err != nil {
		return err
	}
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		return err
	}
	if mask&sigcont == 0 || keep {
		return sys.Detach(pid)
	}
	if err := sys.SetSigmask(pid, mask&^sigcont); err != nil {
		return errors.Join(err, sys.Detach(pid))
	}
	for range 8 { // the notice that the stop has ended, then the signal
		if err := sys.Cont(pid); err != nil {
			return err
		}
		got, err := next(pid)
		if err != nil {
			return err
		}
		if got == int(unix.SIGCONT) {
			break
		}
	}
	return errors.Join(sys.SetSigmask(pid, mask), sys.Detach(pid))
}
