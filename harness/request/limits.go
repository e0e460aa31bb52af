package request

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) linux(l *specs.Linux) {
	for _, k := range slices.Sorted(maps.Keys(l.Sysctl)) {
		f := "linux.sysctl." + k
		c.check(k != "" && !strings.HasPrefix(k, "/") && !strings.Contains(k, ".."), f, "is no name of a sysctl")
		c.noNUL(f, k, l.Sysctl[k])
	}
	for i, p := range l.MaskedPaths {
		c.absolute(at("linux.maskedPaths", i), p)
	}
	for i, p := range l.ReadonlyPaths {
		c.absolute(at("linux.readonlyPaths", i), p)
	}
	for i, d := range l.Devices {
		c.absolute(at("linux.devices", i)+".path", d.Path)
		c.check(len(d.Type) == 1 && strings.Contains("bcup", d.Type), at("linux.devices", i)+".type", "unknown type %q", d.Type)
		c.check(d.Major >= 0 && d.Minor >= 0, at("linux.devices", i), "negative device number")
	}
	if p := l.Personality; p != nil {
		_, ok := PersonalityWord(p)
		c.check(ok, "linux.personality.domain", "unknown domain %q", p.Domain)
		c.check(len(p.Flags) == 0, "linux.personality.flags", "none are defined")
	}
	switch strings.TrimPrefix(l.RootfsPropagation, "r") {
	case "", "private", "slave", "shared", "unbindable":
	default:
		c.check(false, "linux.rootfsPropagation", "unknown word %q", l.RootfsPropagation)
	}
	c.noNUL("linux.cgroupsPath", l.CgroupsPath)
	c.check(!slices.Contains(strings.Split(l.CgroupsPath, "/"), ".."), "linux.cgroupsPath", "%q leads upwards", l.CgroupsPath)
	if s := l.Seccomp; s != nil {
		c.check(s.DefaultAction != "", "linux.seccomp.defaultAction", "is missing")
		for i, sc := range s.Syscalls {
			f := at("linux.seccomp.syscalls", i)
			c.check(len(sc.Names) > 0, f+".names", "is empty")
			c.check(sc.Action != "", f+".action", "is missing")
			for j, a := range sc.Args {
				c.check(a.Index <= 5, at(f+".args", j)+".index", "%d is not in 0…5", a.Index)
			}
		}
	}
	if l.Resources != nil {
		c.resources(l.Resources)
	}
}

func (c *checker) absolute(field, path string) {
	c.check(strings.HasPrefix(path, "/"), field, "%q is not absolute", path)
	c.noNUL(field, path)
}

func (c *checker) resources(r *specs.LinuxResources) {
	// -1 is "no limit" throughout the specification; less is a mistake.
	limit := func(field string, v *int64) {
		c.check(v == nil || *v >= -1, "linux.resources."+field, "%d is negative", deref(v))
	}
	if m := r.Memory; m != nil {
		limit("memory.limit", m.Limit)
		limit("memory.reservation", m.Reservation)
		limit("memory.swap", m.Swap)
		limit("memory.kernel", m.Kernel) //nolint:staticcheck // deprecated, and still in the schema
		limit("memory.kernelTCP", m.KernelTCP)
		c.check(m.Swappiness == nil || *m.Swappiness <= 200, "linux.resources.memory.swappiness", "%d is not in 0…200", deref(m.Swappiness))
		if l, s := deref(m.Limit), deref(m.Swap); s > 0 {
			c.check(l > 0, "linux.resources.memory.swap", "needs a memory limit")
			c.check(s >= l, "linux.resources.memory.swap", "%d is less than the memory limit %d, which it includes", s, l)
		}
	}
	if p := r.CPU; p != nil {
		limit("cpu.quota", p.Quota)
		limit("cpu.realtimeRuntime", p.RealtimeRuntime)
		c.check(p.Idle == nil || *p.Idle == 0 || *p.Idle == 1, "linux.resources.cpu.idle", "%d is neither 0 nor 1", deref(p.Idle))
		c.cpuList("linux.resources.cpu.cpus", p.Cpus)
		c.cpuList("linux.resources.cpu.mems", p.Mems)
	}
	if p := r.Pids; p != nil {
		limit("pids.limit", p.Limit)
	}
	if b := r.BlockIO; b != nil {
		c.check(b.Weight == nil || *b.Weight >= 10 && *b.Weight <= 1000, "linux.resources.blockIO.weight", "%d is not in 10…1000", deref(b.Weight))
	}
	for i, d := range r.Devices {
		f := at("linux.resources.devices", i)
		c.check(d.Type == "" || len(d.Type) == 1 && strings.Contains("abc", d.Type), f+".type", "unknown type %q", d.Type)
		c.check(strings.Trim(d.Access, "rwm") == "", f+".access", "%q is not made of r, w and m", d.Access)
		for _, n := range []*int64{d.Major, d.Minor} {
			c.check(n == nil || *n <= maxID, f, "%d is no device number", deref(n))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Unified)) {
		c.check(k != "" && !strings.ContainsAny(k, "/\x00") && strings.Contains(k, "."), "linux.resources.unified."+k, "is no file of a controller")
		c.noNUL("linux.resources.unified."+k, r.Unified[k])
	}
}

