package checkpoint

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// EventKind says what happened to a workload.
type EventKind string

// What is not terminal. The terminal kinds are named as the states are:
// "exited", "signaled", "aborted" and "failed".
const (
	EventSpawned    EventKind = "spawned"    // the process exists
	EventParked     EventKind = "parked"     // it waits at the checkpoint
	EventProceeding EventKind = "proceeding" // it was let go
	EventRunning    EventKind = "running"    // execve has succeeded
	EventStopped    EventKind = "stopped"    // by the signal in Signal
	EventContinued  EventKind = "continued"  // by SIGCONT
)

// Event is one thing that happened to a workload.
type Event struct {
	// Seq counts from 1. A gap means that events were dropped, since the log
	// of a workload is bounded: the oldest stops and continues go first, and
	// neither how it began nor how it ended ever does.
	Seq  int
	Kind EventKind
	// Time is when the host learned of it, with the monotonic clock.
	Time     time.Time
	HostPID  int
	Signal   syscall.Signal // stopped, signaled
	ExitCode int            // exited
	Err      error          // failed
}

// Terminal reports whether nothing comes after the event.
func (e Event) Terminal() bool { return State(e.Kind).ended() }

// String says it in one line.
func (e Event) String() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Kind, e.Err)
	case e.Kind == EventKind(Exited):
		return fmt.Sprintf("exited with status %d", e.ExitCode)
	case e.Signal != 0:
		return fmt.Sprintf("%s by %s", e.Kind, unix.SignalName(e.Signal))
	}
	return string(e.Kind)
}

const (
	maxEvents = 256 // of one workload
	keepFirst = 8   // how it began
)

// eventLog is what happened to a workload, so that whoever comes late can read
// it from the beginning. Its fields are guarded by the workload's mu.
type eventLog struct {
	events  []Event
	last    int           // Seq
	changed chan struct{} // closed at the next event; nil while nobody waits
}

// record appends an event. The caller holds w.mu.
func (w *Workload) record(e Event) {
	l := &w.log
	switch n := len(l.events); {
	case n == 0: // all of a workload that is parked, or is not watched
		l.events = make([]Event, 0, 2)
	case n == 2 && n == cap(l.events): // all of most others
		l.events = slices.Grow(l.events, 3)
	}
	if len(l.events) == maxEvents {
		l.events = slices.Delete(l.events, keepFirst, keepFirst+1)
	}
	l.last++
	e.Seq, e.Time = l.last, time.Now()
	if e.HostPID == 0 {
		e.HostPID = w.pid
	}
	l.events = append(l.events, e)
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Events yields what happened to the workload after the event with the number
// seq (0: from the beginning), waiting for what is still to come. It ends after
// the one terminal event, or when ctx does. Any number of readers may iterate
// at a time, and a new owner who goes on where the old one stopped misses
// nothing. A workload of [Launcher.Go] is not watched as closely: it has no
// spawned and no running.
func (w *Workload) Events(ctx context.Context, seq int) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			batch, changed := w.eventsAfter(seq)
			for _, e := range batch {
				seq = e.Seq
				if !yield(e) || e.Terminal() {
					return
				}
			}
			if len(batch) > 0 {
				continue
			}
			if changed == nil {
				return // seq is the terminal event, or beyond
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// eventsAfter returns what is there, or else what to wait for; neither if
// nothing comes any more.
func (w *Workload) eventsAfter(seq int) ([]Event, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &w.log
	i, _ := slices.BinarySearchFunc(l.events, seq+1, func(e Event, n int) int { return e.Seq - n })
	if i < len(l.events) {
		return slices.Clone(l.events[i:]), nil
	}
	if n := len(l.events); n > 0 && l.events[n-1].Terminal() {
		return nil, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return nil, l.changed
}

// Phases is how long a workload was in each phase of its life; zero for those
// that it did not reach.
type Phases struct {
	Spawn  time.Duration // until it was parked, or proceeded without being parked
	Parked time.Duration
	Exec   time.Duration // from proceed until the program ran
	Run    time.Duration // until it ended; with Launcher.Go, Exec and Run in one
}

// phases reads them off the log. The caller holds w.mu.
func (w *Workload) phases(end time.Time) Phases {
	var p Phases
	since, spent := w.begun, &p.Spawn
	for i := range w.log.events {
		e := &w.log.events[i]
		var next *time.Duration
		switch e.Kind {
		case EventParked:
			next = &p.Parked
		case EventProceeding:
			if next = &p.Exec; !w.watched {
				next = &p.Run
			}
		case EventRunning:
			next = &p.Run
		default:
			continue
		}
		*spent += e.Time.Sub(since)
		since, spent = e.Time, next
	}
	*spent += end.Sub(since)
	return p
}

// Stop is one stop of a workload by a job control signal.
type Stop struct {
	Signal    syscall.Signal
	At        time.Time
	Continued time.Time // zero if it never was
}

// stops reads the history of stops off the log. The caller holds w.mu.
func (w *Workload) stops() []Stop {
	var all []Stop
	for i := range w.log.events {
		switch e := &w.log.events[i]; e.Kind {
		case EventStopped:
			all = append(all, Stop{Signal: e.Signal, At: e.Time})
		case EventContinued:
			if n := len(all); n > 0 && all[n-1].Continued.IsZero() {
				all[n-1].Continued = e.Time
			}
		}
	}
	return all
}
