package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
)

// Timeline is what happened in one launch, and when.
type Timeline struct {
	Campaign string            `json:"campaign,omitempty"`
	Index    uint64            `json:"index"`
	Name     string            `json:"name"`
	Events   []campaign.Moment `json:"events"` // in order
}

// timelines are those of a campaign: one for each finding.
func timelines(c *Campaign, o *campaign.Outcome) []*Timeline {
	var out []*Timeline
	seen := map[string]bool{}
	for _, t := range o.Timelines() {
		if seen[t.Oracle+t.Key] || len(t.Events) == 0 {
			continue
		}
		seen[t.Oracle+t.Key] = true
		events := slices.Clone(t.Events)
		slices.SortStableFunc(events, func(a, b campaign.Moment) int { return cmp.Compare(a.NS, b.NS) })
		out = append(out, &Timeline{Campaign: c.ID, Index: t.Index, Name: t.Key, Events: events})
	}
	return out
}

// caseTimeline is that of a case which was reported by itself. Without the
// launcher's own times it is what the kernel saw.
func caseTimeline(r *harness.Report) []*Timeline {
	t := &Timeline{Index: r.Index, Name: strings.Join(r.Workload.Argv, " ")}
	for _, m := range r.Timeline {
		t.Events = append(t.Events, campaign.Moment(m))
	}
	if len(t.Events) == 0 {
		for _, s := range r.Snapshots {
			t.Events = append(t.Events, campaign.Moment{What: string(s.At), NS: s.NSSinceProceed, By: "kernel"})
		}
	}
	if len(t.Events) == 0 {
		return nil
	}
	slices.SortStableFunc(t.Events, func(a, b campaign.Moment) int { return cmp.Compare(a.NS, b.NS) })
	return []*Timeline{t}
}
