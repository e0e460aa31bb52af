package fuzz

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// variants name the values of parameters that are more than on and off. What
// each comes to is in the dimension's draw function.
var variants = map[string][]string{
	"ns user":               {"one line", "several lines", "single id", "without 0", "own ids", "single id, not 0"},
	"ns net":                {"fresh", "pooled"},
	"groups":                {"one", "two", "three", "sixteen", "hundred"},
	"securebits":            {"none", "noroot", "no fixup", "keep caps", "no ambient", "locked"},
	"capabilities":          {"none", "all", "some", "ambient"},
	"propagation":           {"private", "slave", "shared", "unbindable"},
	"ioprio":                {"best effort", "idle", "realtime"},
	"scheduler":             {"other", "batch", "idle", "fifo", "rr", "deadline"},
	"umask":                 {"0", "022", "077", "0777", "any"},
	"personality":           {"domain", "bits"},
	"program by descriptor": {"memfd", "file"},
	"cwd":                   {"root", "elsewhere"},
	"env":                   {"one", "three", "ten", "sixty"},
	"args":                  {"one", "three", "ten", "sixty"},
	"ignored signals":       {"few", "some", "all"},
	"blocked signals":       {"few", "some", "all"},
	"landlock":              {"files", "ports", "scopes", "layers"},
	"seccomp":               {"deny list", "allow list"},
	"seccomp, stacked":      {"deny lists", "allow lists"},
}

// lacking are values that a machine does not have.
func (m *Machine) lacking(name string) []string {
	var out []string
	nice := m.Caps&(1<<capSysNice) != 0
	switch name {
	case "ioprio":
		if !nice {
			out = append(out, "realtime")
		}
	case "scheduler":
		if !nice {
			out = append(out, "fifo", "rr")
		}
		if !nice || !m.Tuning.Deadline {
			out = append(out, "deadline")
		}
	case "landlock":
		if m.LandlockABI < 4 {
			out = append(out, "ports")
		}
		if m.LandlockABI < 6 {
			out = append(out, "scopes")
		}
	}
	return out
}

// clash is a combination that no request can have: for each parameter that is
// named, one of the values, or any but off.
type clash map[string][]string

// noZero are the maps in which no id can own a file.
var noZero = []string{"without 0", "single id, not 0"}

func (m *Machine) clashes() []clash {
	out := []clash{
		{"deny setgroups": nil, "groups": nil},
		{"capabilities": {"ambient"}, "securebits": {"no ambient"}},
		{"named keyring": nil, "ns user": nil},
		{"sysctl ipc": nil, "ns user": nil},
		{"sysctl mqueue": nil, "ns user": nil},
		{"sysctl domainname": nil, "ns user": nil},
		{"sysctl domainname": nil, "domainname": nil},
		{"cgroup delegate": nil, "ns user": noZero},
		{"own dev": nil, "ns user": noZero},
		{"cgroup mount": nil, "ns user": noZero},
		{"ioprio": {"realtime"}, "ns user": nil},
		{"scheduler": {"fifo", "rr", "deadline"}, "ns user": nil},
		{"scheduler": {"deadline"}, "affinity": nil},
		{"macvlan": nil, "ipvlan": nil},
		{"macvlan": nil, "vlan": nil},
		{"ipvlan": nil, "vlan": nil},
		{"seccomp, notify": nil, "RLIMIT_NOFILE": {"least"}},
		{"seccomp, notify": nil, "scheduler": {"fifo", "rr", "deadline"}},
	}
	for _, p := range []string{"root", "mount proc", "mount tmpfs", "bind mount", "masked paths", "read-only paths", "id-mapped mount", "cgroup mount"} {
		out = append(out, clash{"propagation": {"shared", "unbindable"}, p: nil})
	}
	// A pooled network namespace stays as it is, and belongs to the initial user
	// namespace, so that only who is in that can join it.
	out = append(out, clash{"ns net": {"pooled"}, "ns user": nil})
	for i := range dimensions {
		if d := &dimensions[i]; slices.Contains(d.needs, "ns net") {
			out = append(out, clash{"ns net": {"pooled"}, d.name: nil})
		}
	}
	out = append(out, m.callerClashes()...)
	if m.RTGroups {
		out = append(out, clash{"scheduler": {"fifo", "rr"}, "cgroup v1 cpu": nil})
	}
	return out
}

// slow are those of [Model.Slow]; what needs one of them is slow with it.
var slow = []string{"dummy device", "veth", "bridge", "wireguard"}

// only are parameters that are no dimension of [Draw], or a part of one.
var only = slices.Concat([]dimension{{
	name: "cgroups by path", can: func(m *Machine) bool { return m.CgroupV2 != "" || len(m.CgroupV1) > 0 },
	draw: func(d *drawer) { d.r.Spec.Linux.CgroupsPath = "/" + d.cgroup() },
}}, func() (all []dimension) {
	for n := range limits {
		all = append(all, limitParameter(n))
	}
	return all
}(), callerParameters())

// limitParameter is one limit: at the least that lets a launch succeed, or
// anywhere between that and the launcher's own.
func limitParameter(n int) dimension {
	return dimension{
		name: "RLIMIT_" + limits[n].name,
		draw: func(d *drawer) {
			low, top := limits[n].low, d.m.Rlimits[n][1]
			hard := min(low, top)
			if d.wanted == 1 && top > low {
				hard = low + d.Uint64N(min(top-low, 1<<40)+1)
				hard = max(hard, min(top, 1024)) // descriptors enough for a listener
			}
			d.r.Spec.Process.Rlimits = append(d.r.Spec.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_" + limits[n].name, Hard: hard, Soft: hard})
		},
	}
}

func init() {
	for n := range limits {
		variants["RLIMIT_"+limits[n].name] = []string{"least", "between"}
	}
}

// notModelled are dimensions of which a parameter of another name takes care.
var notModelled = []string{"rlimits", "scheduler, deadline"}
