package harness

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func firewall() []request.NFTable {
	prefix := netip.MustParsePrefix
	return []request.NFTable{{Family: "inet", Name: "guard", Chains: []request.NFChain{
		{Name: "in", Hook: "input", Priority: -5, Policy: "drop", Rules: []request.NFRule{
			{States: []string{"established", "related"}, Verdict: "accept"},
			{In: "lo", Proto: "tcp", ToPort: "7777", Counter: true, Verdict: "reject"},
			{From: prefix("10.1.2.0/24"), To: prefix("10.1.2.3/32"), Proto: "udp", FromPort: "1024-65535", ToPort: "53", Verdict: "accept"},
			{From: prefix("fd00::/8"), Proto: "icmpv6", Verdict: "drop"},
			{Proto: "tcp", Verdict: "jump web"},
		}},
		{Name: "out", Hook: "output", Policy: "accept", Rules: []request.NFRule{{Out: "eth0", Verdict: "reject"}}},
		{Name: "web", Rules: []request.NFRule{{Proto: "tcp", ToPort: "80-443", Verdict: "accept"}, {Verdict: "return"}}},
	}}}
}

func TestSabotageNftables(t *testing.T) {
	ask := func(t *testing.T, q *request.Request) {
		t.Helper()
		ns(specs.NetworkNamespace)(t, q)
		q.Ext.Network.LoopbackUp = true
		q.Ext.Network.Nftables = firewall()
	}
	need := func(t *testing.T, r *Runner) string {
		t.Helper()
		q := request.New("/bin/true")
		ask(t, q)
		r.tamper, r.parked = nil, nil
		c, err := r.Run(bg, q, nil)
		if err != nil || c.Launch.Err != nil {
			return "nftables with conntrack and reject in the kernel"
		}
		return ""
	}
	in := func(f func(c *checkpoint.NFChain)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { f(&c.Network.Nftables[0].Chains[0]) })
	}
	rule := func(i int, f func(r *checkpoint.NFRule)) func(*checkpoint.Config, *checkpoint.Options) {
		return in(func(c *checkpoint.NFChain) { f(&c.Rules[i]) })
	}
	prefix := netip.MustParsePrefix
	weaker := finds{"holdshort.network.nftables[0]": oracle.Weaker}
	var rows []sabotage
	for name, tamper := range map[string]func(*checkpoint.Config, *checkpoint.Options){
		"no table":       config(func(c *checkpoint.Config) { c.Network.Nftables = nil }),
		"another name":   config(func(c *checkpoint.Config) { c.Network.Nftables[0].Name = "guard2" }),
		"another family": config(func(c *checkpoint.Config) { t := &c.Network.Nftables[0]; t.Family, t.Chains = "ip6", t.Chains[2:] }),
		"a table more": config(func(c *checkpoint.Config) {
			c.Network.Nftables = append(c.Network.Nftables, checkpoint.NFTable{Family: "ip", Name: "more"})
		}),
		"a chain less": config(func(c *checkpoint.Config) {
			t := &c.Network.Nftables[0]
			t.Chains = append(t.Chains[:1:1], t.Chains[2])
		}),
		"policy accept":    in(func(c *checkpoint.NFChain) { c.Policy = "accept" }),
		"another hook":     in(func(c *checkpoint.NFChain) { c.Hook = "forward" }),
		"another priority": in(func(c *checkpoint.NFChain) { c.Priority = 5 }),
		"no hook":          in(func(c *checkpoint.NFChain) { c.Hook, c.Policy, c.Priority = "", "", 0 }),
		"a rule less":      in(func(c *checkpoint.NFChain) { c.Rules = c.Rules[1:] }),
		"a rule more": in(func(c *checkpoint.NFChain) {
			c.Rules = append(slices.Clip(c.Rules), checkpoint.NFRule{Verdict: "accept"})
		}),
		"rules in other order": in(func(c *checkpoint.NFChain) { c.Rules[0], c.Rules[1] = c.Rules[1], c.Rules[0] }),
		"accept for reject":    rule(1, func(r *checkpoint.NFRule) { r.Verdict = "accept" }),
		"drop for reject":      rule(1, func(r *checkpoint.NFRule) { r.Verdict = "drop" }),
		"no verdict":           rule(1, func(r *checkpoint.NFRule) { r.Verdict = "" }),
		"no counter":           rule(1, func(r *checkpoint.NFRule) { r.Counter = false }),
		"another port":         rule(1, func(r *checkpoint.NFRule) { r.ToPort = "7778" }),
		"the bytes of a port":  rule(1, func(r *checkpoint.NFRule) { r.ToPort = "24862" }),
		"from for to":          rule(1, func(r *checkpoint.NFRule) { r.FromPort, r.ToPort = r.ToPort, "" }),
		"another device":       rule(1, func(r *checkpoint.NFRule) { r.In = "lo1" }),
		"every device":         rule(1, func(r *checkpoint.NFRule) { r.In = "" }),
		"another protocol":     rule(4, func(r *checkpoint.NFRule) { r.Proto = "udp" }),
		"more states":          rule(0, func(r *checkpoint.NFRule) { r.States = append(r.States[:2:2], "new") }),
		"fewer states":         rule(0, func(r *checkpoint.NFRule) { r.States = r.States[:1] }),
		"longer range":         rule(2, func(r *checkpoint.NFRule) { r.FromPort = "1023-65535" }),
		"larger network":       rule(2, func(r *checkpoint.NFRule) { r.From = prefix("10.1.2.0/23") }),
		"another address":      rule(2, func(r *checkpoint.NFRule) { r.To = prefix("10.1.2.4/32") }),
		"addresses exchanged":  rule(2, func(r *checkpoint.NFRule) { r.From, r.To = r.To, r.From }),
		"another IPv6 network": rule(3, func(r *checkpoint.NFRule) { r.From = prefix("fd00::/9") }),
		"another chain":        rule(4, func(r *checkpoint.NFRule) { r.Verdict = "drop" }),
	} {
		rows = append(rows, sabotage{name: name, need: need, ask: ask, tamper: tamper, want: weaker})
	}
	table(t, rows)
}

