package oracle

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Beyond is something that was asked for and cannot be seen in a task: a
// mount, a sysctl, a limit of a cgroup. It needs evidence from elsewhere (from
// /proc and /sys while the workload is held), or the verdict is unknown.
type Beyond struct {
	Field string // in the request: "mounts[2]"
	Want  any
	// Unasked: nobody asked for it, so that without evidence the verdict does
	// not become unknown, and what is there is leaked.
	Unasked bool
}

// Unasked mounts are those of the workload that nobody asked for, in a root of its
// own: what the engine forgot to unmount of the host, for one.
const unaskedMounts = "mounts.unasked"

// ofItsOwn reports that all mounts of the workload are those that were asked for.
func ofItsOwn(r *request.Request) bool {
	root := r.Spec.Root
	return root != nil && root.Path != "" && path.Clean(root.Path) != "/" && r.Namespace(specs.MountNamespace).Fresh()
}

// AskedOfEngine is Asked for an engine that is not our own launcher.
func AskedOfEngine(r *request.Request) []Beyond {
	out := Asked(r)
	if ofItsOwn(r) && !slices.ContainsFunc(out, func(b Beyond) bool { return b.Field == unaskedMounts }) {
		out = append(out, Beyond{Field: unaskedMounts, Want: noneUnasked, Unasked: true})
	}
	return out
}

const noneUnasked = "none but those that were asked for"

// Asked lists what the request asks for beyond what a posture shows, in a fixed
// order.
func Asked(r *request.Request) []Beyond {
	var out []Beyond
	add := func(asked bool, field string, want any) {
		if asked {
			out = append(out, Beyond{Field: field, Want: want})
		}
	}
	each := func(field string, n int, want func(i int) any) {
		for i := range n {
			out = append(out, Beyond{Field: field + "[" + strconv.Itoa(i) + "]", Want: want(i)})
		}
	}
	s, l, p, x := r.Spec, r.Linux(), r.Process(), &r.Ext
	each("mounts", len(s.Mounts), func(i int) any { return s.Mounts[i] })
	add(l.RootfsPropagation != "", "linux.rootfsPropagation", l.RootfsPropagation)
	fresh := r.Namespace(specs.MountNamespace).Fresh()
	if fresh && (l.RootfsPropagation != "" || len(s.Mounts)+len(l.MaskedPaths)+len(l.ReadonlyPaths)+len(l.Devices) > 0) {
		add(true, "mounts.propagation", "not shared, unless asked for")
		if ofItsOwn(r) {
			out = append(out, Beyond{Field: unaskedMounts, Want: noneUnasked, Unasked: true})
		}
	}
	each("linux.maskedPaths", len(l.MaskedPaths), func(i int) any { return l.MaskedPaths[i] })
	each("linux.readonlyPaths", len(l.ReadonlyPaths), func(i int) any { return l.ReadonlyPaths[i] })
	each("linux.devices", len(l.Devices), func(i int) any { return l.Devices[i] })
	devices, links, console := r.DefaultDevices()
	add(len(devices)+len(links) > 0 || console, "linux.devices.default", map[string]any{"devices": devices, "links": links, "console": console})
	if len(devices)+len(links) > 0 || console {
		out = append(out, Beyond{Field: "linux.devices.unasked", Want: "none but the default ones and those that were asked for", Unasked: true})
	}
	for _, k := range slices.Sorted(maps.Keys(l.Sysctl)) {
		add(true, "linux.sysctl."+k, l.Sysctl[k])
	}
	add(l.CgroupsPath != "" && !strings.HasPrefix(l.CgroupsPath, "/"), "linux.cgroupsPath", l.CgroupsPath) // the rest of it is the engine's choice
	if res := l.Resources; res != nil {
		add(len(res.Devices) > 0, "linux.resources.devices", res.Devices)
		add(res.Memory != nil, "linux.resources.memory", res.Memory)
		add(res.CPU != nil, "linux.resources.cpu", res.CPU)
		add(res.Pids != nil, "linux.resources.pids", res.Pids)
		add(res.BlockIO != nil, "linux.resources.blockIO", res.BlockIO)
		each("linux.resources.hugepageLimits", len(res.HugepageLimits), func(i int) any { return res.HugepageLimits[i] })
		add(res.Network != nil, "linux.resources.network", res.Network)
		add(len(res.Rdma) > 0, "linux.resources.rdma", res.Rdma)
		for _, k := range slices.Sorted(maps.Keys(res.Unified)) {
			add(true, "linux.resources.unified."+k, res.Unified[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.NetDevices)) {
		add(true, "linux.netDevices."+k, l.NetDevices[k])
	}
	add(l.MountLabel != "", "linux.mountLabel", l.MountLabel)
	add(l.IntelRdt != nil, "linux.intelRdt", l.IntelRdt)
	add(p.ApparmorProfile != "", "process.apparmorProfile", p.ApparmorProfile)
	add(p.SelinuxLabel != "", "process.selinuxLabel", p.SelinuxLabel)
	add(p.Terminal && p.ConsoleSize != nil, "process.consoleSize", p.ConsoleSize)
	out = append(out, askedTuning(r)...)
	add(s.Hooks != nil, "hooks", s.Hooks)
	identity(x, add)
	add(x.Cgroup.Freeze, "holdshort.cgroup.freeze", true)
	add(x.Cgroup.Delegate, "holdshort.cgroup.delegate", true)
	each("holdshort.cgroup.limits", len(x.Cgroup.Limits), func(i int) any { return x.Cgroup.Limits[i] })
	add(x.Network.LoopbackUp, "holdshort.network.loopbackUp", true)
	each("holdshort.network.links", len(x.Network.Links), func(i int) any { return x.Network.Links[i] })
	each("holdshort.network.neighbours", len(x.Network.Neighbours), func(i int) any { return x.Network.Neighbours[i] })
	each("holdshort.network.nftables", len(x.Network.Nftables), func(i int) any { return x.Network.Nftables[i] })
	each("holdshort.network.rules", len(x.Network.Rules), func(i int) any { return x.Network.Rules[i] })
	each("holdshort.network.routes", len(x.Network.Routes), func(i int) any { return x.Network.Routes[i] })
	out = append(out, landlockRules(x.Landlock)...)
	return out
}
