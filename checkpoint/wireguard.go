package checkpoint

import (
	"fmt"
	"net/netip"

	"github.com/holdshort/holdshort/internal/wireguard"
)

// WireGuard are the keys and peers of a link of the kind [Wireguard]; see
// wg(8). Keys are in base64. The private key is a secret: whoever reads the
// request has it.
type WireGuard struct {
	PrivateKey string `json:"private_key,omitempty"`
	// ListenPort is 0 for one that the kernel chooses.
	ListenPort int             `json:"listen_port,omitempty"`
	FWMark     uint32          `json:"fwmark,omitempty"` // of outgoing packets
	Peers      []WireGuardPeer `json:"peers,omitempty"`
}

// WireGuardPeer is one peer.
type WireGuardPeer struct {
	PublicKey    string         `json:"public_key"`
	PresharedKey string         `json:"preshared_key,omitempty"`
	Endpoint     netip.AddrPort `json:"endpoint,omitzero"` // without it the peer must speak first
	AllowedIPs   []netip.Prefix `json:"allowed_ips,omitempty"`
	Keepalive    int            `json:"keepalive,omitempty"` // seconds, up to 65535
}

func (w *WireGuard) validate(v *validator, field string) {
	key := func(name, k string) {
		_, err := wireguard.Key(k).Bytes()
		v.check(k == "" || err == nil, field, "%s: %v", name, err)
	}
	key("private_key", w.PrivateKey)
	v.check(w.ListenPort >= 0 && w.ListenPort < 1<<16, field, "port %d", w.ListenPort)
	seen := map[string]bool{}
	for i := range w.Peers {
		p := &w.Peers[i]
		at := fmt.Sprintf("peers[%d].", i)
		v.check(p.PublicKey != "" && !seen[p.PublicKey], field, "%spublic_key %q is missing or there twice", at, p.PublicKey)
		seen[p.PublicKey] = true
		key(at+"public_key", p.PublicKey)
		key(at+"preshared_key", p.PresharedKey)
		v.check(p.Keepalive >= 0 && p.Keepalive < 1<<16, field, "%skeepalive %d", at, p.Keepalive)
		for _, a := range p.AllowedIPs {
			v.check(a.IsValid() && a == a.Masked(), field, "%sallowed_ips: %s", at, a)
		}
	}
}

// set gives a device its keys and peers.
func (w *WireGuard) set(nsFD int, name string) error {
	d := wireguard.Device{PrivateKey: wireguard.Key(w.PrivateKey), ListenPort: w.ListenPort, FWMark: w.FWMark}
	for _, p := range w.Peers {
		d.Peers = append(d.Peers, wireguard.Peer{
			PublicKey: wireguard.Key(p.PublicKey), PresharedKey: wireguard.Key(p.PresharedKey),
			Endpoint: p.Endpoint, AllowedIPs: p.AllowedIPs, Keepalive: p.Keepalive,
		})
	}
	if err := wireguard.Set(nsFD, name, &d); err != nil {
		return fmt.Errorf("keys and peers: %w", err)
	}
	return nil
}
