package fuzz

import (
	"path"
	"strconv"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func v1(controller string) func(*Machine) bool {
	return func(m *Machine) bool { return m.CgroupV1[controller] != "" }
}

// hasV1 looks for a limit of a version 1 controller in both ways to ask for it.
func hasV1(controller string, oci func(*specs.LinuxResources) bool) func(*request.Request) bool {
	return func(r *request.Request) bool {
		res := r.Linux().Resources
		return r.Ext.Cgroup.V1[controller] != "" || r.Linux().CgroupsPath != "" && res != nil && oci(res)
	}
}

var cgroups = []dimension{
	{
		name: "cgroup v2", can: func(m *Machine) bool { return m.CgroupV2 != "" },
		draw: func(d *drawer) {
			limit := strconv.Itoa(d.in(0, 1000))
			file := pick(d, "cgroup.max.descendants", "cgroup.max.depth")
			if d.oci() {
				if d.chance(50) {
					d.resources().Unified = map[string]string{file: limit}
				}
				return
			}
			c := &d.r.Ext.Cgroup
			c.V2, c.Create = path.Join(d.m.CgroupV2, d.cgroup()), true
			if d.chance(50) {
				c.Limits = append(c.Limits, request.CgroupLimit{File: file, Value: limit})
			}
		},
		has: func(r *request.Request) bool { return r.Ext.Cgroup.V2 != "" || r.Linux().CgroupsPath != "" },
	},
	{
		name: "cgroup v1 pids", can: v1("pids"),
		draw: func(d *drawer) {
			n := int64(d.in(8, 1000))
			if d.oci() {
				d.resources().Pids = &specs.LinuxPids{Limit: &n}
				return
			}
			d.limit("pids", "pids.max", strconv.FormatInt(n, 10))
		},
		has: hasV1("pids", func(r *specs.LinuxResources) bool { return r.Pids != nil }),
	},
	{
		name: "cgroup v1 memory", can: v1("memory"),
		draw: func(d *drawer) {
			n := int64(d.in(16<<20, 1<<30))
			if d.oci() {
				d.resources().Memory = &specs.LinuxMemory{Limit: &n}
				return
			}
			d.limit("memory", "memory.limit_in_bytes", strconv.FormatInt(n, 10))
		},
		has: hasV1("memory", func(r *specs.LinuxResources) bool { return r.Memory != nil }),
	},
	{
		name: "cgroup v1 cpu", can: v1("cpu"),
		draw: func(d *drawer) {
			shares, quota, period := uint64(d.in(2, 10000)), int64(d.in(20000, 200000)), uint64(d.in(50000, 200000))
			if d.oci() {
				cpu := &specs.LinuxCPU{Shares: &shares}
				if d.chance(50) {
					cpu = &specs.LinuxCPU{Quota: &quota, Period: &period}
				}
				d.resources().CPU = cpu
				return
			}
			if d.chance(50) {
				d.limit("cpu", "cpu.cfs_period_us", strconv.FormatUint(period, 10))
				d.limit("cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
				return
			}
			d.limit("cpu", "cpu.shares", strconv.FormatUint(shares, 10))
		},
		has: hasV1("cpu", func(r *specs.LinuxResources) bool { return r.CPU != nil }),
	},
}

// oci decides once per case how its cgroups are asked for: by
// linux.cgroupsPath, or by the extension.
func (d *drawer) oci() bool {
	l, c := d.r.Spec.Linux, &d.r.Ext.Cgroup
	if _, ok := d.chosen(); ok {
		return l.CgroupsPath != "" // a parameter of its own
	}
	if l.CgroupsPath == "" && c.IsZero() && d.chance(50) {
		l.CgroupsPath = "/" + d.cgroup()
	}
	return l.CgroupsPath != ""
}

func (d *drawer) cgroup() string {
	return "holdshort-" + d.m.Tag + "-" + strconv.FormatUint(d.index, 36)
}

func (d *drawer) resources() *specs.LinuxResources {
	l := d.r.Spec.Linux
	if l.Resources == nil {
		l.Resources = &specs.LinuxResources{}
	}
	return l.Resources
}

func (d *drawer) limit(controller, file, value string) {
	c := &d.r.Ext.Cgroup
	if c.V1 == nil {
		c.V1 = map[string]string{}
	}
	c.V1[controller], c.Create = path.Join(d.m.CgroupV1[controller], d.cgroup()), true
	c.Limits = append(c.Limits, request.CgroupLimit{Controller: controller, File: file, Value: value})
}

// cpuCgroup: the case is in a cpu cgroup of its own.
func (d *drawer) cpuCgroup() bool { return d.on["cgroup v1 cpu"] }

const infinity = ^uint64(0)

// limits are the smallest value of each resource that lets every launch
// succeed, in the order of the kernel's numbers.
var limits = [16]struct {
	name string
	low  uint64
}{
	{"CPU", 5},
	{"FSIZE", 4096},
	{"DATA", 64 << 20},
	{"STACK", 1 << 20},
	{"CORE", 0},
	{"RSS", 0},
	{"NPROC", 4096},
	{"NOFILE", 16},
	{"MEMLOCK", 0},
	{"AS", 64 << 20},
	{"LOCKS", 0},
	{"SIGPENDING", 64},
	{"MSGQUEUE", 0},
	{"NICE", 0},
	{"RTPRIO", 0},
	{"RTTIME", 1_000_000},
}

// rlimits draws some, none above the hard limit of the launcher.
func rlimits(d *drawer) {
	percent := pick(d, 10, 30, 100)
	for n, l := range limits {
		if !d.chance(percent) {
			continue
		}
		value := func(max uint64) uint64 {
			if max <= l.low {
				return max
			}
			switch d.IntN(4) {
			case 0:
				return max
			case 1:
				return l.low
			default:
				return l.low + d.Uint64N(min(max-l.low, 1<<40)+1)
			}
		}
		hard := value(d.m.Rlimits[n][1])
		d.r.Spec.Process.Rlimits = append(d.r.Spec.Process.Rlimits,
			specs.POSIXRlimit{Type: "RLIMIT_" + l.name, Hard: hard, Soft: value(hard)})
	}
}

func rlimit(n int) dimension {
	name := "RLIMIT_" + limits[n].name
	return dimension{
		name: name, needs: []string{"rlimits"},
		has: func(r *request.Request) bool {
			for _, l := range r.Process().Rlimits {
				if l.Type == name {
					return true
				}
			}
			return false
		},
	}
}
