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

// timelines are those of a campaign: for each finding the one that says most.
func timelines(c *Campaign, o *campaign.Outcome) []*Timeline {
	var out []*Timeline
	of := map[string]*Timeline{}
	for _, t := range o.Timelines() {
		k := t.Oracle + "\x00" + t.Key
		was := of[k]
		if len(t.Events) == 0 || was != nil && len(was.Events) >= len(t.Events) {
			continue
		}
		if was == nil {
			was = &Timeline{Campaign: c.ID, Name: t.Key}
			of[k], out = was, append(out, was)
		}
		was.Index, was.Events = t.Index, slices.Clone(t.Events)
		slices.SortStableFunc(was.Events, func(a, b campaign.Moment) int { return cmp.Compare(a.NS, b.NS) })
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
