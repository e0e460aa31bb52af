package engine

import (
	"maps"
	"path"
	"path/filepath"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
)

// Options of mounts that are another engine's own.
var foreignOptions = []string{"copy-symlink", "dest-nofollow", "src-nofollow"}

func (t *translator) mounts() {
	c, s := t.cfg, t.req.Spec
	if root := s.Root; root != nil && root.Path != "" {
		path := root.Path
		if !filepath.IsAbs(path) {
			t.refuse(t.req.Dir == "", "root.path", "a relative one, without a bundle")
			path = filepath.Join(t.req.Dir, path)
		}
		c.Root = checkpoint.Root{Path: path, ReadOnly: root.Readonly}
	}
	for i := range s.Mounts {
		t.mount(fieldAt("mounts", i), &s.Mounts[i])
	}
	c.Propagation = t.req.Linux().RootfsPropagation
	c.MaskedPaths, c.ReadOnlyPaths = slices.Clone(t.req.Linux().MaskedPaths), slices.Clone(t.req.Linux().ReadonlyPaths)
	t.devices()
}

func (t *translator) mount(field string, m *specs.Mount) {
	for _, o := range m.Options {
		t.refuse(slices.Contains(foreignOptions, o), field+".options", o)
	}
	source, typ := m.Source, m.Type
	switch {
	case slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind"):
		typ = "" // engines take "bind" and "none" for the type; the kernel takes neither
		if source != "" && !filepath.IsAbs(source) {
			t.refuse(t.req.Dir == "", field+".source", "a relative one, without a bundle")
			source = filepath.Join(t.req.Dir, source)
		}
	case typ == "cgroup" && !slices.Contains(m.Options, "remount"):
		t.cgroupMount(field, m)
		return
	}
	t.cfg.Mounts = append(t.cfg.Mounts, checkpoint.Mount{
		Source: source, Target: m.Destination, Type: typ, Options: slices.Clone(m.Options),
		UIDMap: idMap(m.UIDMappings), GIDMap: idMap(m.GIDMappings),
	})
}

// cgroupMount makes what the specification calls a mount of type "cgroup": the
// hierarchies that there are, each as far as the workload's own cgroup. In a
// cgroup namespace that is a mount of its own, else a clone of the directory.
// Hierarchies of version 1 each have a directory of a tmpfs.
func (t *translator) cgroupMount(field string, m *specs.Mount) {
	fresh := t.req.Namespace(specs.CgroupNamespace).Fresh()
	own, missing := t.placed(), false
	defer func() {
		t.refuse(missing, field, "the workload's own cgroups are not known, and it has no cgroup namespace")
	}()
	hierarchy := func(target, typ, dir string, more ...string) {
		o := append(slices.Clone(m.Options), more...)
		if fresh {
			t.cfg.Mounts = append(t.cfg.Mounts, checkpoint.Mount{Source: typ, Target: target, Type: typ, Options: o})
			return
		}
		if dir == "" {
			missing = true
			return
		}
		t.cfg.Mounts = append(t.cfg.Mounts, checkpoint.Mount{Source: dir, Target: target, Options: append([]string{"bind"}, m.Options...)})
	}
	h := t.host
	if len(h.CgroupV1) == 0 {
		t.refuse(h.CgroupV2 == "", field, "no cgroups are mounted here")
		hierarchy(m.Destination, "cgroup2", own[""])
		return
	}
	t.cfg.Mounts = append(t.cfg.Mounts, checkpoint.Mount{
		Source: "cgroup", Target: m.Destination, Type: "tmpfs", Options: append(slices.Clone(m.Options), "mode=0755"),
	})
	for _, g := range CgroupTree(h) {
		target := path.Join(m.Destination, g.Name)
		if len(g.Controllers) == 0 {
			hierarchy(target, "cgroup2", own[""])
			continue
		}
		hierarchy(target, "cgroup", own[g.Controllers[0]], g.Controllers...)
		for _, c := range g.Controllers {
			if c != g.Name {
				t.cfg.Symlinks = append(t.cfg.Symlinks, checkpoint.Symlink{Path: path.Join(m.Destination, c), Target: g.Name})
			}
		}
	}
}

// placed maps controllers, and "" for version 2, to the directories that the
// workload is placed in.
func (t *translator) placed() map[string]string {
	out := maps.Clone(t.host.Own)
	if out == nil {
		out = map[string]string{}
	}
	if dir := t.cfg.Cgroup.V2; dir != "" {
		out[""] = dir
	}
	maps.Copy(out, t.cfg.Cgroup.V1)
	return out
}

// Hierarchy is one cgroup hierarchy of a host with version 1; without
// controllers it is the one of version 2.
type Hierarchy struct {
	Name        string // of its directory
	Controllers []string
}

// CgroupTree lists the hierarchies that a mount of type "cgroup" shows on a
// host that has version 1, in a fixed order.
func CgroupTree(h *Host) []Hierarchy {
	byDir := map[string][]string{}
	for _, c := range sortedKeys(h.CgroupV1) {
		byDir[h.CgroupV1[c]] = append(byDir[h.CgroupV1[c]], c)
	}
	var out []Hierarchy
	for _, dir := range sortedKeys(byDir) {
		out = append(out, Hierarchy{path.Base(dir), byDir[dir]})
	}
	if h.CgroupV2 != "" {
		out = append(out, Hierarchy{Name: path.Base(h.CgroupV2)})
	}
	return out
}

// devices are those that were asked for, and those that always belong to a /dev
// of one's own.
func (t *translator) devices() {
	c := t.cfg
	defaults, links, console := t.req.DefaultDevices()
	for _, d := range slices.Concat(defaults, t.req.Linux().Devices) {
		out := checkpoint.Device{Path: d.Path, Type: d.Type, Major: uint32(d.Major), Minor: uint32(d.Minor), Mode: 0o666}
		if d.FileMode != nil {
			out.Mode = uint32(*d.FileMode)
		}
		if d.UID != nil {
			out.UID = *d.UID
		}
		if d.GID != nil {
			out.GID = *d.GID
		}
		c.Devices = append(c.Devices, out)
	}
	for _, l := range links {
		c.Symlinks = append(c.Symlinks, checkpoint.Symlink{Path: l[0], Target: l[1]})
	}
	c.Console = console
}
