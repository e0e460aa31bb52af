package harness

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/checkpoint"
)

// Moment is one point of a launch's timeline.
type Moment struct {
	What string `json:"what"` // "clone", a stage with what it was about, "exec", "return", "first", "exit"
	NS   int64  `json:"ns"`   // nanoseconds since the moment before the clone, when it was done
	By   string `json:"by"`   // "host", "agent", "child", or "kernel", which saw it
}

// timeline puts together what the launcher did and what the kernel saw. Both have
// CLOCK_MONOTONIC, as bpf_ktime_get_ns is (bpf-helpers(7)). It is empty without
// [checkpoint.Options].Times.
func timeline(steps []checkpoint.StepTime, begun int64, snaps []Snapshot) []Moment {
	if len(steps) == 0 {
		return nil
	}
	zero := steps[0].Done
	var out []Moment
	for i := range steps {
		s := &steps[i]
		what := string(s.Stage)
		if s.Index >= 0 {
			what += fmt.Sprintf("[%d]", s.Index)
		}
		if s.Object != "" && s.Object != what {
			what += " " + s.Object
		}
		out = append(out, Moment{What: what, NS: s.Done - zero, By: string(s.By)})
	}
	for i := range snaps {
		if s := &snaps[i]; s.At != AtFrozen && s.At != AtHeld {
			out = append(out, Moment{What: string(s.At), NS: s.NSSinceProceed + begun - zero, By: "kernel"})
		}
	}
	slices.SortStableFunc(out, func(a, b Moment) int { return cmp.Compare(a.NS, b.NS) })
	return out
}
