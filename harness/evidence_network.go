package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/internal/netdump"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func (h *held) network(part string, index int) (any, bool, string, error) {
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
	n := &h.cfg.Network
	if i := strings.IndexByte(part, '['); i >= 0 {
		part = part[:i]
	}
	switch part {
	case "loopbackUp":
		lo, err := nl.LinkByName("lo")
		if err != nil {
			return nil, false, "", err
		}
		return lo.Attrs().Flags.String(), lo.Attrs().RawFlags&unix.IFF_UP != 0, "", nil
	case "links":
		want := &n.Links[len(n.Links)-h.ownLinks+index]
		got, holds, why, err := seeLink(nl, want)
		if holds && err == nil && want.WireGuard != nil {
			why, err = seeWireGuard(int(fd), want.Name, want.WireGuard, got.(map[string]any))
			holds = why == "" && err == nil
		}
		return got, holds, why, err
	case "routes":
		return seeRoute(nl, &n.Routes[index])
	case "neighbours":
		return seeNeighbour(nl, &n.Neighbours[index])
	case "rules":
		return seeRule(nl, &n.Rules[index])
	case "nftables":
		return seeTable(int(fd), &n.Nftables[index], h.req.Namespace(specs.NetworkNamespace).Fresh(), n.Nftables)
	}
	return nil, false, "", fmt.Errorf("no way to see it from outside is known")
}

func seeLink(nl *netlink.Handle, want *checkpoint.Link) (any, bool, string, error) {
	l, err := nl.LinkByName(want.Name)
	if err != nil {
		return missingLink(nil, "there is no such device: ", err)
	}
	addrs, err := netdump.Whole(func() ([]netlink.Addr, error) { return nl.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, false, "", err
	}
	var list []string
	for _, a := range addrs {
		list = append(list, a.IPNet.String())
	}
	got := map[string]any{"kind": l.Type(), "mtu": l.Attrs().MTU, "flags": l.Attrs().Flags.String(), "addresses": list}
	switch {
	case want.Kind != checkpoint.Move && l.Type() != string(want.Kind):
		return got, false, "it is of another kind", nil
	case want.MTU != 0 && l.Attrs().MTU != want.MTU:
		return got, false, "it has another mtu", nil
	case want.Down == (l.Attrs().RawFlags&unix.IFF_UP != 0):
		return got, false, "up or down is wrong", nil
	}
	for _, a := range want.Addresses {
		if !slices.Contains(list, a.String()) {
			return got, false, a.String() + " is missing", nil
		}
	}
	for i := range addrs {
		// IPv6 gives every device a link-local address by itself.
		asked := slices.ContainsFunc(want.Addresses, func(p netip.Prefix) bool { return p.String() == list[i] })
		if want.Kind != checkpoint.Move && !asked && !addrs[i].IP.IsLinkLocalUnicast() {
			return got, false, list[i] + " was not asked for", nil
		}
	}
	if why := seeAttributes(nl, l, want, got); why != "" {
		return got, false, why, nil
	}
	if want.Kind == checkpoint.Veth {
		return seePeer(got, want)
	}
	return got, true, "", nil
}

// missingLink tells a device that is not there, a finding, from one that could
// not be looked for, which proves nothing.
func missingLink(got any, what string, err error) (any, bool, string, error) {
	var none netlink.LinkNotFoundError
	if !errors.As(err, &none) && !errors.Is(err, unix.ENODEV) {
		return nil, false, "", err
	}
	return got, false, what + err.Error(), nil
}

// seePeer looks at the host's end of a pair.
func seePeer(got map[string]any, want *checkpoint.Link) (any, bool, string, error) {
	if want.Host == "" {
		return got, true, "", nil
	}
	l, err := netlink.LinkByName(want.Host)
	if err != nil {
		return missingLink(got, "there is no "+want.Host+" on the host: ", err)
	}
	if why := seeHostEnd(l, want); why != "" {
		return got, false, why, nil
	}
	addrs, err := netdump.Whole(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, false, "", err
	}
	for _, a := range want.HostAddresses {
		if !slices.ContainsFunc(addrs, func(x netlink.Addr) bool { return x.IPNet.String() == a.String() }) {
			return got, false, "on the host " + a.String() + " is missing", nil
		}
	}
	return got, true, "", nil
}

func seeRoute(nl *netlink.Handle, want *checkpoint.Route) (any, bool, string, error) {
	table := want.Table
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	routes, err := netdump.Whole(func() ([]netlink.Route, error) {
		return nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, false, "", err
	}
	link := 0
	if want.Link != "" {
		l, err := nl.LinkByName(want.Link)
		if err != nil {
			return missingLink(nil, "there is no such device: ", err)
		}
		link = l.Attrs().Index
	}
	var got []string
	holds := false
	for _, r := range routes {
		got = append(got, r.String())
		dst := r.Dst == nil || r.Dst.IP.IsUnspecified()
		if want.Destination.IsValid() {
			dst = r.Dst != nil && r.Dst.String() == want.Destination.Masked().String()
		}
		gw := !want.Gateway.IsValid() || r.Gw.String() == want.Gateway.String()
		metric := want.Metric == 0 || r.Priority == want.Metric
		holds = holds || dst && gw && metric && (link == 0 || r.LinkIndex == link)
	}
	return got, holds, "", nil
}
