package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

// The numbers here are those of the kernel's headers, and not what the launcher
// wrote: a mistake of the launcher's is no mistake of this file's too.

var (
	nfFamilies = map[string]nftables.TableFamily{"inet": 1, "ip": 2, "ip6": 10} // enum nfproto, linux/netfilter.h
	nfHooks    = []string{"prerouting", "input", "forward", "output", "postrouting"}
	nfPolicies = []string{"drop", "accept"} // NF_DROP, NF_ACCEPT
)

// seeTable reads a table back from the namespace and says it in the words of
// the request. alone says that no other table may be there.
func seeTable(nsFD int, want *checkpoint.NFTable, alone bool, all []checkpoint.NFTable) (any, bool, string, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(nsFD))
	if err != nil {
		return nil, false, "", err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, false, "", fmt.Errorf("list tables: %w", err)
	}
	var table *nftables.Table
	for _, t := range tables {
		if t.Name == want.Name && t.Family == nfFamilies[want.Family] {
			table = t
		}
		asked := slices.ContainsFunc(all, func(a checkpoint.NFTable) bool { return a.Name == t.Name && nfFamilies[a.Family] == t.Family })
		if alone && !asked {
			return t.Name, false, "the table " + t.Name + " was not asked for", nil
		}
	}
	if table == nil {
		return nil, false, "there is no such table", nil
	}
	const dormant = 1 // NFT_TABLE_F_DORMANT
	if table.Flags&dormant != 0 {
		return nil, false, "the table is dormant", nil
	}
	chains, err := conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return nil, false, "", fmt.Errorf("list chains: %w", err)
	}
	got := request.NFTable{Family: want.Family, Name: want.Name}
	for _, c := range chains {
		if c.Table.Name != want.Name {
			continue
		}
		chain, err := seeChain(conn, table, c)
		if err != nil {
			return nil, false, "", fmt.Errorf("chain %s: %w", c.Name, err)
		}
		got.Chains = append(got.Chains, chain)
	}
	why := differs(&got, want)
	return got, why == "", why, nil
}

func seeChain(conn *nftables.Conn, table *nftables.Table, c *nftables.Chain) (request.NFChain, error) {
	out := request.NFChain{Name: c.Name}
	if c.Hooknum != nil {
		if c.Type != "filter" || int(*c.Hooknum) >= len(nfHooks) || c.Policy == nil || int(*c.Policy) >= len(nfPolicies) {
			return out, fmt.Errorf("of type %q, which is not understood", c.Type)
		}
		out.Hook, out.Policy = nfHooks[*c.Hooknum], nfPolicies[*c.Policy]
		if c.Priority != nil {
			out.Priority = int(*c.Priority)
		}
	}
	rules, err := conn.GetRules(table, c)
	if err != nil {
		return out, fmt.Errorf("list rules: %w", err)
	}
	for i, r := range rules {
		rule, err := readRule(r.Exprs)
		if err != nil {
			return out, fmt.Errorf("rule %d: %w", i, err)
		}
		out.Rules = append(out.Rules, rule)
	}
	return out, nil
}

// differs compares what was read with what was asked for, chain by chain and
// rule by rule, in order.
func differs(got *request.NFTable, want *checkpoint.NFTable) string {
	if len(got.Chains) != len(want.Chains) {
		return fmt.Sprintf("%d chains, not %d", len(got.Chains), len(want.Chains))
	}
	for i := range want.Chains {
		w := &want.Chains[i]
		j := slices.IndexFunc(got.Chains, func(c request.NFChain) bool { return c.Name == w.Name })
		if j < 0 {
			return "there is no chain " + w.Name
		}
		g, policy := &got.Chains[j], w.Policy
		if w.Hook != "" && policy == "" {
			policy = "accept"
		}
		switch {
		case g.Hook != w.Hook || g.Priority != w.Priority:
			return fmt.Sprintf("chain %s is at hook %q with priority %d", w.Name, g.Hook, g.Priority)
		case g.Policy != policy:
			return fmt.Sprintf("the policy of chain %s is %q", w.Name, g.Policy)
		case len(g.Rules) != len(w.Rules):
			return fmt.Sprintf("chain %s has %d rules, not %d", w.Name, len(g.Rules), len(w.Rules))
		}
		for k := range w.Rules {
			if a, b := canonical(g.Rules[k]), canonical(request.NFRule(w.Rules[k])); !reflect.DeepEqual(a, b) {
				return fmt.Sprintf("rule %d of chain %s is %+v", k, w.Name, g.Rules[k])
			}
		}
	}
	return ""
}

// canonical is one form of what can be said in several.
func canonical(r request.NFRule) request.NFRule {
	r.States = slices.Clone(r.States)
	slices.Sort(r.States)
	r.States = slices.Compact(r.States)
	if len(r.States) == 0 {
		r.States = nil
	}
	for _, p := range []*netip.Prefix{&r.From, &r.To} {
		if p.IsValid() {
			*p = p.Masked()
		}
	}
	for _, p := range []*string{&r.FromPort, &r.ToPort} {
		if a, b, ok := strings.Cut(*p, "-"); ok && a == b {
			*p = a
		}
	}
	return r
}

var errNotUnderstood = errors.New("it has something that is not understood")
