package request

import (
	"net/netip"
	"slices"
	"strings"
)

// NFTable is a packet filter inside the network namespace: a table of
// nftables(8) with chains of the type filter.
type NFTable struct {
	Family string    `json:"family"` // "inet", "ip" or "ip6"
	Name   string    `json:"name"`
	Chains []NFChain `json:"chains"`
}

// NFChain is a chain; without a hook it is only jumped to.
type NFChain struct {
	Name     string   `json:"name"`
	Hook     string   `json:"hook,omitempty"` // "prerouting", "input", "forward", "output", "postrouting"
	Priority int      `json:"priority,omitempty"`
	Policy   string   `json:"policy,omitempty"` // "accept" (the default) or "drop"
	Rules    []NFRule `json:"rules,omitempty"`
}

// NFRule is one rule; what is empty is not looked at.
type NFRule struct {
	In       string       `json:"in,omitempty"`
	Out      string       `json:"out,omitempty"`
	States   []string     `json:"states,omitempty"` // "new", "established", "related", "invalid", "untracked"
	From     netip.Prefix `json:"from,omitzero"`
	To       netip.Prefix `json:"to,omitzero"`
	Proto    string       `json:"proto,omitempty"`    // "tcp", "udp", "icmp", "icmpv6"
	FromPort string       `json:"fromPort,omitempty"` // "80" or "1024-65535"
	ToPort   string       `json:"toPort,omitempty"`
	Counter  bool         `json:"counter,omitempty"`
	Verdict  string       `json:"verdict,omitempty"` // "accept", "drop", "reject", "return", "jump CHAIN"
}

// nftables checks what is a word; the launcher checks how the words go together.
func (c *checker) nftables(r *Request) {
	word := func(f, s string, known ...string) {
		c.check(slices.Contains(known, s), f, "unknown word %q: %s", s, strings.Join(known, ", "))
	}
	for i, t := range r.Ext.Network.Nftables {
		f := at("holdshort.network.nftables", i)
		word(f+".family", t.Family, "inet", "ip", "ip6")
		c.check(t.Name != "", f+".name", "is empty")
		c.noNUL(f+".name", t.Name)
		for j, ch := range t.Chains {
			g := at(f+".chains", j)
			c.check(ch.Name != "", g+".name", "is empty")
			c.noNUL(g+".name", ch.Name)
			word(g+".hook", ch.Hook, "", "prerouting", "input", "forward", "output", "postrouting")
			word(g+".policy", ch.Policy, "", "accept", "drop")
			c.check(ch.Hook != "" || ch.Policy == "" && ch.Priority == 0, g, "a policy and a priority need a hook")
			for k, u := range ch.Rules {
				h := at(g+".rules", k)
				word(h+".proto", u.Proto, "", "tcp", "udp", "icmp", "icmpv6")
				for _, s := range u.States {
					word(h+".states", s, "new", "established", "related", "invalid", "untracked")
				}
				if to, ok := strings.CutPrefix(u.Verdict, "jump "); ok {
					c.check(slices.ContainsFunc(t.Chains, func(x NFChain) bool { return x.Name == to }), h+".verdict", "there is no chain %q", to)
				} else {
					word(h+".verdict", u.Verdict, "", "accept", "drop", "reject", "return")
				}
			}
		}
	}
}
