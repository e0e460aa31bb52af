//go:build mutants

package mutants

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/devices"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
)

// isolation are faults in namespaces, and in what is made in them.
var isolation = []Fault{
	changed("ns user/skipped", Skip, "ns user", "namespaces.user, refused", func(c *config) {
		without(c, checkpoint.User)
		c.UIDMap, c.GIDMap, c.DenySetgroups = nil, nil, false
	}),
	changed("uid map/one id further", Value, "ns user", "user_namespace.uid_map", func(c *config) { c.UIDMap[0].Outside++ }),
	changed("uid map/one id more", Value, "ns user=one line", "user_namespace.uid_map", func(c *config) { c.UIDMap[0].Count++ }),
	changed("gid map/that of the users", Value, "ns user=several lines", "user_namespace.gid_map", func(c *config) { c.GIDMap = c.UIDMap }),
	changed("gid map/last line missing", Skip, "ns user=several lines", "user_namespace.gid_map, refused", func(c *config) { c.GIDMap = c.GIDMap[:len(c.GIDMap)-1] }),
	changed("setgroups/allowed", Skip, "deny setgroups", "user_namespace.setgroups", func(c *config) { c.DenySetgroups = false }),
	changed("ns mnt/skipped", Skip, "ns mnt", "namespaces.mnt", func(c *config) {
		without(c, checkpoint.Mnt)
		c.Root, c.Mounts, c.Devices, c.Symlinks, c.MaskedPaths, c.ReadOnlyPaths = checkpoint.Root{}, nil, nil, nil, nil, nil
		c.Propagation = ""
	}),
	changed("ns pid/skipped", Skip, "ns pid", "namespaces.pid", func(c *config) { without(c, checkpoint.PID); c.Init = false }),
	changed("ns net/skipped", Skip, "ns net", "namespaces.net", func(c *config) {
		without(c, checkpoint.Net)
		c.Network = checkpoint.Network{}
		dropSysctls(c, "net")
	}),
	changed("ns uts/skipped", Skip, "ns uts", "namespaces.uts", func(c *config) {
		without(c, checkpoint.UTS)
		c.Hostname, c.Domainname = none[string](), none[string]()
		dropSysctls(c, "kernel/domainname")
	}),
	changed("ns ipc/skipped", Skip, "ns ipc", "namespaces.ipc", func(c *config) {
		without(c, checkpoint.IPC)
		dropSysctls(c, "kernel.shm", "kernel.sem", "fs.mqueue")
	}),
	changed("ns cgroup/skipped", Skip, "ns cgroup", "namespaces.cgroup", func(c *config) { without(c, checkpoint.Cgroups) }),
	changed("ns time/skipped", Skip, "ns time", "namespaces.time", func(c *config) {
		without(c, checkpoint.Time)
		c.TimeOffsets = checkpoint.TimeOffsets{}
	}),
	changed("init/skipped", Skip, "init", "process.pid_inside", func(c *config) { c.Init = false }),
	changed("hostname/skipped", Skip, "hostname", "uts.hostname", func(c *config) { c.Hostname = none[string]() }),
	changed("hostname/last letter missing", Value, "hostname", "uts.hostname", func(c *config) {
		c.Hostname.Value = c.Hostname.Value[:len(c.Hostname.Value)-1] + "-"
	}),
	changed("domainname/skipped", Skip, "domainname", "uts.domainname", func(c *config) { c.Domainname = none[string]() }),
	changed("time offsets/swapped", Value, "time offsets", "time.", func(c *config) {
		o := &c.TimeOffsets
		o.Monotonic, o.Boottime = o.Boottime, o.Monotonic
	}),
	changed("time offsets/whole seconds", Value, "time offsets", "time.", func(c *config) {
		o := &c.TimeOffsets
		o.Monotonic, o.Boottime = o.Monotonic.Truncate(1e9), o.Boottime.Truncate(1e9)
	}),
	changed("loopback/down", Skip, "loopback", "holdshort.network.loopbackUp", func(c *config) { c.Network.LoopbackUp = false }),
	changed("veth/second address missing", Skip, "veth", "holdshort.network.links", func(c *config) {
		l := &c.Network.Links[0]
		l.Addresses = l.Addresses[:len(l.Addresses)-1]
	}),
	changed("veth/another mtu", Value, "veth", "holdshort.network.links", func(c *config) { c.Network.Links[0].MTU = 1300 }),
	changed("veth/left down", Skip, "veth", "holdshort.network.links", func(c *config) { c.Network.Links[0].Down = true }),
	changed("veth/attributes skipped", Skip, "veth attributes", "holdshort.network.links", func(c *config) {
		for i := range c.Network.Links {
			if l := &c.Network.Links[i]; l.Kind == checkpoint.Veth {
				l.LinkAttributes = checkpoint.LinkAttributes{Master: l.Master}
			}
		}
	}),
	changed("routes/skipped", Skip, "routes", "holdshort.network.routes", func(c *config) { c.Network.Routes = nil }),
	changed("bridge/skipped", Skip, "bridge", "holdshort.network.links", func(c *config) {
		c.Network.Links = slices.DeleteFunc(c.Network.Links, func(l checkpoint.Link) bool { return l.Kind == checkpoint.Bridge })
		for i := range c.Network.Links {
			c.Network.Links[i].Master = ""
		}
	}),
	changed("macvlan/another mode", Value, "macvlan", "holdshort.network.links", func(c *config) {
		for i := range c.Network.Links {
			if l := &c.Network.Links[i]; l.Kind == checkpoint.Macvlan {
				if l.Mode = "private"; i%2 == 1 {
					l.Mode = "vepa"
				}
			}
		}
	}),
	changed("neighbours/another address", Value, "neighbours", "holdshort.network.neighbours", func(c *config) {
		c.Network.Neighbours[0].MAC = "02:00:00:00:00:1b"
	}),
	changed("routing rules/for everybody", Value, "routing rules", "holdshort.network.rules", func(c *config) {
		for i := range c.Network.Rules {
			c.Network.Rules[i].From, c.Network.Rules[i].To = netip.Prefix{}, netip.Prefix{}
			c.Network.Rules[i].Mark = 0
		}
	}),
	changed("nftables/skipped", Skip, "nftables", "holdshort.network.nftables", func(c *config) { c.Network.Nftables = nil }),
	changed("sysctl/of the network skipped", Skip, "sysctl net", "linux.sysctl.", func(c *config) { delete(c.Sysctls, "net.ipv4.ip_default_ttl") }),
	changed("sysctl/of ipc, another value", Value, "sysctl ipc", "linux.sysctl.", func(c *config) { c.Sysctls["kernel.shmmni"] = "4097" }),
	changed("sysctl/of a device skipped", Skip, "sysctl of a device", "linux.sysctl.", func(c *config) {
		for k := range c.Sysctls {
			if strings.Contains(k, "rp_filter") {
				delete(c.Sysctls, k)
			}
		}
	}),
}

