package fuzz

import (
	"net/netip"
	"strconv"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/internal/sysctl"
)

var network = []dimension{
	{
		name: "loopback", needs: []string{"ns net"},
		draw: func(d *drawer) { d.r.Ext.Network.LoopbackUp = true },
		has:  func(r *request.Request) bool { return r.Ext.Network.LoopbackUp },
	},
	{
		name: "dummy device", can: func(m *Machine) bool { return m.Dummy }, needs: []string{"ns net"},
		draw: func(d *drawer) {
			l := request.Link{Kind: "dummy", Name: "dummy" + strconv.Itoa(d.in(0, 9)), Down: d.chance(30)}
			if d.chance(60) {
				l.Addresses = append(l.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(d.in(0, 255)), byte(d.in(0, 255)), 1}), d.in(8, 32)))
			}
			if d.chance(40) {
				l.MTU = d.in(576, 9000)
			}
			d.r.Ext.Network.Links = append(d.r.Ext.Network.Links, l)
		},
		has: func(r *request.Request) bool { return hasLink(r, "dummy") },
	},
	{
		name: "veth", can: func(m *Machine) bool { return m.Veth }, needs: []string{"ns net"},
		draw: func(d *drawer) {
			// 198.18.0.0/15 is for benchmarks (RFC 2544): nobody's network.
			n := 198<<24 | 18<<16 | uint32(d.index%(1<<15))<<2
			at := func(i uint32) netip.Prefix {
				return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n + i)}), 30)
			}
			l := request.Link{
				Kind: "veth", Name: pick(d, "eth0", "net1", "up"), Host: "h" + d.m.Tag + strconv.FormatUint(d.index%(1<<40), 36),
				Addresses: []netip.Prefix{at(2)},
			}
			if d.chance(50) {
				l.HostAddresses = []netip.Prefix{at(1)}
			}
			if d.chance(30) {
				l.MTU = d.in(1280, 9000)
			}
			if d.chance(30) {
				l.Addresses = append(l.Addresses, netip.MustParsePrefix("fd00:5::"+strconv.Itoa(d.in(1, 9999))+"/64"))
			}
			d.r.Ext.Network.Links = append(d.r.Ext.Network.Links, l)
		},
		has: func(r *request.Request) bool { return hasLink(r, "veth") },
	},
	{
		name: "routes", needs: []string{"veth"},
		draw: func(d *drawer) {
			n := &d.r.Ext.Network
			veth := &n.Links[len(n.Links)-1]
			gateway := veth.Addresses[0].Addr().Prev()
			if d.chance(60) {
				n.Routes = append(n.Routes, request.Route{Gateway: gateway})
			}
			if d.chance(60) || len(n.Routes) == 0 {
				n.Routes = append(n.Routes, request.Route{Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), d.in(24, 30)), Link: veth.Name})
			}
		},
		has: func(r *request.Request) bool { return len(r.Ext.Network.Routes) > 0 },
	},
	{
		name: "sysctl net", needs: []string{"ns net"},
		draw: func(d *drawer) {
			d.sysctl("net.ipv4.ip_default_ttl", strconv.Itoa(d.in(1, 255)))
			if d.chance(50) {
				d.sysctl("net.ipv4.ip_forward", strconv.Itoa(d.in(0, 1)))
			}
		},
		has: func(r *request.Request) bool { _, ok := r.Linux().Sysctl["net.ipv4.ip_default_ttl"]; return ok },
	},
	{
		name: "sysctl ipc", needs: []string{"ns ipc"},
		draw: func(d *drawer) {
			// Inside a user namespace these may be written since Linux 6.0 only, and by its user 0.
			if d.on["ns user"] {
				return
			}
			d.sysctl("kernel.shmmni", strconv.Itoa(d.in(1, 32768)))
			d.sysctl("kernel.sem", strconv.Itoa(d.in(1, 32000))+" 1024000000 500 "+strconv.Itoa(d.in(1, 32000)))
		},
		has: func(r *request.Request) bool { _, ok := r.Linux().Sysctl["kernel.shmmni"]; return ok },
	},
}

// moreSysctls are those of each family that network.go does not draw.
var moreSysctls = []dimension{
	{
		name: "sysctl mqueue", needs: []string{"ns ipc"}, can: func(m *Machine) bool { return m.Root && m.Mqueue },
		draw: func(d *drawer) {
			if !d.on["ns user"] {
				d.sysctl("fs.mqueue.msg_max", strconv.Itoa(d.in(1, 1000)))
			}
		},
		has: func(r *request.Request) bool { _, ok := r.Linux().Sysctl["fs.mqueue.msg_max"]; return ok },
	},
	{
		name: "sysctl domainname", needs: []string{"ns uts"}, can: root,
		draw: func(d *drawer) {
			if d.r.Spec.Domainname == "" && !d.on["ns user"] {
				d.sysctl("kernel/domainname", d.word(1, 30))
			}
		},
		has: func(r *request.Request) bool { _, ok := r.Linux().Sysctl["kernel/domainname"]; return ok },
	},
	{
		name: "sysctl of a device", needs: []string{"veth"},
		draw: func(d *drawer) {
			l := d.r.Ext.Network.Links
			d.sysctl("net/ipv4/conf/"+l[len(l)-1].Name+"/rp_filter", strconv.Itoa(d.in(0, 2)))
		},
		has: func(r *request.Request) bool {
			for k := range r.Linux().Sysctl {
				if sysctl.Device(k) != "" {
					return true
				}
			}
			return false
		},
	},
}

func (d *drawer) sysctl(key, value string) {
	l := d.r.Spec.Linux
	if l.Sysctl == nil {
		l.Sysctl = map[string]string{}
	}
	l.Sysctl[key] = value
}

func hasLink(r *request.Request, kind string) bool {
	for _, l := range r.Ext.Network.Links {
		if l.Kind == kind {
			return true
		}
	}
	return false
}
