package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/devices"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/request"
)

var (
	unified = Host{CgroupV2: "/sys/fs/cgroup", ControllersV2: []string{"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma"}}
	legacy  = Host{CgroupV1: map[string]string{
		"cpu": "/cg/cpu", "memory": "/cg/memory", "pids": "/cg/pids", "cpuset": "/cg/cpuset",
		"blkio": "/cg/blkio", "devices": "/cg/devices", "net_cls": "/cg/net_cls", "net_prio": "/cg/net_prio", "hugetlb": "/cg/hugetlb",
	}}
)

// with makes a request with the given members beside a minimal process.
func with(t testing.TB, members string) *request.Request {
	t.Helper()
	if members != "" {
		members = "," + members
	}
	r, err := request.Parse([]byte(`{"ociVersion":"1.3.0"`+members+`}`), true)
	if err != nil {
		t.Fatalf("%s: %v", members, err)
	}
	if r.Spec.Process == nil {
		r.Spec.Process = &specs.Process{Args: []string{"true"}}
	}
	return r
}

func TestConfig_Typical(t *testing.T) {
	r, err := request.Parse([]byte(sample.Requests["typical"]), true)
	if err != nil {
		t.Fatal(err)
	}
	r.Spec.Linux.Seccomp = nil // the launcher's type has tests of its own
	got, err := Config(r, unified)
	if err != nil {
		t.Fatal(err)
	}
	ns := func(kinds ...checkpoint.NamespaceKind) (out []checkpoint.Namespace) {
		for _, k := range kinds {
			out = append(out, checkpoint.Namespace{Kind: k})
		}
		return out
	}
	const kill = 1 << 5
	want := &checkpoint.Config{
		Args: []string{"/bin/sh", "-c", "true"}, Env: []string{"PATH=/bin"}, Cwd: "/tmp",
		Namespaces: ns(checkpoint.User, checkpoint.PID, checkpoint.Mnt, checkpoint.Net, checkpoint.UTS, checkpoint.IPC, checkpoint.Cgroups, checkpoint.Time),
		UIDMap:     []checkpoint.IDMap{{Outside: 100000, Count: 65536}}, GIDMap: []checkpoint.IDMap{{Outside: 200000, Count: 65536}},
		TimeOffsets: checkpoint.TimeOffsets{Monotonic: 5e9, Boottime: 7e9 + 3},
		Hostname:    checkpoint.Some("box"),
		Cgroup:      checkpoint.Cgroup{V2: "/sys/fs/cgroup/x", V1: map[string]string{"memory": "/sys/fs/cgroup/memory/x"}},
		Root:        checkpoint.Root{Path: "/srv/root", ReadOnly: true},
		Rlimits:     []checkpoint.Rlimit{{Resource: "RLIMIT_NOFILE", Soft: 64, Hard: 128}},
		OOMScoreAdj: checkpoint.Some(100), Nice: checkpoint.Some(5), Affinity: []int{0, 1},
		IOPrio:     checkpoint.Some(checkpoint.IOPrio{Class: 2, Level: 6}),
		Scheduler:  checkpoint.Some(checkpoint.Sched{Policy: 3}),
		TimerSlack: checkpoint.Some[uint64](1000), Umask: checkpoint.Some[uint32](0o77), Personality: checkpoint.Some[uint32](8),
		Session: true, NewKeyring: true, IgnoreSignals: []int{1}, BlockSignals: []int{10},
		UID: checkpoint.Some[uint32](1000), GID: checkpoint.Some[uint32](1001), Groups: checkpoint.Some([]uint32{5, 3}),
		Capabilities: checkpoint.Capabilities{
			Bounding: checkpoint.Some[checkpoint.CapSet](kill | 1), Permitted: checkpoint.Some[checkpoint.CapSet](kill),
			Effective: checkpoint.Some[checkpoint.CapSet](kill), Inheritable: checkpoint.Some[checkpoint.CapSet](kill), Ambient: checkpoint.Some[checkpoint.CapSet](kill),
		},
		Securebits: checkpoint.Some[uint32](47), NoNewPrivs: true, Pdeathsig: checkpoint.Some(15),
	}
	if d := cmp.Diff(got, want, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("got -, want +:\n%s", d)
	}
}

