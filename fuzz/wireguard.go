package fuzz

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"

	"github.com/holdshort/holdshort/harness/request"
)

// wireGuard draws keys and a few peers.
func (d *drawer) wireGuard() *request.WireGuard {
	w := &request.WireGuard{PrivateKey: d.key(), ListenPort: pick(d, 0, d.in(1024, 65535)), FWMark: pick(d, 0, d.Uint32())}
	for i := range d.in(0, 3) {
		p := request.WireGuardPeer{PublicKey: d.key(), Keepalive: pick(d, 0, d.in(1, 65535))}
		if d.chance(40) {
			p.PresharedKey = d.key()
		}
		if d.chance(60) {
			p.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(d.in(1, 254))}), uint16(d.in(1, 65535)))
		}
		// Two peers cannot have the same address: the later one gets it.
		for range d.in(0, 2) {
			p.AllowedIPs = append(p.AllowedIPs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(10*i + len(p.AllowedIPs)), 0, 0}), 16))
		}
		w.Peers = append(w.Peers, p)
	}
	return w
}

// key is 32 random bytes in base64.
func (d *drawer) key() string {
	b := make([]byte, 0, 32)
	for range 8 {
		b = binary.LittleEndian.AppendUint32(b, d.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}
