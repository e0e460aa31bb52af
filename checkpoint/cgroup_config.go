package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/devices"
)

// Cgroup says which cgroups the workload is born into or placed in.
type Cgroup struct {
	// V2 is a directory below a cgroup2 mount, absolute as seen by the
	// caller. The workload is born in it (CLONE_INTO_CGROUP, since Linux
	// 5.7), so that nothing of it was ever charged elsewhere.
	V2 string `json:"v2,omitempty"`
	// V1 maps a version 1 controller to a directory of its hierarchy.
	V1 map[string]string `json:"v1,omitempty"`
	// Create makes missing directories (one level each) and removes those
	// it made once the workload has ended, with everything in them. On
	// version 2 it also enables the controllers that Limits need in
	// cgroup.subtree_control of the directories above, where they are not
	// yet; they stay enabled. That is EBUSY where one of these has processes
	// of its own (the no internal processes rule of cgroups(7)).
	Create bool `json:"create,omitempty"`
	// Limits are written before the workload is born, in order.
	Limits []CgroupLimit `json:"limits,omitempty"`
	// Devices, if set, are the device nodes that may be used; see package
	// [devices] for what a list means. An empty list allows none. They go
	// into V1["devices"] if there is one, else a BPF program is attached to
	// V2 (since Linux 4.15), which needs CAP_BPF and CAP_NET_ADMIN. The
	// program is taken off again when the workload has ended, if the cgroup
	// is not.
	Devices Option[[]devices.Rule] `json:"devices,omitzero"`
	// Freeze stops everything in V2, or in V1["freezer"], once the workload
	// is parked. It goes on after [Group.Thaw] only, also if it was told to
	// proceed; [Workload.Abort] and [Workload.Kill] thaw it. Since Linux 5.2
	// on version 2. A task that version 1 has frozen hears not even SIGKILL:
	// if the host dies, it stays until somebody thaws the cgroup.
	Freeze bool `json:"freeze,omitempty"`
	// Delegate gives the directory V2, and those of its files that
	// /sys/kernel/cgroup/delegate names, to user and group 0 of the
	// workload's new user namespace, or to UID and GID without one: it may
	// then make cgroups of its own below. Needs Create. Version 1 has no safe
	// way for that, see cgroups(7).
	Delegate bool `json:"delegate,omitempty"`
}

// CgroupLimit is one file of a cgroup and what is written to it.
type CgroupLimit struct {
	// Controller selects the V1 directory; empty means V2.
	Controller string `json:"controller,omitempty"`
	File       string `json:"file"`
	Value      string `json:"value"`
}

// controllers are those of version 2 that the limits need.
func (c *Cgroup) controllers() []string {
	var out []string
	for _, l := range c.Limits {
		name, _, ok := strings.Cut(l.File, ".")
		if l.Controller == "" && ok && name != "cgroup" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (c *Config) validateCgroup(v *validator) {
	g := &c.Cgroup
	for i, l := range g.Limits {
		field := fmt.Sprintf("cgroup.limits[%d]", i)
		v.check(l.File != "" && !strings.Contains(l.File, "/"), field, "file %q", l.File)
		// The child would never get to its checkpoint.
		v.check(l.File != "cgroup.freeze" && l.File != "freezer.state", field, "%s: ask for cgroup.freeze instead", l.File)
	}
	for _, dir := range append([]string{g.V2}, mapValues(g.V1)...) {
		v.check(dir == "" || strings.HasPrefix(dir, "/"), "cgroup", "%q is not absolute", dir)
		v.noNUL("cgroup", dir)
	}
	for i, r := range g.Devices.Value {
		if err := r.Validate(); err != nil {
			v.check(false, fmt.Sprintf("cgroup.devices[%d]", i), "%v", err)
		}
	}
	v.check(!g.Devices.Set || g.V2 != "" || g.V1["devices"] != "", "cgroup.devices", "needs a cgroup of version 2, or of the devices controller")
	v.check(!g.Freeze || g.V2 != "" || g.V1["freezer"] != "", "cgroup.freeze", "needs a cgroup of version 2, or of the freezer controller")
	v.check(!g.Delegate || g.V2 != "" && g.Create, "cgroup.delegate", "needs a cgroup of version 2 that is made for it")
	_, user := c.find(User)
	v.check(!g.Delegate || !user || c.insideRoot(), "cgroup.delegate", "needs a new user namespace in which 0 is mapped, or none")
}
