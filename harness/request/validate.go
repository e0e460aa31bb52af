package request

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// FieldError is one thing in a request that cannot be meant.
type FieldError struct {
	Field string
	Text  string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Text }

// Validate reports every problem that can be seen without a kernel, each a
// [FieldError], joined. It is stricter than the runtime-spec in places where a
// request that is let through would be another one than was meant: an unknown
// capability is an error here, where the specification asks for a warning.
func (r *Request) Validate() error {
	c := &checker{}
	if r.Spec == nil {
		return &FieldError{"", "has no specification"}
	}
	c.check(r.Spec.Version == "" || strings.HasPrefix(r.Spec.Version, "1."), "ociVersion", "%q is not 1.x", r.Spec.Version)
	c.process(r)
	c.namespaces(r)
	c.mounts(r)
	c.paths(r)
	if l := r.Spec.Linux; l != nil {
		c.linux(l)
	}
	c.extension(r)
	c.identity(r)
	c.sysctls(r)
	c.networkTables(r)
	c.nftables(r)
	return errors.Join(c.errs...)
}

type checker struct{ errs []error }

func (c *checker) check(ok bool, field, format string, args ...any) {
	if !ok {
		c.errs = append(c.errs, &FieldError{field, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) noNUL(field string, ss ...string) {
	for _, s := range ss {
		c.check(!strings.Contains(s, "\x00"), field, "contains a NUL byte")
	}
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

const maxID = math.MaxUint32 // (uid_t)-1, which means "no change" and is no id

func (c *checker) process(r *Request) {
	p := r.Process()
	c.check(len(p.Args) > 0, "process.args", "is empty: name the program to start")
	c.check(len(p.Args) == 0 || r.Program() != "", "process.args[0]", "is empty")
	for i, s := range p.Args {
		c.noNUL(at("process.args", i), s)
	}
	for i, s := range p.Env {
		c.check(strings.Index(s, "=") > 0, at("process.env", i), "%q is not NAME=VALUE", s)
		c.noNUL(at("process.env", i), s)
	}
	c.check(p.Cwd == "" || strings.HasPrefix(p.Cwd, "/"), "process.cwd", "%q is not absolute", p.Cwd)
	c.noNUL("process.cwd", p.Cwd)
	c.check(p.CommandLine == "", "process.commandLine", "is for Windows")
	u := &p.User
	c.check(u.UID != maxID, "process.user.uid", "%d is no id", u.UID)
	c.check(u.GID != maxID, "process.user.gid", "%d is no id", u.GID)
	c.check(len(u.AdditionalGids) <= 65536, "process.user.additionalGids", "%d groups, the kernel takes 65536", len(u.AdditionalGids))
	for i, g := range u.AdditionalGids {
		c.check(g != maxID, at("process.user.additionalGids", i), "%d is no id", g)
	}
	c.check(!r.Ext.KeepIDs || u.UID == 0 && u.GID == 0 && len(u.AdditionalGids) == 0, "holdshort.keepIDs", "and process.user both say which ids to use")
	c.check(u.Username == "", "process.user.username", "is for Windows")
	c.check(u.Umask == nil || *u.Umask <= 0o777, "process.user.umask", "%#o is more than 0777", deref(u.Umask))
	c.capabilities(p.Capabilities)
	var seen []string
	for i, l := range p.Rlimits {
		f := at("process.rlimits", i)
		c.check(Rlimit(l.Type) >= 0, f+".type", "unknown limit %q", l.Type)
		c.check(l.Soft <= l.Hard, f, "soft limit %d above the hard limit %d", l.Soft, l.Hard)
		c.check(!slices.Contains(seen, l.Type), f, "second limit for %s", l.Type)
		seen = append(seen, l.Type)
	}
	n := deref(p.OOMScoreAdj)
	c.check(n >= -1000 && n <= 1000, "process.oomScoreAdj", "%d is not in -1000…1000", n)
	c.scheduler(r, p.Scheduler)
	if io := p.IOPriority; io != nil {
		_, ok := IOClass(io.Class)
		c.check(ok, "process.ioPriority.class", "unknown class %q", io.Class)
		c.check(io.Priority >= 0 && io.Priority <= 7, "process.ioPriority.priority", "%d is not in 0…7", io.Priority)
	}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func (c *checker) capabilities(caps *specs.LinuxCapabilities) {
	if caps == nil {
		return
	}
	var set [5]uint64
	for i, s := range []struct {
		name  string
		names []string
	}{
		{"bounding", caps.Bounding},
		{"effective", caps.Effective},
		{"inheritable", caps.Inheritable},
		{"permitted", caps.Permitted},
		{"ambient", caps.Ambient},
	} {
		for j, n := range s.names {
			b, err := CapSet(s.names[j : j+1])
			c.check(err == nil, at("process.capabilities."+s.name, j), "unknown capability %q", n)
			set[i] |= b
		}
	}
	// What capset(2) and prctl(2) would refuse, said with the names of the fields.
	c.check(set[1]&^set[3] == 0, "process.capabilities.effective", "has what permitted has not")
}

func (c *checker) scheduler(r *Request, s *specs.Scheduler) {
	if s == nil {
		return
	}
	n, ok := Policy(s.Policy)
	c.check(ok, "process.scheduler.policy", "unknown policy %q", s.Policy)
	c.check(s.Nice >= -20 && s.Nice <= 19, "process.scheduler.nice", "%d is not in -20…19", s.Nice)
	c.check(s.Nice == 0 || r.Ext.Nice == nil || int(s.Nice) == *r.Ext.Nice, "holdshort.nice", "and process.scheduler.nice differ")
	if rt := n == 1 || n == 2; rt {
		c.check(s.Priority >= 1 && s.Priority <= 99, "process.scheduler.priority", "%d is not in 1…99", s.Priority)
	} else {
		c.check(s.Priority == 0, "process.scheduler.priority", "is for SCHED_FIFO and SCHED_RR")
	}
	if n == 6 {
		c.check(s.Runtime <= s.Deadline && s.Deadline <= s.Period, "process.scheduler", "not runtime ≤ deadline ≤ period")
		c.check(s.Runtime > 0 && s.Period <= math.MaxInt64, "process.scheduler.runtime", "out of range")
	} else {
		c.check(s.Runtime|s.Deadline|s.Period == 0, "process.scheduler", "runtime, deadline and period are for SCHED_DEADLINE")
	}
}

var kinds = []specs.LinuxNamespaceType{
	specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace,
	specs.UTSNamespace, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace,
}

func (c *checker) namespaces(r *Request) {
	seen := map[specs.LinuxNamespaceType]bool{}
	one := func(f string, k specs.LinuxNamespaceType) {
		c.check(slices.Contains(kinds, k), f+".type", "unknown namespace %q", k)
		c.check(!seen[k], f, "second namespace of type %q", k)
		seen[k] = true
	}
	l := r.Linux()
	for i, n := range l.Namespaces {
		f := at("linux.namespaces", i)
		one(f, n.Type)
		c.check(n.Path == "" || strings.HasPrefix(n.Path, "/"), f+".path", "%q is not absolute", n.Path)
		c.noNUL(f+".path", n.Path)
	}
	for i, n := range r.Ext.Namespaces {
		f := at("holdshort.namespaces", i)
		one(f, n.Type)
		c.check(n.PID > 0, f+".pid", "%d is no process id", n.PID)
	}
	fresh := r.Namespace(specs.UserNamespace).Fresh()
	c.idMap("linux.uidMappings", l.UIDMappings, fresh)
	c.idMap("linux.gidMappings", l.GIDMappings, fresh)
	c.check(!r.Ext.DenySetgroups || fresh, "holdshort.denySetgroups", "needs a new user namespace")
	c.check(!r.Ext.DenySetgroups || len(r.Process().User.AdditionalGids) == 0, "process.user.additionalGids", "cannot be set where setgroups is denied")
	c.check(len(l.TimeOffsets) == 0 || r.Namespace(specs.TimeNamespace).Fresh(), "linux.timeOffsets", "needs a new time namespace")
	for _, k := range slices.Sorted(maps.Keys(l.TimeOffsets)) {
		o := l.TimeOffsets[k]
		f := "linux.timeOffsets." + k
		c.check(k == "monotonic" || k == "boottime", f, "unknown clock")
		c.check(o.Nanosecs < 1e9, f+".nanosecs", "%d is a second or more", o.Nanosecs)
		c.check(o.Secs > -1<<33 && o.Secs < 1<<33, f+".secs", "%d is out of range", o.Secs)
	}
	uts := r.Namespace(specs.UTSNamespace).Asked
	for _, n := range []struct{ field, value string }{{"hostname", r.Spec.Hostname}, {"domainname", r.Spec.Domainname}} {
		c.check(n.value == "" || uts, n.field, "needs a uts namespace")
		c.check(len(n.value) <= 64, n.field, "longer than 64 bytes")
		c.noNUL(n.field, n.value)
	}
	net := r.Namespace(specs.NetworkNamespace).Asked
	c.check(net || r.Ext.Network.IsZero(), "holdshort.network", "needs a network namespace")
	c.check(net || len(l.NetDevices) == 0, "linux.netDevices", "needs a network namespace")
}

func (c *checker) idMap(field string, m []specs.LinuxIDMapping, fresh bool) {
	c.check(len(m) == 0 || fresh, field, "needs a new user namespace")
	c.check(len(m) <= 340, field, "%d lines, the kernel takes 340", len(m))
	type side struct{ first, end uint64 }
	var in, out []side
	for i, e := range m {
		f := at(field, i)
		c.check(e.Size > 0, f+".size", "is 0")
		a := side{uint64(e.ContainerID), uint64(e.ContainerID) + uint64(e.Size)}
		b := side{uint64(e.HostID), uint64(e.HostID) + uint64(e.Size)}
		c.check(a.end <= maxID && b.end <= maxID, f, "reaches beyond the last id")
		in, out = append(in, a), append(out, b)
	}
	overlap := func(s []side) bool {
		slices.SortFunc(s, func(a, b side) int { return int(int64(a.first) - int64(b.first)) })
		for i := 1; i < len(s); i++ {
			if s[i].first < s[i-1].end {
				return true
			}
		}
		return false
	}
	c.check(!overlap(in), field, "container ids overlap")
	c.check(!overlap(out), field, "host ids overlap")
}

func (c *checker) mounts(r *Request) {
	own := r.Namespace(specs.MountNamespace).Asked
	if root := r.Spec.Root; root != nil {
		c.check(own || root.Path == "", "root.path", "needs a mount namespace")
		c.check(root.Path != "" || !root.Readonly, "root.readonly", "needs root.path")
		c.noNUL("root.path", root.Path)
	}
	for i := range r.Spec.Mounts {
		m := &r.Spec.Mounts[i]
		f := at("mounts", i)
		c.check(own, f, "needs a mount namespace")
		c.check(strings.HasPrefix(m.Destination, "/"), f+".destination", "%q is not absolute", m.Destination)
		c.noNUL(f, m.Destination, m.Source, m.Type)
		c.noNUL(f+".options", m.Options...)
		c.mountOptions(r, f, m)
	}
}
