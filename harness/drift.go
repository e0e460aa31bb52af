package harness

import (
	"fmt"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes"
)

// Drift tells what was another when the workload ended than at its first
// instruction. That is no finding in itself: a workload may change itself.
func (r *Result) Drift() []probes.Drift {
	if r.rec == nil {
		return nil
	}
	return r.rec.Drift()
}

// drifted makes findings of what others have changed. Where that could not be
// listened to, a verdict in the workload's favour is not to be had.
func (r *Result) drifted() {
	if r.rec == nil {
		return
	}
	for _, blind := range r.rec.Blind {
		r.doubt(CannotObserve, "changes from outside would not be seen: "+blind)
	}
	if r.rec.Snapshot(probes.AtExit) == nil {
		r.doubt(EvidenceLost, "no snapshot at the workload's end to look for changes in")
	}
	exit := r.rec.Snapshot(probes.AtExit)
	for _, d := range r.rec.Drift() {
		f, ok := oracle.FieldByName(d.Field)
		if !ok || !d.Outside {
			continue
		}
		r.Checks = append(r.Checks, Check{
			Field: f, At: AtExit, Outcome: oracle.Drifted, Why: drift(&d), exp: r.exp, got: exit.Posture(),
		})
		r.Findings++
	}
	switch {
	case r.Findings > r.Disagreements:
		r.Verdict, r.Cause = Violated, NoCause
	case r.Cause != NoCause:
		r.Verdict = Unknown
	}
}

func drift(d *probes.Drift) string {
	by := "not known by whom"
	switch {
	case d.By != nil && d.Outside:
		by = fmt.Sprintf("by %s (process %d)", d.By.ByName, d.By.By)
	case d.By != nil:
		by = "by itself"
	}
	return fmt.Sprintf("%s became %s, %s", d.From, d.To, by)
}
