package probes

import (
	"context"
	"errors"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// NextFrozen waits until this process, or one that descends from it
// ([WatchOptions].Descendants), is about to stop at the entry point of an exec
// ([WatchOptions].Freeze), and returns that one's watch, which ends with this
// Watch. Each stop is told once, here or by [Watch.Frozen].
//
// It fails with ESRCH once the process and all that descend from it have ended,
// and with ctx's error if that ends first.
func (w *Watch) NextFrozen(ctx context.Context) (*Watch, error) {
	g, o := w.p.g, w.p.g.o
	for {
		if err := o.drain(); err != nil {
			return nil, err
		}
		o.mu.Lock()
		p, alive := w.p.frozenBelow()
		stir := g.stir
		o.mu.Unlock()
		switch {
		case p != nil:
			return &Watch{p: p}, nil
		case !alive:
			return nil, &Error{Op: "wait for a process to freeze", Err: unix.ESRCH}
		}
		if err := w.stirred(ctx, stir); err != nil {
			return nil, err
		}
	}
}

// stirred waits for the channel.
func (w *Watch) stirred(ctx context.Context, stir <-chan struct{}) error {
	o := w.p.g.o
	o.await(1)
	defer o.await(-1)
	// What was sent before we were known to wait wakes nobody.
	if err := o.drain(); err != nil {
		return err
	}
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		select {
		case <-stir:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-o.closed:
			return o.readerError()
		case <-timer.C:
			timer.Reset(pollEvery)
			if err := w.checkRests(); err != nil {
				return err
			}
		}
	}
}

// checkRests is checkRest for a whole family.
func (w *Watch) checkRests() error {
	var list []*process
	w.p.g.o.mu.Lock()
	for _, q := range w.p.g.procs {
		if q.mayRest() {
			list = append(list, q)
		}
	}
	w.p.g.o.mu.Unlock()
	for _, q := range list {
		if err := w.p.g.o.checkRest(q); err != nil {
			return err
		}
	}
	return nil
}

// frozenBelow takes the token of one that stops, and says whether there is any
// that could.
func (p *process) frozenBelow() (frozen *process, alive bool) {
	for _, q := range p.g.procs {
		if q != p && !q.descendsFrom(p) {
			continue
		}
		select {
		case <-q.frozen:
			return q, true
		default:
		}
		alive = alive || !q.rec.Ended
	}
	return nil, alive
}

// DescendsFrom reports whether the process was created by the other one, or by
// one that descends from it, as far as that was seen.
func (w *Watch) DescendsFrom(other *Watch) bool {
	o := w.p.g.o
	o.mu.Lock()
	defer o.mu.Unlock()
	return w.p.g == other.p.g && w.p.descendsFrom(other.p)
}

// Seal ends the watching for births: children that the parent creates from now
// on are not observed, and another watch may be set on it. Those created before
// stay watched, and so does what descends from them, until Close.
func (c *Children) Seal() error {
	c.seal.Do(func() {
		err := c.g.o.objs.parents.Delete(c.tgid)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			c.sealErr = explain("end the watch for births", err)
		}
	})
	return c.sealErr
}
