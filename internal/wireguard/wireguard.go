// Package wireguard sets keys and peers of a WireGuard device, and reads them
// back, by its generic netlink family (include/uapi/linux/wireguard.h). Since
// Linux 5.6. Both need CAP_NET_ADMIN over the device's network namespace.
package wireguard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Key is a private, public or shared key, in the form in which wg(8) writes it.
type Key string

// KeySize is the length of a key in bytes.
const KeySize = 32

// Bytes decodes a key.
func (k Key) Bytes() ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(string(k))
	if err == nil && len(b) != KeySize {
		err = fmt.Errorf("%d bytes", len(b))
	}
	if err != nil {
		return nil, fmt.Errorf("a key is %d bytes in base64: %w", KeySize, errors.Join(unix.EINVAL, err))
	}
	return b, nil
}

func keyOf(b []byte) Key { return Key(base64.StdEncoding.EncodeToString(b)) }

// Peer is one peer of a device.
type Peer struct {
	PublicKey    Key
	PresharedKey Key // empty: none
	Endpoint     netip.AddrPort
	AllowedIPs   []netip.Prefix
	Keepalive    int // seconds between packets that keep a path open; 0: none
}

// Device is what a device is told. What is zero is left to the kernel.
type Device struct {
	PrivateKey Key
	PublicKey  Key // only read: it follows from the private one
	ListenPort int // 0: the kernel chooses
	FWMark     uint32
	Peers      []Peer
}

// The commands and attributes of the family.
const (
	family, version = "wireguard", 1

	cmdGet, cmdSet = 0, 1

	devName, devPrivate, devPublic, devFlags, devPort, devMark, devPeers = 2, 3, 4, 5, 6, 7, 8

	peerPublic, peerShared, peerFlags, peerEndpoint, peerKeepalive, peerAllowed = 1, 2, 3, 4, 5, 9

	ipFamily, ipAddr, ipMask = 1, 2, 3

	replace = 1 // of peers or of addresses: those that are there go
)

// request begins a request to the family, in the network namespace that nsFD
// is open on; close ends it.
func request(nsFD, cmd, flags int) (r *nl.NetlinkRequest, closing func(), err error) {
	f, err := netlink.GenlFamilyGet(family)
	if err != nil {
		return nil, nil, fmt.Errorf("generic netlink family %s: %w", family, err)
	}
	s, err := nl.GetNetlinkSocketAt(netns.NsHandle(nsFD), netns.None(), unix.NETLINK_GENERIC)
	if err != nil {
		return nil, nil, err
	}
	r = nl.NewNetlinkRequest(int(f.ID), flags)
	r.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_GENERIC: {Socket: s}}
	r.AddData(&nl.Genlmsg{Command: uint8(cmd), Version: version})
	return r, s.Close, nil
}

// Set gives the device name its keys, and exactly these peers.
func Set(nsFD int, name string, d *Device) error {
	r, closing, err := request(nsFD, cmdSet, unix.NLM_F_ACK)
	if err != nil {
		return err
	}
	defer closing()
	r.AddData(nl.NewRtAttr(devName, nl.ZeroTerminated(name)))
	if d.PrivateKey != "" {
		b, err := d.PrivateKey.Bytes()
		if err != nil {
			return err
		}
		r.AddData(nl.NewRtAttr(devPrivate, b))
	}
	r.AddData(nl.NewRtAttr(devFlags, nl.Uint32Attr(replace)))
	if d.ListenPort != 0 {
		r.AddData(nl.NewRtAttr(devPort, nl.Uint16Attr(uint16(d.ListenPort))))
	}
	if d.FWMark != 0 {
		r.AddData(nl.NewRtAttr(devMark, nl.Uint32Attr(d.FWMark)))
	}
	if len(d.Peers) > 0 {
		list := nl.NewRtAttr(devPeers|unix.NLA_F_NESTED, nil)
		for i := range d.Peers {
			if err := d.Peers[i].add(list.AddRtAttr(i|unix.NLA_F_NESTED, nil)); err != nil {
				return err
			}
		}
		r.AddData(list)
	}
	_, err = r.Execute(unix.NETLINK_GENERIC, 0)
	return err
}

func (p *Peer) add(to *nl.RtAttr) error {
	public, err := p.PublicKey.Bytes()
	if err != nil {
		return err
	}
	to.AddRtAttr(peerPublic, public)
	if p.PresharedKey != "" {
		shared, err := p.PresharedKey.Bytes()
		if err != nil {
			return err
		}
		to.AddRtAttr(peerShared, shared)
	}
	to.AddRtAttr(peerFlags, nl.Uint32Attr(replace<<1)) // WGPEER_F_REPLACE_ALLOWEDIPS
	if p.Endpoint.IsValid() {
		to.AddRtAttr(peerEndpoint, sockaddr(p.Endpoint))
	}
	if p.Keepalive != 0 {
		to.AddRtAttr(peerKeepalive, nl.Uint16Attr(uint16(p.Keepalive)))
	}
	list := to.AddRtAttr(peerAllowed|unix.NLA_F_NESTED, nil)
	for i, a := range p.AllowedIPs {
		a = a.Masked()
		family := unix.AF_INET
		if a.Addr().Is6() {
			family = unix.AF_INET6
		}
		ip := list.AddRtAttr(i|unix.NLA_F_NESTED, nil)
		ip.AddRtAttr(ipFamily, nl.Uint16Attr(uint16(family)))
		ip.AddRtAttr(ipAddr, a.Addr().AsSlice())
		ip.AddRtAttr(ipMask, []byte{byte(a.Bits())})
	}
	return nil
}
