package checkpoint

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestVerbs_AgainstAModel applies random verbs in random order, and after each
// the death of whatever may die, and compares every answer with a model of what
// the documentation says.
func TestVerbs_AgainstAModel(t *testing.T) {
	l := newLauncher(t)
	rapid.Check(t, func(t *rapid.T) {
		w, err := l.Spawn(bg, &Config{Args: sleeper}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Kill(); <-w.Done() }()
		m := &model{state: Parked, want: []EventKind{EventSpawned, EventParked}}
		t.Repeat(map[string]func(*rapid.T){
			"proceed":     func(t *rapid.T) { m.proceed(t, w) },
			"abort":       func(t *rapid.T) { m.abort(t, w) },
			"apply":       func(t *rapid.T) { m.check(t, w.Apply(bg, &Config{Umask: Some[uint32](7)}), Parked, ErrNotParked) },
			"signal":      func(t *rapid.T) { m.check(t, w.Signal(unix.SIGCONT), Running, ErrNotRunning) },
			"keep signal": func(t *rapid.T) { m.keep(t, w) },
			"terminate":   func(t *rapid.T) { m.terminate(t, w) },
			"kill":        func(t *rapid.T) { m.kill(t, w, func() error { return w.Kill() }) },
			"kill tree": func(t *rapid.T) {
				m.kill(t, w, func() error { _, err := w.KillTree(bg); return err })
			},
			"die": func(t *rapid.T) {
				m.kill(t, w, func() error { _ = unix.Kill(w.HostPID(), unix.SIGKILL); return nil })
			},
			"wait": func(t *rapid.T) { m.wait(t, w) },
			"":     func(t *rapid.T) { m.invariant(t, w) },
		})
	})
}

type model struct {
	state  State
	ran    bool
	signal unix.Signal
	kept   bool // SIGTERM waits for it to run
	want   []EventKind
}

// check is for a verb that is answered only in one state.
func (m *model) check(t *rapid.T, err error, only State, refused error) {
	switch {
	case m.state == only:
		refused = nil
	case m.state.ended():
		refused = ErrEnded
	}
	if !errors.Is(err, refused) {
		t.Fatalf("%s: %v; want %v", m.state, err, refused)
	}
}

func (m *model) end(t *rapid.T, w *Workload, s State, sig unix.Signal) {
	m.state, m.signal = s, sig
	m.want = append(m.want, EventKind(s))
	m.wait(t, w)
}

func (m *model) proceed(t *rapid.T, w *Workload) {
	err := w.Proceed(bg)
	m.check(t, err, Parked, ErrNotParked)
	if m.state != Parked {
		return
	}
	m.want = append(m.want, EventProceeding, EventRunning)
	m.state, m.ran = Running, true
	if m.kept {
		m.end(t, w, Signaled, unix.SIGTERM)
	}
}

func (m *model) abort(t *rapid.T, w *Workload) {
	m.check(t, w.Abort(bg), Parked, ErrNotParked)
	if m.state == Parked {
		m.end(t, w, Aborted, 0)
	}
}

func (m *model) keep(t *rapid.T, w *Workload) {
	err := w.SignalWhenRunning(unix.SIGTERM)
	switch {
	case m.state.ended():
		if !errors.Is(err, ErrEnded) {
			t.Fatalf("%s: %v; want ErrEnded", m.state, err)
		}
	case err != nil:
		t.Fatal(err)
	case m.state == Running:
		m.end(t, w, Signaled, unix.SIGTERM)
	default:
		m.kept = true
	}
}

func (m *model) terminate(t *rapid.T, w *Workload) {
	m.check(t, w.Signal(unix.SIGTERM), Running, ErrNotRunning)
	if m.state == Running {
		m.end(t, w, Signaled, unix.SIGTERM)
	}
}

func (m *model) kill(t *rapid.T, w *Workload, verb func() error) {
	if m.state.ended() {
		if w.HostPID() > 0 && verb == nil {
			return
		}
		// Its pid may be another's by now: only our own verbs are safe.
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := verb(); err != nil {
		t.Fatal(err)
	}
	m.end(t, w, Signaled, unix.SIGKILL)
}

func (m *model) wait(t *rapid.T, w *Workload) {
	limit := time.Millisecond
	if m.state.ended() {
		limit = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(bg, limit)
	defer cancel()
	r, err := w.Wait(ctx)
	if !m.state.ended() {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %+v %v; want no end", m.state, r, err)
		}
		return
	}
	if err != nil || r.State != m.state || r.Ran != m.ran || r.Signal != m.signal {
		t.Fatalf("%+v %v; want %+v", r, err, m)
	}
}

func (m *model) invariant(t *rapid.T, w *Workload) {
	if s := w.Info().State; s != m.state {
		t.Fatalf("state %s; want %s", s, m.state)
	}
	var got []EventKind
	for e := range w.Events(bg, 0) {
		if e.Kind != EventStopped && e.Kind != EventContinued { // of a tree kill
			got = append(got, e.Kind)
		}
		if len(got) == len(m.want) {
			break
		}
	}
	if !slices.Equal(got, m.want) {
		t.Fatalf("events %v; want %v", got, m.want)
	}
}
