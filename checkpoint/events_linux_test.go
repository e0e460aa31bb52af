package checkpoint

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kinds reads the events after seq until the terminal one.
func kinds(t testing.TB, w *Workload, seq int) []EventKind {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	var all []EventKind
	last := seq
	for e := range w.Events(ctx, seq) {
		if e.Seq <= last {
			t.Errorf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
		all = append(all, e.Kind)
	}
	if ctx.Err() != nil {
		t.Fatalf("no terminal event after %v", all)
	}
	return all
}

func TestEvents_EveryReaderGetsAll(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{Args: []string{"/bin/true"}}, nil)
	var wg sync.WaitGroup
	want := []EventKind{EventSpawned, EventParked, EventProceeding, EventRunning, "exited"}
	for range 8 {
		wg.Go(func() {
			if got := kinds(t, w, 0); !slices.Equal(got, want) {
				t.Errorf("early reader: %v; want %v", got, want)
			}
		})
	}
	proceed(t, w)
	wg.Wait()
	result(t, w)
	if got := kinds(t, w, 0); !slices.Equal(got, want) {
		t.Errorf("late reader: %v; want %v", got, want)
	}
	if got := kinds(t, w, 5); len(got) != 0 {
		t.Errorf("after the terminal event: %v", got)
	}
	var before time.Time
	for e := range w.Events(bg, 0) {
		if e.Time.Before(before) || e.HostPID != w.HostPID() {
			t.Errorf("event %+v after %s", e, before)
		}
		before = e.Time
	}
}

// A new owner goes on where the old one stopped, and misses nothing that came
// in between.
func TestEvents_HandOver(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	seq := 0
	for e := range w.Events(bg, 0) {
		if seq = e.Seq; e.Kind == EventParked {
			break
		}
	}
	proceed(t, w) // nobody reads
	if err := w.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for e := range w.Events(bg, 0) { // until the stop is there
		if e.Kind == EventStopped {
			break
		}
	}
	if err := w.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for e := range w.Events(bg, 0) {
		if e.Kind == EventContinued {
			break
		}
	}
	if err := w.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want := []EventKind{EventProceeding, EventRunning, EventStopped, EventContinued, "signaled"}
	if got := kinds(t, w, seq); !slices.Equal(got, want) {
		t.Errorf("new owner got %v; want %v", got, want)
	}
	r := result(t, w)
	if len(r.Stops) != 1 || r.Stops[0].Signal != unix.SIGSTOP || r.Stops[0].Continued.Before(r.Stops[0].At) {
		t.Errorf("stops %+v; want one by SIGSTOP, and continued", r.Stops)
	}
	p := r.Phases
	if p.Spawn <= 0 || p.Parked <= 0 || p.Exec <= 0 || p.Run <= 0 {
		t.Errorf("phases %+v; want all above zero", p)
	}
}

