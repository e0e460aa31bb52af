package report

import "github.com/holdshort/holdshort/fuzz/campaign"

// origin is what saw a finding: an oracle, empty for the expectation, and what
// was wrong with the request, if it had to be refused.
type origin struct{ oracle, negative string }

// explained finds the small finding that a case belongs to, or nil.
func explained(small []*campaign.Minimal, i *campaign.Incident) *campaign.Minimal {
	for _, m := range small {
		if m.Key != i.Key || m.Oracle != i.Oracle || m.Negative != i.Negative {
			continue
		}
		all := true
		for k, v := range m.Values {
			all = all && i.Values[k] == v
		}
		if all {
			return m
		}
	}
	return nil
}
