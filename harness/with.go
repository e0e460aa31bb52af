package harness

import (
	"context"
	"errors"

	"github.com/holdshort/holdshort/checkpoint"
)

// With makes a runner that launches with another launcher, which somebody else
// has started, and sees with the same observer: r has to be closed after it. What
// its workloads inherit is what the caller of that launcher had.
//
// It takes the launcher over, also if it fails: Close ends it.
func (r *Runner) With(ctx context.Context, l *checkpoint.Launcher) (*Runner, error) {
	m := *r.machine
	m.labels = labelsOf(l.AgentPID())
	own := &Runner{
		launcher: l, machine: &m, proc: r.proc, drift: r.drift, confirm: r.confirm, plan: r.plan, ProbesErr: r.ProbesErr, borrowed: true,
	}
	if r.observer == nil {
		return own, nil
	}
	c, err := own.watch(ctx, r.observer)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	own.observer, own.children = r.observer, c
	return own, nil
}
