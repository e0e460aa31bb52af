package harness

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestSabotageMounts(t *testing.T) {
	dir := rootfs(t)
	elsewhere := t.TempDir()
	other := rootfs(t)
	mount := func(m ...specs.Mount) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(specs.MountNamespace, specs.PIDNamespace)(t, q)
			q.Spec.Mounts = m
		}
	}
	tmpfs := mount(specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro", "nosuid", "nodev", "noexec"}})
	sized := mount(specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=1m", "mode=0700"}})
	proc := mount(specs.Mount{Destination: "/proc", Type: "proc", Source: "proc"})
	bind := mount(specs.Mount{Destination: "/mnt", Source: dir, Options: []string{"rbind", "ro"}})
	root := func(readonly bool, more ...specs.Mount) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(specs.MountNamespace)(t, q)
			q.Spec.Root = &specs.Root{Path: dir, Readonly: readonly}
			q.Spec.Mounts = more
		}
	}
	scratch := specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"}
	skipMounts := config(func(c *checkpoint.Config) { c.Mounts = nil })
	option := func(i int, o string) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) {
			opts := append([]string{}, c.Mounts[0].Options...)
			if opts[i] = o; o == "" {
				opts = append(opts[:i], opts[i+1:]...)
			}
			c.Mounts[0].Options = opts
		})
	}
	weaker := finds{"mounts[0]": oracle.Weaker}
	noRoot := config(func(c *checkpoint.Config) { c.Root = checkpoint.Root{} })
	pivoted := []string{"fs.", "exec.exe", "exec.exe_nlink", "mounts.unasked"}
	propagation := func(p string) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(specs.MountNamespace)(t, q)
			q.Spec.Linux.RootfsPropagation = p
		}
	}
	// Where the caller's own root is shared, that is what is left without a change.
	asShared := oracle.Weaker
	if rootIsShared(t) {
		asShared = oracle.Ignored
	}
	wrong := finds{"linux.rootfsPropagation": oracle.Weaker, "fs.root_propagation": asShared}
	stronger := finds{"linux.rootfsPropagation": oracle.Weaker, "fs.root_propagation": oracle.Stronger}
	shares := config(func(c *checkpoint.Config) { c.Propagation = "shared" })
	table(t, []sabotage{
		{name: "tmpfs/missing", ask: tmpfs, tamper: skipMounts, want: weaker},
		{name: "tmpfs/writable", ask: tmpfs, tamper: option(0, "rw"), want: weaker},
		{name: "tmpfs/suid", ask: tmpfs, tamper: option(1, ""), want: weaker},
		{name: "tmpfs/dev", ask: tmpfs, tamper: option(2, ""), want: weaker},
		{name: "tmpfs/exec", ask: tmpfs, tamper: option(3, ""), want: weaker},
		{name: "tmpfs/another size", ask: sized, tamper: option(0, "size=2m"), want: weaker},
		{name: "tmpfs/no size", ask: sized, tamper: option(0, ""), want: weaker},
		{name: "tmpfs/another mode", ask: sized, tamper: option(1, "mode=0755"), want: weaker},
		{name: "tmpfs/elsewhere", ask: tmpfs, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Target = "/tmp" }), want: weaker},
		{name: "proc/missing", ask: proc, tamper: skipMounts, want: weaker},
		{name: "proc/tmpfs instead", ask: proc, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Type = "tmpfs" }), want: weaker},
		{name: "bind/missing", ask: bind, tamper: skipMounts, want: weaker},
		{name: "bind/writable", ask: bind, tamper: option(1, ""), want: weaker},
		{name: "bind/another source", ask: bind, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Source = elsewhere }), want: weaker},
		{name: "root/not changed", ask: root(false), tamper: noRoot, want: finds{"fs.root": oracle.Ignored}, also: pivoted},
		{name: "root/not changed, a mount in it", ask: root(false, scratch), tamper: noRoot, want: finds{"fs.root": oracle.Ignored}, also: pivoted},
		{name: "root/not changed, read-only", ask: root(true), tamper: noRoot, want: finds{"fs.root": oracle.Ignored, "fs.root_read_only": oracle.Ignored}, also: pivoted},
		{name: "root/another", ask: root(false, scratch), tamper: config(func(c *checkpoint.Config) { c.Root.Path = other }), want: finds{"fs.root": oracle.Weaker}, also: pivoted},
		{name: "root/writable", ask: root(true), tamper: config(func(c *checkpoint.Config) { c.Root.ReadOnly = false }), want: finds{"fs.root_read_only": oracle.Ignored}},
		{name: "root/read-only unasked", ask: root(false), tamper: config(func(c *checkpoint.Config) { c.Root.ReadOnly = true }), want: finds{"fs.root_read_only": oracle.Leaked}},
		{name: "propagation/private instead of shared", ask: propagation("shared"), tamper: config(func(c *checkpoint.Config) { c.Propagation = "private" }), want: finds{"linux.rootfsPropagation": oracle.Weaker}, also: []string{"fs.root_propagation"}},
		{name: "propagation/shared instead of private", ask: propagation("private"), tamper: shares, want: wrong, also: []string{"mounts.propagation"}},
		{name: "propagation/unbindable instead of private", ask: propagation("private"), tamper: config(func(c *checkpoint.Config) { c.Propagation = "unbindable" }), want: stronger},
		{name: "propagation/default forgotten", ask: ns(specs.MountNamespace), tamper: shares, want: finds{"fs.root_propagation": asShared}},
		{name: "propagation/default forgotten, with a root", ask: root(false), tamper: shares, want: finds{"fs.root_propagation": asShared}},
		{name: "propagation/of another mount", ask: tmpfs, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Options = append([]string{"shared"}, c.Mounts[0].Options...) }), want: finds{"mounts[0]": oracle.Weaker, "mounts.propagation": oracle.Weaker}},
		{name: "propagation/of a mount that nobody asked for", ask: tmpfs, tamper: config(func(c *checkpoint.Config) {
			c.Mounts = append(c.Mounts, checkpoint.Mount{Target: "/tmp", Type: "tmpfs", Options: []string{"shared"}})
		}), want: finds{"mounts.propagation": oracle.Weaker}},
		{name: "unasked/of the host's root", ask: root(false, scratch), tamper: config(func(c *checkpoint.Config) {
			c.Mounts = append(c.Mounts, checkpoint.Mount{Source: "/", Target: "/mnt", Options: []string{"rbind"}})
		}), want: finds{"mounts.unasked": oracle.Leaked}},
		{name: "unasked/below one that was asked for", ask: root(false, scratch), tamper: config(func(c *checkpoint.Config) {
			c.Mounts = append(c.Mounts, checkpoint.Mount{Source: "/etc/passwd", Target: "/tmp/passwd", Options: []string{"bind"}})
		}), want: finds{"mounts.unasked": oracle.Leaked}},
	})
}