func TestConfig_AsksForNothing(t *testing.T) {
	got, err := Config(request.New("/bin/true"), Host{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, &checkpoint.Config{Args: []string{"/bin/true"}}, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("got -, want +:\n%s", d)
	}
}

func TestConfig_OCIDropsGroups(t *testing.T) {
	got, err := Config(with(t, ""), Host{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.UID.Set || !got.Groups.Set || len(got.Groups.Value) != 0 {
		t.Errorf("uid %+v, groups %+v: want user 0 without supplementary groups", got.UID, got.Groups)
	}
	if got.Capabilities.Bounding.Set {
		t.Error("capabilities were set, though none were named")
	}
}

// TestConfig_Refuses: what cannot be honoured is named.
func TestConfig_Refuses(t *testing.T) {
	for field, members := range map[string]string{
		"hooks":                       `"hooks":{"poststop":[{"path":"/x"}]}`,
		"solaris":                     `"solaris":{}`,
		"windows":                     `"windows":{"layerFolders":[]}`,
		"vm":                          `"vm":{"kernel":{"path":"/k"}}`,
		"zos":                         `"zos":{}`,
		"freebsd":                     `"freebsd":{}`,
		"annotations.run.oci.handler": `"annotations":{"run.oci.handler":"wasm","a":"b"}`,
		"linux.mountLabel":            `"linux":{"mountLabel":"x"}`,
		"linux.intelRdt":              `"linux":{"intelRdt":{}}`,
		"linux.personality":           `"linux":{"personality":{"domain":"LINUX","flags":["x"]}}`,
		"process.commandLine":         `"process":{"commandLine":"x","args":["x"],"user":{"uid":0,"gid":0},"cwd":"/"}`,
		"process.user.username":       `"process":{"args":["x"],"user":{"uid":0,"gid":0,"username":"x"},"cwd":"/"}`,
		"process.execCPUAffinity":     `"process":{"args":["x"],"user":{"uid":0,"gid":0},"cwd":"/","execCPUAffinity":{}}`,
		"process.scheduler.flags":     `"process":{"args":["x"],"user":{"uid":0,"gid":0},"cwd":"/","scheduler":{"policy":"SCHED_OTHER","flags":["SCHED_FLAG_KEEP_POLICY"]}}`,
		"process.scheduler.nice":      `"process":{"args":["x"],"user":{"uid":0,"gid":0},"cwd":"/","scheduler":{"policy":"SCHED_FIFO","priority":1,"nice":3}}`,
		"root.path":                   `"root":{"path":"rootfs"}`,
		"mounts[0].options":           `"mounts":[{"destination":"/x","options":["copy-symlink"]}]`,
		"mounts[0]":                   `"mounts":[{"destination":"/x","type":"cgroup"}]`,
		"mounts[0].source":            `"mounts":[{"destination":"/x","source":"data","options":["bind"]}]`,
		"linux.cgroupsPath":           `"linux":{"cgroupsPath":"a.slice:b:c"}`,

		"linux.resources.memory":                   `"linux":{"resources":{"memory":{"limit":1}}}`,
		"linux.resources.memory.kernel":            `"linux":{"cgroupsPath":"/x","resources":{"memory":{"kernel":1}}}`,
		"linux.resources.memory.swappiness":        `"linux":{"cgroupsPath":"/x","resources":{"memory":{"swappiness":1}}}`,
		"linux.resources.memory.disableOOMKiller":  `"linux":{"cgroupsPath":"/x","resources":{"memory":{"disableOOMKiller":true}}}`,
		"linux.resources.memory.useHierarchy":      `"linux":{"cgroupsPath":"/x","resources":{"memory":{"useHierarchy":false}}}`,
		"linux.resources.memory.checkBeforeUpdate": `"linux":{"cgroupsPath":"/x","resources":{"memory":{"checkBeforeUpdate":true}}}`,

		"linux.resources.cpu.realtimePeriod":   `"linux":{"cgroupsPath":"/x","resources":{"cpu":{"realtimePeriod":1}}}`,
		"linux.resources.cpu.realtimeRuntime":  `"linux":{"cgroupsPath":"/x","resources":{"cpu":{"realtimeRuntime":1}}}`,
		"linux.resources.blockIO.leafWeight":   `"linux":{"cgroupsPath":"/x","resources":{"blockIO":{"leafWeight":10}}}`,
		"linux.resources.blockIO.weightDevice": `"linux":{"cgroupsPath":"/x","resources":{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":10}]}}}`,
		"linux.resources.network.classID":      `"linux":{"cgroupsPath":"/x","resources":{"network":{"classID":1}}}`,
		"linux.resources.network.priorities":   `"linux":{"cgroupsPath":"/x","resources":{"network":{"priorities":[{"name":"lo","priority":1}]}}}`,
		"linux.resources.devices":              `"linux":{"resources":{"devices":[{"allow":false,"access":"rwm"}]}}`,
		"holdshort.cgroup.freeze":              `"holdshort":{"cgroup":{"freeze":true}}`,
		"linux.resources.unified.pids.max":     `"linux":{"resources":{"unified":{"pids.max":"3"}}}`,
	} {
		t.Run(field, func(t *testing.T) {
			_, err := Config(with(t, members), unified)
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "not supported by this engine: "+field) {
				t.Errorf("%v, want a refusal of %s", err, field)
			}
		})
	}
}

func limits(c *checkpoint.Config) (out []string) {
	for _, l := range c.Cgroup.Limits {
		out = append(out, strings.TrimPrefix(l.Controller+":", ":")+l.File+"="+l.Value)
	}
	return out
}

func TestConfig_Resources(t *testing.T) {
	for name, tt := range map[string]struct {
		resources string
		v2, v1    []string
	}{
		"memory":         {`"memory":{"limit":4096,"reservation":1024}`, []string{"memory.max=4096", "memory.low=1024"}, []string{"memory:memory.limit_in_bytes=4096", "memory:memory.soft_limit_in_bytes=1024"}},
		"no limit":       {`"memory":{"limit":-1}`, []string{"memory.max=max"}, []string{"memory:memory.limit_in_bytes=-1"}},
		"swap":           {`"memory":{"limit":4096,"swap":8192}`, []string{"memory.max=4096", "memory.swap.max=4096"}, []string{"memory:memory.limit_in_bytes=4096", "memory:memory.memsw.limit_in_bytes=8192"}},
		"no swap at all": {`"memory":{"limit":4096,"swap":4096}`, []string{"memory.max=4096", "memory.swap.max=0"}, []string{"memory:memory.limit_in_bytes=4096", "memory:memory.memsw.limit_in_bytes=4096"}},
		"all swap":       {`"memory":{"limit":4096,"swap":-1}`, []string{"memory.max=4096", "memory.swap.max=max"}, []string{"memory:memory.limit_in_bytes=4096", "memory:memory.memsw.limit_in_bytes=-1"}},
		"cpu shares":     {`"cpu":{"shares":1024}`, []string{"cpu.weight=100"}, []string{"cpu:cpu.shares=1024"}},
		"cpu quota":      {`"cpu":{"quota":5000,"period":10000}`, []string{"cpu.max=5000 10000"}, []string{"cpu:cpu.cfs_period_us=10000", "cpu:cpu.cfs_quota_us=5000"}},
		"cpu no quota":   {`"cpu":{"quota":-1}`, []string{"cpu.max=max 100000"}, []string{"cpu:cpu.cfs_quota_us=-1"}},
		"cpu set":        {`"cpu":{"cpus":"0-1","mems":"0"}`, []string{"cpuset.cpus=0-1", "cpuset.mems=0"}, []string{"cpuset:cpuset.cpus=0-1", "cpuset:cpuset.mems=0"}},
		"pids":           {`"pids":{"limit":7}`, []string{"pids.max=7"}, []string{"pids:pids.max=7"}},
		"pids unlimited": {`"pids":{"limit":-1}`, []string{"pids.max=max"}, []string{"pids:pids.max=max"}},
		"io": {
			`"blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":100}],"throttleWriteIOPSDevice":[{"major":8,"minor":1,"rate":0}]}`,
			[]string{"io.weight=1", "io.max=8:1 rbps=100", "io.max=8:1 wiops=max"},
			[]string{"blkio:blkio.weight=10", "blkio:blkio.throttle.read_bps_device=8:1 100", "blkio:blkio.throttle.write_iops_device=8:1 0"},
		},
		"huge pages": {`"hugepageLimits":[{"pageSize":"2MB","limit":9}]`, []string{"hugetlb.2MB.max=9"}, []string{"hugetlb:hugetlb.2MB.limit_in_bytes=9"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := with(t, `"linux":{"cgroupsPath":"/a/b","resources":{`+tt.resources+`}}`)
			for _, h := range []struct {
				host Host
				want []string
			}{{unified, tt.v2}, {legacy, tt.v1}} {
				c, err := Config(r, h.host)
				if err != nil {
					t.Fatal(err)
				}
				if got := limits(c); !slices.Equal(got, h.want) {
					t.Errorf("got %v\nwant %v", got, h.want)
				}
			}
		})
	}
}

func TestConfig_Devices(t *testing.T) {
	c, err := Config(with(t, `"linux":{"cgroupsPath":"/a","resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}]}}`), legacy)
	if err != nil {
		t.Fatal(err)
	}
	rules := []devices.Rule{
		{Type: devices.All, Major: devices.Any, Minor: devices.Any, Access: devices.Every},
		{Allow: true, Type: devices.Char, Major: 1, Minor: 3, Access: devices.Read | devices.Write},
	}
	if d := cmp.Diff(c.Cgroup.Devices.Value, rules); d != "" || c.Cgroup.V1["devices"] != "/cg/devices/a" {
		t.Errorf("in %v, got -, want +:\n%s", c.Cgroup.V1, d)
	}
	// What version 1 would forget is refused there, and no problem on version 2.
	r := with(t, `"linux":{"cgroupsPath":"/a","resources":{"devices":[{"allow":true,"type":"c"},{"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]}}`)
	if _, err := Config(r, legacy); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "linux.resources.devices") {
		t.Errorf("version 1: %v, want a refusal", err)
	}
	if c, err := Config(r, unified); err != nil || len(c.Cgroup.Devices.Value) != 2 {
		t.Errorf("version 2: %v", err)
	}
}

func TestConfig_CgroupsPath(t *testing.T) {
	c, err := Config(with(t, `"linux":{"cgroupsPath":"/a"}`), legacy)
	if err != nil || c.Cgroup.V2 != "" || len(c.Cgroup.V1) != len(legacy.CgroupV1) || c.Cgroup.V1["memory"] != "/cg/memory/a" {
		t.Errorf("version 1: %+v, %v", c, err)
	}
	both := legacy
	both.CgroupV2, both.ControllersV2 = "/cg/unified", []string{"pids"}
	c, err = Config(with(t, `"linux":{"cgroupsPath":"/a","resources":{"memory":{"limit":4096},"pids":{"limit":3}}}`), both)
	if err != nil {
		t.Fatal(err)
	}
	if v2, v1 := Placement(c); !v2 || !slices.Equal(v1, []string{"memory"}) || c.Cgroup.V2 != "/cg/unified/a" {
		t.Errorf("both versions: %+v", c.Cgroup)
	}
	if got, want := limits(c), []string{"memory:memory.limit_in_bytes=4096", "pids.max=3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCPUWeight(t *testing.T) {
	for _, tt := range []struct{ shares, old, now uint64 }{
		{0, 1, 1}, {2, 1, 1}, {1024, 39, 100}, {512, 20, 59}, {2048, 79, 174}, {262144, 10000, 10000}, {1 << 40, 10000, 10000},
	} {
		if got := CPUWeight(tt.shares, true); got != tt.old {
			t.Errorf("old formula: %d shares are weight %d, want %d", tt.shares, got, tt.old)
		}
		if got := CPUWeight(tt.shares, false); got != tt.now {
			t.Errorf("%d shares are weight %d, want %d", tt.shares, got, tt.now)
		}
	}
	for shares, last := uint64(2), uint64(0); shares <= 262144; shares += 7 {
		w := CPUWeight(shares, false)
		if w < last || w < 1 || w > 10000 {
			t.Fatalf("%d shares are weight %d after %d", shares, w, last)
		}
		last = w
	}
}

func TestSwapMax(t *testing.T) {
	for _, tt := range []struct {
		both, memory int64
		want         string
		fails        bool
	}{
		{0, 0, "", false},
		{0, 100, "", false},
		{0, -1, "max", false},
		{-1, 0, "max", false},
		{-1, 100, "max", false},
		{100, 100, "0", false},
		{150, 100, "50", false},
		{50, 100, "", true},
		{50, 0, "", true},
		{50, -1, "", true},
	} {
		if got, err := SwapMax(tt.both, tt.memory); got != tt.want || (err != nil) != tt.fails {
			t.Errorf("SwapMax(%d, %d) = %q, %v; want %q", tt.both, tt.memory, got, err, tt.want)
		}
	}
}

// A request that leaves the cgroup to the engine gets one, and only then.
func TestWithCgroup(t *testing.T) {
	n := int64(3)
	pids := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}}
	for name, c := range map[string]struct {
		host   Host
		change func(q *request.Request)
		want   string
	}{
		"nothing to limit": {Host{CgroupV2: "/c"}, func(*request.Request) {}, ""},
		"empty resources": {Host{CgroupV2: "/c"}, func(q *request.Request) {
			q.Spec.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}, Network: &specs.LinuxNetwork{}}
		}, ""},
		"a limit":               {Host{CgroupV2: "/c"}, func(q *request.Request) { q.Spec.Linux.Resources = pids }, "/own"},
		"a limit, in version 1": {Host{CgroupV1: map[string]string{"pids": "/c/pids"}}, func(q *request.Request) { q.Spec.Linux.Resources = pids }, "/own"},
		"no hierarchy":          {Host{}, func(q *request.Request) { q.Spec.Linux.Resources = pids }, ""},
		"named": {Host{CgroupV2: "/c"}, func(q *request.Request) {
			q.Spec.Linux.Resources, q.Spec.Linux.CgroupsPath = pids, "/theirs"
		}, "/theirs"},
		"named by the extension": {Host{CgroupV2: "/c"}, func(q *request.Request) {
			q.Spec.Linux.Resources, q.Ext.Cgroup.V2 = pids, "/c/x"
		}, ""},
		"devices": {Host{CgroupV2: "/c"}, func(q *request.Request) {
			q.Spec.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
		}, "/own"},
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("true")
			c.change(q)
			before := q.Linux().CgroupsPath
			if got := WithCgroup(q, &c.host, "/own").Linux().CgroupsPath; got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
			if q.Linux().CgroupsPath != before {
				t.Error("the request itself was changed")
			}
		})
	}
}
