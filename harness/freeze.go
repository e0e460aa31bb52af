package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
	"golang.org/x/sys/unix"
)

// freezeWithin is how long a workload that has passed execve may take to come to
// rest at its entry point. It takes microseconds, but a machine that is busy, or a
// guest whose host is, may stand still for seconds.
const freezeWithin = 30 * time.Second

var (
	errPassed   = errors.New("its program had begun to run")
	errKilled   = errors.New("it was killed while it was frozen")
	errNotEntry = errors.New("it did not stand at its entry point")
)

// inFreezer lets the workload go and holds it at its entry point: its posture is
// read a second time there, and so is what no posture shows. Then it goes on,
// and has noticed nothing.
func (l *launch) inFreezer(ctx context.Context, beyond []oracle.Beyond) (*checkpoint.Workload, error) {
	h := l.evidenceAt(AtFrozen)
	h.mountsBefore(needsTable(l.req))
	w, err := l.release(ctx)
	if w != nil && err != nil {
		l.frozen = &Snapshot{At: AtFrozen, Void: err.Error()}
	}
	if w == nil || err != nil {
		return w, err // if there is one, what went wrong is in the result
	}
	h.pid = w.HostPID()
	l.freezeOrNot(ctx, w, &h, beyond)
	return w, nil
}

// freezeOrNot has the workload go on in any case.
func (l *launch) freezeOrNot(ctx context.Context, w *checkpoint.Workload, h *held, beyond []oracle.Beyond) {
	if err := l.freeze(ctx, h, beyond); err != nil {
		l.evidence = nil // of whatever it was, it was not of this moment
		l.frozen = &Snapshot{At: AtFrozen, Void: err.Error(), Denied: errors.Is(err, unix.EPERM)}
		// Perhaps it is stopped: so it may go on, and if not, nothing happens.
		_ = w.Signal(unix.SIGCONT)
	}
}

// afterSteps is freeze mode for a workload that had to be looked at while it was
// parked, because its cgroup was frozen then. That is the only thing which the
// entry point does not show.
func (l *launch) afterSteps(ctx context.Context, w *checkpoint.Workload, h *held, beyond []oracle.Beyond) {
	parked := slices.Clone(l.evidence)
	only := func(e Evidence) bool { return e.Field != cgroupFreeze }
	h.at, h.frozen = AtFrozen, true
	l.freezeOrNot(ctx, w, h, slices.DeleteFunc(slices.Clone(beyond), func(b oracle.Beyond) bool { return b.Field == cgroupFreeze }))
	l.evidence = append(l.evidence, slices.DeleteFunc(parked, only)...)
}

const cgroupFreeze = "holdshort.cgroup.freeze"

// release launches and waits until execve has succeeded.
func (l *launch) release(ctx context.Context) (*checkpoint.Workload, error) {
	l.begun = monotonic()
	if l.r.parked == nil {
		return l.r.launcher.Start(ctx, l.launched, l.opts)
	}
	w, err := l.r.launcher.Spawn(ctx, l.launched, l.opts)
	if err != nil {
		return nil, err
	}
	l.r.parked(w)
	l.begun = monotonic()
	return w, w.Proceed(ctx)
}