func TestEvents_OfEveryEnd(t *testing.T) {
	l := newLauncher(t)
	for name, tt := range map[string]struct {
		end  func(*Workload)
		want []EventKind
	}{
		"abort":         {func(w *Workload) { _ = w.Abort(bg) }, []EventKind{EventSpawned, EventParked, "aborted"}},
		"killed parked": {func(w *Workload) { _ = w.Kill() }, []EventKind{EventSpawned, EventParked, "signaled"}},
		"exec fails":    {func(w *Workload) { _ = w.Proceed(bg) }, []EventKind{EventSpawned, EventParked, EventProceeding, "failed"}},
		"agent killed":  {func(*Workload) { _ = unix.Kill(l.AgentPID(), unix.SIGKILL) }, []EventKind{EventSpawned, EventParked, "failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			l = newLauncher(t)
			w := spawn(t, l, Config{Args: []string{"/nonexistent"}}, nil)
			tt.end(w)
			result(t, w)
			if got := kinds(t, w, 0); !slices.Equal(got, tt.want) {
				t.Errorf("%v; want %v", got, tt.want)
			}
		})
	}
	// Unwatched and unparked launches have their events, too.
	l = newLauncher(t) // the other one is dead
	for name, start := range map[string]func(context.Context, *Config, *Options) (*Workload, error){"Start": l.Start, "Go": l.Go} {
		w, err := start(bg, &Config{Args: []string{"/bin/true"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []EventKind{EventSpawned, EventProceeding, EventRunning, "exited"}
		if name == "Go" {
			want = []EventKind{EventProceeding, "exited"}
		}
		if got := kinds(t, w, 0); !slices.Equal(got, want) {
			t.Errorf("%s: %v; want %v", name, got, want)
		}
	}
}

// The log is bounded, and keeps the beginning and the end.
func TestEvents_Bounded(t *testing.T) {
	w := &Workload{result: &unended, plan: &plan{}, pidfd: -1, procDir: -1, execFD: -1, done: make(chan struct{}), started: make(chan struct{})}
	w.plan.opts, w.plan.cfg = &Options{}, &Config{}
	w.mu.Lock()
	w.record(Event{Kind: EventSpawned})
	w.record(Event{Kind: EventParked})
	for range 10 * maxEvents {
		w.record(Event{Kind: EventStopped, Signal: unix.SIGSTOP})
		w.record(Event{Kind: EventContinued})
	}
	w.end(Result{State: Exited})
	w.end(Result{State: Signaled}) // there is only one end
	w.mu.Unlock()
	got := kinds(t, w, 0)
	if len(got) != maxEvents || got[0] != EventSpawned || got[1] != EventParked || got[len(got)-1] != "exited" || slices.Contains(got, "signaled") {
		t.Errorf("%d events, %v … %v", len(got), got[:2], got[len(got)-1])
	}
}

func TestEvents_ContextEnds(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	n := 0
	for range w.Events(ctx, 0) {
		if n++; n == 2 {
			cancel()
		}
	}
	if n != 2 {
		t.Errorf("%d events of a parked workload; want 2", n)
	}
}

func TestSignalWhenRunning(t *testing.T) {
	l := newLauncher(t)
	script := "trap 'echo usr1' USR1; trap 'echo term; exit 3' TERM; while :; do sleep 0.01; done"
	t.Run("kept until it runs", func(t *testing.T) {
		w := spawn(t, l, Config{Args: []string{"/bin/sleep", "1000"}}, nil)
		for _, sig := range []unix.Signal{unix.SIGCONT, unix.SIGTERM} {
			if err := w.SignalWhenRunning(sig); err != nil {
				t.Fatal(err)
			}
		}
		if s := w.Info().State; s != Parked {
			t.Fatalf("%s; want parked", s)
		}
		_ = w.Proceed(bg)
		if r := result(t, w); r.State != Signaled || r.Signal != unix.SIGTERM || !r.Ran {
			t.Errorf("%+v; want killed by SIGTERM after its program ran", r)
		}
		if err := w.SignalWhenRunning(unix.SIGTERM); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: %v; want ErrEnded", err)
		}
	})
	t.Run("SIGKILL does not kill the parked", func(t *testing.T) {
		w := spawn(t, l, Config{}, nil)
		if err := w.SignalWhenRunning(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(bg, &Config{Nice: Some(3)}); err != nil {
			t.Errorf("the parked workload: %v", err)
		}
		if err := w.Proceed(bg); err != nil && !errors.Is(err, ErrEnded) {
			t.Error(err)
		}
		if r := result(t, w); r.Signal != unix.SIGKILL || !r.Ran {
			t.Errorf("%+v; want killed once its program ran", r)
		}
	})
	t.Run("all of them", func(t *testing.T) {
		w := spawn(t, l, Config{BlockSignals: []int{34, 35}}, nil)
		for range 3 {
			_ = w.SignalWhenRunning(34)
		}
		_ = w.SignalWhenRunning(35)
		proceed(t, w)
		fd, err := w.openProc("status")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, _ := unix.Read(fd, b)
		unix.Close(fd)
		s := string(b[:n])
		if !strings.Contains(s, "ShdPnd:\t0000000600000000") {
			t.Errorf("queue of the workload:\n%s", s)
		}
		_ = w.Kill()
	})
	t.Run("running", func(t *testing.T) {
		w, err := l.Start(bg, &Config{Args: []string{"/bin/sh", "-c", script}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.SignalWhenRunning(unix.SIGKILL); err != nil {
			t.Error(err)
		}
		result(t, w)
	})
	t.Run("refused", func(t *testing.T) {
		w := spawn(t, l, Config{}, nil)
		for _, sig := range []unix.Signal{0, -1, 65} {
			if err := w.SignalWhenRunning(sig); !errors.Is(err, unix.EINVAL) {
				t.Errorf("signal %d: %v; want EINVAL", sig, err)
			}
		}
		var err error
		for range maxPending + 1 {
			err = w.SignalWhenRunning(unix.SIGTERM)
		}
		if !errors.Is(err, unix.EAGAIN) {
			t.Errorf("one too many: %v; want EAGAIN", err)
		}
		if err := w.Abort(bg); err != nil {
			t.Error(err)
		}
		w, err = l.Go(bg, &Config{Args: []string{"/bin/sleep", "1000"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.SignalWhenRunning(unix.SIGTERM); !errors.Is(err, ErrNotRunning) {
			t.Errorf("unwatched: %v; want ErrNotRunning", err)
		}
		_ = w.Kill()
	})
}

func TestBegin(t *testing.T) {
	l := newLauncher(t)
	t.Run("arrives", func(t *testing.T) {
		w, err := l.Begin(&Config{Args: []string{"/bin/true"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.AwaitParked(bg); err != nil {
			t.Fatal(err)
		}
		proceed(t, w)
		if r := result(t, w); r.State != Exited {
			t.Errorf("%+v", r)
		}
	})
	t.Run("aborted before it is parked", func(t *testing.T) {
		for range 50 {
			w, err := l.Begin(&Config{Args: []string{"/bin/true"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.SignalWhenRunning(unix.SIGTERM); err != nil {
				t.Error(err)
			}
			if err := w.Abort(bg); err != nil {
				t.Fatal(err)
			}
			if r := result(t, w); r.State != Aborted || r.Ran {
				t.Fatalf("%+v; want aborted", r)
			}
			_ = w.AwaitParked(bg) // it may have been first
			if err := w.Proceed(bg); !errors.Is(err, ErrEnded) {
				t.Errorf("proceed: %v; want ErrEnded", err)
			}
		}
	})
	t.Run("fails", func(t *testing.T) {
		needRoot(t)
		w, err := l.Begin(&Config{Args: []string{"/bin/true"}, Namespaces: []Namespace{{Kind: Mnt}}, Mounts: []Mount{{Target: "/x", Type: "nosuchfs"}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := w.AwaitParked(bg); !errors.As(err, &e) || e.Stage != StageMounts {
			t.Errorf("%v; want the stage mounts", err)
		}
		if r := result(t, w); r.State != Failed {
			t.Errorf("%+v", r)
		}
	})
}
