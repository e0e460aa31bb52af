package fuzz

import (
	"net/netip"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

var packetFilter = []dimension{
	{
		name: "nftables", needs: []string{"ns net"}, can: func(m *Machine) bool { return m.Nftables },
		draw: func(d *drawer) {
			for i := range pick(d, 1, 1, 2) {
				d.r.Ext.Network.Nftables = append(d.r.Ext.Network.Nftables, d.nftable("t"+strconv.Itoa(i)))
			}
		},
		has: func(r *request.Request) bool { return len(r.Ext.Network.Nftables) > 0 },
	},
	{
		name: "nftables, jump", needs: []string{"nftables"},
		has: func(r *request.Request) bool {
			for _, t := range r.Ext.Network.Nftables {
				for _, c := range t.Chains {
					for _, u := range c.Rules {
						if len(u.Verdict) > 6 && u.Verdict[:5] == "jump " {
							return true
						}
					}
				}
			}
			return false
		},
	},
}

func (d *drawer) nftable(name string) request.NFTable {
	t := request.NFTable{Family: pick(d, "inet", "ip", "ip6"), Name: name}
	// Jumps go forward only: the kernel refuses loops.
	n := d.in(1, 4)
	for i := range n {
		c := request.NFChain{Name: "c" + strconv.Itoa(i)}
		if i == 0 || d.chance(40) {
			c.Hook, c.Priority = pick(d, "prerouting", "input", "forward", "output", "postrouting"), d.in(-300, 300)
			c.Policy = pick(d, "", "accept", "drop")
		}
		t.Chains = append(t.Chains, c)
	}
	for i := range t.Chains {
		for range d.in(0, 6) {
			u := d.nfrule(t.Family)
			if u.Verdict == "reject" { // in the middle of the way only (nft_reject_inet_validate)
				if h := t.Chains[0].Hook; h != "input" && h != "forward" && h != "output" || i > 0 {
					u.Verdict = "drop"
				}
			}
			// Which hooks a chain is reached from decides what is valid in it.
			if i+1 < n && t.Chains[i+1].Hook == "" && d.chance(20) {
				u.Verdict = "jump " + t.Chains[i+1].Name
			}
			if t.Chains[i].Hook != "forward" {
				u.Out = "" // the only hook that always knows both devices
			}
			t.Chains[i].Rules = append(t.Chains[i].Rules, u)
		}
	}
	return t
}

func (d *drawer) nfrule(family string) request.NFRule {
	u := request.NFRule{Verdict: pick(d, "", "accept", "drop", "reject", "return"), Counter: d.chance(30)}
	if d.chance(20) {
		u.Out = pick(d, "lo", "eth0")
	}
	if d.chance(30) {
		u.States = some(d, 40, []string{"new", "established", "related", "invalid", "untracked"})
	}
	six := family == "ip6" || family == "inet" && d.chance(40)
	address := func() netip.Prefix {
		if six {
			var a [16]byte
			a[0], a[1], a[7], a[15] = 0xfd, byte(d.in(0, 255)), byte(d.in(0, 255)), byte(d.in(0, 255))
			return netip.PrefixFrom(netip.AddrFrom16(a), d.in(1, 128))
		}
		n := d.Uint32()
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), d.in(1, 32))
	}
	if d.chance(40) {
		u.From = address()
	}
	if d.chance(40) {
		u.To = address()
	}
	if !d.chance(60) {
		return u
	}
	u.Proto = pick(d, "tcp", "udp", "icmp", "icmpv6")
	if u.Proto == "icmp" || u.Proto == "icmpv6" {
		return u
	}
	port := func() string {
		first := d.in(0, 65535)
		if d.chance(50) {
			return strconv.Itoa(first)
		}
		return strconv.Itoa(first) + "-" + strconv.Itoa(d.in(first, 65535))
	}
	if d.chance(40) {
		u.FromPort = port()
	}
	if d.chance(60) {
		u.ToPort = port()
	}
	return u
}

// canNftables tries a table with everything that rules are drawn with.
func canNftables() bool {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
			conn, err := nftables.New()
			if err != nil {
				return err
			}
			table := conn.CreateTable(&nftables.Table{Family: family, Name: "probe"})
			chain := conn.AddChain(&nftables.Chain{
				Name: "probe", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
			})
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Ct{Key: expr.CtKeySTATE, Register: 1}, &expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH},
			}})
			if family == nftables.TableFamilyINet {
				conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH}}})
			}
			if err := conn.Flush(); err != nil {
				return err
			}
		}
		return nil
	}) == nil
}
