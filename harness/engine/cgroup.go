package engine

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func fieldAt(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// cgroup decides the cgroups and what is written to them.
//
// linux.cgroupsPath is a directory below the mount point of each hierarchy that
// is needed: the version 2 one if there is one, and those of the version 1
// controllers that a limit needs. Where there is only version 1, or with
// [Host].JoinAll, all of them.
func (t *translator) cgroup() {
	e, l, c := &t.req.Ext.Cgroup, t.req.Linux(), &t.cfg.Cgroup
	c.V2, c.Create = e.V2, e.Create
	c.V1 = maps.Clone(e.V1)
	if l.CgroupsPath != "" {
		t.refuse(strings.Count(l.CgroupsPath, ":") == 2, "linux.cgroupsPath", "of systemd")
		c.Create = true
		if t.host.CgroupV2 != "" {
			c.V2 = path.Join(t.host.CgroupV2, l.CgroupsPath)
		}
		if t.host.CgroupV2 == "" || t.host.JoinAll {
			for _, k := range sortedKeys(t.host.CgroupV1) {
				t.join(k)
			}
		}
		t.refuse(t.host.CgroupV2 == "" && len(t.host.CgroupV1) == 0, "linux.cgroupsPath", "no cgroup hierarchy is mounted")
	}
	if l.Resources != nil {
		t.resources(l.Resources)
	}
	c.Freeze, c.Delegate = e.Freeze, e.Delegate
	if c.Freeze && c.V2 == "" {
		t.join("freezer")
		t.refuse(c.V1["freezer"] == "", "holdshort.cgroup.freeze", "there is neither version 2 nor a freezer controller here")
	}
	t.refuse(c.Delegate && c.V2 == "", "holdshort.cgroup.delegate", "version 1 has no safe delegation")
	for _, x := range e.Limits { // last, so that they win
		c.Limits = append(c.Limits, checkpoint.CgroupLimit(x))
	}
}

// WithCgroup returns req, or, if it limits resources and does not say of which
// cgroup, a copy that names one: path, as its linux.cgroupsPath. The
// runtime-spec leaves the choice to the engine then. Where no hierarchy is
// mounted there is no choice, and the limits are refused as they are.
func WithCgroup(req *request.Request, host *Host, path string) *request.Request {
	l, e := req.Linux(), &req.Ext.Cgroup
	named := l.CgroupsPath != "" || e.V2 != "" || len(e.V1) > 0
	if named || !limited(l.Resources) || host.CgroupV2 == "" && len(host.CgroupV1) == 0 {
		return req
	}
	q, spec, linux := *req, *req.Spec, *l
	linux.CgroupsPath = path
	spec.Linux, q.Spec = &linux, &spec
	return &q
}

// limited reports that something is asked for which only a cgroup has.
func limited(r *specs.LinuxResources) bool {
	return r != nil && (len(r.Devices) > 0 || r.Pids != nil && r.Pids.Limit != nil ||
		r.Memory != nil && *r.Memory != (specs.LinuxMemory{}) || r.CPU != nil && *r.CPU != (specs.LinuxCPU{}) ||
		r.BlockIO != nil || len(r.HugepageLimits) > 0 || len(r.Rdma) > 0 || len(r.Unified) > 0 ||
		r.Network != nil && (r.Network.ClassID != nil || len(r.Network.Priorities) > 0))
}

// join places the workload in a version 1 hierarchy.
func (t *translator) join(controller string) {
	c := &t.cfg.Cgroup
	if _, ok := c.V1[controller]; ok || t.req.Linux().CgroupsPath == "" {
		return
	}
	if c.V1 == nil {
		c.V1 = make(map[string]string)
	}
	c.V1[controller] = path.Join(t.host.CgroupV1[controller], t.req.Linux().CgroupsPath)
}

// limiter writes the limits of one controller, in whichever version it is
// mounted.
type limiter struct {
	t          *translator
	controller string // as version 1 calls it
	field      string
	v2         bool
}

// with finds the controller, and refuses the field if there is none, or no
// cgroup to limit.
func (t *translator) with(field, v2name, v1name string) (*limiter, bool) {
	in2, _ := t.host.has(v2name)
	_, in1 := t.host.has(v1name)
	field = "linux.resources." + field
	path := t.req.Linux().CgroupsPath != ""
	_, own := t.cfg.Cgroup.V1[v1name]
	switch {
	case in2 && t.cfg.Cgroup.V2 != "":
		return &limiter{t, "", field, true}, true
	case in1 && (path || own):
		t.join(v1name)
		return &limiter{t, v1name, field, false}, true
	case !in2 && !in1:
		t.refuse(true, field, "no "+v2name+" controller here")
	default:
		t.refuse(true, field, "it needs linux.cgroupsPath or holdshort.cgroup")
	}
	return nil, false
}

func (w *limiter) write(file, value string) {
	w.t.cfg.Cgroup.Limits = append(w.t.cfg.Cgroup.Limits, checkpoint.CgroupLimit{Controller: w.controller, File: file, Value: value})
}

// only writes where the limit exists in one version, and refuses it in the
// other.
func (w *limiter) only(v2 bool, sub, file, value string) {
	if w.v2 == v2 {
		w.write(file, value)
		return
	}
	version := "1"
	if w.v2 {
		version = "2"
	}
	w.t.refuse(true, w.field+"."+sub, "cgroup version", version, "has no such limit")
}

// number writes a count or size, of which -1 is no limit.
func number(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

func (t *translator) resources(r *specs.LinuxResources) {
	if r.Memory != nil && *r.Memory != (specs.LinuxMemory{}) {
		t.memory(r.Memory)
	}
	if r.CPU != nil && *r.CPU != (specs.LinuxCPU{}) {
		t.cpu(r.CPU)
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		if w, ok := t.with("pids", "pids", "pids"); ok {
			w.write("pids.max", number(*r.Pids.Limit))
		}
	}
	if b := r.BlockIO; b != nil {
		t.blockIO(b)
	}
	for i, h := range r.HugepageLimits {
		if w, ok := t.with(fieldAt("hugepageLimits", i), "hugetlb", "hugetlb"); ok {
			name := "hugetlb." + h.Pagesize
			if t.host.HugetlbReservation {
				name += ".rsvd"
			}
			if w.v2 {
				w.write(name+".max", strconv.FormatUint(h.Limit, 10))
			} else {
				w.write(name+".limit_in_bytes", strconv.FormatUint(h.Limit, 10))
			}
		}
	}
	t.netResources(r.Network)
	for _, dev := range sortedKeys(r.Rdma) {
		if w, ok := t.with("rdma."+dev, "rdma", "rdma"); ok {
			handles, objects := "max", "max"
			if n := r.Rdma[dev].HcaHandles; n != nil {
				handles = strconv.FormatUint(uint64(*n), 10)
			}
			if n := r.Rdma[dev].HcaObjects; n != nil {
				objects = strconv.FormatUint(uint64(*n), 10)
			}
			w.write("rdma.max", dev+" hca_handle="+handles+" hca_object="+objects)
		}
	}
	for _, file := range sortedKeys(r.Unified) {
		t.refuse(t.cfg.Cgroup.V2 == "", "linux.resources.unified."+file, "no cgroup of version 2")
		t.cfg.Cgroup.Limits = append(t.cfg.Cgroup.Limits, checkpoint.CgroupLimit{File: file, Value: r.Unified[file]})
	}
	t.deviceRules(r.Devices)
}

func (t *translator) memory(m *specs.LinuxMemory) {
	w, ok := t.with("memory", "memory", "memory")
	if !ok {
		return
	}
	t.refuse(m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate, w.field+".checkBeforeUpdate", "it is about updates")
	t.refuse(m.UseHierarchy != nil && (w.v2 && !*m.UseHierarchy || !w.v2), w.field+".useHierarchy")
	if w.v2 {
		if m.Limit != nil {
			w.write("memory.max", number(*m.Limit))
		}
		if m.Reservation != nil {
			w.write("memory.low", number(*m.Reservation))
		}
		if m.Swap != nil {
			v, err := SwapMax(*m.Swap, deref(m.Limit))
			t.fail(w.field+".swap", err)
			if v != "" {
				w.write("memory.swap.max", v)
			}
		}
	} else {
		v1 := func(n int64) string { return strconv.FormatInt(n, 10) } // -1 is what version 1 takes
		if m.Limit != nil {
			w.write("memory.limit_in_bytes", v1(*m.Limit))
		}
		if m.Swap != nil && *m.Swap != 0 {
			w.write("memory.memsw.limit_in_bytes", v1(*m.Swap))
		}
		if m.Reservation != nil {
			w.write("memory.soft_limit_in_bytes", v1(*m.Reservation))
		}
	}
	if m.Kernel != nil { //nolint:staticcheck // deprecated, and still what a version 1 cgroup has
		w.only(false, "kernel", "memory.kmem.limit_in_bytes", strconv.FormatInt(*m.Kernel, 10)) //nolint:staticcheck // deprecated, and still what a version 1 cgroup has
	}
	if m.KernelTCP != nil {
		w.only(false, "kernelTCP", "memory.kmem.tcp.limit_in_bytes", strconv.FormatInt(*m.KernelTCP, 10))
	}
	if m.Swappiness != nil {
		w.only(false, "swappiness", "memory.swappiness", strconv.FormatUint(*m.Swappiness, 10))
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		w.only(false, "disableOOMKiller", "memory.oom_control", "1")
	}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func (t *translator) cpu(p *specs.LinuxCPU) {
	if p.Cpus != "" || p.Mems != "" {
		if w, ok := t.with("cpu.cpus", "cpuset", "cpuset"); ok {
			if p.Cpus != "" {
				w.write("cpuset.cpus", p.Cpus)
			}
			if p.Mems != "" {
				w.write("cpuset.mems", p.Mems)
			}
		}
	}
	if p.Shares == nil && p.Quota == nil && p.Period == nil && p.Burst == nil && p.Idle == nil && p.RealtimeRuntime == nil && p.RealtimePeriod == nil {
		return
	}
	w, ok := t.with("cpu", "cpu", "cpu")
	if !ok {
		return
	}
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	if p.Shares != nil && *p.Shares != 0 {
		if w.v2 {
			w.write("cpu.weight", u(CPUWeight(*p.Shares, t.host.OldCPUShares)))
		} else {
			w.write("cpu.shares", u(*p.Shares))
		}
	}
	switch {
	case w.v2 && (p.Quota != nil || p.Period != nil):
		w.write("cpu.max", CPUMax(p.Quota, p.Period))
	case !w.v2:
		// The period first: a quota may be too large or small for the old one.
		if p.Period != nil {
			w.write("cpu.cfs_period_us", u(*p.Period))
		}
		if p.Quota != nil {
			w.write("cpu.cfs_quota_us", strconv.FormatInt(*p.Quota, 10))
		}
	}
	if p.Burst != nil {
		if w.v2 {
			w.write("cpu.max.burst", u(*p.Burst))
		} else {
			w.write("cpu.cfs_burst_us", u(*p.Burst))
		}
	}
	if p.Idle != nil {
		w.write("cpu.idle", strconv.FormatInt(*p.Idle, 10))
	}
	if p.RealtimePeriod != nil {
		w.only(false, "realtimePeriod", "cpu.rt_period_us", u(*p.RealtimePeriod))
	}
	if p.RealtimeRuntime != nil {
		w.only(false, "realtimeRuntime", "cpu.rt_runtime_us", strconv.FormatInt(*p.RealtimeRuntime, 10))
	}
}

func (t *translator) blockIO(b *specs.LinuxBlockIO) {
	asked := b.Weight != nil || b.LeafWeight != nil || len(b.WeightDevice)+len(b.ThrottleReadBpsDevice)+len(b.ThrottleWriteBpsDevice)+
		len(b.ThrottleReadIOPSDevice)+len(b.ThrottleWriteIOPSDevice) > 0
	if !asked {
		return
	}
	w, ok := t.with("blockIO", "io", "blkio")
	if !ok {
		return
	}
	if b.Weight != nil {
		if w.v2 {
			w.write("io.weight", strconv.FormatUint(IOWeight(uint64(*b.Weight)), 10))
		} else {
			w.write("blkio.weight", strconv.FormatUint(uint64(*b.Weight), 10))
		}
	}
	if b.LeafWeight != nil {
		w.only(false, "leafWeight", "blkio.leaf_weight", strconv.FormatUint(uint64(*b.LeafWeight), 10))
	}
	for _, d := range b.WeightDevice {
		switch {
		case d.Weight != nil && w.v2:
			w.write("io.weight", device(d.Major, d.Minor)+" "+strconv.FormatUint(IOWeight(uint64(*d.Weight)), 10))
		case d.Weight != nil:
			w.only(false, "weightDevice", "blkio.weight_device", device(d.Major, d.Minor)+" "+strconv.Itoa(int(*d.Weight)))
		}
		if d.LeafWeight != nil {
			w.only(false, "weightDevice", "blkio.leaf_weight_device", device(d.Major, d.Minor)+" "+strconv.Itoa(int(*d.LeafWeight)))
		}
	}
	throttle := func(list []specs.LinuxThrottleDevice, key, v1 string) {
		for _, d := range list {
			n := strconv.FormatUint(d.Rate, 10)
			if w.v2 {
				if d.Rate == 0 {
					n = "max" // version 1 takes 0 for no limit
				}
				w.write("io.max", device(d.Major, d.Minor)+" "+key+"="+n)
			} else {
				w.write(v1, device(d.Major, d.Minor)+" "+n)
			}
		}
	}
	throttle(b.ThrottleReadBpsDevice, "rbps", "blkio.throttle.read_bps_device")
	throttle(b.ThrottleWriteBpsDevice, "wbps", "blkio.throttle.write_bps_device")
	throttle(b.ThrottleReadIOPSDevice, "riops", "blkio.throttle.read_iops_device")
	throttle(b.ThrottleWriteIOPSDevice, "wiops", "blkio.throttle.write_iops_device")
}

func device(major, minor int64) string {
	return strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10)
}

func (t *translator) netResources(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	if n.ClassID != nil {
		if w, ok := t.with("network.classID", "net_cls", "net_cls"); ok {
			w.only(false, "classID", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10))
		}
	}
	for _, p := range n.Priorities {
		if w, ok := t.with("network.priorities", "net_prio", "net_prio"); ok {
			w.only(false, "priorities", "net_prio.ifpriomap", p.Name+" "+strconv.FormatUint(uint64(p.Priority), 10))
		}
	}
}
