package report

import "github.com/holdshort/holdshort/fuzz/campaign"

type Coverage struct{}

func coverage(o *campaign.Outcome) *Coverage { return nil }
