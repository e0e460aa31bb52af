package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// blockDevice is one that can be limited: with a queue of its own.
func blockDevice() (major, minor int64, ok bool) {
	list, _ := filepath.Glob("/sys/block/*/dev")
	slices.SortFunc(list, func(a, b string) int { // null_blk first: nobody has data on it
		return strings.Compare(strings.Replace(a, "nullb", "!", 1), strings.Replace(b, "nullb", "!", 1))
	})
	for _, f := range list {
		b, _ := os.ReadFile(f)
		x, y, _ := strings.Cut(strings.TrimSpace(string(b)), ":")
		major, e1 := strconv.ParseInt(x, 10, 64)
		minor, e2 := strconv.ParseInt(y, 10, 64)
		if e1 == nil && e2 == nil {
			return major, minor, true
		}
	}
	return 0, 0, false
}

// resource is one part of linux.resources, in the words of the runtime-spec, or
// one file of version 2 that only its name asks for.
type resource struct {
	name  string
	field string // that must be found weaker
	v2    string // controllers that must be there
	v1    string
	file  string // that must be in a cgroup, or the kernel has no such limit
	set   func(l *specs.LinuxResources)
	other string // the value of the last limit instead
	need  func() string
}

func resourceRows() []resource {
	major, minor, hasDevice := blockDevice()
	dev := strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10)
	disk := func() string {
		if !hasDevice {
			return "a block device (null_blk)"
		}
		return ""
	}
	weighed := func() string {
		for _, at := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			b, _ := os.ReadFile(at + "/io.cost.qos")
			if hasDevice && strings.Contains(string(b), dev+" enable=1") {
				return ""
			}
		}
		return "a block device with enable=1 in io.cost.qos of the root"
	}
	twoCPUs := func() string {
		if b, err := os.ReadFile("/sys/devices/system/cpu/online"); err != nil || strings.TrimSpace(string(b)) == "0" {
			return "two processors"
		}
		return ""
	}
	throttled := func(rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = major, minor
		return []specs.LinuxThrottleDevice{d}
	}
	blockIO := func(b specs.LinuxBlockIO) func(*specs.LinuxResources) {
		return func(l *specs.LinuxResources) { l.BlockIO = &b }
	}
	unified := func(file, value string) func(*specs.LinuxResources) {
		return func(l *specs.LinuxResources) { l.Unified = map[string]string{file: value} }
	}
	weight := specs.LinuxWeightDevice{Weight: new(uint16(300))}
	weight.Major, weight.Minor = major, minor
	page := func(l *specs.LinuxResources) {
		l.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
	}
	memory := func(l *specs.LinuxResources) { l.Memory = &specs.LinuxMemory{Limit: new(int64(64 << 20))} }
	cpu := func(l *specs.LinuxResources) {
		l.CPU = &specs.LinuxCPU{Quota: new(int64(50000)), Period: new(uint64(100000))}
	}
	cpus := func(l *specs.LinuxResources) { l.CPU = &specs.LinuxCPU{Cpus: "0"} }
	pids := func(l *specs.LinuxResources) { l.Pids = &specs.LinuxPids{Limit: new(int64(33))} }
	const of = "linux.resources."
	return []resource{
		{name: "memory", field: of + "memory", v2: "memory", set: memory, other: "max"},
		{name: "cpu", field: of + "cpu", v2: "cpu", set: cpu, other: "60000 100000"},
		{name: "cpus", field: of + "cpu", v2: "cpuset", set: cpus, other: "0-1", need: twoCPUs},
		{name: "pids", field: of + "pids", v2: "pids", set: pids, other: "max"},
		{name: "hugepages", field: of + "hugepageLimits[0]", v2: "hugetlb", set: page, other: "8388608"},
		{name: "bytes read", field: of + "blockIO", v2: "io", need: disk, set: blockIO(specs.LinuxBlockIO{ThrottleReadBpsDevice: throttled(1 << 20)}), other: dev + " rbps=2097152"},
		{name: "operations of writing", field: of + "blockIO", v2: "io", need: disk, set: blockIO(specs.LinuxBlockIO{ThrottleWriteIOPSDevice: throttled(100)}), other: dev + " wiops=max"},
		{name: "weight", field: of + "blockIO", v2: "io", set: blockIO(specs.LinuxBlockIO{Weight: new(uint16(300))}), other: "default 100"},
		{name: "weight of a device", field: of + "blockIO", v2: "io", need: weighed, set: blockIO(specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{weight}}), other: dev + " 31"},
		{name: "io.max", field: of + "unified.io.max", v2: "io", need: disk, set: unified("io.max", dev+" rbps=1048576 wiops=120"), other: dev + " rbps=1048576 wiops=121"},
		{name: "io.latency", field: of + "unified.io.latency", v2: "io", file: "io.latency", need: disk, set: unified("io.latency", dev+" target=10000"), other: dev + " target=20000"},
		{name: "io.prio.class", field: of + "unified.io.prio.class", v2: "io", file: "io.prio.class", set: unified("io.prio.class", "idle"), other: "no-change"},
		{name: "io.bfq.weight", field: of + "unified.io.bfq.weight", v2: "io", file: "io.bfq.weight", set: unified("io.bfq.weight", "50"), other: "60"},
		{name: "hugepages reserved", field: of + "unified.hugetlb.2MB.rsvd.max", v2: "hugetlb", set: unified("hugetlb.2MB.rsvd.max", "4194304"), other: "8388608"},
		{name: "a partition", field: of + "unified.cpuset.cpus.partition", v2: "cpuset", need: twoCPUs, set: func(l *specs.LinuxResources) {
			l.Unified = map[string]string{"cpuset.cpus": "1", "cpuset.cpus.partition": "root"}
		}, other: "member"},
		{name: "an isolated partition", field: of + "unified.cpuset.cpus.partition", v2: "cpuset", file: "cpuset.cpus.exclusive", need: twoCPUs, set: func(l *specs.LinuxResources) {
			l.Unified = map[string]string{"cpuset.cpus": "1", "cpuset.cpus.partition": "isolated"}
		}, other: "root"},
		{name: "memory.zswap.max", field: of + "unified.memory.zswap.max", v2: "memory", file: "memory.zswap.max", set: unified("memory.zswap.max", "1048576"), other: "2097152"},
		{name: "cpu.uclamp.max", field: of + "unified.cpu.uclamp.max", v2: "cpu", file: "cpu.uclamp.max", set: unified("cpu.uclamp.max", "50.00"), other: "60.00"},
		{name: "rdma.max", field: of + "rdma", v2: "rdma", need: firstOf("/sys/class/infiniband", "a device for RDMA"), set: func(l *specs.LinuxResources) {
			l.Rdma = map[string]specs.LinuxRdma{nameOf("/sys/class/infiniband"): {HcaHandles: new(uint32(3))}}
		}, other: nameOf("/sys/class/infiniband") + " hca_handle=4 hca_object=max"},
		{name: "misc.max", field: of + "unified.misc.max", v2: "misc", need: miscCapacity, set: unified("misc.max", miscResource()+" 1"), other: miscResource() + " max"},

		{name: "v1 memory", field: of + "memory", v1: "memory", set: memory, other: "-1"},
		{name: "v1 cpu", field: of + "cpu", v1: "cpu", set: cpu, other: "60000"},
		{name: "v1 pids", field: of + "pids", v1: "pids", set: pids, other: "max"},
		{name: "v1 hugepages", field: of + "hugepageLimits[0]", v1: "hugetlb", set: page, other: "8388608"},
		{name: "v1 bytes written", field: of + "blockIO", v1: "blkio", need: disk, set: blockIO(specs.LinuxBlockIO{ThrottleWriteBpsDevice: throttled(1 << 20)}), other: dev + " 2097152"},
		{name: "v1 class of packets", field: of + "network", v1: "net_cls", set: func(l *specs.LinuxResources) {
			l.Network = &specs.LinuxNetwork{ClassID: new(uint32(0x100001))}
		}, other: "1048578"},
		{name: "v1 priority of packets", field: of + "network", v1: "net_prio", set: func(l *specs.LinuxResources) {
			l.Network = &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}}}
		}, other: "lo 6"},
	}
}