func (c *checker) cpuList(field, s string) {
	_, err := CPUList(s)
	c.check(err == nil, field, "%v", err)
}

func (c *checker) extension(r *Request) {
	c.landlock(r.Ext.Landlock)
	e := &r.Ext
	c.tuning(r)
	c.noNUL("holdshort.path", e.Path)
	c.enter(r)
	c.check(!e.Init || r.Namespace(specs.PIDNamespace).Fresh(), "holdshort.init", "needs a new pid namespace")
	c.check(e.Nice == nil || *e.Nice >= -20 && *e.Nice <= 19, "holdshort.nice", "%d is not in -20…19", deref(e.Nice))
	c.check(e.PassFDs >= 0 && e.PassFDs <= 200, "holdshort.passFDs", "%d is not in 0…200", e.PassFDs)
	for i, cpu := range e.Affinity {
		c.check(cpu >= 0 && cpu < maxCPU, at("holdshort.affinity", i), "%d is no CPU", cpu)
	}
	for name, list := range map[string][]Signal{"holdshort.ignoreSignals": e.IgnoreSignals, "holdshort.blockSignals": e.BlockSignals} {
		for i, s := range list {
			c.check(s >= 1 && s <= 64 && s != 9 && s != 19, at(name, i), "signal %d cannot be", s)
		}
	}
	c.check(e.Pdeathsig == nil || *e.Pdeathsig >= 0 && *e.Pdeathsig <= 64, "holdshort.pdeathsig", "signal %d", deref(e.Pdeathsig))
	c.check(e.Securebits == nil || *e.Securebits <= 0xff, "holdshort.securebits", "%#x has unknown bits", deref(e.Securebits))
	c.check(e.Personality == nil || r.Linux().Personality == nil, "holdshort.personality", "and linux.personality are both given")
	g := &e.Cgroup
	c.check(!g.places() || r.Linux().CgroupsPath == "", "holdshort.cgroup", "and linux.cgroupsPath are both given")
	if g.V2 != "" {
		c.absolute("holdshort.cgroup.v2", g.V2)
	}
	for _, k := range slices.Sorted(maps.Keys(g.V1)) {
		c.absolute("holdshort.cgroup.v1."+k, g.V1[k])
	}
	path := r.Linux().CgroupsPath != ""
	c.check(!g.Freeze || path || g.V2 != "" || g.V1["freezer"] != "", "holdshort.cgroup.freeze", "needs a cgroup of version 2, or of the freezer controller")
	c.check(!g.Delegate || path || g.V2 != "" && g.Create, "holdshort.cgroup.delegate", "needs a cgroup of version 2 that is made")
	for i, l := range g.Limits {
		c.check(l.File != "cgroup.freeze" && l.File != "freezer.state", at("holdshort.cgroup.limits", i), "%s: ask for holdshort.cgroup.freeze", l.File)
		f := at("holdshort.cgroup.limits", i)
		c.check(l.File != "" && !strings.ContainsAny(l.File, "/\x00"), f+".file", "%q is no name of a file", l.File)
		_, v1 := g.V1[l.Controller]
		c.check(v1 || l.Controller == "" && g.V2 != "", f, "no cgroup is given for controller %q", l.Controller)
		c.noNUL(f+".value", l.Value)
	}
	for i, l := range e.Network.Links {
		f := at("holdshort.network.links", i)
		c.link(f, &l)
		c.check(l.Name != "", f+".name", "is empty")
		c.check(l.Kind != "veth" && l.Kind != "move" || l.Host != "", f+".host", "is empty")
		for _, n := range []string{l.Name, l.Host} {
			c.check(len(n) <= 15 && !strings.ContainsAny(n, "/ \x00"), f, "%q is no name of a device", n)
		}
		c.check(l.MTU >= 0, f+".mtu", "%d is negative", l.MTU)
	}
}
