package request

import (
	"encoding/base64"
	"net/netip"
)

// WireGuard are the keys and peers of a link of the kind "wireguard", as wg(8)
// writes them. The private key is a secret.
type WireGuard struct {
	PrivateKey string          `json:"privateKey,omitempty"`
	ListenPort int             `json:"listenPort,omitempty"`
	FWMark     uint32          `json:"fwmark,omitempty"`
	Peers      []WireGuardPeer `json:"peers,omitempty"`
}

// WireGuardPeer is one peer.
type WireGuardPeer struct {
	PublicKey    string         `json:"publicKey"`
	PresharedKey string         `json:"presharedKey,omitempty"`
	Endpoint     netip.AddrPort `json:"endpoint,omitzero"`
	AllowedIPs   []netip.Prefix `json:"allowedIPs,omitempty"`
	Keepalive    int            `json:"keepalive,omitempty"` // seconds
}

func (c *checker) wireGuard(f string, w *WireGuard) {
	key := func(field, k string) {
		b, err := base64.StdEncoding.DecodeString(k)
		c.check(k == "" || err == nil && len(b) == 32, field, "is not 32 bytes in base64")
	}
	key(f+".privateKey", w.PrivateKey)
	c.check(w.ListenPort >= 0 && w.ListenPort < 1<<16, f+".listenPort", "%d", w.ListenPort)
	seen := map[string]bool{}
	for i := range w.Peers {
		p, g := &w.Peers[i], at(f+".peers", i)
		c.check(p.PublicKey != "" && !seen[p.PublicKey], g+".publicKey", "is missing or there twice")
		seen[p.PublicKey] = true
		key(g+".publicKey", p.PublicKey)
		key(g+".presharedKey", p.PresharedKey)
		c.check(p.Keepalive >= 0 && p.Keepalive < 1<<16, g+".keepalive", "%d", p.Keepalive)
		for _, a := range p.AllowedIPs {
			c.check(a.IsValid() && a == a.Masked(), g+".allowedIPs", "%s has bits beyond its length", a)
		}
	}
}
