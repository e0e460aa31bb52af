package harness

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
)

// ownLink begins the names of devices that last longer than one launch.
var ownLink = "hx" + strconv.Itoa(os.Getpid()%100000)

// hostDevice makes a device of the host anew: a pair, whose first end has an
// address, a length of queue and an mtu of its own. It is gone at the end.
func hostDevice(t *testing.T, name string) {
	t.Helper()
	a := netlink.NewLinkAttrs()
	a.Name, a.MTU = name, 1380
	_ = netlink.LinkDel(&netlink.Veth{LinkAttrs: a})
	linkGone(t, name+"p") // the other end of one that was moved goes with its namespace
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: name + "p"}); err != nil {
		t.Skip("needs veth devices: " + err.Error())
	}
	t.Cleanup(func() { _ = netlink.LinkDel(&netlink.Veth{LinkAttrs: a}); linkGone(t, name+"p") })
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"10.213.9.2/24", "fd00:213::2/64"} {
		n, _ := netlink.ParseIPNet(p)
		if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: n}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{name, name + "p"} { // what sits on either can only be up if it is
		l, err := netlink.LinkByName(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSabotageNetDevices(t *testing.T) {
	const name = "hxmoved" // in the name of the field, so the same in every run
	ask := func(inside string) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			hostDevice(t, name)
			ns(specs.NetworkNamespace)(t, q)
			q.Spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{name: {Name: inside}}
		}
	}
	again := func(f func(l *checkpoint.Link)) func(*checkpoint.Config, *checkpoint.Options) {
		return func(c *checkpoint.Config, _ *checkpoint.Options) {
			hostDevice(t, name)
			f(&c.Network.Links[0])
		}
	}
	weaker := finds{"linux.netDevices." + name: oracle.Weaker}
	table(t, []sabotage{
		{name: "not moved", ask: ask("eth0"), tamper: func(c *checkpoint.Config, _ *checkpoint.Options) { hostDevice(t, name); c.Network.Links = nil }, want: weaker},
		{name: "addresses lost", ask: ask("eth0"), tamper: again(func(l *checkpoint.Link) { l.KeepAddresses = false }), want: weaker},
		{name: "another name", ask: ask("eth0"), tamper: again(func(l *checkpoint.Link) { l.Name = "eth1" }), want: weaker},
		{name: "the host's name", ask: ask(""), tamper: again(func(l *checkpoint.Link) { l.Name = "eth1" }), want: weaker},
		{name: "down", ask: ask("eth0"), tamper: again(func(l *checkpoint.Link) { l.Down = true }), want: weaker},
		{name: "another mtu", ask: ask("eth0"), tamper: again(func(l *checkpoint.Link) { l.MTU = 1400 }), want: weaker},
		{name: "the kernel's choice of name", ask: ask("net%d"), tamper: again(func(l *checkpoint.Link) { l.Name = "eth%d" }), want: weaker},
		{name: "another device", ask: ask("eth0"), tamper: func(c *checkpoint.Config, _ *checkpoint.Options) {
			hostDevice(t, name)
			c.Network.Links[0] = checkpoint.Link{Kind: checkpoint.Move, Host: name + "p", Name: "eth0"}
		}, want: weaker},
	})
	t.Run("a name that is taken", func(t *testing.T) {
		hostDevice(t, name)
		q := request.New("/bin/true")
		ns(specs.NetworkNamespace)(t, q)
		q.Spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{name: {Name: "lo"}}
		r := shared(t)
		r.tamper, r.parked = nil, nil
		c, err := r.Run(bg, q, nil)
		if err != nil || c.Launch.Err == nil || !strings.Contains(c.Launch.Err.Error(), "EEXIST") {
			t.Errorf("%v %v; want EEXIST", c, err)
		}
		if _, err := netlink.LinkByName(name); err != nil {
			t.Errorf("the device has left the host: %v", err)
		}
	})
}

