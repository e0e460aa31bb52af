package engine

import (
	"slices"

	"github.com/holdshort/holdshort/checkpoint"
)

func (t *translator) network() {
	for _, name := range sortedKeys(t.req.Linux().NetDevices) {
		inside := t.req.Linux().NetDevices[name].Name
		if inside == "" {
			inside = name
		}
		t.cfg.Network.Links = append(t.cfg.Network.Links, checkpoint.Link{
			Kind: checkpoint.Move, Host: name, Name: inside,
			LinkAttributes: checkpoint.LinkAttributes{KeepAddresses: true},
		})
	}
	n := &t.req.Ext.Network
	t.cfg.Network.LoopbackUp = n.LoopbackUp
	for _, l := range n.Links {
		t.cfg.Network.Links = append(t.cfg.Network.Links, checkpoint.Link{
			Kind: checkpoint.LinkKind(l.Kind), Name: l.Name,
			Host: l.Host, Addresses: slices.Clone(l.Addresses), HostAddresses: slices.Clone(l.HostAddresses), MTU: l.MTU, Down: l.Down, WireGuard: wireGuard(l.WireGuard),
			LinkAttributes: checkpoint.LinkAttributes(l.LinkAttributes),
		})
	}
	for _, r := range n.Routes {
		t.cfg.Network.Routes = append(t.cfg.Network.Routes, checkpoint.Route(r))
	}
	for _, r := range n.Neighbours {
		t.cfg.Network.Neighbours = append(t.cfg.Network.Neighbours, checkpoint.Neighbour(r))
	}
	for i := range n.Nftables {
		t.cfg.Network.Nftables = append(t.cfg.Network.Nftables, nftable(&n.Nftables[i]))
	}
	for _, r := range n.Rules {
		t.cfg.Network.Rules = append(t.cfg.Network.Rules, checkpoint.RoutingRule(r))
	}
}
