package probes

import (
	"context"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
)

// peeked is the answer to a peek.
type peeked struct {
	head head
	body *body
	blob []byte // the front of cred->security
	err  error
}

// Options of the peek program, as in bpf/probes.bpf.c.
const (
	optCode = 1
	optArgs = 2
	optBody = 4
	optBlob = 8
)

// peek runs a program in the context of the calling thread that reads the task
// with this pid (0: the calling thread) and sends the result through the ring
// buffer. Without optBody it only identifies the task.
func (o *Observer) peek(ctx context.Context, pid int, opts uint64) (peeked, error) {
	p := o.objs.program("on_peek")
	if p == nil {
		return peeked{}, &Error{Op: "peek", Err: ErrNotSupported}
	}
	for wait := time.Millisecond; ; wait *= 2 {
		token := o.cookies.Add(1)
		ch := make(chan peeked, 1)
		o.mu.Lock()
		if o.done || o.failed != nil {
			o.mu.Unlock()
			return peeked{}, o.readerError()
		}
		o.waiting[token] = ch
		o.mu.Unlock()
		ret, err := p.Run(&ebpf.RunOptions{Context: [4]uint64{token, uint64(uint32(pid)), opts}})
		if err == nil && ret == 0 {
			if err := o.drain(); err != nil {
				return peeked{}, err
			}
			select {
			case r := <-ch:
				return r, r.err
			case <-o.closed:
				return peeked{}, o.readerError()
			case <-ctx.Done():
				o.forget(token)
				return peeked{}, ctx.Err()
			}
		}
		o.forget(token)
		if err != nil {
			return peeked{}, explain("peek", err)
		}
		// No buffer, or no room in the ring: make some.
		if err := o.drain(); err != nil {
			return peeked{}, err
		}
		if wait > 256*time.Millisecond {
			return peeked{}, &Error{Op: "peek", Err: fmt.Errorf("%w: the ring buffer stays full", ErrEvidence), Hint: "use a larger RingBufferBytes"}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return peeked{}, ctx.Err()
		}
	}
}

func (o *Observer) forget(token uint64) {
	o.mu.Lock()
	delete(o.waiting, token)
	o.mu.Unlock()
}

// Self reads the posture of the calling thread; lock the goroutine to its
// thread if it matters which one that is.
func (o *Observer) Self(ctx context.Context) (*Snapshot, error) {
	return o.snapshot(ctx, 0, optBody|optCode|optArgs)
}

// Snapshot reads the posture of a living process (its main thread), by its
// number in the caller's pid namespace. The process is not stopped meanwhile,
// so only one that is blocked, such as a parked one, is read at one instant.
// Its arguments and environment are unreadable: they lie in its own memory. It
// fails with ESRCH if there is no such process.
func (o *Observer) Snapshot(ctx context.Context, pid int) (*Snapshot, error) {
	if pid <= 0 {
		return nil, &Error{Op: "snapshot", Err: unix.EINVAL}
	}
	return o.snapshot(ctx, pid, optBody|optCode)
}

func (o *Observer) snapshot(ctx context.Context, pid int, opts uint64) (*Snapshot, error) {
	r, err := o.peek(ctx, pid, opts)
	if err != nil {
		return nil, err
	}
	if r.head.flags&bpf.ProbesHeadFlagHEAD_FOUND == 0 || r.body == nil {
		return nil, &Error{Op: fmt.Sprintf("snapshot of process %d", pid), Err: unix.ESRCH}
	}
	s := newSnapshot(AtNow, &r.head, r.body)
	s.Exec = 0
	return &s, nil
}