func nameOf(dir string) string {
	list, _ := os.ReadDir(dir)
	if len(list) == 0 {
		return "none"
	}
	return list[0].Name()
}

func firstOf(dir, what string) func() string {
	return func() string {
		if nameOf(dir) == "none" {
			return what
		}
		return ""
	}
}

// miscResource is the first that the machine has any of (misc.capacity of the
// root).
func miscResource() string {
	for _, at := range []string{"/sys/fs/cgroup/misc.capacity", "/sys/fs/cgroup/unified/misc.capacity"} {
		b, _ := os.ReadFile(at)
		if f := strings.Fields(string(b)); len(f) > 1 {
			return f[0]
		}
	}
	return "none"
}

func miscCapacity() string {
	if miscResource() == "none" {
		return "a resource in misc.capacity"
	}
	return ""
}

// TestSabotageResources asks in the runtime-spec's words for each limit that a
// controller has, and writes another value, or to another cgroup.
func TestSabotageResources(t *testing.T) {
	r := shared(t)
	// A change between the look at the parked workload and its execve shows in
	// freeze mode only.
	frozen := frozenRunner(t, nil)
	for _, row := range resourceRows() {
		mount, need := r.machine.host.CgroupV2, hasV2(row.v2)
		if row.v1 != "" {
			mount, need = r.machine.host.CgroupV1[row.v1], hasV1(row.v1)
		}
		ask := func(_ *testing.T, q *request.Request) {
			placedIn(q, mount, row.v1)
			q.Spec.Linux.Resources = &specs.LinuxResources{}
			row.set(q.Spec.Linux.Resources)
		}
		needs := func(t *testing.T, r *Runner) string {
			t.Helper()
			if what := need(t, r); what != "" {
				return what
			}
			if row.need != nil {
				if what := row.need(); what != "" {
					return what
				}
			}
			if row.file != "" && !cgroupHas(t, mount, row.file) {
				return row.file
			}
			return ""
		}
		want := finds{row.field: oracle.Weaker}
		var also []string
		if row.v2 == "cpuset" {
			also = []string{"sched.affinity"}
		}
		t.Run(row.name+"/another value", func(t *testing.T) {
			(&sabotage{need: needs, ask: ask, want: want, also: also, tamper: config(func(c *checkpoint.Config) {
				c.Cgroup.Limits[len(c.Cgroup.Limits)-1].Value = row.other
			})}).run(t, r)
		})
		t.Run(row.name+"/changed while parked", func(t *testing.T) {
			(&sabotage{need: needs, ask: ask, want: want, also: also, parked: func(t *testing.T, r *Runner, w *checkpoint.Workload) {
				t.Helper()
				l := lastLimit(t, r, w.HostPID(), row)
				if err := os.WriteFile(l, []byte(row.other+"\n"), 0); err != nil {
					t.Error(err)
				}
			}}).run(t, frozen)
		})
	}
}