func rootIsShared(t *testing.T) bool {
	t.Helper()
	list, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter("/"))
	if err != nil || len(list) == 0 {
		t.Fatal("no root in the mount table: ", err)
	}
	return propagationOf(list[0]) == "shared"
}

func TestSabotageNetwork(t *testing.T) {
	lo := func(t *testing.T, q *request.Request) {
		t.Helper()
		ns(specs.NetworkNamespace)(t, q)
		q.Ext.Network.LoopbackUp = true
	}
	host := hostLink
	prefix := netip.MustParsePrefix
	link := func(kind string) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(specs.NetworkNamespace)(t, q)
			l := request.Link{Kind: kind, Name: "inner", Addresses: []netip.Prefix{prefix("10.213.7.2/24")}, MTU: 1300}
			if kind == "veth" {
				l.Host, l.HostAddresses = host, []netip.Prefix{prefix("10.213.7.1/24")}
			}
			q.Ext.Network.Links = []request.Link{l}
		}
	}
	route := func(t *testing.T, q *request.Request) {
		t.Helper()
		link("veth")(t, q)
		second := q.Ext.Network.Links[0]
		second.Name, second.Host, second.HostAddresses = "inner2", host+"b", nil
		second.Addresses = []netip.Prefix{prefix("10.213.8.2/24")}
		q.Ext.Network.Links = append(q.Ext.Network.Links, second)
		q.Ext.Network.Routes = []request.Route{
			{Gateway: netip.MustParseAddr("10.213.7.1")},
			{Destination: prefix("10.214.0.0/16"), Link: "inner"},
		}
	}
	sysctl := func(kind specs.LinuxNamespaceType, key, value string) func(*testing.T, *request.Request) {
		return func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(kind)(t, q)
			q.Spec.Linux.Sysctl = map[string]string{key: value}
		}
	}
	net, ipc := sysctl(specs.NetworkNamespace, "net.core.somaxconn", "77"), sysctl(specs.IPCNamespace, "kernel.msgmax", "7777")
	has := func(kind string) func(*testing.T, *Runner) string {
		return func(t *testing.T, r *Runner) string {
			t.Helper()
			q := request.New("/bin/true")
			link(kind)(t, q)
			r.tamper, r.parked = nil, nil
			defer settle()
			if c, err := r.Run(bg, q, nil); err != nil || c.Launch.Err != nil {
				return kind + " devices"
			}
			return ""
		}
	}
	weaker := finds{"holdshort.network.links[0]": oracle.Weaker}
	table(t, []sabotage{
		{name: "loopback/down", ask: lo, tamper: config(func(c *checkpoint.Config) { c.Network.LoopbackUp = false }), want: finds{"holdshort.network.loopbackUp": oracle.Weaker}},
		{name: "veth/missing", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) { c.Network.Links = nil }), want: weaker},
		{name: "veth/no address", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) { c.Network.Links[0].Addresses = nil }), want: weaker},
		{name: "veth/another address", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) {
			c.Network.Links[0].Addresses = []netip.Prefix{prefix("10.213.7.3/24")}
		}), want: weaker},
		{name: "veth/another prefix", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) {
			c.Network.Links[0].Addresses = []netip.Prefix{prefix("10.213.7.2/25")}
		}), want: weaker},
		{name: "veth/one address more", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) {
			c.Network.Links[0].Addresses = []netip.Prefix{prefix("10.213.7.2/24"), prefix("10.99.7.2/24")}
		}), want: weaker},
		{name: "veth/another mtu", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) { c.Network.Links[0].MTU = 1400 }), want: weaker},
		{name: "veth/down", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) { c.Network.Links[0].Down = true }), want: weaker},
		{name: "veth/another name", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) { c.Network.Links[0].Name = "eth0" }), want: weaker},
		{name: "veth/host address missing", need: has("veth"), ask: link("veth"), tamper: config(func(c *checkpoint.Config) { c.Network.Links[0].HostAddresses = nil }), want: weaker},
		{name: "dummy/missing", need: has("dummy"), ask: link("dummy"), tamper: config(func(c *checkpoint.Config) { c.Network.Links = nil }), want: weaker},
		{
			name: "route/default missing", need: has("veth"), ask: route, tamper: config(func(c *checkpoint.Config) { c.Network.Routes = c.Network.Routes[1:] }),
			want: finds{"holdshort.network.routes[0]": oracle.Weaker},
		},
		{
			name: "route/missing", need: has("veth"), ask: route, tamper: config(func(c *checkpoint.Config) { c.Network.Routes = c.Network.Routes[:1] }),
			want: finds{"holdshort.network.routes[1]": oracle.Weaker},
		},
		{name: "route/another gateway", need: has("veth"), ask: route, tamper: config(func(c *checkpoint.Config) {
			c.Network.Routes[0].Gateway = netip.MustParseAddr("10.213.7.9")
		}), want: finds{"holdshort.network.routes[0]": oracle.Weaker}},
		{name: "route/another destination", need: has("veth"), ask: route, tamper: config(func(c *checkpoint.Config) {
			c.Network.Routes[1].Destination = prefix("10.215.0.0/16")
		}), want: finds{"holdshort.network.routes[1]": oracle.Weaker}},
		{
			name: "route/another link", need: has("veth"), ask: route, tamper: config(func(c *checkpoint.Config) { c.Network.Routes[1].Link = "inner2" }),
			want: finds{"holdshort.network.routes[1]": oracle.Weaker},
		},
		{name: "sysctl net/missing", ask: net, tamper: config(func(c *checkpoint.Config) { c.Sysctls = nil }), want: finds{"linux.sysctl.net.core.somaxconn": oracle.Weaker}},
		{
			name: "sysctl net/wrong", ask: net, tamper: config(func(c *checkpoint.Config) { c.Sysctls = map[string]string{"net.core.somaxconn": "78"} }),
			want: finds{"linux.sysctl.net.core.somaxconn": oracle.Weaker},
		},
		{name: "sysctl ipc/missing", ask: ipc, tamper: config(func(c *checkpoint.Config) { c.Sysctls = nil }), want: finds{"linux.sysctl.kernel.msgmax": oracle.Weaker}},
	})
}

