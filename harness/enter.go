package harness

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// entered is the process that a request enters. What it is when the launch
// begins is what the workload is expected to be; if it has changed or ended
// when the workload has, there is no verdict.
type entered struct {
	pidfd  *os.File
	before *posture.Posture
	err    error // why its posture is not known
}

func (t *entered) close() {
	if t != nil {
		t.pidfd.Close()
	}
}

// holdTarget takes hold of the target and reads its posture.
func (l *launch) holdTarget(ctx context.Context) error {
	e := l.req.Ext.Enter
	if e == nil {
		return nil
	}
	fd, err := unix.PidfdOpen(e.PID, 0)
	if err != nil {
		return fmt.Errorf("harness: holdshort.enter: process %d: %w", e.PID, err)
	}
	l.target = &entered{pidfd: os.NewFile(uintptr(fd), "target")}
	l.target.before, l.target.err = l.seeTarget(ctx)
	if l.opts.Target == nil { // the launch is to be about the same process
		o := *l.opts
		o.Target = l.target.pidfd
		l.opts = &o
	}
	return nil
}

var errTargetEnded = errors.New("the process that was entered has ended")

func (l *launch) seeTarget(ctx context.Context) (*posture.Posture, error) {
	if l.r.observer == nil {
		return nil, fmt.Errorf("not observed: %w", l.r.ProbesErr)
	}
	s, err := l.r.observer.Snapshot(ctx, l.req.Ext.Enter.PID)
	// If it lives, the number was its own all the time.
	poll := []unix.PollFd{{Fd: int32(l.target.pidfd.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); err == nil && n > 0 {
		return nil, errTargetEnded
	}
	if err != nil {
		return nil, err
	}
	return s.Posture(), nil
}

// beside is what is expected to be kept.
func (l *launch) beside(caller *posture.Posture) *posture.Posture {
	if l.target == nil || l.target.before == nil {
		return caller
	}
	return oracle.Beside(caller, l.target.before, l.req)
}

// targetDoubts takes the verdict back where the target was not what it is held
// to have been.
func (l *launch) targetDoubts(r *Result) {
	if l.target == nil {
		return
	}
	var why string
	switch after, err := l.seeTarget(context.Background()); {
	case l.target.err != nil:
		why = l.target.err.Error()
	case err != nil:
		why = err.Error()
	default:
		if f, ok := oracle.Same(l.target.before, after, l.req); !ok {
			why = fmt.Sprintf("%s of the process that was entered changed meanwhile", f)
		} else if list := oracle.Unread(l.target.before, l.req); len(list) > 0 {
			why = fmt.Sprintf("of the process that was entered %v could not be read", list)
		}
	}
	if why == "" {
		return
	}
	r.doubt(CannotObserve, "target: "+why)
	if r.Verdict == Constrained {
		r.Verdict = Unknown
	}
}
