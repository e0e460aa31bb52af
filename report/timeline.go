package report

import (
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
)

type Timeline struct{}

func timelines(c *Campaign, o *campaign.Outcome) []*Timeline { return nil }
func caseTimeline(r *harness.Report) []*Timeline { return nil }
