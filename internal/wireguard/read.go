package wireguard

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/holdshort/holdshort/internal/netdump"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Lengths of struct sockaddr_in and sockaddr_in6.
const sizeIn, sizeIn6 = 16, 28

func sockaddr(a netip.AddrPort) []byte {
	ip := a.Addr()
	if ip.Is4() {
		b := make([]byte, sizeIn)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		binary.BigEndian.PutUint16(b[2:], a.Port())
		copy(b[4:], ip.AsSlice())
		return b
	}
	b := make([]byte, sizeIn6)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	copy(b[8:], ip.AsSlice())
	return b
}

func addrPort(b []byte) netip.AddrPort {
	switch {
	case len(b) >= sizeIn && binary.NativeEndian.Uint16(b) == unix.AF_INET:
		ip, _ := netip.AddrFromSlice(b[4:8])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:]))
	case len(b) >= sizeIn6 && binary.NativeEndian.Uint16(b) == unix.AF_INET6:
		ip, _ := netip.AddrFromSlice(b[8:24])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:]))
	}
	return netip.AddrPort{}
}

// Get reads a device. The kernel tells the keys to those that may change them.
func Get(nsFD int, name string) (*Device, error) {
	r, closing, err := request(nsFD, cmdGet, unix.NLM_F_DUMP)
	if err != nil {
		return nil, err
	}
	defer closing()
	r.AddData(nl.NewRtAttr(devName, nl.ZeroTerminated(name)))
	msgs, err := netdump.Whole(func() ([][]byte, error) { return r.Execute(unix.NETLINK_GENERIC, 0) })
	if err != nil {
		return nil, err
	}
	d := &Device{}
	for _, m := range msgs { // one that is too long goes on in the next
		if len(m) < nl.SizeofGenlmsg {
			return nil, fmt.Errorf("wireguard: a message of %d bytes", len(m))
		}
		if err := d.read(m[nl.SizeofGenlmsg:]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// each calls f for the attributes in b.
func each(b []byte, f func(kind int, v []byte) error) error {
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		kind := int(binary.NativeEndian.Uint16(b[2:])) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if n < unix.SizeofNlAttr || n > len(b) {
			return fmt.Errorf("wireguard: an attribute of %d bytes in %d", n, len(b))
		}
		if err := f(kind, b[unix.SizeofNlAttr:n]); err != nil {
			return err
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

func number(v []byte) uint32 {
	switch len(v) {
	case 1:
		return uint32(v[0])
	case 2:
		return uint32(binary.NativeEndian.Uint16(v))
	case 4:
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

func (d *Device) read(b []byte) error {
	return each(b, func(kind int, v []byte) error {
		switch kind {
		case devPrivate:
			d.PrivateKey = keyOf(v)
		case devPublic:
			d.PublicKey = keyOf(v)
		case devPort:
			d.ListenPort = int(number(v))
		case devMark:
			d.FWMark = number(v)
		case devPeers:
			return each(v, func(_ int, v []byte) error {
				p, err := readPeer(v)
				if n := len(d.Peers); err == nil && n > 0 && d.Peers[n-1].PublicKey == p.PublicKey {
					d.Peers[n-1].AllowedIPs = append(d.Peers[n-1].AllowedIPs, p.AllowedIPs...)
					return nil
				}
				d.Peers = append(d.Peers, p)
				return err
			})
		}
		return nil
	})
}

func readPeer(b []byte) (p Peer, err error) {
	err = each(b, func(kind int, v []byte) error {
		switch kind {
		case peerPublic:
			p.PublicKey = keyOf(v)
		case peerShared:
			for _, x := range v {
				if x != 0 { // all zero is none
					p.PresharedKey = keyOf(v)
					break
				}
			}
		case peerEndpoint:
			p.Endpoint = addrPort(v)
		case peerKeepalive:
			p.Keepalive = int(number(v))
		case peerAllowed:
			return each(v, func(_ int, v []byte) error {
				var ip netip.Addr
				bits := 0
				err := each(v, func(kind int, v []byte) error {
					switch kind {
					case ipAddr:
						ip, _ = netip.AddrFromSlice(v)
					case ipMask:
						bits = int(number(v))
					}
					return nil
				})
				p.AllowedIPs = append(p.AllowedIPs, netip.PrefixFrom(ip, bits))
				return err
			})
		}
		return nil
	})
	return p, err
}
