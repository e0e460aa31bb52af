package procfs

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// Held is a process that was read and that cannot run until it is let go. Its
// methods are for one goroutine.
type Held struct {
	pid  int
	t    *tracer
	stop int
	p    *posture.Posture
	ip   posture.Value[uint64]
	// spoiled: the thread must not be used for another process.
	spoiled bool
}

// Hold takes hold of a process that SIGSTOP has stopped or is about to stop, by
// its number in the caller's pid namespace, and reads its posture. The caller
// must know that the number cannot be given to another process meanwhile, since
// it is the parent or the parent is its own, and ends the hold with
// [Held.Continue] or [Held.Leave].
//
// While the stop is still to come, here is called now and then (it may be nil);
// an error of it ends the wait, and so does ctx.
//
// It fails with ESRCH if the process ended, with EPERM if it may not be traced
// (that takes CAP_SYS_PTRACE over its user namespace, and that nobody else
// traces it), and if it was continued before it could be held. Then nothing
// holds it any more; whether it is stopped is as before.
func (r *Reader) Hold(ctx context.Context, pid int, here func() error) (*Held, error) {
	h := &Held{pid: pid, t: getTracer()}
	var err error
	left := false
	h.t.do(func() { left, err = h.take(ctx, r, here) })
	switch {
	case err == nil:
		return h, nil
	case left:
		h.t.put()
	default:
		h.t.end()
	}
	h.t = nil
	return nil, fmt.Errorf("procfs: hold process %d: %w", pid, err)
}

// take does the work, on the tracer's thread. left says that after a failure
// nothing is traced any more.
func (h *Held) take(ctx context.Context, r *Reader, here func() error) (left bool, err error) {
	t, err := r.open(h.pid)
	if err != nil {
		return true, err
	}
	defer t.close()
	// Once it is traced by us, nobody can see who else might have been.
	if err := t.status(); err != nil {
		return true, err
	}
	tracer := t.p.Process.Tracer
	if err := sys.Seize(h.pid); err != nil {
		if dead := t.alive(); dead != nil { // EPERM, too (ptrace_attach, kernel/ptrace.c)
			err = dead
		}
		return true, err
	}
	if h.stop, err = await(ctx, h.pid, here); err != nil {
		return false, err
	}
	if ip, err := sys.InstructionPointer(h.pid); err != nil {
		h.ip = posture.Unreadable[uint64](err.Error())
	} else {
		h.ip = posture.Known(ip)
	}
	t.traced = true
	if err := t.all(); err != nil {
		return false, err
	}
	// /proc goes on to answer for a process that was killed, with less and less.
	if _, err := sys.Sigmask(h.pid); err != nil {
		return false, err
	}
	h.p, h.spoiled = t.p, t.strayed
	h.p.Process.Tracer = tracer
	return false, nil
}

// Posture is what was read; it must not be changed.
func (h *Held) Posture() *posture.Posture { return h.p }

// Stopped reports whether the process was stopped already when it was taken hold
// of, so that its parent may have been told. Otherwise it never will be.
func (h *Held) Stopped() bool { return h.stop == groupStop }

// IP is the user instruction pointer.
func (h *Held) IP() posture.Value[uint64] { return h.ip }

// Continue lets the process run on as if it had never been stopped. pending are
// the signals that were pending before the stop (bit n-1 is signal n): only if
// SIGCONT was one, it is left so.
//
// It fails with ESRCH if the process was killed meanwhile.
func (h *Held) Continue(pending uint64) error {
	return h.end(func() error { return resume(h.pid, h.stop, pending&sigcont != 0) })
}

// Leave lets go of the process and leaves it stopped.
func (h *Held) Leave() error {
	return h.end(func() error {
		if h.stop == delivery {
			if err := unix.Kill(h.pid, unix.SIGSTOP); err != nil {
				return err
			}
		}
		return sys.Detach(h.pid)
	})
}

func (h *Held) end(let func() error) error {
	if h.t == nil {
		return nil
	}
	var err error
	h.t.do(func() { err = let() })
	t := h.t
	h.t = nil
	if err != nil || h.spoiled {
		// Most likely it was killed, and only the end of its tracer lets
		// its parent have the report of that.
		t.end()
	} else {
		t.put()
	}
	if err != nil {
		return fmt.Errorf("procfs: let process %d go: %w", h.pid, err)
	}
	return nil
}
