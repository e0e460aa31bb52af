package checkpoint

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// quick is a policy whose waits a test can afford.
func quick(r Restart) Policy {
	return Policy{Restart: r, Backoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond}
}

func TestSupervise_Restart(t *testing.T) {
	l := newLauncher(t)
	for name, tt := range map[string]struct {
		args    []string
		restart Restart
		want    int // restarts
		err     error
	}{
		"never, success":      {[]string{"/bin/true"}, RestartNever, 0, nil},
		"never, failure":      {[]string{"/bin/false"}, RestartNever, 0, nil},
		"on failure, success": {[]string{"/bin/true"}, RestartOnFailure, 0, nil},
		"on failure, failure": {[]string{"/bin/false"}, RestartOnFailure, 3, ErrRestarts},
		"on failure, killed":  {[]string{"/bin/sh", "-c", "kill -9 $$"}, RestartOnFailure, 3, ErrRestarts},
		"on failure, no such": {[]string{"/nonexistent"}, RestartOnFailure, 3, ErrRestarts},
		"always, success":     {[]string{"/bin/true"}, RestartAlways, 3, ErrRestarts},
	} {
		t.Run(name, func(t *testing.T) {
			p := quick(tt.restart)
			p.MaxRestarts = 3
			var ends, runs int
			p.Started = func(*Workload) { runs++ }
			p.Ended = func(Result, time.Duration) { ends++ }
			s, err := l.Supervise(bg, &Config{Args: tt.args}, nil, p)
			if !errors.Is(err, tt.err) || s.Restarts != tt.want || ends != tt.want+1 {
				t.Errorf("%d restarts, %d ends, %v; want %d, %v", s.Restarts, ends, err, tt.want, tt.err)
			}
			if tt.args[0] != "/nonexistent" && runs != ends {
				t.Errorf("%d runs, %d ends", runs, ends)
			}
			if l.Live() != 0 {
				for end := time.Now().Add(time.Minute); l.Live() != 0 && time.Now().Before(end); {
				}
				if n := l.Live(); n != 0 {
					t.Errorf("%d left", n)
				}
			}
		})
	}
}

func TestSupervise_Stops(t *testing.T) {
	l := newLauncher(t)
	for name, tt := range map[string]struct {
		cfg  Config
		want unix.Signal
	}{
		"obeys":   {Config{Args: []string{"/bin/sleep", "1000"}}, unix.SIGTERM},
		"ignores": {Config{Args: []string{"/bin/sleep", "1000"}, IgnoreSignals: []int{15}}, unix.SIGKILL},
	} {
		ctx, cancel := context.WithCancelCause(bg)
		cause := errors.New("enough")
		p := quick(RestartAlways)
		p.Grace = 50 * time.Millisecond
		p.Started = func(*Workload) { cancel(cause) }
		s, err := l.Supervise(ctx, &tt.cfg, nil, p)
		if !errors.Is(err, cause) || s.Last.Signal != tt.want || s.Restarts != 0 {
			t.Errorf("%s: %+v %v", name, s, err)
		}
	}
	// While it waits to start again.
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	p := Policy{Restart: RestartAlways, Backoff: time.Hour, MaxBackoff: time.Hour}
	p.Ended = func(Result, time.Duration) { cancel() }
	if _, err := l.Supervise(ctx, &Config{Args: []string{"/bin/true"}}, nil, p); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What can never succeed is not tried again.
func TestSupervise_GivesUp(t *testing.T) {
	l := newLauncher(t)
	var e *Error
	if _, err := l.Supervise(bg, &Config{}, nil, quick(RestartAlways)); !errors.As(err, &e) || e.Stage != StageConfig {
		t.Errorf("no program: %v", err)
	}
	if _, err := l.Supervise(bg, &Config{Args: []string{"/bin/true"}}, nil, Policy{Restart: "sometimes"}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("policy: %v; want EINVAL", err)
	}
	p := quick(RestartAlways)
	p.Started = func(*Workload) { _ = unix.Kill(l.AgentPID(), unix.SIGKILL) }
	if _, err := l.Supervise(bg, &Config{Args: []string{"/bin/sleep", "1000"}}, nil, p); !errors.As(err, &e) || e.Stage != StageAgent {
		t.Errorf("agent killed: %v; want the stage agent", err)
	}
}

// A run that lasted forgets what was before it.
func TestSupervise_HealthyResets(t *testing.T) {
	l := newLauncher(t)
	p := quick(RestartAlways)
	p.Healthy, p.MaxRestarts = time.Nanosecond, 1
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	var waits []time.Duration
	p.Ended = func(_ Result, wait time.Duration) {
		if waits = append(waits, wait); len(waits) == 5 {
			cancel()
		}
	}
	if s, err := l.Supervise(ctx, &Config{Args: []string{"/bin/true"}}, nil, p); !errors.Is(err, context.Canceled) || s.Restarts != 4 {
		t.Errorf("%+v %v", s, err)
	}
	if slices.Max(waits) != time.Millisecond {
		t.Errorf("waits %v; want the first one each time", waits)
	}
}

func TestBackoff(t *testing.T) {
	p := Policy{Backoff: time.Second, MaxBackoff: 5 * time.Second, Jitter: 0.5, Seed: 7}
	seq := func() (all []time.Duration) {
		for b := newBackoff(&p); len(all) < 6; {
			all = append(all, b.next())
		}
		return all
	}
	one := seq()
	if two := seq(); !slices.Equal(one, two) {
		t.Errorf("one seed, two sequences: %v %v", one, two)
	}
	for i, bare := range []time.Duration{1, 2, 4, 5, 5, 5} {
		if d := bare * time.Second; one[i] > d || one[i] < d/2 {
			t.Errorf("wait %d is %s; want %s to %s", i, one[i], d/2, d)
		}
	}
	p.Seed++
	if two := seq(); slices.Equal(one, two) {
		t.Error("another seed, the same sequence")
	}
}
