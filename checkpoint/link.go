package checkpoint

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// network brings the loopback device up from within, which takes two system
// calls; links and routes are made by the host over netlink while the child is
// parked.
func (p *plan) network(cfg *Config) {
	if cfg.Network.LoopbackUp {
		reg := p.reg()
		p.regs--
		socket := agent.Sys(unix.SYS_SOCKET, agent.N(unix.AF_INET), agent.N(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), agent.N(0))
		socket.Save = reg
		req := make([]byte, 40) // struct ifreq: name, flags
		copy(req, "lo")
		binary.NativeEndian.PutUint16(req[16:], unix.IFF_UP)
		p.setup.add(StageNetwork, -1, "lo", socket,
			agent.Sys(unix.SYS_IOCTL, agent.R(reg), agent.N(unix.SIOCSIFFLAGS), agent.B(req)), closeReg(reg))
	}
	n := &cfg.Network
	defer func() {
		if len(n.Nftables) > 0 { // after the links, so that no rule stands between them and their set-up
			p.host = append(p.host, hostStep{StageNetwork, "nftables", func(w *Workload) error { return w.firewall(n.Nftables) }})
		}
	}()
	if len(n.Links)+len(n.Routes)+len(n.Neighbours)+len(n.Rules) == 0 {
		return
	}
	p.host = append(p.host, hostStep{StageNetwork, "", func(w *Workload) error { return w.links(&cfg.Network) }})
}

// links makes, moves and configures the devices. A pair that could not be
// finished ends with the workload, as all do.
func (w *Workload) links(n *Network) error {
	nsFD, err := w.openProc("ns/net")
	if err != nil {
		return err
	}
	defer unix.Close(nsFD)
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer host.Close()
	inside, err := netlink.NewHandleAt(netns.NsHandle(nsFD), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	for i := range n.Links {
		l := &n.Links[i]
		if err := w.link(host, inside, nsFD, l); err != nil {
			return &Error{Stage: StageNetwork, Index: i, Object: l.Name, Err: err}
		}
	}
	for i := range n.Routes {
		if err := route(inside, &n.Routes[i]); err != nil {
			return &Error{Stage: StageNetwork, Index: i, Object: "route " + n.Routes[i].Destination.String(), Err: err}
		}
	}
	return neighboursAndRules(inside, n)
}

// remember notes the host's end of a pair, to be removed at the end.
func (w *Workload) remember(host *netlink.Handle, name string) error {
	dev, err := host.LinkByName(name)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.veths = append(w.veths, dev.Attrs().Index)
	w.mu.Unlock()
	return nil
}

// removeVeths takes the pairs down that were made for the workload, once it has
// ended. The kernel does so by itself, but some time after the last process of
// the namespace, and until then their names are taken. They are named by index:
// a device that got the name since is left alone.
func removeVeths(indices []int) {
	if len(indices) == 0 {
		return
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return // then the kernel will
	}
	defer host.Close()
	for _, i := range indices {
		_ = host.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Index: i}})
	}
}

func (w *Workload) link(host, inside *netlink.Handle, nsFD int, l *Link) error {
	attrs, err := l.attrs()
	if err != nil {
		return err
	}
	switch l.Kind {
	case Dummy:
		if err := inside.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
			return err
		}
	case Veth:
		attrs.Name = l.Host
		veth, err := l.pair(attrs, nsFD)
		if err != nil {
			return err
		}
		if err := host.LinkAdd(veth); err != nil {
			return fmt.Errorf("add pair: %w", err)
		}
		if err := w.remember(host, l.Host); err != nil {
			return err
		}
		if err := enslave(host, l.Host, l.HostMaster); err != nil {
			return err
		}
		if err := configure(host, l.Host, l.HostAddresses, l.Down); err != nil {
			return err
		}
	case Move:
		return moveLink(host, inside, nsFD, l)
	default:
		if err := makeLink(host, inside, nsFD, l, attrs); err != nil {
			return err
		}
	}
	if l.WireGuard != nil {
		if err := l.WireGuard.set(nsFD, l.Name); err != nil {
			return err
		}
	}
	if err := enslave(inside, l.Name, l.Master); err != nil {
		return err
	}
	return configure(inside, l.Name, l.Addresses, l.Down)
}

func configure(h *netlink.Handle, name string, addrs []netip.Prefix, down bool) error {
	dev, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := h.AddrAdd(dev, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("add address %s: %w", a, err)
		}
	}
	if down {
		return nil
	}
	if err := h.LinkSetUp(dev); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return nil
}

func route(h *netlink.Handle, r *Route) error {
	nr := &netlink.Route{}
	if r.Destination.IsValid() {
		nr.Dst = ipNet(r.Destination.Masked())
	}
	if r.Gateway.IsValid() {
		nr.Gw = net.IP(r.Gateway.AsSlice())
	}
	if r.Link != "" {
		dev, err := h.LinkByName(r.Link)
		if err != nil {
			return err
		}
		nr.LinkIndex = dev.Attrs().Index
	}
	nr.Table, nr.Priority = r.Table, r.Metric
	return h.RouteAdd(nr)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