func dropSysctls(c *config, prefixes ...string) {
	for k := range c.Sysctls {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(k, p) }) {
			delete(c.Sysctls, k)
		}
	}
}

// files are faults in the mount table.
var files = []Fault{
	changed("root/skipped", Skip, "root", "fs.root, refused", func(c *config) { c.Root = checkpoint.Root{} }),
	changed("root/writable", Skip, "read-only root", "fs.root_read_only", func(c *config) { c.Root.ReadOnly = false }),
	changed("root/read-only unasked", Extra, "root", "fs.root_read_only", func(c *config) { c.Root.ReadOnly = true }),
	changed("mount proc/an option missing", Value, "mount proc", "mounts[", func(c *config) { dropOption(c, "proc") }),
	changed("mount tmpfs/another size", Value, "mount tmpfs", "mounts[", func(c *config) {
		for i := range c.Mounts {
			m := &c.Mounts[i]
			for j, o := range m.Options {
				if strings.HasPrefix(o, "size=") {
					m.Options[j] = "size=128m"
				}
			}
		}
	}),
	changed("mount tmpfs/an option missing", Value, "mount tmpfs", "mounts[", func(c *config) { dropOption(c, "tmpfs") }),
	changed("bind mount/skipped", Skip, "bind mount", "mounts[", func(c *config) {
		c.Mounts = slices.DeleteFunc(c.Mounts, func(m checkpoint.Mount) bool { return m.Type == "" && m.UIDMap == nil })
	}),
	changed("bind mount/writable", Value, "bind mount", "mounts[", func(c *config) {
		for i := range c.Mounts {
			if m := &c.Mounts[i]; m.Type == "" && m.UIDMap == nil {
				m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" || o == "rro" })
			}
		}
	}),
	changed("id-mapped mount/without the map", Skip, "id-mapped mount", "mounts[", func(c *config) {
		for i := range c.Mounts {
			if m := &c.Mounts[i]; m.UIDMap != nil {
				m.UIDMap, m.GIDMap = nil, nil
				m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return strings.HasSuffix(o, "idmap") })
			}
		}
	}),
	changed("cgroup mount/skipped", Skip, "cgroup mount", "mounts[", func(c *config) {
		c.Mounts = slices.DeleteFunc(c.Mounts, func(m checkpoint.Mount) bool { return strings.HasPrefix(m.Type, "cgroup") })
	}),
	changed("masked paths/skipped", Skip, "masked paths", "linux.maskedPaths", func(c *config) { c.MaskedPaths = nil }),
	changed("masked paths/last one missing", Skip, "masked paths", "linux.maskedPaths", func(c *config) {
		c.MaskedPaths = slices.DeleteFunc(c.MaskedPaths, func(p string) bool { return strings.HasSuffix(p, "masked") })
	}),
	changed("read-only paths/skipped", Skip, "read-only paths", "linux.readonlyPaths", func(c *config) { c.ReadOnlyPaths = nil }),
	changed("propagation/private", Value, "propagation=slave", "linux.rootfsPropagation", func(c *config) { c.Propagation = "unbindable" }),
	changed("propagation/shared left", Skip, "propagation=shared", "linux.rootfsPropagation", func(c *config) { c.Propagation = "private" }),
	changed("propagation/only the root", Value, "propagation=unbindable", "linux.rootfsPropagation", func(c *config) { c.Propagation = "" }),
	changed("devices/skipped", Skip, "devices", "linux.devices", func(c *config) {
		c.Devices = slices.DeleteFunc(c.Devices, func(d checkpoint.Device) bool {
			return slices.Contains([]string{"/dev/mine", "/dev/below/loop", "/dev/fifo"}, d.Path)
		})
	}),
	changed("devices/open to everybody", Value, "devices", "linux.devices", func(c *config) {
		for i := range c.Devices {
			if d := &c.Devices[i]; slices.Contains([]string{"/dev/mine", "/dev/below/loop", "/dev/fifo"}, d.Path) {
				d.Mode ^= 0o6
			}
		}
	}),
	changed("own dev/null missing", Skip, "own dev", "linux.devices.default, refused", func(c *config) {
		c.Devices = slices.DeleteFunc(c.Devices, func(d checkpoint.Device) bool { return d.Path == "/dev/null" })
	}),
	changed("cwd/skipped", Skip, "cwd=elsewhere", "fs.cwd", func(c *config) { c.Cwd = "" }),
	changed("cwd/the root", Value, "cwd=elsewhere", "fs.cwd", func(c *config) { c.Cwd = "/" }),
	changed("umask/skipped", Skip, "umask", "fs.umask", func(c *config) { c.Umask = none[uint32]() }),
	changed("umask/0", Value, "umask=077", "fs.umask", func(c *config) { c.Umask = checkpoint.Some[uint32](0) }),
	changed("umask/unasked", Extra, "no new privileges", "fs.umask", func(c *config) {
		if !c.Umask.Set {
			c.Umask = checkpoint.Some[uint32](0o27)
		}
	}),
}

