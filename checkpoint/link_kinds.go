package checkpoint

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkAttributes are the less common properties of a [Link]; see ip-link(8).
// A kind that the kernel was built without is refused with EOPNOTSUPP.
type LinkAttributes struct {
	MAC        string `json:"mac,omitempty"`      // of the device inside
	HostMAC    string `json:"host_mac,omitempty"` // of the host's end of a veth pair
	TxQueueLen int    `json:"tx_queue_len,omitempty"`
	// Master is a bridge inside the namespace that the device becomes a port
	// of, HostMaster one on the host, for the host's end of a veth pair.
	Master     string `json:"master,omitempty"`
	HostMaster string `json:"host_master,omitempty"`
	// Parent is the device of the host that a macvlan, an ipvlan or a vlan
	// sits on. It stays where it is.
	Parent string `json:"parent,omitempty"`
	// Mode of a macvlan ("private", "vepa", "bridge" (the default),
	// "passthru", "source") or an ipvlan ("l2" (the default), "l3", "l3s").
	Mode   string `json:"mode,omitempty"`
	VLANID int    `json:"vlan_id,omitempty"` // 1 to 4094
	// KeepAddresses has a device that is moved keep its permanent addresses
	// of global scope, as the runtime-spec asks for linux.netDevices; the
	// kernel alone drops them.
	KeepAddresses bool `json:"keep_addresses,omitempty"`
}

// Neighbour says which hardware address an address on a link has.
type Neighbour struct {
	Link    string     `json:"link"`
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac"`
}

// RoutingRule sends what matches to a routing table. A zero From or To matches
// everything.
type RoutingRule struct {
	Priority int          `json:"priority"` // the lowest is looked at first
	From     netip.Prefix `json:"from,omitzero"`
	To       netip.Prefix `json:"to,omitzero"`
	Mark     uint32       `json:"mark,omitempty"`
	Table    int          `json:"table"`
}

var macvlanModes = map[string]netlink.MacvlanMode{
	"": netlink.MACVLAN_MODE_BRIDGE, "private": netlink.MACVLAN_MODE_PRIVATE, "vepa": netlink.MACVLAN_MODE_VEPA,
	"bridge": netlink.MACVLAN_MODE_BRIDGE, "passthru": netlink.MACVLAN_MODE_PASSTHRU, "source": netlink.MACVLAN_MODE_SOURCE,
}

var ipvlanModes = map[string]netlink.IPVlanMode{
	"": netlink.IPVLAN_MODE_L2, "l2": netlink.IPVLAN_MODE_L2, "l3": netlink.IPVLAN_MODE_L3, "l3s": netlink.IPVLAN_MODE_L3S,
}

var linkKinds = []LinkKind{Veth, Dummy, Move, Bridge, Macvlan, IPvlan, VLAN, Wireguard}

func (l *Link) validate(v *validator, field string) {
	v.check(slices.Contains(linkKinds, l.Kind), field, "unknown kind %q", l.Kind)
	for _, m := range []string{l.MAC, l.HostMAC} {
		_, err := parseMAC(m)
		v.check(m == "" || err == nil, field, "%q is no hardware address", m)
	}
	onParent := l.Kind == Macvlan || l.Kind == IPvlan || l.Kind == VLAN
	v.check(onParent == (l.Parent != ""), field, "parent %q with kind %q", l.Parent, l.Kind)
	_, mac := macvlanModes[l.Mode]
	_, ip := ipvlanModes[l.Mode]
	v.check(l.Mode == "" || l.Kind == Macvlan && mac || l.Kind == IPvlan && ip, field, "unknown mode %q", l.Mode)
	v.check(l.Kind == VLAN && l.VLANID >= 1 && l.VLANID <= 4094 || l.Kind != VLAN && l.VLANID == 0, field, "vlan id %d", l.VLANID)
	v.check(l.Kind == Veth || l.HostMAC == "" && l.HostMaster == "", field, "has no end on the host")
	v.check(l.Kind == Move || !l.KeepAddresses, field, "has no addresses to keep")
	v.check(l.Kind == Move || !strings.Contains(l.Name, "%"), field, "%q: only a device that is moved has its name chosen by the kernel", l.Name)
	v.check(l.Kind == Wireguard || l.WireGuard == nil, field, "has no keys")
	if l.WireGuard != nil {
		l.WireGuard.validate(v, field)
	}
	v.check(l.TxQueueLen >= 0, field, "tx queue length %d", l.TxQueueLen)
}

func parseMAC(s string) (net.HardwareAddr, error) {
	if s == "" {
		return nil, nil
	}
	mac, err := net.ParseMAC(s)
	if err == nil && len(mac) != 6 {
		err = fmt.Errorf("%s is not an Ethernet address: %w", s, unix.EINVAL)
	}
	return mac, err
}

