package fuzz

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// moreNetwork comes after network.go: its devices sit on the veth pair from
// there, whose host's end is a device of the host.
var moreNetwork = slices.Concat([]dimension{
	{
		name: "veth attributes", needs: []string{"veth"},
		draw: func(d *drawer) {
			l := d.veth()
			if d.chance(60) {
				l.MAC = d.mac()
			}
			if d.chance(60) {
				l.HostMAC = d.mac()
			}
			if d.chance(60) || l.MAC+l.HostMAC == "" {
				l.TxQueueLen = d.in(1, 5000)
			}
		},
		has: func(r *request.Request) bool {
			return slices.ContainsFunc(r.Ext.Network.Links, func(l request.Link) bool { return l.MAC+l.HostMAC != "" || l.TxQueueLen > 0 })
		},
	},
	{
		name: "bridge", needs: []string{"ns net"}, can: func(m *Machine) bool { return m.Links["bridge"] },
		draw: func(d *drawer) {
			n := &d.r.Ext.Network
			n.Links = append(n.Links, request.Link{
				Kind: "bridge", Name: "br0", Down: d.chance(30), LinkAttributes: request.LinkAttributes{MAC: d.mac()},
				Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 7, byte(d.in(0, 255)), 1}), d.in(16, 30))},
			})
		},
		has: func(r *request.Request) bool { return hasLink(r, "bridge") },
	},
	{
		name: "neighbours", needs: []string{"veth"},
		draw: func(d *drawer) {
			n, l := &d.r.Ext.Network, d.veth()
			n.Neighbours = append(n.Neighbours, request.Neighbour{Link: l.Name, Address: l.Addresses[0].Addr().Prev(), MAC: d.mac()})
		},
		has: func(r *request.Request) bool { return len(r.Ext.Network.Neighbours) > 0 },
	},
	{
		name: "routing rules", needs: []string{"ns net"}, can: func(m *Machine) bool { return m.RoutingRules },
		draw: func(d *drawer) {
			for i := range d.in(1, 4) {
				u := request.RoutingRule{Priority: 100 + 100*i + d.in(0, 99), Table: d.in(1, 1<<20), Mark: pick(d, 0, d.Uint32())}
				if d.chance(50) {
					u.From = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(d.in(0, 255)), 0, 0}), d.in(8, 32))
				}
				if d.chance(50) {
					u.To = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(d.in(0, 255)), 0, 0}), d.in(8, 32))
				}
				d.r.Ext.Network.Rules = append(d.r.Ext.Network.Rules, u)
			}
		},
		has: func(r *request.Request) bool { return len(r.Ext.Network.Rules) > 0 },
	},
}, onParent("macvlan", "private", "vepa", "bridge"), onParent("ipvlan", "l2", "l3", "l3s"), onParent("vlan"), []dimension{
	{
		name: "wireguard", needs: []string{"ns net"}, can: func(m *Machine) bool { return m.Links["wireguard"] },
		draw: func(d *drawer) {
			n := &d.r.Ext.Network
			l := request.Link{Kind: "wireguard", Name: "wg" + strconv.Itoa(d.in(0, 9)), Down: d.chance(30)}
			if d.chance(70) {
				l.WireGuard = d.wireGuard()
			}
			n.Links = append(n.Links, l)
		},
		has: func(r *request.Request) bool { return hasLink(r, "wireguard") },
	},
})

// onParent is a kind of device that sits on one of the host.
func onParent(kind string, modes ...string) []dimension {
	return []dimension{{
		name: kind, needs: []string{"veth"}, can: func(m *Machine) bool { return m.Links[kind] },
		draw: func(d *drawer) {
			n := &d.r.Ext.Network
			// One on each parent: macvlan and ipvlan do not share.
			if slices.ContainsFunc(n.Links, func(l request.Link) bool { return l.Parent != "" }) {
				return
			}
			l := request.Link{Kind: kind, Name: kind[:3] + "0", Down: d.chance(30), LinkAttributes: request.LinkAttributes{Parent: d.veth().Host}}
			if kind == "vlan" {
				l.VLANID = d.in(1, 4094)
			}
			if len(modes) > 0 {
				l.Mode = pick(d, modes...)
			}
			n.Links = append(n.Links, l)
		},
		has: func(r *request.Request) bool { return hasLink(r, kind) },
	}}
}

// veth is the pair that the request has.
func (d *drawer) veth() *request.Link {
	l := d.r.Ext.Network.Links
	return &l[slices.IndexFunc(l, func(l request.Link) bool { return l.Kind == "veth" })]
}

// mac is a locally administered unicast address.
func (d *drawer) mac() string {
	n := d.Uint32()
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", d.in(0, 255), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// linkKinds tries the kinds of devices, in a namespace that is then gone.
func linkKinds() map[string]bool {
	can := map[string]bool{}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "probe0"
	on := func(make func(netlink.LinkAttrs) netlink.Link) error {
		return onThread(func() error {
			pair := netlink.NewLinkAttrs()
			pair.Name = "probe1"
			if err := makeLink(&netlink.Veth{LinkAttrs: pair, PeerName: "probe2"}); err != nil {
				return err
			}
			parent, err := netlink.LinkByName("probe1")
			if err != nil {
				return err
			}
			a := attrs
			a.ParentIndex = parent.Attrs().Index
			return netlink.LinkAdd(make(a))
		})
	}
	can["bridge"] = onThread(func() error { return makeLink(&netlink.Bridge{LinkAttrs: attrs}) }) == nil
	can["wireguard"] = onThread(func() error { return makeLink(&netlink.Wireguard{LinkAttrs: attrs}) }) == nil
	can["macvlan"] = on(func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_PRIVATE}
	}) == nil
	can["ipvlan"] = on(func(a netlink.LinkAttrs) netlink.Link { return &netlink.IPVlan{LinkAttrs: a} }) == nil
	can["vlan"] = on(func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Vlan{LinkAttrs: a, VlanId: 7, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	}) == nil
	return can
}

func routingRules() bool {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		r := netlink.NewRule()
		r.Priority, r.Table, r.Family = 100, 77, unix.AF_INET
		return netlink.RuleAdd(r)
	}) == nil
}
