package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Validate reports every problem that can be seen without the kernel, each
// with the name of its field.
func (c *Config) Validate() error {
	v := &validator{}
	v.strings("args", c.Args)
	v.strings("env", c.Env)
	v.check(len(c.Args) > 0, "args", "is empty: name the program to start")
	v.check(len(c.Args) == 0 || c.Args[0] != "" || c.Path != "", "args[0]", "is empty")
	v.noNUL("path", c.Path)
	v.noNUL("cwd", c.Cwd)
	for i, e := range c.Env {
		v.check(strings.Index(e, "=") > 0, fmt.Sprintf("env[%d]", i), "%q is not KEY=VALUE", e)
	}
	c.Enter.validate(v, c)
	c.validateNamespaces(v)
	c.validateResources(v)
	c.validateNetwork(v)
	c.validateLandlock(v)
	c.validateIdentity(v)
	c.validateFilters(v)
	return v.err()
}

type validator struct{ errs []error }

func (v *validator) check(ok bool, field, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf("%s: %w", field, &invalid{fmt.Sprintf(format, args...)}))
	}
}

func (v *validator) noNUL(field, s string) {
	v.check(!strings.Contains(s, "\x00"), field, "contains a NUL byte")
}

func (v *validator) strings(field string, list []string) {
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			v.noNUL(fmt.Sprintf("%s[%d]", field, i), s)
		}
	}
}

func (v *validator) err() error {
	if len(v.errs) == 0 {
		return nil
	}
	return fail(StageConfig, "", errors.Join(v.errs...))
}

// invalid is a problem with a request; it matches EINVAL.
type invalid struct{ text string }

func (e *invalid) Error() string        { return e.text }
func (e *invalid) Is(target error) bool { return target == unix.EINVAL }

func (c *Config) validateNamespaces(v *validator) {
	seen := map[NamespaceKind]bool{}
	for i, n := range c.Namespaces {
		field := fmt.Sprintf("namespaces[%d]", i)
		_, ok := cloneFlag[n.Kind]
		v.check(ok, field, "unknown kind %q", n.Kind)
		v.check(!seen[n.Kind], field, "second namespace of kind %q", n.Kind)
		v.check(n.Path == "" || n.PID == 0, field, "both path and pid")
		v.check(n.PID >= 0, field, "pid %d", n.PID)
		v.noNUL(field, n.Path)
		seen[n.Kind] = true
	}
	for name, m := range map[string][]IDMap{"uid_map": c.UIDMap, "gid_map": c.GIDMap} {
		v.check(len(m) == 0 || c.has(User, false), name, "needs a new user namespace")
		v.check(len(m) <= 340, name, "%d lines, the kernel takes 340", len(m))
		for i, l := range m {
			field := fmt.Sprintf("%s[%d]", name, i)
			v.check(l.Count > 0, field, "count is 0")
			const end = 1<<32 - 1
			v.check(uint64(l.Inside)+uint64(l.Count) <= end && uint64(l.Outside)+uint64(l.Count) <= end, field, "beyond the last id")
		}
	}
	v.check(c.TimeOffsets == TimeOffsets{} || c.has(Time, false), "time_offsets", "need a new time namespace")
	v.check(!c.Init || c.has(PID, false), "init", "needs a new pid namespace")
	own := func(kind NamespaceKind) bool { _, ok := c.find(kind); return ok }
	v.check(!c.Hostname.Set && !c.Domainname.Set || own(UTS), "hostname", "needs a uts namespace")
	v.check(len(c.Hostname.Value) <= 64 && len(c.Domainname.Value) <= 64, "hostname", "longer than 64 bytes")
	v.check(c.Root.Path == "" || strings.HasPrefix(c.Root.Path, "/"), "root.path", "%q is not absolute", c.Root.Path)
	v.check(!c.Root.ReadOnly || c.Root.Path != "", "root.read_only", "needs root.path")
	v.noNUL("root.path", c.Root.Path)
	_, ok := propagation(c.Propagation)
	v.check(c.Propagation == "" || ok, "propagation", "unknown word %q", c.Propagation)
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if err := validMount(m); err != nil {
			v.check(false, fmt.Sprintf("mounts[%d]", i), "%v", err)
		}
		v.strings(fmt.Sprintf("mounts[%d]", i), append([]string{m.Source, m.Target, m.Type}, m.Options...))
	}
	c.validatePaths(v, own(Mnt))
	c.validateSysctls(v)
}