func TestSabotageLinkKinds(t *testing.T) {
	parent := ownLink + "m"
	hostDevice(t, parent)
	bridge := netlink.NewLinkAttrs()
	bridge.Name = ownLink + "br"
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: bridge}); err == nil {
		t.Cleanup(func() { _ = netlink.LinkDel(&netlink.Bridge{LinkAttrs: bridge}) })
	}
	links := func(l ...request.Link) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(specs.NetworkNamespace)(t, q)
			q.Ext.Network.Links = l
		}
	}
	has := func(ask func(*testing.T, *request.Request), what string) func(*testing.T, *Runner) string {
		return func(t *testing.T, r *Runner) string {
			t.Helper()
			q := request.New("/bin/true")
			ask(t, q)
			r.tamper, r.parked = nil, nil
			defer linkGone(t, hostLink+"v")
			if c, err := r.Run(bg, q, nil); err != nil || c.Launch.Err != nil {
				return what
			}
			return ""
		}
	}
	first := func(f func(l *checkpoint.Link)) func(*checkpoint.Config, *checkpoint.Options) {
		return func(c *checkpoint.Config, _ *checkpoint.Options) { f(&c.Network.Links[0]) }
	}
	weaker := finds{"holdshort.network.links[0]": oracle.Weaker}
	second := finds{"holdshort.network.links[1]": oracle.Weaker}
	veth := links(request.Link{
		Kind: "veth", Name: "eth0", Host: hostLink + "v",
		LinkAttributes: request.LinkAttributes{MAC: "02:00:00:00:00:07", HostMAC: "02:00:00:00:00:08", TxQueueLen: 77, HostMaster: ownLink + "br"},
	})
	macvlan := links(request.Link{Kind: "macvlan", Name: "mac0", LinkAttributes: request.LinkAttributes{Parent: parent, Mode: "private"}})
	ipvlan := links(request.Link{Kind: "ipvlan", Name: "ip0", LinkAttributes: request.LinkAttributes{Parent: parent, Mode: "l3"}})
	vlan := links(request.Link{Kind: "vlan", Name: "vl0", LinkAttributes: request.LinkAttributes{Parent: parent, VLANID: 7}})
	wire := links(request.Link{Kind: "wireguard", Name: "wg0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.213.10.1/24")}})
	const secret, peer, other, shared3 = "cGFzc3dvcmQtcGFzc3dvcmQtcGFzc3dvcmQtMTIzNDU=", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
	keyed := links(request.Link{Kind: "wireguard", Name: "wg0", WireGuard: &request.WireGuard{
		PrivateKey: secret, ListenPort: 51820, FWMark: 7, Peers: []request.WireGuardPeer{
			{PublicKey: peer, PresharedKey: shared3, Endpoint: netip.MustParseAddrPort("192.0.2.7:51821"), Keepalive: 25, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.213.12.0/24"), netip.MustParsePrefix("fd00:12::/64")}},
			{PublicKey: other, Endpoint: netip.MustParseAddrPort("[2001:db8::7]:51821")},
		},
	}})
	keys := func(f func(w *checkpoint.WireGuard)) func(*checkpoint.Config, *checkpoint.Options) {
		return first(func(l *checkpoint.Link) { f(l.WireGuard) })
	}
	port := links(
		request.Link{Kind: "bridge", Name: "br0", LinkAttributes: request.LinkAttributes{MAC: "02:00:00:00:00:0a"}},
		request.Link{Kind: "veth", Name: "eth0", Host: hostLink + "v", LinkAttributes: request.LinkAttributes{Master: "br0"}},
	)
	rows := []sabotage{
		{name: "veth/another mac", need: has(veth, "veth devices and bridges"), ask: veth, tamper: first(func(l *checkpoint.Link) { l.MAC = "02:00:00:00:00:17" }), want: weaker},
		{name: "veth/another mac on the host", need: has(veth, "veth devices and bridges"), ask: veth, tamper: first(func(l *checkpoint.Link) { l.HostMAC = "02:00:00:00:00:18" }), want: weaker},
		{name: "veth/another queue", need: has(veth, "veth devices and bridges"), ask: veth, tamper: first(func(l *checkpoint.Link) { l.TxQueueLen = 78 }), want: weaker},
		{name: "veth/no bridge", need: has(veth, "veth devices and bridges"), ask: veth, tamper: first(func(l *checkpoint.Link) { l.HostMaster = "" }), want: weaker},
		{name: "bridge/another mac", need: has(port, "veth devices and bridges"), ask: port, tamper: first(func(l *checkpoint.Link) { l.MAC = "02:00:00:00:00:1a" }), want: weaker},
		{name: "bridge/no port", need: has(port, "veth devices and bridges"), ask: port, tamper: func(c *checkpoint.Config, _ *checkpoint.Options) { c.Network.Links[1].Master = "" }, want: second},
		{name: "macvlan/another mode", need: has(macvlan, "macvlan devices"), ask: macvlan, tamper: first(func(l *checkpoint.Link) { l.Mode = "bridge" }), want: weaker},
		{name: "macvlan/another parent", need: has(macvlan, "macvlan devices"), ask: macvlan, tamper: first(func(l *checkpoint.Link) { l.Parent = parent + "p" }), want: weaker},
		{name: "macvlan/missing", need: has(macvlan, "macvlan devices"), ask: macvlan, tamper: config(func(c *checkpoint.Config) { c.Network.Links = nil }), want: weaker},
		{name: "ipvlan/another mode", need: has(ipvlan, "ipvlan devices"), ask: ipvlan, tamper: first(func(l *checkpoint.Link) { l.Mode = "l2" }), want: weaker},
		{name: "ipvlan/another parent", need: has(ipvlan, "ipvlan devices"), ask: ipvlan, tamper: first(func(l *checkpoint.Link) { l.Parent = parent + "p" }), want: weaker},
		{name: "vlan/another id", need: has(vlan, "vlan devices"), ask: vlan, tamper: first(func(l *checkpoint.Link) { l.VLANID = 8 }), want: weaker},
		{name: "vlan/another parent", need: has(vlan, "vlan devices"), ask: vlan, tamper: first(func(l *checkpoint.Link) { l.Parent = parent + "p" }), want: weaker},
		{name: "wireguard/no address", need: has(wire, "wireguard devices"), ask: wire, tamper: first(func(l *checkpoint.Link) { l.Addresses = nil }), want: weaker},
		{name: "wireguard/another kind", need: has(wire, "wireguard and dummy devices"), ask: wire, tamper: first(func(l *checkpoint.Link) { l.Kind = checkpoint.Bridge }), want: weaker},
	}
	for name, f := range map[string]func(w *checkpoint.WireGuard){
		"no key":           func(w *checkpoint.WireGuard) { w.PrivateKey = "" },
		"another key":      func(w *checkpoint.WireGuard) { w.PrivateKey = shared3 },
		"another port":     func(w *checkpoint.WireGuard) { w.ListenPort++ },
		"no mark":          func(w *checkpoint.WireGuard) { w.FWMark = 0 },
		"a peer missing":   func(w *checkpoint.WireGuard) { w.Peers = w.Peers[:1] },
		"another peer":     func(w *checkpoint.WireGuard) { w.Peers[1].PublicKey = shared3 },
		"no shared key":    func(w *checkpoint.WireGuard) { w.Peers[0].PresharedKey = "" },
		"another endpoint": func(w *checkpoint.WireGuard) { w.Peers[1].Endpoint = w.Peers[0].Endpoint },
		"an address more": func(w *checkpoint.WireGuard) {
			w.Peers[1].AllowedIPs = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		},
		"another address":   func(w *checkpoint.WireGuard) { w.Peers[0].AllowedIPs[1] = netip.MustParsePrefix("fd00:12::/65") },
		"another keepalive": func(w *checkpoint.WireGuard) { w.Peers[0].Keepalive = 0 },
	} {
		rows = append(rows, sabotage{name: "wireguard/" + name, need: has(keyed, "wireguard devices"), ask: keyed, tamper: keys(f), want: weaker})
	}
	rows = append(rows, sabotage{name: "wireguard/no keys at all", need: has(keyed, "wireguard devices"), ask: keyed, tamper: first(func(l *checkpoint.Link) { l.WireGuard = nil }), want: weaker})
	r := shared(t)
	for i := range rows {
		t.Run(rows[i].name, func(t *testing.T) {
			r.parked = nil
			rows[i].runOnLinks(t, r)
		})
	}
}