// attrs are those of the device inside, which for a pair is the peer.
func (l *Link) attrs() (netlink.LinkAttrs, error) {
	a := netlink.NewLinkAttrs()
	a.Name, a.MTU = l.Name, l.MTU
	if l.TxQueueLen > 0 {
		a.TxQLen = l.TxQueueLen
	}
	mac, err := parseMAC(l.MAC)
	a.HardwareAddr = mac
	return a, err
}

// pair is a veth pair: the attributes of the request are those of the peer.
func (l *Link) pair(a netlink.LinkAttrs, nsFD int) (*netlink.Veth, error) {
	v := &netlink.Veth{
		PeerName: l.Name, PeerNamespace: netlink.NsFd(nsFD), PeerMTU: uint32(l.MTU),
		PeerHardwareAddr: a.HardwareAddr, PeerTxQLen: a.TxQLen,
	}
	mac, err := parseMAC(l.HostMAC)
	a.Name, a.HardwareAddr = l.Host, mac
	v.LinkAttrs = a
	return v, err
}

// makeLink makes a device of another kind. What sits on a device of the host is
// made by the host, right into the namespace (IFLA_NET_NS_FD), so that it never
// has a name on the host. A wireguard device sends through the namespace that it
// was made in (drivers/net/wireguard/device.c): with Host set that is the
// host's, as is usual.
func makeLink(host, inside *netlink.Handle, nsFD int, l *Link, a netlink.LinkAttrs) error {
	add := func(h *netlink.Handle, dev netlink.Link) error {
		if err := h.LinkAdd(dev); err != nil {
			return fmt.Errorf("add %s: %w", l.Kind, err)
		}
		return nil
	}
	switch l.Kind {
	case Bridge:
		return add(inside, &netlink.Bridge{LinkAttrs: a})
	case Wireguard:
		if l.Host == "" {
			return add(inside, &netlink.Wireguard{LinkAttrs: a})
		}
		a.Namespace = netlink.NsFd(nsFD)
		return add(host, &netlink.Wireguard{LinkAttrs: a})
	}
	parent, err := host.LinkByName(l.Parent)
	if err != nil {
		return fmt.Errorf("parent %s: %w", l.Parent, err)
	}
	a.ParentIndex, a.Namespace = parent.Attrs().Index, netlink.NsFd(nsFD)
	switch l.Kind {
	case Macvlan:
		return add(host, &netlink.Macvlan{LinkAttrs: a, Mode: macvlanModes[l.Mode]})
	case IPvlan:
		return add(host, &netlink.IPVlan{LinkAttrs: a, Mode: ipvlanModes[l.Mode]})
	case VLAN:
		return add(host, &netlink.Vlan{LinkAttrs: a, VlanId: l.VLANID, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	}
	return unix.EINVAL
}

// enslave makes a device the port of a bridge.
func enslave(h *netlink.Handle, name, master string) error {
	if master == "" {
		return nil
	}
	dev, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	bridge, err := h.LinkByName(master)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", master, err)
	}
	if err := h.LinkSetMaster(dev, bridge); err != nil {
		return fmt.Errorf("join bridge %s: %w", master, err)
	}
	return nil
}

func neighboursAndRules(h *netlink.Handle, n *Network) error {
	for i := range n.Neighbours {
		if err := neighbour(h, &n.Neighbours[i]); err != nil {
			return &Error{Stage: StageNetwork, Index: i, Object: "neighbour " + n.Neighbours[i].Address.String(), Err: err}
		}
	}
	for i := range n.Rules {
		if err := h.RuleAdd(n.Rules[i].netlink()); err != nil {
			return &Error{Stage: StageNetwork, Index: i, Object: "rule", Err: err}
		}
	}
	return nil
}

func neighbour(h *netlink.Handle, n *Neighbour) error {
	dev, err := h.LinkByName(n.Link)
	if err != nil {
		return err
	}
	mac, err := parseMAC(n.MAC)
	if err != nil {
		return err
	}
	return h.NeighSet(&netlink.Neigh{LinkIndex: dev.Attrs().Index, State: netlink.NUD_PERMANENT, IP: n.Address.AsSlice(), HardwareAddr: mac})
}

func (r *RoutingRule) netlink() *netlink.Rule {
	n := netlink.NewRule()
	n.Priority, n.Table, n.Mark, n.Family = r.Priority, r.Table, r.Mark, unix.AF_INET
	if r.From.IsValid() {
		n.Src = ipNet(r.From.Masked())
	}
	if r.To.IsValid() {
		n.Dst = ipNet(r.To.Masked())
	}
	if r.From.Addr().Is6() || r.To.Addr().Is6() {
		n.Family = unix.AF_INET6
	}
	return n
}
