package engine

import (
	"slices"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

func nftable(t *request.NFTable) checkpoint.NFTable {
	out := checkpoint.NFTable{Family: t.Family, Name: t.Name}
	for _, c := range t.Chains {
		chain := checkpoint.NFChain{Name: c.Name, Hook: c.Hook, Priority: c.Priority, Policy: c.Policy}
		for _, r := range c.Rules {
			rule := checkpoint.NFRule(r)
			rule.States = slices.Clone(r.States)
			chain.Rules = append(chain.Rules, rule)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}