// cgroupHas makes a cgroup to see whether it has a file.
func cgroupHas(t *testing.T, mount, file string) bool {
	t.Helper()
	dir := cgroupDir(t, mount, "probe")
	defer os.Remove(dir)
	return exists(filepath.Join(dir, file))
}

// lastLimit is the file, in the workload's own cgroup, that the last limit of a
// row is in.
func lastLimit(t *testing.T, r *Runner, pid int, row resource) string {
	t.Helper()
	own, err := cgroupsOf(strconv.Itoa(pid))
	if err != nil {
		t.Fatal(err)
	}
	mount, at := r.machine.host.CgroupV2, own[""]
	if row.v1 != "" {
		mount, at = r.machine.host.CgroupV1[row.v1], own[row.v1]
	}
	file, ok := strings.CutPrefix(row.field, "linux.resources.unified.")
	if !ok {
		file = map[string]string{
			"memory": "memory.max", "cpu": "cpu.max", "cpus": "cpuset.cpus", "pids": "pids.max", "v1 pids": "pids.max",
			"bytes read": "io.max", "operations of writing": "io.max", "weight": "io.weight", "weight of a device": "io.weight", "rdma.max": "rdma.max",
			"v1 memory": "memory.limit_in_bytes", "v1 cpu": "cpu.cfs_quota_us", "v1 bytes written": "blkio.throttle.write_bps_device",
			"v1 class of packets": "net_cls.classid", "v1 priority of packets": "net_prio.ifpriomap",
		}[row.name]
	}
	if strings.HasSuffix(row.name, "hugepages") {
		file = "hugetlb.2MB"
		if r.machine.host.HugetlbReservation {
			file += ".rsvd"
		}
		if file += ".max"; row.v1 != "" {
			file = strings.TrimSuffix(file, "max") + "limit_in_bytes"
		}
	}
	return filepath.Join(mount, at, file)
}