// A rule that is half understood must not be taken for one that is asked for.
func TestReadRule_Strict(t *testing.T) {
	eq := func(b ...byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b} }
	proto := &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}
	port := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	if r, err := readRule([]expr.Any{proto, eq(6), port, eq(0, 80), accept}); err != nil || r.Proto != "tcp" || r.ToPort != "80" || r.Verdict != "accept" {
		t.Fatalf("control: %+v %v", r, err)
	}
	for name, list := range map[string][]expr.Any{
		"a limit":               {&expr.Limit{Rate: 1}, accept},
		"not equal":             {proto, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{6}}, accept},
		"another register":      {proto, &expr.Cmp{Op: expr.CmpOpEq, Register: 2, Data: []byte{6}}, accept},
		"no comparison":         {proto},
		"an unknown protocol":   {proto, eq(132), accept},
		"a port of no protocol": {port, eq(0, 80), accept},
		"half a port":           {proto, eq(6), &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 3, Len: 1}, eq(80), accept},
		"a mask with holes": {
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{255, 0, 255, 0}, Xor: make([]byte, 4)}, eq(1, 0, 1, 0), accept,
		},
		"the other family":    {&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, eq(unix.NFPROTO_IPV6), &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}, eq(1, 2, 3, 4), accept},
		"something behind":    {accept, &expr.Counter{}},
		"to a queue":          {&expr.Queue{Num: 1}},
		"another ICMP":        {&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 13}},
		"a reset for anybody": {&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}},
		"a range one way":     {proto, eq(6), port, &expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{0, 80}}, accept},
		"a mark that is set":  {&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}, eq(1), accept},
	} {
		if r, err := readRule(list); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
