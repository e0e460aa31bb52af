package report

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
)

// Case is one launch that was reported by itself.
type Case struct {
	Verdict    harness.Verdict `json:"verdict"`
	Cause      harness.Cause   `json:"cause,omitempty"`
	Reasons    []string        `json:"reasons,omitempty"`
	Kernel     string          `json:"kernel"`
	Engine     string          `json:"engine"`
	Argv       []string        `json:"argv"`
	Executions int             `json:"executions,omitempty"`
	Checks     int             `json:"checks"`
	Keys       []string        `json:"keys,omitempty"` // what differs
}

// single adds the reports of single cases.
func (d *Document) single(s *Set, f *finder, code *worst, unjudged map[string]int) {
	for _, k := range slices.SortedFunc(maps.Keys(s.cases), compareDigests) {
		r := s.cases[k]
		c := &Case{
			Verdict: r.Verdict, Cause: r.Cause, Reasons: r.Reasons, Kernel: r.Kernel, Engine: r.Engine,
			Argv: r.Workload.Argv, Executions: r.Executions, Checks: len(r.Checks),
		}
		code.add(verdictOf(r.ExitCode()))
		d.Cases = append(d.Cases, c)
		if r.Verdict == harness.Unknown {
			d.NotJudged++
			unjudged[strings.TrimSpace("unknown: "+string(r.Cause))]++
		} else {
			d.Judged++
		}
		d.Timelines = append(d.Timelines, caseTimeline(r)...)
		if r.Verdict != harness.Violated {
			continue
		}
		before := len(c.Keys)
		for i := range r.Checks {
			ch := &r.Checks[i]
			if key := ch.Field + ": " + string(ch.Outcome); ch.Outcome.Finding() && !slices.Contains(c.Keys, key) {
				c.Keys = append(c.Keys, key)
				f.of1(r, key, ch.Why)
			}
		}
		if len(c.Keys) == before {
			c.Keys = append(c.Keys, "violated") // by the witness
			f.of1(r, "violated", strings.Join(r.Reasons, "; "))
		}
	}
}

// of1 adds a finding of one case, of which nothing is known to matter.
func (f *finder) of1(r *harness.Report, key, why string) {
	x := f.get(campaign.Finding, origin{}, key, r.Engine, nil)
	x.Cases++
	if x.Request == nil {
		x.Request = r.Config
	}
	if why != "" && !slices.Contains(x.Details, why) && len(x.Details) < maxSeen {
		x.Details = append(x.Details, why)
	}
	if s := (Sighting{Kernel: r.Kernel, Engine: r.Engine, Seed: r.Seed, Index: r.Index}); !slices.Contains(x.Seen, s) {
		x.Seen = append(x.Seen, s)
	}
}