// sofar says what is in a record that lacks something.
func sofar(r *probes.Record) string {
	if r == nil {
		return "nothing was seen"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d execs, %d snapshots, %d events lost, %d elsewhere", r.Execs, len(r.Snapshots), r.Lost, r.LostElsewhere)
	for _, m := range r.Missing {
		fmt.Fprintf(&b, ", at %s: %s", m.At, m.Why)
	}
	return b.String()
}

// freeze reads the workload at its entry point and lets it go on.
func (l *launch) freeze(ctx context.Context, h *held, beyond []oracle.Beyond) error {
	ctx, cancel := context.WithTimeout(ctx, freezeWithin)
	defer cancel()
	watch, err := l.r.children.Take(ctx, h.pid)
	if err != nil {
		return fmt.Errorf("wait for the birth to be seen: %w", err)
	}
	l.watch = watch
	rec, err := watch.Frozen(ctx)
	if err != nil {
		return fmt.Errorf("wait for the exec to be seen (%s): %w", sofar(rec), err)
	}
	if l.r.stopped != nil {
		l.r.stopped(h.pid)
	}
	// Nothing may have run before the reading, and nothing during it.
	standing := func() error {
		now, err := watch.Now()
		if err == nil && now.Passed() {
			err = errPassed
		}
		return err
	}
	task, err := l.r.proc.Hold(ctx, h.pid, standing)
	if err != nil {
		return err
	}
	at := monotonic()
	pending := uint64(0)
	if s := rec.Snapshot(probes.AtExec); s != nil {
		pending, _ = s.Posture().Signals.Pending.Get()
	}
	if l.r.held != nil {
		l.r.held(h.pid)
	}
	err = standing()
	if ip, ok := task.IP().Get(); ok && err == nil {
		if s := rec.Latest(); s == nil || s.IPKnown && s.Entry != ip {
			err = errNotEntry
		}
	}
	if err == nil {
		l.evidence = h.gather(beyond)
		if len(beyond) > 0 || l.cfg.Cgroup.Create || l.hasPathRules() {
			l.placed(h.pid)
		}
		err = standing() // the files were this process's all along
	}
	if e := task.Continue(pending); err == nil && e != nil {
		if err = e; errors.Is(e, unix.ESRCH) {
			err = errKilled
		}
	}
	l.ownStop = task.Stopped()
	if err != nil {
		return err
	}
	l.frozen = &Snapshot{At: AtFrozen, Posture: task.Posture(), IPIsEntry: posture.Known(true), NSSinceProceed: at - l.begun}
	if ip := task.IP(); !ip.IsKnown() {
		l.frozen.IPIsEntry = posture.Unreadable[bool](ip.Why())
	}
	return nil
}

// signals are those that may be pending though nobody sent them: the stop of the
// freeze until it is delivered, and what the scheduler says to a task that asked
// for it and has overrun its time, on the way to its first instruction
// (SCHED_FLAG_DL_OVERRUN, sched_setattr(2)).
func (l *launch) signals() (set uint64) {
	if l.r.freezes() {
		set |= 1 << (unix.SIGSTOP - 1)
	}
	if s := l.cfg.Scheduler; s.Set && s.Value.Overrun {
		set |= 1 << (unix.SIGXCPU - 1)
	}
	return set
}

// unstop takes our own stop out of the history of a workload. It is the first
// one, if the agent has noticed it.
func (l *launch) unstop(res *checkpoint.Result) {
	if l.ownStop && len(res.Stops) > 0 && res.Stops[0].Signal == unix.SIGSTOP {
		res.Stops = res.Stops[1:]
	}
}

// addFrozen puts the second reading where it belongs in time: after those of
// exec and return, before that of the first instruction.
func (l *launch) addFrozen(snaps []Snapshot) []Snapshot {
	if l.frozen == nil && !l.r.freezes() {
		return snaps
	}
	if l.frozen == nil { // its end came first, or that of the time that it had
		l.frozen = &Snapshot{At: AtFrozen, Void: "it was not held at its entry point"}
	}
	for i := range snaps {
		if snaps[i].At == AtFirst || snaps[i].At == AtExit {
			return append(snaps[:i:i], append([]Snapshot{*l.frozen}, snaps[i:]...)...)
		}
	}
	return append(snaps, *l.frozen)
}

// dissents are the fields of which two instruments say different things: those
// that are disputed already, and those of eBPF and /proc. What
// eBPF saw directly before and after counts; the posture may have been changed
// in between, which is a finding of its own.
func (s *sight) dissents() map[oracle.Field]string {
	if s.frozen == nil {
		return s.disputed
	}
	before := s.at[1]
	if before == nil {
		before = s.at[0]
	}
	list := procfs.Disagree(s.frozen, before, s.at[2])
	if len(list) == 0 {
		return s.disputed
	}
	out := make(map[oracle.Field]string, len(list)+len(s.disputed))
	maps.Copy(out, s.disputed)
	for _, d := range list {
		if f, ok := oracle.FieldByName(d.Path); ok {
			out[f] = fmt.Sprintf("eBPF says %s, /proc says %s", d.A, d.B)
		}
	}
	return out
}
