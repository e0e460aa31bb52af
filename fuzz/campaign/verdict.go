package campaign

import (
	"cmp"
	"errors"
	"slices"
	"syscall"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Verdict is what one launch came to. Keys are what it was not constrained in:
// they hold no pid, inode, time or path.
type Verdict struct {
	Judged bool // it was seen and compared, or refused where it must not be
	Keys   []string
	Err    error // the launch could not even be tried
	// Seen is what was seen at the first instruction, or when execve
	// returned; nil without either.
	Seen *posture.Posture
	// Moments are when what happened.
	Moments []Moment

	accepted bool  // though it had to be refused
	refusal  error // why it was refused, if it was
}

// Clean reports that all that was asked for was seen to hold.
func (v *Verdict) Clean() bool { return v.Judged && len(v.Keys) == 0 }

// Of reads the verdict of a case. The order of keys is that of the checks.
func Of(c *harness.Case, err error) *Verdict {
	if err != nil {
		return &Verdict{Keys: []string{"error: " + errno(err)}, Err: err}
	}
	v := &Verdict{Judged: true}
	for _, at := range []harness.At{harness.AtReturn, harness.AtFirst} {
		if s := c.Seen(at); s != nil && s.Void == "" {
			v.Seen = s.Posture
		}
	}
	v.Moments = moments(c)
	var refused *checkpoint.Error
	switch {
	case c.Launch.Err != nil && errors.As(c.Launch.Err, &refused):
		// Every request of a model can be fulfilled.
		v.Keys, v.refusal = []string{"refused: " + string(refused.Stage) + ": " + errno(refused)}, c.Launch.Err
	case c.Verdict == harness.Violated:
		for i := range c.Checks {
			if ch := &c.Checks[i]; ch.Outcome.Finding() {
				if k := ch.Name() + ": " + string(ch.Outcome); !slices.Contains(v.Keys, k) {
					v.Keys = append(v.Keys, k)
				}
			}
		}
		if len(v.Keys) == 0 {
			v.Keys = []string{"violated"} // by the witness
		}
	case c.Verdict != harness.Constrained:
		v.Judged, v.Keys = false, []string{"unknown: " + string(c.Cause)}
	}
	return v
}

func errno(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return unix.ErrnoName(e)
	}
	return "no system call's"
}

// moments is the timeline of a launch. What the launcher tells of it is how long
// each phase took, and what the kernel tells is counted from the end of the wait.
func moments(c *harness.Case) []Moment {
	p := c.Launch.Phases
	at := p.Spawn
	out := []Moment{{"begun", 0, "launcher"}, {"parked", at.Nanoseconds(), "launcher"}}
	at += p.Parked
	proceed := at.Nanoseconds()
	out = append(out, Moment{"proceeding", proceed, "launcher"})
	for _, s := range c.Snapshots() {
		out = append(out, Moment{string(s.At), proceed + s.NSSinceProceed, "kernel"})
	}
	if p.Run > 0 {
		at += p.Exec
		if p.Exec > 0 {
			out = append(out, Moment{"running", at.Nanoseconds(), "launcher"})
		}
		out = append(out, Moment{"ended", (at + p.Run).Nanoseconds(), "launcher"})
	}
	slices.SortStableFunc(out, func(a, b Moment) int { return cmp.Compare(a.NS, b.NS) })
	return out
}
