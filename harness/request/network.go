package request

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// LinkAttributes are the less common properties of a [Link].
type LinkAttributes struct {
	MAC        string `json:"mac,omitempty"`
	HostMAC    string `json:"hostMAC,omitempty"` // of a veth pair
	TxQueueLen int    `json:"txQueueLen,omitempty"`
	Master     string `json:"master,omitempty"`     // a bridge inside
	HostMaster string `json:"hostMaster,omitempty"` // a bridge of the host, for its end of a pair
	Parent     string `json:"parent,omitempty"`     // of macvlan, ipvlan, vlan: a device of the host
	Mode       string `json:"mode,omitempty"`       // of macvlan and ipvlan, as ip-link(8) has it
	VLANID     int    `json:"vlanID,omitempty"`
	// KeepAddresses: a moved device keeps its permanent global addresses.
	KeepAddresses bool `json:"keepAddresses,omitempty"`
}

// NetworkTables are the tables of a network namespace besides its routes.
type NetworkTables struct {
	Neighbours []Neighbour   `json:"neighbours,omitempty"`
	Rules      []RoutingRule `json:"rules,omitempty"`
	Nftables   []NFTable     `json:"nftables,omitempty"`
}

func (t *NetworkTables) isZero() bool { return len(t.Neighbours)+len(t.Rules)+len(t.Nftables) == 0 }

// Neighbour is a permanent entry of arp(7), or its like for IPv6.
type Neighbour struct {
	Link    string     `json:"link"`
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac"`
}

// RoutingRule chooses a routing table, see ip-rule(8).
type RoutingRule struct {
	Priority int          `json:"priority"`
	From     netip.Prefix `json:"from,omitzero"`
	To       netip.Prefix `json:"to,omitzero"`
	Mark     uint32       `json:"mark,omitempty"`
	Table    int          `json:"table"`
}

// linkModes are the kinds of links, with the modes that they have.
var linkModes = map[string][]string{
	"veth": nil, "dummy": nil, "move": nil, "bridge": nil, "vlan": nil, "wireguard": nil,
	"macvlan": {"private", "vepa", "bridge", "passthru", "source"}, "ipvlan": {"l2", "l3", "l3s"},
}

func (c *checker) link(f string, l *Link) {
	modes, ok := linkModes[l.Kind]
	c.check(ok, f+".kind", "unknown kind %q", l.Kind)
	c.check(l.Mode == "" || slices.Contains(modes, l.Mode), f+".mode", "unknown mode %q", l.Mode)
	onParent := l.Kind == "macvlan" || l.Kind == "ipvlan" || l.Kind == "vlan"
	c.check(onParent == (l.Parent != ""), f+".parent", "%q with kind %q", l.Parent, l.Kind)
	c.check(l.Kind == "vlan" && l.VLANID >= 1 && l.VLANID <= 4094 || l.Kind != "vlan" && l.VLANID == 0, f+".vlanID", "%d", l.VLANID)
	c.check(l.Kind == "veth" || l.HostMAC == "" && l.HostMaster == "", f, "has no end on the host")
	c.check(l.Kind == "move" || !l.KeepAddresses, f+".keepAddresses", "is for a device that is moved")
	c.check(l.Kind == "move" || !strings.Contains(l.Name, "%"), f+".name", "%q: only a device that is moved has its name chosen by the kernel", l.Name)
	c.check(l.Kind == "wireguard" || l.WireGuard == nil, f+".wireguard", "with kind %q", l.Kind)
	if l.WireGuard != nil {
		c.wireGuard(f+".wireguard", l.WireGuard)
	}
	c.check(l.TxQueueLen >= 0, f+".txQueueLen", "%d is negative", l.TxQueueLen)
	c.mac(f+".mac", l.MAC)
	c.mac(f+".hostMAC", l.HostMAC)
}

func (c *checker) mac(f, s string) {
	m, err := net.ParseMAC(s)
	c.check(s == "" || err == nil && len(m) == 6, f, "%q is no Ethernet address", s)
}

func (c *checker) networkTables(r *Request) {
	for i, n := range r.Ext.Network.Neighbours {
		f := at("holdshort.network.neighbours", i)
		c.check(n.Link != "" && n.Address.IsValid() && n.MAC != "", f, "needs a link, an address and a mac")
		c.mac(f+".mac", n.MAC)
	}
	for i, u := range r.Ext.Network.Rules {
		f := at("holdshort.network.rules", i)
		c.check(u.Table > 0, f+".table", "%d is no routing table", u.Table)
		c.check(u.Priority > 0 && u.Priority < 1<<31, f+".priority", "%d is out of range", u.Priority)
		c.check(!u.From.IsValid() || !u.To.IsValid() || u.From.Addr().Is6() == u.To.Addr().Is6(), f, "from and to are of different families")
	}
	for name, d := range r.Linux().NetDevices {
		f := "linux.netDevices." + name
		for _, n := range []string{name, d.Name} {
			c.check(len(n) <= 15 && !strings.ContainsAny(n, "/ \x00:") && n != "." && n != "..", f, "%q is no name of a device", n)
		}
		c.check(name != "", f, "has no name")
	}
}
