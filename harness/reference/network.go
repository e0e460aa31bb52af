package reference

var network = []Constraint{
	{Config: []string{"Network.LoopbackUp"}, Key: "holdshort.network.loopbackUp", Call: "ioctl SIOCSIFFLAGS", Proof: []string{"holdshort.network.loopbackUp"}},
	{
		Config: []string{"Network.Links"}, Key: "holdshort.network.links", Call: "rtnetlink, by the host", Proof: []string{"holdshort.network.links[]"},
		Note: "veth, dummy, bridge, macvlan, ipvlan, vlan, wireguard with its keys and peers, where the kernel has them",
	},
	{
		Config: []string{"Network.Links"}, Key: "linux.netDevices", Call: "RTM_SETLINK with IFLA_NET_NS_FD and IFLA_IFNAME, RTM_NEWADDR", Proof: []string{"linux.netDevices."},
		Note: "the device that was on the host (by its hardware address), under its name inside, up, with its mtu and its permanent addresses of global scope",
	},
	{
		Config: []string{"Network.Nftables"}, Key: "holdshort.network.nftables", Call: "nfnetlink: NFT_MSG_NEWTABLE, NEWCHAIN, NEWRULE in one transaction for each table", Proof: []string{"holdshort.network.nftables[]"},
		Note: "chains of the type filter; read back from the namespace expression by expression, by code that shares nothing with what wrote them, and no other table in a new namespace",
	},
	{
		Config: []string{"Network.Neighbours", "Network.Rules"}, Key: "holdshort.network.neighbours, holdshort.network.rules", Call: "RTM_NEWNEIGH, RTM_NEWRULE",
		Proof: []string{"holdshort.network.neighbours[]", "holdshort.network.rules[]"},
	},
	{Config: []string{"Network.Routes"}, Key: "holdshort.network.routes", Call: "rtnetlink, by the host", Proof: []string{"holdshort.network.routes[]"}},
}