func dropOption(c *config, fstype string) {
	for i := range c.Mounts {
		if m := &c.Mounts[i]; m.Type == fstype {
			for _, o := range []string{"nosuid", "nodev", "noexec"} {
				m.Options = slices.DeleteFunc(m.Options, func(x string) bool { return x == o })
			}
		}
	}
}

// resources are faults in cgroups, limits and scheduling.
var resources = []Fault{
	changed("cgroup v2/not placed", Skip, "cgroup v2", "cgroup.v2, unknown, holdshort.cgroup., linux.resources.", func(c *config) {
		c.Cgroup.V2, c.Cgroup.Limits, c.Cgroup.Freeze, c.Cgroup.Delegate = "", nil, false, false
		c.Cgroup.Devices = none[[]devices.Rule]()
	}),
	changed("cgroup v1/not placed", Skip, "cgroup v1 pids", "cgroup.v1, unknown", func(c *config) {
		delete(c.Cgroup.V1, "pids")
		c.Cgroup.Limits = slices.DeleteFunc(c.Cgroup.Limits, func(l checkpoint.CgroupLimit) bool { return l.Controller == "pids" })
	}),
	changed("pids.max/not written", Skip, "cgroup v1 pids", "holdshort.cgroup.limits, linux.resources.", dropLimit("pids.")),
	changed("memory limit/not written", Skip, "cgroup v1 memory", "holdshort.cgroup.limits, linux.resources.", dropLimit("memory.")),
	changed("memory limit/twice as much", Value, "cgroup v1 memory", "holdshort.cgroup.limits, linux.resources.", func(c *config) {
		for i := range c.Cgroup.Limits {
			if l := &c.Cgroup.Limits[i]; strings.HasPrefix(l.File, "memory.") {
				l.Value = "2147483648"
			}
		}
	}),
	changed("cpu share/not written", Skip, "cgroup v1 cpu", "holdshort.cgroup.limits, linux.resources.", dropLimit("cpu.")),
	changed("device rules/skipped", Skip, "device rules", "linux.resources.devices", func(c *config) { c.Cgroup.Devices = none[[]devices.Rule]() }),
	changed("device rules/everything allowed", Value, "device rules", "linux.resources.devices", func(c *config) {
		c.Cgroup.Devices.Value = append(c.Cgroup.Devices.Value, devices.Rule{Allow: true, Type: devices.All, Major: devices.Any, Minor: devices.Any, Access: devices.Every})
	}),
	changed("cgroup freeze/skipped", Skip, "cgroup freeze", "holdshort.cgroup.freeze", func(c *config) { c.Cgroup.Freeze = false }),
	changed("cgroup delegate/skipped", Skip, "cgroup delegate", "holdshort.cgroup.delegate", func(c *config) { c.Cgroup.Delegate = false }),
	changed("RLIMIT_NOFILE/skipped", Skip, "RLIMIT_NOFILE", "rlimits.nofile", dropRlimit("RLIMIT_NOFILE")),
	changed("RLIMIT_NPROC/skipped", Skip, "RLIMIT_NPROC=least", "rlimits.nproc", dropRlimit("RLIMIT_NPROC")),
	changed("RLIMIT_CORE/only the soft one", Value, "RLIMIT_CORE", "rlimits.core", softOnly("RLIMIT_CORE")),
	changed("RLIMIT_FSIZE/only the soft one", Value, "RLIMIT_FSIZE", "rlimits.fsize", softOnly("RLIMIT_FSIZE")),
	changed("RLIMIT_STACK/a page more", Value, "RLIMIT_STACK=least", "rlimits.stack", func(c *config) {
		for i := range c.Rlimits {
			if l := &c.Rlimits[i]; l.Resource == "RLIMIT_STACK" {
				l.Soft, l.Hard = l.Soft+4096, l.Hard+4096
			}
		}
	}),
	changed("RLIMIT_LOCKS/unasked", Extra, "RLIMIT_MEMLOCK", "rlimits.locks", func(c *config) {
		if !slices.ContainsFunc(c.Rlimits, func(l checkpoint.Rlimit) bool { return l.Resource == "RLIMIT_LOCKS" }) {
			c.Rlimits = append(c.Rlimits, checkpoint.Rlimit{Resource: "RLIMIT_LOCKS", Soft: 77, Hard: 77})
		}
	}),
	changed("oom_score_adj/skipped", Skip, "oom_score_adj", "oom.score_adj", func(c *config) { c.OOMScoreAdj = none[int]() }),
	changed("nice/one more", Value, "nice", "sched.nice", func(c *config) {
		if c.Nice.Value--; c.Nice.Value < 0 {
			c.Nice.Value += 2
		}
	}),
	changed("affinity/skipped", Skip, "affinity", "sched.affinity", func(c *config) { c.Affinity = nil }),
	changed("ioprio/another level", Value, "ioprio", "sched.ioprio", func(c *config) { c.IOPrio.Value.Level ^= 1 }),
	changed("scheduler/skipped", Skip, "scheduler=batch", "sched.policy", func(c *config) { c.Scheduler = none[checkpoint.Sched]() }),
	changed("scheduler/another priority", Value, "scheduler=rr", "sched.rt_priority", func(c *config) { c.Scheduler.Value.Priority++ }),
	changed("scheduler/round robin for fifo", Value, "scheduler=fifo", "sched.policy", func(c *config) { c.Scheduler.Value.Policy = 2 }),
	changed("scheduler/a longer runtime", Value, "scheduler=deadline", "sched.deadline_runtime_ns, process.scheduler.deadline", func(c *config) { c.Scheduler.Value.Runtime++ }),
	changed("scheduler/reset on fork", Value, "scheduler=idle", "sched.reset_on_fork", func(c *config) {
		c.Scheduler.Value.ResetOnFork = !c.Scheduler.Value.ResetOnFork
	}),
	changed("timer slack/skipped", Skip, "timer slack", "sched.timer_slack_ns", func(c *config) { c.TimerSlack = none[uint64]() }),
	changed("autogroup/skipped", Skip, "autogroup", "sched.autogroup_nice, holdshort.autogroupNice", func(c *config) { c.AutogroupNice = none[int]() }),
	changed("memory policy/skipped", Skip, "memory policy", "memory.policy, linux.memoryPolicy", func(c *config) { c.Memory.Policy = none[checkpoint.MemPolicy]() }),
	changed("thp/skipped", Skip, "thp disable", "memory.thp_disabled, holdshort.memory.thpDisable", func(c *config) { c.Memory.THPDisable = none[bool]() }),
	changed("memory merge/skipped", Skip, "memory merge", "memory.merge_any, holdshort.memory.merge", func(c *config) { c.Memory.Merge = none[bool]() }),
}

func dropLimit(prefix string) func(*config) {
	return func(c *config) {
		c.Cgroup.Limits = slices.DeleteFunc(c.Cgroup.Limits, func(l checkpoint.CgroupLimit) bool { return strings.HasPrefix(l.File, prefix) })
	}
}

func dropRlimit(name string) func(*config) {
	return func(c *config) {
		c.Rlimits = slices.DeleteFunc(slices.Clone(c.Rlimits), func(l checkpoint.Rlimit) bool { return l.Resource == name })
	}
}

// softOnly leaves the hard limit where the launcher has its own, if that can be
// asked for.
func softOnly(name string) func(*config) {
	return func(c *config) {
		for i := range c.Rlimits {
			if l := &c.Rlimits[i]; l.Resource == name {
				l.Hard = checkpoint.Infinity
			}
		}
	}
}

// Actions that a deny list has.
func allowAll(p *seccomp.Policy) {
	for i := range p.Syscalls {
		if p.Syscalls[i].Action != seccomp.ActNotify {
			p.Syscalls[i].Action, p.Syscalls[i].ErrnoRet = seccomp.ActAllow, nil
		}
	}
}
