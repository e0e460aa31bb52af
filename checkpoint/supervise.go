package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// Restart says when a supervised workload is started again.
type Restart string

// The restart policies.
const (
	RestartNever     Restart = "never"
	RestartOnFailure Restart = "on-failure" // unless it exited with status 0
	RestartAlways    Restart = "always"
)

// Policy is how a workload is supervised. The zero Policy starts it once and
// stops it with SIGTERM, then SIGKILL after 5 seconds.
type Policy struct {
	Restart Restart
	// Backoff is waited before the first restart, and doubled for each
	// further one up to MaxBackoff: 100 ms and 1 minute if they are zero.
	Backoff, MaxBackoff time.Duration
	// Jitter is the part of each wait that is random, from 0 to 1, so that
	// many supervisors do not move in step. The same Seed gives the same
	// waits.
	Jitter float64
	Seed   uint64
	// Healthy forgets the restarts before a run that lasted as long; zero is
	// 10 seconds.
	Healthy time.Duration
	// MaxRestarts within Window give up; zero is no limit. A zero Window is
	// for ever.
	MaxRestarts int
	Window      time.Duration
	// Grace is the time between SIGTERM and the end of everything by SIGKILL
	// when ctx ends; zero is 5 seconds, negative kills at once.
	Grace time.Duration
	// Started is called with each workload once its program runs, before it
	// is waited for; it must not block.
	Started func(*Workload)
	// Ended is called with each result, and how long is waited before the
	// next start; negative if there is none.
	Ended func(r Result, wait time.Duration)
}

// ErrRestarts says that a supervised workload ended too often.
var ErrRestarts = errors.New("too many restarts")

// Supervised is the outcome of a supervision.
type Supervised struct {
	Last     Result // of the last run
	Restarts int
}

// Supervise starts cfg, and starts it again as the policy says each time it
// has ended. It returns nil when the policy wants no further run, an error that
// matches [ErrRestarts] when there were too many, the one of a launch that
// cannot succeed (its stage is "config" or its agent is gone), and that of ctx
// after a stop: then the workload got SIGTERM, its grace, and at last
// [Workload.KillTree]. What a run leaves behind is killed with the cgroup or
// the pid namespace that was made for it; without either it meets the next run.
//
// A launch that fails counts as a run that failed. The files of opts are given
// to every run.
func (l *Launcher) Supervise(ctx context.Context, cfg *Config, opts *Options, p Policy) (Supervised, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return Supervised{}, err
	}
	s := Supervised{}
	waits := newBackoff(&p)
	var starts []time.Time // of the restarts within the window
	for {
		begun := time.Now()
		r, err := l.supervised(ctx, cfg, opts, &p)
		if err != nil {
			return s, err
		}
		s.Last = r
		if ctx.Err() != nil {
			p.Ended(r, -1)
			return s, context.Cause(ctx)
		}
		if p.Restart == RestartNever || p.Restart == RestartOnFailure && r.State == Exited && r.ExitCode == 0 {
			p.Ended(r, -1)
			return s, nil
		}
		if time.Since(begun) >= p.Healthy {
			waits.reset()
			starts = nil
		}
		for len(starts) > 0 && p.Window > 0 && time.Since(starts[0]) > p.Window {
			starts = starts[1:]
		}
		if p.MaxRestarts > 0 && len(starts) >= p.MaxRestarts {
			p.Ended(r, -1)
			return s, fmt.Errorf("%w: %d, the last one %s", ErrRestarts, len(starts), r)
		}
		wait := waits.next()
		p.Ended(r, wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return s, context.Cause(ctx)
		}
		starts = append(starts, time.Now())
		s.Restarts++
	}
}

// supervised is one run. An error means that there is no point in another.
func (l *Launcher) supervised(ctx context.Context, cfg *Config, opts *Options, p *Policy) (Result, error) {
	w, err := l.Start(ctx, cfg, opts)
	var e *Error
	switch {
	case w != nil && err != nil && ctx.Err() != nil:
		// The launch was under way: it is ended below.
	case err != nil && (!errors.As(err, &e) || e.Stage == StageConfig || e.Stage == StageAgent):
		if w != nil {
			_, _ = w.KillTree(context.WithoutCancel(ctx))
		}
		return Result{}, err
	case err != nil && w == nil:
		return Result{State: Failed, Err: err}, nil
	case err == nil:
		p.Started(w)
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if err := w.Stop(context.WithoutCancel(ctx), p.Grace); err != nil {
			return Result{}, err
		}
	}
	return *w.result, nil
}

func (p Policy) withDefaults() Policy {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&p.Backoff, 100*time.Millisecond)
	or(&p.MaxBackoff, time.Minute)
	or(&p.Healthy, 10*time.Second)
	or(&p.Grace, 5*time.Second)
	if p.Restart == "" {
		p.Restart = RestartNever
	}
	if p.Started == nil {
		p.Started = func(*Workload) {}
	}
	if p.Ended == nil {
		p.Ended = func(Result, time.Duration) {}
	}
	return p
}

func (p *Policy) validate() error {
	bad := func(format string, args ...any) error {
		return fail(StageConfig, "", fmt.Errorf("policy: "+format+": %w", append(args, unix.EINVAL)...))
	}
	switch {
	case p.Restart != RestartNever && p.Restart != RestartOnFailure && p.Restart != RestartAlways:
		return bad("unknown restart %q", p.Restart)
	case p.Jitter < 0 || p.Jitter > 1:
		return bad("jitter %v is not in 0…1", p.Jitter)
	case p.Backoff < 0 || p.MaxBackoff < p.Backoff:
		return bad("backoff from %s to %s", p.Backoff, p.MaxBackoff)
	case p.MaxRestarts < 0 || p.Window < 0 || p.Healthy < 0:
		return bad("a limit is negative")
	}
	return nil
}

// backoff is a sequence of waits.
type backoff struct {
	p   *Policy
	rng *rand.Rand
	cur time.Duration
}

func newBackoff(p *Policy) *backoff {
	return &backoff{p: p, rng: rand.New(rand.NewPCG(p.Seed, 0)), cur: p.Backoff}
}

func (b *backoff) reset() { b.cur = b.p.Backoff }

// next is between the bare wait less its random part, and the bare wait.
func (b *backoff) next() time.Duration {
	d := b.cur
	if b.cur > b.p.MaxBackoff/2 {
		b.cur = b.p.MaxBackoff
	} else {
		b.cur *= 2
	}
	return d - time.Duration(b.rng.Float64()*b.p.Jitter*float64(d))
}
