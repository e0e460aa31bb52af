package fuzz

import (
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
		name: "propagation", needs: []string{"ns mnt"},
		draw: func(d *drawer) {
			words := []string{"private", "slave"}
			// A root cannot be changed in a tree that is shared, nor bound from one that is unbindable,
			// and what is mounted on a shared tree may come to light elsewhere.
			if d.r.Spec.Root == nil && len(d.r.Spec.Mounts) == 0 {
				words = append(words, "shared", "unbindable")
			}
			d.r.Spec.Linux.RootfsPropagation = pick(d, "", "r") + pick(d, words...)
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
