package harness

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/internal/netdump"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// seeAttributes compares the less common properties of a device; it says what
// is wrong.
func seeAttributes(nl *netlink.Handle, l netlink.Link, want *checkpoint.Link, got map[string]any) string {
	a := l.Attrs()
	got["mac"], got["tx_queue_len"] = a.HardwareAddr.String(), a.TxQLen
	switch {
	case want.MAC != "" && !strings.EqualFold(a.HardwareAddr.String(), want.MAC):
		return "it has another hardware address"
	case want.TxQueueLen != 0 && a.TxQLen != want.TxQueueLen:
		return "it has another length of the transmit queue"
	}
	if want.Parent != "" {
		p, err := netlink.LinkByName(want.Parent)
		if err != nil || p.Attrs().Index != a.ParentIndex {
			return "it does not sit on " + want.Parent
		}
	}
	if want.Master != "" {
		m, err := nl.LinkByName(want.Master)
		if err != nil || m.Attrs().Index != a.MasterIndex {
			return "it is no port of " + want.Master
		}
	}
	mode := want.Mode
	switch d := l.(type) {
	case *netlink.Macvlan:
		is := map[netlink.MacvlanMode]string{
			netlink.MACVLAN_MODE_PRIVATE: "private", netlink.MACVLAN_MODE_VEPA: "vepa", netlink.MACVLAN_MODE_BRIDGE: "bridge",
			netlink.MACVLAN_MODE_PASSTHRU: "passthru", netlink.MACVLAN_MODE_SOURCE: "source",
		}[d.Mode]
		got["mode"] = is
		if mode == "" {
			mode = "bridge"
		}
		if is != mode {
			return "it has another mode"
		}
	case *netlink.IPVlan:
		is := map[netlink.IPVlanMode]string{netlink.IPVLAN_MODE_L2: "l2", netlink.IPVLAN_MODE_L3: "l3", netlink.IPVLAN_MODE_L3S: "l3s"}[d.Mode]
		got["mode"] = is
		if mode == "" {
			mode = "l2"
		}
		if is != mode {
			return "it has another mode"
		}
	case *netlink.Vlan:
		got["vlan_id"] = d.VlanId
		if d.VlanId != want.VLANID {
			return "it has another vlan id"
		}
	}
	return ""
}

func seeHostEnd(l netlink.Link, want *checkpoint.Link) string {
	if want.HostMAC != "" && !strings.EqualFold(l.Attrs().HardwareAddr.String(), want.HostMAC) {
		return "the host's end has another hardware address"
	}
	if want.HostMaster != "" {
		m, err := netlink.LinkByName(want.HostMaster)
		if err != nil || m.Attrs().Index != l.Attrs().MasterIndex {
			return "the host's end is no port of " + want.HostMaster
		}
	}
	return ""
}

