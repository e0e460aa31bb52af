package harness

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/internal/wireguard"
)

// seeWireGuard compares keys and peers of a device with what was asked for. No
// secret of them gets into got.
func seeWireGuard(nsFD int, name string, want *checkpoint.WireGuard, got map[string]any) (why string, err error) {
	d, err := wireguard.Get(nsFD, name)
	if err != nil {
		return "", err
	}
	peers := make([]map[string]any, 0, len(d.Peers))
	for i := range d.Peers {
		p := &d.Peers[i]
		peers = append(peers, map[string]any{"public_key": p.PublicKey, "endpoint": p.Endpoint, "allowed_ips": p.AllowedIPs, "keepalive": p.Keepalive})
	}
	got["public_key"], got["listen_port"], got["fwmark"], got["peers"] = d.PublicKey, d.ListenPort, d.FWMark, peers
	switch {
	case !samePrivate(want.PrivateKey, d.PrivateKey):
		return "it has another private key", nil
	case want.ListenPort != 0 && d.ListenPort != want.ListenPort:
		return "it listens on another port", nil
	case d.FWMark != want.FWMark:
		return "it marks its packets otherwise", nil
	case len(d.Peers) != len(want.Peers):
		return fmt.Sprintf("it has %d peers, not %d", len(d.Peers), len(want.Peers)), nil
	}
	for i := range want.Peers {
		p := &want.Peers[i]
		j := slices.IndexFunc(d.Peers, func(x wireguard.Peer) bool { return sameKey(p.PublicKey, x.PublicKey) })
		if j < 0 {
			return "the peer " + p.PublicKey + " is missing", nil
		}
		if why := seeWireGuardPeer(&d.Peers[j], p); why != "" {
			return "the peer " + p.PublicKey + " " + why, nil
		}
	}
	return "", nil
}

// sameKey compares the bytes: base64 has several ways to write some of them.
func sameKey(want string, got wireguard.Key) bool {
	if want == "" || got == "" {
		return want == string(got)
	}
	a, e1 := wireguard.Key(want).Bytes()
	b, e2 := got.Bytes()
	return e1 == nil && e2 == nil && slices.Equal(a, b)
}

// samePrivate: the kernel sets and clears the bits that the curve needs set and
// clear (curve25519_clamp_secret, include/crypto/curve25519.h).
func samePrivate(want string, got wireguard.Key) bool {
	b, err := wireguard.Key(want).Bytes()
	if err != nil {
		return sameKey(want, got)
	}
	b[0] &^= 7
	b[31] = b[31]&0x7f | 0x40
	return sameKey(base64.StdEncoding.EncodeToString(b), got)
}

func seeWireGuardPeer(got *wireguard.Peer, want *checkpoint.WireGuardPeer) string {
	switch {
	case !sameKey(want.PresharedKey, got.PresharedKey):
		return "has another shared key"
	case want.Endpoint.IsValid() && got.Endpoint != want.Endpoint:
		return "is at another address"
	case got.Keepalive != want.Keepalive:
		return "is kept alive otherwise"
	case len(got.AllowedIPs) != len(want.AllowedIPs):
		return "may send from other addresses"
	}
	for _, a := range want.AllowedIPs {
		if !slices.Contains(got.AllowedIPs, a) {
			return "may not send from " + a.String()
		}
	}
	return ""
}