func (c *Config) validateResources(v *validator) {
	var seen []string
	for i, l := range c.Rlimits {
		field := fmt.Sprintf("rlimits[%d]", i)
		v.check(resourceNumber(l.Resource) >= 0, field, "unknown resource %q", l.Resource)
		v.check(l.Soft <= l.Hard, field, "soft limit %d above hard limit %d", l.Soft, l.Hard)
		v.check(!slices.Contains(seen, l.Resource), field, "second limit for %s", l.Resource)
		seen = append(seen, l.Resource)
	}
	n := c.OOMScoreAdj.Value
	v.check(n >= -1000 && n <= 1000, "oom_score_adj", "%d is not in -1000…1000", n)
	v.check(c.Nice.Value >= -20 && c.Nice.Value <= 19, "nice", "%d is not in -20…19", c.Nice.Value)
	v.check(c.Umask.Value <= 0o777, "umask", "%#o is more than 0777", c.Umask.Value)
	for i, cpu := range c.Affinity {
		v.check(cpu >= 0 && cpu < 8192, fmt.Sprintf("affinity[%d]", i), "cpu %d", cpu)
	}
	c.validateTuning(v)
	io := c.IOPrio.Value
	v.check(io.Class >= 0 && io.Class <= 3 && io.Level >= 0 && io.Level <= 7, "ioprio", "class %d level %d", io.Class, io.Level)
	for name, list := range map[string][]int{"ignore_signals": c.IgnoreSignals, "block_signals": c.BlockSignals} {
		for i, s := range list {
			v.check(s >= 1 && s <= 64 && s != int(unix.SIGKILL) && s != int(unix.SIGSTOP), fmt.Sprintf("%s[%d]", name, i), "signal %d", s)
		}
	}
	v.check(c.Pdeathsig.Value >= 0 && c.Pdeathsig.Value <= 64, "pdeathsig", "signal %d", c.Pdeathsig.Value)
	// (uid_t)-1 is "no change" for setresuid(2): the workload would keep the caller's.
	v.check(c.UID.Value != ^uint32(0), "uid", "%d is no id", c.UID.Value)
	v.check(c.GID.Value != ^uint32(0), "gid", "%d is no id", c.GID.Value)
	for _, g := range c.Groups.Value {
		v.check(g != ^uint32(0), "groups", "%d is no id", g)
	}
	v.check(len(c.Groups.Value) <= 65536, "groups", "%d groups, the kernel takes 65536", len(c.Groups.Value))
	caps := c.Capabilities
	// What capset(2) and prctl(2) would refuse, said with the names of the fields.
	if caps.Effective.Set && caps.Permitted.Set {
		v.check(caps.Effective.Value&^caps.Permitted.Value == 0, "capabilities.effective", "not within permitted: %v", (caps.Effective.Value &^ caps.Permitted.Value).Names())
	}
	if caps.Ambient.Set && caps.Permitted.Set && caps.Inheritable.Set {
		bad := caps.Ambient.Value &^ (caps.Permitted.Value & caps.Inheritable.Value)
		v.check(bad == 0, "capabilities.ambient", "not both permitted and inheritable: %v", bad.Names())
	}
	c.validateCgroup(v)
}

func mapValues(m map[string]string) []string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out
}

func (c *Config) validateNetwork(v *validator) {
	n := c.Network
	_, own := c.find(Net)
	v.check(own || !n.LoopbackUp && len(n.Links)+len(n.Routes)+len(n.Neighbours)+len(n.Rules)+len(n.Nftables) == 0, "network", "needs a network namespace")
	for i := range n.Nftables {
		n.Nftables[i].validate(v, fmt.Sprintf("network.nftables[%d]", i))
	}
	for i, l := range n.Links {
		field := fmt.Sprintf("network.links[%d]", i)
		l.validate(v, field)
		for _, name := range []string{l.Name, l.Host} {
			v.check(len(name) <= 15 && !strings.ContainsAny(name, "/ \x00"), field, "%q is no device name", name)
		}
		v.check(l.Name != "", field, "has no name")
		v.check(l.Kind != Veth && l.Kind != Move || l.Host != "", field, "has no host device")
		v.check(l.MTU >= 0, field, "mtu %d", l.MTU)
	}
}