func seeNeighbour(nl *netlink.Handle, want *checkpoint.Neighbour) (any, bool, string, error) {
	dev, err := nl.LinkByName(want.Link)
	if err != nil {
		return missingLink(nil, "there is no such device: ", err)
	}
	all, err := netdump.Whole(func() ([]netlink.Neigh, error) { return nl.NeighList(dev.Attrs().Index, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, false, "", err
	}
	var got []string
	holds := false
	for _, n := range all {
		got = append(got, n.String())
		a, _ := netip.AddrFromSlice(n.IP)
		holds = holds || a.Unmap() == want.Address.Unmap() && strings.EqualFold(n.HardwareAddr.String(), want.MAC) && n.State&netlink.NUD_PERMANENT != 0
	}
	return got, holds, "", nil
}

func seeRule(nl *netlink.Handle, want *checkpoint.RoutingRule) (any, bool, string, error) {
	all, err := netdump.Whole(func() ([]netlink.Rule, error) { return nl.RuleList(netlink.FAMILY_ALL) })
	if err != nil {
		return nil, false, "", err
	}
	same := func(p netip.Prefix, n fmt.Stringer, none bool) bool {
		if !p.IsValid() || p.Bits() == 0 {
			return none || n.String() == p.Masked().String()
		}
		return !none && n.String() == p.Masked().String()
	}
	var got []string
	holds := false
	for _, r := range all {
		got = append(got, r.String())
		holds = holds || r.Priority == want.Priority && r.Table == want.Table && r.Mark == want.Mark && !r.Invert &&
			same(want.From, r.Src, r.Src == nil) && same(want.To, r.Dst, r.Dst == nil)
	}
	return got, holds, "", nil
}

// device is what a device of the host was before it was moved.
type device struct {
	mac       string
	mtu       int
	addresses []string // permanent and of global scope
}

// devicesBefore notes what the devices of linux.netDevices are on the host.
func (h *held) devicesBefore(req *request.Request) {
	for name := range req.Linux().NetDevices {
		l, err := netlink.LinkByName(name)
		if err != nil {
			continue // the launch will say so
		}
		addrs, err := netdump.Whole(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_ALL) })
		if err != nil {
			continue
		}
		d := device{mac: l.Attrs().HardwareAddr.String(), mtu: l.Attrs().MTU}
		for _, a := range addrs {
			if a.Scope == unix.RT_SCOPE_UNIVERSE && a.Flags&unix.IFA_F_PERMANENT != 0 {
				d.addresses = append(d.addresses, a.IPNet.String())
			}
		}
		if h.devices == nil {
			h.devices = map[string]device{}
		}
		h.devices[name] = d
	}
}

// moved judges a device of linux.netDevices: it must be the one that was on the
// host, under the name that was asked for, up, with its addresses.
func (h *held) moved(name string) (any, bool, string, error) {
	before, ok := h.devices[name]
	if !ok {
		return nil, false, "", fmt.Errorf("%s was not seen on the host before", name)
	}
	i := slices.IndexFunc(h.cfg.Network.Links, func(l checkpoint.Link) bool { return l.Kind == checkpoint.Move && l.Host == name })
	if i < 0 {
		return nil, false, "", fmt.Errorf("nothing of the plan is about %s", name)
	}
	fd, err := netns.GetFromPath(h.proc("ns/net"))
	if err != nil {
		return nil, false, "", err
	}
	defer fd.Close()
	nl, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, false, "", err
	}
	defer nl.Close()
	l, err := findMoved(nl, h.cfg.Network.Links[i].Name, before.mac)
	if err != nil {
		return nil, false, "", err
	}
	if l == nil {
		return nil, false, "there is no such device with the hardware address " + before.mac, nil
	}
	addrs, err := netdump.Whole(func() ([]netlink.Addr, error) { return nl.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, false, "", err
	}
	var list []string
	for _, a := range addrs {
		list = append(list, a.IPNet.String())
	}
	got := map[string]any{"name": l.Attrs().Name, "mtu": l.Attrs().MTU, "flags": l.Attrs().Flags.String(), "addresses": list}
	switch {
	case l.Attrs().MTU != before.mtu:
		return got, false, "it has another mtu", nil
	case l.Attrs().RawFlags&unix.IFF_UP == 0:
		return got, false, "it is down", nil
	}
	for _, a := range before.addresses {
		if !slices.Contains(list, a) {
			return got, false, a + " was lost", nil
		}
	}
	return got, true, "", nil
}

// findMoved finds a device by name; one with %d stands for any number.
func findMoved(nl *netlink.Handle, name, mac string) (netlink.Link, error) {
	all, err := netdump.Whole(nl.LinkList)
	if err != nil {
		return nil, err
	}
	begin, end, template := strings.Cut(name, "%d")
	for _, l := range all {
		n := l.Attrs().Name
		fits := n == name || template && len(n) > len(begin)+len(end) && strings.HasPrefix(n, begin) && strings.HasSuffix(n, end)
		if fits && l.Attrs().HardwareAddr.String() == mac {
			return l, nil
		}
	}
	return nil, nil
}
