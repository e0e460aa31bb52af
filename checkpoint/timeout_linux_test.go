package checkpoint

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Each phase has its limit, and an error that names it.
func TestTimeouts(t *testing.T) {
	const short = 30 * time.Millisecond
	l := newLauncher(t)
	check := func(t *testing.T, err error, phase Phase) {
		t.Helper()
		var e *TimeoutError
		if !errors.As(err, &e) || e.Phase != phase || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want a timeout in phase %s", err, phase)
		}
	}
	fifo := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("spawn", func(t *testing.T) {
		needRoot(t)
		// A step of the host that takes longer than it may.
		w, err := l.prepare(&Config{Args: []string{"/bin/true"}}, &Options{Timeouts: Timeouts{Spawn: short}})
		if err != nil {
			t.Fatal(err)
		}
		w.plan.host = []hostStep{{StageNetwork, "slow", func(w *Workload) error { <-w.done; return nil }}}
		check(t, w.spawn(bg), PhaseSpawn)
		if r := result(t, w); r.State != Failed || r.Ran {
			t.Errorf("%+v", r)
		}
	})
	t.Run("parked", func(t *testing.T) {
		w := spawn(t, l, Config{}, &Options{Timeouts: Timeouts{Parked: short}})
		r := result(t, w)
		check(t, r.Err, PhaseParked)
		if r.State != Failed || r.Ran || r.During != Parked {
			t.Errorf("%+v", r)
		}
		check(t, w.Proceed(bg), PhaseParked)
	})
	t.Run("exec", func(t *testing.T) {
		// chdir into a FIFO does not block, but its execve does not come: the
		// child is stopped before it.
		w := spawn(t, l, Config{}, &Options{Timeouts: Timeouts{Exec: short}})
		if err := unix.Kill(w.HostPID(), unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for e := range w.Events(bg, 0) {
			if e.Kind == EventStopped {
				break
			}
		}
		check(t, w.Proceed(bg), PhaseExec)
		if r := result(t, w); r.State != Failed || r.Ran || r.During != Proceeding {
			t.Errorf("%+v", r)
		}
	})
	t.Run("run", func(t *testing.T) {
		for name, start := range map[string]func(context.Context, *Config, *Options) (*Workload, error){"Start": l.Start, "Go": l.Go} {
			w, err := start(bg, &Config{Args: []string{"/bin/sleep", "1000"}}, &Options{Timeouts: Timeouts{Spawn: time.Minute, Run: short}})
			if err != nil {
				t.Fatal(err)
			}
			r := result(t, w)
			if r.Timeout == nil || r.State != Signaled || r.Signal != unix.SIGKILL {
				t.Fatalf("%s: %+v", name, r)
			}
			check(t, r.Timeout, PhaseRun)
			if want := "timeout of 30ms in phase run: killed by SIGKILL"; r.String() != want {
				t.Errorf("%q; want %q", r, want)
			}
		}
	})
	t.Run("run, then asked", func(t *testing.T) {
		w, err := l.Start(bg, &Config{Args: []string{"/bin/sleep", "1000"}}, &Options{Timeouts: Timeouts{Run: short, Exit: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		r := result(t, w)
		if r.Timeout == nil || r.Signal != unix.SIGTERM {
			t.Fatalf("%+v", r)
		}
		check(t, r.Timeout, PhaseRun)
	})
	t.Run("exit", func(t *testing.T) {
		w, err := l.Start(bg, &Config{Args: []string{"/bin/sleep", "1000"}, IgnoreSignals: []int{int(unix.SIGTERM)}}, &Options{Timeouts: Timeouts{Run: short, Exit: short}})
		if err != nil {
			t.Fatal(err)
		}
		r := result(t, w)
		if r.Timeout == nil || r.Signal != unix.SIGKILL {
			t.Fatalf("%+v", r)
		}
		check(t, r.Timeout, PhaseExit)
		if s := r.String(); !strings.Contains(s, "phase run, then") || !strings.Contains(s, "phase exit") {
			t.Error(s)
		}
	})
	t.Run("in time", func(t *testing.T) {
		all := Timeouts{time.Minute, time.Minute, time.Minute, time.Minute, time.Minute}
		if r, err := l.Run(bg, &Config{Args: []string{"/bin/true"}}, &Options{Timeouts: all}); err != nil || r.State != Exited || r.Timeout != nil {
			t.Errorf("%+v %v", r, err)
		}
	})
	t.Run("negative", func(t *testing.T) {
		if _, err := l.Start(bg, &Config{Args: []string{"/bin/true"}}, &Options{Timeouts: Timeouts{Exec: -1}}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%v; want EINVAL", err)
		}
	})
}

func TestStop(t *testing.T) {
	l := newLauncher(t)
	start := func(cfg Config) *Workload {
		t.Helper()
		cfg.Args = []string{"/bin/sleep", "1000"}
		w, err := l.Start(bg, &cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	for name, tt := range map[string]struct {
		w    *Workload
		want unix.Signal
	}{
		"obeys":   {start(Config{}), unix.SIGTERM},
		"ignores": {start(Config{IgnoreSignals: []int{int(unix.SIGTERM)}}), unix.SIGKILL},
		"parked":  {spawn(t, l, Config{}, nil), unix.SIGKILL},
	} {
		if err := tt.w.Stop(bg, 100*time.Millisecond); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r := result(t, tt.w); r.Signal != tt.want {
			t.Errorf("%s: %s; want %s", name, r, unix.SignalName(tt.want))
		}
		if err := tt.w.Stop(bg, time.Second); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
	}
}
