package fuzz

import (
	"os"
	"slices"
	"strconv"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func hasMount(is func(*specs.Mount) bool) func(*request.Request) bool {
	return func(r *request.Request) bool {
		for i := range r.Spec.Mounts {
			if is(&r.Spec.Mounts[i]) {
				return true
			}
		}
		return false
	}
}

var mounts = []dimension{
	{
		name: "root", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			d.r.Spec.Root = &specs.Root{Path: d.m.Dir + "/root"}
			d.r.Spec.Process.Args[0] = "/workload"
		},
		has: func(r *request.Request) bool { return r.Spec.Root != nil && r.Spec.Root.Path != "" },
	},
	{
		name: "read-only root", needs: []string{"root"},
		draw: func(d *drawer) { d.r.Spec.Root.Readonly = true },
		has:  func(r *request.Request) bool { return r.Spec.Root != nil && r.Spec.Root.Readonly },
	},
	{
		// In a user namespace proc can be mounted by the owner of the pid
		// namespace only, so a new one goes with it.
		name: "mount proc", needs: []string{"ns mnt", "ns pid"},
		draw: func(d *drawer) {
			d.mount(specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: d.options("nosuid", "nodev", "noexec", "ro")})
		},
		has: hasMount(func(m *specs.Mount) bool { return m.Type == "proc" }),
	},
	{
		name: "mount tmpfs", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			o := d.options("nosuid", "nodev", "noexec", "ro", "noatime", "nodiratime")
			if d.chance(70) {
				o = append(o, "size="+strconv.Itoa(d.in(1, 64))+"m")
			}
			if d.chance(50) {
				o = append(o, "mode="+pick(d, "0755", "1777", "0700"))
			}
			if d.chance(30) {
				o = append(o, "nr_inodes="+strconv.Itoa(d.in(10, 1000)))
			}
			d.mount(specs.Mount{Destination: d.point("a"), Type: "tmpfs", Source: "tmpfs", Options: o})
			// A directory that is not there yet, on another mount. Nobody without an id can make one.
			if d.chance(30) && !slices.Contains(o, "ro") && d.makesFiles() {
				d.mount(specs.Mount{Destination: d.point("a") + "/deep/er", Type: "tmpfs", Source: "inner", Options: d.options("nosuid", "nodev")})
			}
		},
		has: hasMount(func(m *specs.Mount) bool { return m.Type == "tmpfs" }),
	},
	{
		name: "bind mount", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			bind := func(source, target string) {
				o := append([]string{pick(d, "bind", "rbind")}, d.options("ro", "nosuid", "nodev", "noexec")...)
				if d.m.SetAttr && d.chance(30) {
					o = append(o, "nosymfollow")
				}
				if !d.on["ns user"] { // where the access time is locked
					o = append(o, d.options("noatime")...)
				}
				if d.m.SetAttr && d.chance(30) {
					o = append(o, d.options("rro", "rnosuid", "rnodev", "rnoexec")...)
				}
				if d.m.SetAttr && d.chance(30) {
					o = append(o, pick(d, "private", "rprivate", "slave", "rslave"))
				}
				d.mount(specs.Mount{Source: d.m.Dir + "/" + source, Destination: d.point(target), Type: pick(d, "", "bind", "none"), Options: o})
			}
			bind("share", "b")
			if d.chance(50) {
				bind("share/file", "file")
			}
		},
		has: hasMount(func(m *specs.Mount) bool {
			return slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
		}),
	},
	{
		name: "own dev", needs: []string{"root"},
		draw: func(d *drawer) {
			if !d.makesFiles() {
				return // and so nothing could be put there
			}
			o := append([]string{"mode=" + pick(d, "755", "0711")}, d.options("nosuid", "strictatime", "noexec", "ro")...)
			d.mount(specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: o})
			if d.chance(40) {
				d.mount(specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"mode=1777", "nosuid"}})
			}
		},
		can: func(m *Machine) bool { return m.Mknod },
		has: hasMount(func(m *specs.Mount) bool { return m.Destination == "/dev" }),
	},
	{
		name: "devices", needs: []string{"own dev"},
		draw: func(d *drawer) {
			if !d.makesFiles() {
				return
			}
			mode := os.FileMode(pick(d, 0o600, 0o644, 0o666, 0o20))
			for _, x := range some(d, 50, []specs.LinuxDevice{
				{Path: "/dev/mine", Type: "c", Major: 1, Minor: int64(pick(d, 3, 5, 7, 8, 9))},
				{Path: "/dev/below/loop", Type: "b", Major: 7, Minor: int64(d.in(0, 7))},
				{Path: "/dev/fifo", Type: "p"},
			}) {
				if (d.on["ns user"] || d.on["device rules"]) && x.Type != "p" {
					// Neither is free to make one, and the host has none of that name. The
					// rules hold from the start; see devcgroup_inode_mknod.
					continue
				}
				if d.chance(60) {
					x.FileMode = &mode
				}
				d.r.Spec.Linux.Devices = append(d.r.Spec.Linux.Devices, x)
				if res := d.r.Spec.Linux.Resources; res != nil && len(res.Devices) > 0 && x.Type != "p" {
					// Rules that do not let it be made leave only a bind mount of the host's, which has none of that name.
					res.Devices = append(res.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: x.Type, Major: &x.Major, Minor: &x.Minor, Access: "rwm"})
				}
			}
			if _, ok := d.chosen(); ok && len(d.r.Spec.Linux.Devices) == 0 {
				d.r.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fifo", Type: "p"}}
			}
		},
		has: func(r *request.Request) bool { return len(r.Linux().Devices) > 0 },
	},
	{
		name: "masked paths", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			d.r.Spec.Linux.MaskedPaths = some(d, 50, []string{d.point("masked"), d.point("secret"), "/absent/from/here"})
		},
		has: func(r *request.Request) bool { return len(r.Linux().MaskedPaths) > 0 },
	},
	{
		name: "read-only paths", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			d.r.Spec.Linux.ReadonlyPaths = some(d, 50, []string{d.point("a"), d.point("b"), d.point("file"), "/absent/from/here"})
		},
		// Before Linux 5.12 the mounts below stay as they are.
		can: func(m *Machine) bool { return m.SetAttr },
		has: func(r *request.Request) bool { return len(r.Linux().ReadonlyPaths) > 0 },
	},
	{
		name: "id-mapped mount", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			ids := []specs.LinuxIDMapping{{HostID: uint32(d.in(1, 100000)), Size: 1}} // of one id every kernel shows what becomes of it
			d.mount(specs.Mount{
				Source: d.m.Dir + "/share", Destination: d.point("d"), Options: append([]string{"bind", pick(d, "idmap", "ridmap")}, d.options("ro", "nosuid")...),
				UIDMappings: ids, GIDMappings: ids,
			})
		},
		can: func(m *Machine) bool { return m.IDMapped },
		has: hasMount(func(m *specs.Mount) bool { return len(m.UIDMappings) > 0 }),
	},
	{
		name: "cgroup mount", needs: []string{"ns mnt", "ns cgroup"},
		draw: func(d *drawer) {
			if !d.makesFiles() {
				return // the directories of version 1
			}
			d.mount(specs.Mount{Destination: d.point("c"), Type: "cgroup", Source: "cgroup", Options: d.options("ro", "nosuid", "nodev", "noexec")})
		},
		can: func(m *Machine) bool { return m.CgroupV2 != "" || len(m.CgroupV1) > 0 },
		has: hasMount(func(m *specs.Mount) bool { return m.Type == "cgroup" }),
	},
	{
		name: "propagation", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			words := []string{"private", "slave"}
			// A root cannot be changed in a tree that is shared, nor bound from one that is unbindable,
			// and what is mounted on a shared tree may come to light elsewhere.
			if l := d.r.Spec.Linux; d.r.Spec.Root == nil && len(d.r.Spec.Mounts)+len(l.MaskedPaths)+len(l.ReadonlyPaths) == 0 {
				words = append(words, "shared", "unbindable")
			}
			d.r.Spec.Linux.RootfsPropagation = pick(d, "", "r") + choice(d, words...)
		},
		has: func(r *request.Request) bool { return r.Linux().RootfsPropagation != "" },
	},
}

// makesFiles: the launcher's child has an id that a file can belong to, which it
// has not in a user namespace without a user 0.
func (d *drawer) makesFiles() bool {
	l := d.r.Spec.Linux
	return !d.on["ns user"] || !offset(l.UIDMappings) && !offset(l.GIDMappings)
}

func (d *drawer) mount(m specs.Mount) { d.r.Spec.Mounts = append(d.r.Spec.Mounts, m) }

// point is one of the prepared mount points, as the workload sees it.
func (d *drawer) point(name string) string {
	if d.r.Spec.Root != nil {
		return "/point/" + name
	}
	return d.m.Dir + "/point/" + name
}

func (d *drawer) options(of ...string) []string {
	var out []string
	for _, o := range of {
		if d.chance(40) {
			out = append(out, o)
		}
	}
	return out
}
