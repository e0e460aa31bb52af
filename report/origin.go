package report

import "github.com/holdshort/holdshort/fuzz/campaign"

// origin is what saw a finding: an oracle, and what was wrong with the request.
func origin(m *campaign.Minimal) [2]string { return [2]string{} }

func originOf(i *campaign.Incident) [2]string { return [2]string{} }

// explained finds the small finding that a case belongs to, or nil.
func explained(small []*campaign.Minimal, i *campaign.Incident) *campaign.Minimal {
	for _, m := range small {
		if m.Key != i.Key || origin(m) != originOf(i) {
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
