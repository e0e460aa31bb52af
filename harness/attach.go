package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"golang.org/x/sys/unix"
)

// Attachment is the observation of an engine that somebody else has started.
type Attachment struct {
	e     *engineRun
	watch *probes.Watch
	stop  func()
	own   context.CancelFunc
}

// Attach watches a process that is about to become an engine: its next exec is
// the engine's, whose posture there is the caller's, and what it starts shall be
// the program of req. Held are only those that are watched with held.
//
// The caller closes the Attachment.
func (v *Verifier) Attach(ctx context.Context, req *request.Request, pid int, held bool, opts *VerifyOptions) (*Attachment, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	held = held && v.proc != nil
	e := v.engineRun(req, opts)
	e.unheld = !held
	w, err := v.observer.Watch(ctx, pid, watchAll(held))
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &Attachment{e: e, watch: w, stop: func() {}, own: cancel}
	if held {
		a.stop = e.holdAll(own, w)
	}
	return a, nil
}

// Close ends the observation. What is stopped goes on.
func (a *Attachment) Close() {
	a.own()
	a.stop()
	a.watch.Close()
}

// Ended waits for the end of the engine.
func (a *Attachment) Ended(ctx context.Context) error {
	_, err := a.watch.Final(ctx)
	return err
}

// Wait waits for the end of the engine and judges what it executed. A workload
// that goes on is judged by its first instruction.
func (a *Attachment) Wait(ctx context.Context) (*Case, error) {
	if err := a.Ended(ctx); err != nil {
		return nil, err
	}
	a.stop()
	a.stop = func() {}
	var err error
	a.e.records, err = family(a.watch, func(w *probes.Watch) (*probes.Record, error) {
		if w == a.watch {
			return w.Now()
		}
		return settled(ctx, w)
	})
	if err != nil {
		return nil, err
	}
	return a.e.judge(fmt.Sprintf("process %d", a.watch.PID())), nil
}

// settled waits until nothing more of the last exec is to come.
func settled(ctx context.Context, w *probes.Watch) (*probes.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, freezeWithin)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		rec, err := w.Now()
		if err != nil || rec.Ended || rec.Passed() || rec.Snapshot(probes.AtExec) == nil {
			return rec, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return rec, nil
		}
	}
}

// Created is a process that an engine has made ready and that will execute the
// workload once it is told to.
type Created struct {
	e     *engineRun
	watch *probes.Watch
	pid   int
	held  bool
}

// Created takes over, once the engine has ended, the process that it says will
// be the workload: its next exec is the one that is judged, whatever it is, and
// held there if that is wanted and the Verifier freezes. The Attachment may be
// closed.
func (a *Attachment) Created(ctx context.Context, pid int, held bool) (*Created, error) {
	rec, err := a.watch.Now()
	if err != nil {
		return nil, err
	}
	e := a.e
	e.records = []observed{{a.watch, rec}}
	e.unheld = e.v.proc == nil || !held
	w, err := e.v.observer.Watch(ctx, pid, &probes.WatchOptions{Freeze: !e.unheld})
	if err != nil {
		return nil, err
	}
	return &Created{e: e, watch: w, pid: pid, held: !e.unheld}, nil
}

// PID is the process.
func (c *Created) PID() int { return c.pid }

// Close ends the observation.
func (c *Created) Close() { c.watch.Close() }

// Wait waits for the exec, judges it, and lets it go on or, if so decided, kills
// it. It fails with ESRCH if the process ends without one.
func (c *Created) Wait(ctx context.Context) (*Case, error) {
	if c.held {
		rec, err := c.watch.Frozen(ctx)
		if err != nil {
			if !errors.Is(err, unix.ESRCH) {
				c.e.undecided(c.pid, err)
			}
			return nil, err
		}
		s := rec.Snapshot(probes.AtExec)
		if s == nil {
			c.e.undecided(c.pid, errUnseen)
			return nil, errUnseen
		}
		c.e.holdOne(ctx, c.watch, &candidate{observed: observed{c.watch, rec}, n: s.Exec, at: s.TimeNS})
	}
	rec, err := c.watch.Record(ctx)
	if err != nil {
		return nil, err
	}
	s := rec.Snapshot(probes.AtExec)
	if s == nil {
		return nil, fmt.Errorf("harness: process %d ended without executing anything: %w", c.pid, unix.ESRCH)
	}
	own := observed{c.watch, rec}
	cs := c.e.one(&candidate{observed: own, n: s.Exec, at: s.TimeNS})
	cs.certain(append(slices.Clip(c.e.records), own))
	cs.Meta.Executions = 1
	return cs, nil
}
