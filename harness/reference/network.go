package reference

var network = []Constraint{
	{Config: []string{"Network.LoopbackUp"}, Key: "holdshort.network.loopbackUp", Call: "ioctl SIOCSIFFLAGS", Proof: []string{"holdshort.network.loopbackUp"}},
	{Config: []string{"Network.Links"}, Key: "holdshort.network.links", Call: "rtnetlink, by the host", Proof: []string{"holdshort.network.links[]"}},
	{Config: []string{"Network.Links"}, Key: "linux.netDevices", Call: "rtnetlink, by the host", Proof: []string{"linux.netDevices."}, Untested: "see holdshort.network.links"},
	{Config: []string{"Network.Routes"}, Key: "holdshort.network.routes", Call: "rtnetlink, by the host", Proof: []string{"holdshort.network.routes[]"}},
}