// runOnLinks is run, with time for the devices of the last launch to go.
func (s *sabotage) runOnLinks(t *testing.T, r *Runner) {
	t.Helper()
	linkGone(t, hostLink+"v")
	s.run(t, r)
	linkGone(t, hostLink+"v")
}

func TestSabotageNetworkTables(t *testing.T) {
	ask := func(t *testing.T, q *request.Request) {
		t.Helper()
		ns(specs.NetworkNamespace)(t, q)
		n := &q.Ext.Network
		n.Links = []request.Link{{Kind: "bridge", Name: "br0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.213.11.1/24")}}}
		n.Neighbours = []request.Neighbour{{Link: "br0", Address: netip.MustParseAddr("10.213.11.7"), MAC: "02:00:00:00:00:0b"}}
		n.Rules = []request.RoutingRule{{Priority: 100, From: netip.MustParsePrefix("10.213.11.0/24"), Mark: 3, Table: 77}}
		n.Routes = []request.Route{{Destination: netip.MustParsePrefix("10.99.0.0/16"), Link: "br0", Table: 77, Metric: 5}}
	}
	need := func(t *testing.T, r *Runner) string {
		t.Helper()
		q := request.New("/bin/true")
		ask(t, q)
		r.tamper, r.parked = nil, nil
		if c, err := r.Run(bg, q, nil); err != nil || c.Launch.Err != nil {
			return "bridges and several routing tables"
		}
		return ""
	}
	net := func(f func(n *checkpoint.Network)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { f(&c.Network) })
	}
	neighbour, rule, route := finds{"holdshort.network.neighbours[0]": oracle.Weaker}, finds{"holdshort.network.rules[0]": oracle.Weaker}, finds{"holdshort.network.routes[0]": oracle.Weaker}
	table(t, []sabotage{
		{name: "neighbour/missing", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Neighbours = nil }), want: neighbour},
		{name: "neighbour/another mac", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Neighbours[0].MAC = "02:00:00:00:00:1b" }), want: neighbour},
		{name: "neighbour/another address", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Neighbours[0].Address = n.Neighbours[0].Address.Next() }), want: neighbour},
		{name: "rule/missing", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Rules = nil }), want: rule},
		{name: "rule/for everybody", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Rules[0].From = netip.Prefix{} }), want: rule},
		{name: "rule/without the mark", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Rules[0].Mark = 0 }), want: rule},
		{name: "rule/another table", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Rules[0].Table = 78 }), want: rule},
		{name: "rule/another priority", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Rules[0].Priority = 101 }), want: rule},
		{name: "route/in the main table", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Routes[0].Table = 0 }), want: route},
		{name: "route/another metric", need: need, ask: ask, tamper: net(func(n *checkpoint.Network) { n.Routes[0].Metric = 6 }), want: route},
	})
}

// linkGone waits until a device of the host is gone, which the kernel sees to
// after the last process of the namespace of its peer has ended.
func linkGone(t *testing.T, name string) {
	t.Helper()
	for range 2000 {
		if _, err := netlink.LinkByName(name); err != nil {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // the kernel has no event for the end of a namespace
	}
	t.Errorf("%s is still there", name)
}