func TestSabotageCgroups(t *testing.T) {
	r := shared(t)
	if r.machine.host.CgroupV2 == "" {
		t.Run("v2", func(t *testing.T) { t.Skip("needs a cgroup2 mount") })
	} else {
		asked, wrong := cgroupDir(t, r.machine.host.CgroupV2, "asked"), cgroupDir(t, r.machine.host.CgroupV2, "wrong")
		v2 := func(_ *testing.T, q *request.Request) { q.Ext.Cgroup.V2 = asked }
		limit := func(_ *testing.T, q *request.Request) {
			q.Ext.Cgroup = request.Cgroup{
				V2: filepath.Join(r.machine.host.CgroupV2, "holdshort-sabotage-made-"+strconv.Itoa(os.Getpid())), Create: true,
				Limits: []request.CgroupLimit{{File: "cgroup.max.depth", Value: "9"}, {File: "cgroup.max.descendants", Value: "3"}},
			}
		}
		path := func(_ *testing.T, q *request.Request) {
			q.Spec.Linux.CgroupsPath = "/holdshort-sabotage-path-" + strconv.Itoa(os.Getpid())
			q.Spec.Linux.Resources = &specs.LinuxResources{Unified: map[string]string{"cgroup.max.depth": "5"}}
		}
		skip := config(func(c *checkpoint.Config) { c.Cgroup = checkpoint.Cgroup{} })
		for _, row := range []sabotage{
			{name: "v2/skipped", ask: v2, tamper: skip, want: finds{"cgroup.v2": oracle.Ignored}},
			{name: "v2/another", ask: v2, tamper: config(func(c *checkpoint.Config) { c.Cgroup.V2 = wrong }), want: finds{"cgroup.v2": oracle.Weaker}},
			{name: "v2/unasked", tamper: config(func(c *checkpoint.Config) { c.Cgroup.V2 = wrong }), want: finds{"cgroup.v2": oracle.Leaked}},
			{name: "v2 limit/skipped", ask: limit, tamper: config(func(c *checkpoint.Config) { c.Cgroup.Limits = c.Cgroup.Limits[:1] }), want: finds{"holdshort.cgroup.limits[1]": oracle.Weaker}},
			{name: "v2 limit/wrong", ask: limit, tamper: config(func(c *checkpoint.Config) { c.Cgroup.Limits[0].Value = "10" }), want: finds{"holdshort.cgroup.limits[0]": oracle.Weaker}},
			{name: "unified limit/skipped", ask: path, tamper: config(func(c *checkpoint.Config) { c.Cgroup.Limits = nil }), want: finds{"linux.resources.unified.cgroup.max.depth": oracle.Weaker}},
		} {
			t.Run(row.name, func(t *testing.T) { row.run(t, r) })
		}
	}
	pids := r.machine.host.CgroupV1["pids"]
	if pids == "" {
		t.Run("v1", func(t *testing.T) { t.Skip("needs the pids controller of cgroup version 1") })
		return
	}
	asked, wrong := cgroupDir(t, pids, "asked"), cgroupDir(t, pids, "wrong")
	v1 := func(_ *testing.T, q *request.Request) {
		q.Ext.Cgroup.V1 = map[string]string{"pids": asked}
		q.Ext.Cgroup.Limits = []request.CgroupLimit{{Controller: "pids", File: "pids.max", Value: "70"}}
	}
	placed := func(_ *testing.T, q *request.Request) { q.Ext.Cgroup.V1 = map[string]string{"pids": asked} }
	resources := func(_ *testing.T, q *request.Request) {
		q.Ext.Cgroup.V1 = map[string]string{"pids": asked}
		q.Spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64(71))}}
	}
	for _, row := range []sabotage{
		{name: "v1/skipped", ask: placed, tamper: config(func(c *checkpoint.Config) { c.Cgroup.V1 = nil }), want: finds{"cgroup.v1": oracle.Ignored}},
		{name: "v1/another", ask: placed, tamper: config(func(c *checkpoint.Config) { c.Cgroup.V1 = map[string]string{"pids": wrong} }), want: finds{"cgroup.v1": oracle.Weaker}},
		{name: "v1/unasked", tamper: config(func(c *checkpoint.Config) { c.Cgroup.V1 = map[string]string{"pids": wrong} }), want: finds{"cgroup.v1": oracle.Leaked}},
		{name: "v1 limit/wrong", ask: v1, tamper: config(func(c *checkpoint.Config) { c.Cgroup.Limits[0].Value = "80" }), want: finds{"holdshort.cgroup.limits[0]": oracle.Weaker}},
		{name: "v1 limit/of another cgroup", ask: v1, tamper: config(func(c *checkpoint.Config) { c.Cgroup.V1 = map[string]string{"pids": wrong} }), want: finds{"cgroup.v1": oracle.Weaker}},
		{name: "resources.pids/wrong", ask: resources, tamper: config(func(c *checkpoint.Config) { c.Cgroup.Limits[0].Value = "max" }), want: finds{"linux.resources.pids": oracle.Weaker}},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(t, r) })
	}
}
