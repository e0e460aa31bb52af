package engine

import (
	"slices"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

func wireGuard(w *request.WireGuard) *checkpoint.WireGuard {
	if w == nil {
		return nil
	}
	c := &checkpoint.WireGuard{PrivateKey: w.PrivateKey, ListenPort: w.ListenPort, FWMark: w.FWMark}
	for _, p := range w.Peers {
		p.AllowedIPs = slices.Clone(p.AllowedIPs)
		c.Peers = append(c.Peers, checkpoint.WireGuardPeer(p))
	}
	return c
}
