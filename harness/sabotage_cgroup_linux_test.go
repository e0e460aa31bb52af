package harness

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/devices"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var cgroupSerial atomic.Int64

// placedIn asks for a new cgroup, of version 2 or of a version 1 controller.
func placedIn(q *request.Request, host string, controller string) {
	dir := filepath.Join(host, "holdshort-sabotage-"+strconv.Itoa(unix.Getpid())+"-"+strconv.FormatInt(cgroupSerial.Add(1), 36))
	q.Ext.Cgroup.Create = true
	if controller == "" {
		q.Ext.Cgroup.V2 = dir
		return
	}
	q.Ext.Cgroup.V1 = map[string]string{controller: dir}
}

func hasV2(controller string) func(*testing.T, *Runner) string {
	return func(_ *testing.T, r *Runner) string {
		have := append(r.machine.host.ControllersV2, "")
		for _, c := range have {
			if c == controller && r.machine.host.CgroupV2 != "" {
				return ""
			}
		}
		return "cgroup version 2 with the controller " + strconv.Quote(controller)
	}
}

func hasV1(controller string) func(*testing.T, *Runner) string {
	return func(_ *testing.T, r *Runner) string {
		if r.machine.host.CgroupV1[controller] == "" {
			return "the controller " + controller + " of cgroup version 1"
		}
		return ""
	}
}

// TestSabotageDeviceRules plants faults in which device nodes may be used.
func TestSabotageDeviceRules(t *testing.T) {
	r := shared(t)
	// The default descriptors are open before, and need no rule; the rest do.
	rules := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(3)), Access: "rw"},
		{Allow: true, Type: "c", Major: new(int64(136)), Access: "rwm"},
		{Allow: true, Type: "b", Major: new(int64(8)), Minor: new(int64(1)), Access: "r"},
	}
	weaker := finds{"linux.resources.devices": oracle.Weaker}
	change := func(f func(c *checkpoint.Cgroup, l []devices.Rule) []devices.Rule) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { c.Cgroup.Devices.Value = f(&c.Cgroup, c.Cgroup.Devices.Value) })
	}
	for version, row := range map[string]struct {
		mount, controller string
		need              func(*testing.T, *Runner) string
	}{
		"version 2": {r.machine.host.CgroupV2, "", hasV2("")},
		"version 1": {r.machine.host.CgroupV1["devices"], "devices", hasV1("devices")},
	} {
		ask := func(_ *testing.T, q *request.Request) {
			placedIn(q, row.mount, row.controller)
			q.Spec.Linux.Resources = &specs.LinuxResources{Devices: rules}
		}
		rows := []sabotage{
			{name: "skipped", tamper: config(func(c *checkpoint.Config) { c.Cgroup.Devices.Set = false })},
			{name: "everything allowed", tamper: change(func(_ *checkpoint.Cgroup, l []devices.Rule) []devices.Rule {
				return append(l, devices.Rule{Allow: true, Type: devices.All, Major: devices.Any, Minor: devices.Any, Access: devices.Every})
			})},
			{name: "one more node", tamper: change(func(_ *checkpoint.Cgroup, l []devices.Rule) []devices.Rule {
				return append(l, devices.Rule{Allow: true, Type: devices.Char, Major: 1, Minor: 1, Access: devices.Read})
			})},
			{name: "one part more", tamper: change(func(_ *checkpoint.Cgroup, l []devices.Rule) []devices.Rule {
				l[3].Access |= devices.Write
				return l
			})},
			{name: "any minor", tamper: change(func(_ *checkpoint.Cgroup, l []devices.Rule) []devices.Rule { l[1].Minor = devices.Any; return l })},
			{name: "another type", tamper: change(func(_ *checkpoint.Cgroup, l []devices.Rule) []devices.Rule { l[3].Type = devices.Char; return l })},
			{name: "one missing", tamper: change(func(_ *checkpoint.Cgroup, l []devices.Rule) []devices.Rule { return l[:3] })},
		}
		for i := range rows {
			rows[i].need, rows[i].ask, rows[i].want = row.need, ask, weaker
			t.Run(version+"/"+rows[i].name, func(t *testing.T) { rows[i].run(t, r) })
		}
	}
}

// TestSabotageCgroup plants faults in what else is asked of cgroups.
func TestSabotageCgroup(t *testing.T) {
	r := shared(t)
	in := func(mount, controller string, more func(q *request.Request)) func(*testing.T, *request.Request) {
		return func(_ *testing.T, q *request.Request) {
			placedIn(q, mount, controller)
			more(q)
		}
	}
	v2 := r.machine.host.CgroupV2
	freeze := func(q *request.Request) { q.Ext.Cgroup.Freeze = true }
	thawed := config(func(c *checkpoint.Config) { c.Cgroup.Freeze = false })
	delegate := func(q *request.Request) {
		ns(specs.UserNamespace)(t, q)
		q.Ext.Cgroup.Delegate, q.Ext.KeepIDs = true, false
		q.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
		q.Spec.Linux.GIDMappings = q.Spec.Linux.UIDMappings
	}
	rows := []sabotage{
		{name: "freeze/version 2", need: hasV2(""), ask: in(v2, "", freeze), tamper: thawed, want: finds{"holdshort.cgroup.freeze": oracle.Weaker}},
		{name: "freeze/version 1", need: hasV1("freezer"), ask: in(r.machine.host.CgroupV1["freezer"], "freezer", freeze), tamper: thawed, want: finds{"holdshort.cgroup.freeze": oracle.Weaker}},
		{name: "delegate/skipped", need: hasV2(""), ask: in(v2, "", delegate), tamper: config(func(c *checkpoint.Config) { c.Cgroup.Delegate = false }), want: finds{"holdshort.cgroup.delegate": oracle.Weaker}},
		{name: "delegate/to another", need: hasV2(""), ask: in(v2, "", delegate), tamper: config(func(c *checkpoint.Config) {
			c.UIDMap[0].Outside++ // and with it root
		}), want: finds{"holdshort.cgroup.delegate": oracle.Weaker}, also: []string{"user_namespace.uid_map", "ids."}},
	}
	// Each limit: not written, another value, another controller's file.
	for _, l := range []struct{ controller, v1, file, value, other string }{
		{"memory", "", "memory.max", "33554432", "67108864"},
		{"memory", "", "memory.high", "33554432", "max"},
		{"memory", "", "memory.low", "1048576", "0"},
		{"memory", "", "memory.min", "1048576", "0"},
		{"memory", "", "memory.swap.max", "0", "max"},
		{"memory", "", "memory.oom.group", "1", "0"},
		{"cpu", "", "cpu.max", "50000 100000", "60000 100000"},
		{"cpu", "", "cpu.weight", "77", "78"},
		{"cpu", "", "cpu.idle", "1", "0"},
		{"cpuset", "", "cpuset.mems", "0", ""},
		{"io", "", "io.weight", "50", "60"},
		{"pids", "", "pids.max", "44", "max"},
		{"hugetlb", "", "hugetlb.2MB.max", "4194304", "8388608"},
		{"", "memory", "memory.limit_in_bytes", "33554432", "67108864"},
		{"", "memory", "memory.soft_limit_in_bytes", "33554432", "67108864"},
		{"", "cpu", "cpu.shares", "77", "78"},
		{"", "cpu", "cpu.cfs_quota_us", "50000", "-1"},
		{"", "pids", "pids.max", "44", "max"},
	} {
		mount, need := v2, hasV2(l.controller)
		if l.v1 != "" {
			mount, need = r.machine.host.CgroupV1[l.v1], hasV1(l.v1)
		}
		ask := in(mount, l.v1, func(q *request.Request) {
			q.Ext.Cgroup.Limits = []request.CgroupLimit{{Controller: l.v1, File: l.file, Value: l.value}}
		})
		want := finds{"holdshort.cgroup.limits[0]": oracle.Weaker}
		other := config(func(c *checkpoint.Config) { c.Cgroup.Limits[0].Value = l.other })
		if l.v1 == "" {
			// Without the write nobody would enable the controller, and there
			// would be no file to look at.
			rows = append(rows, sabotage{name: l.file + "/another value", need: need, ask: ask, want: want, tamper: other})
			continue
		}
		rows = append(rows,
			sabotage{name: "v1 " + l.file + "/not written", need: need, ask: ask, want: want, tamper: config(func(c *checkpoint.Config) { c.Cgroup.Limits = nil })},
			sabotage{name: "v1 " + l.file + "/another value", need: need, ask: ask, want: want, tamper: other})
	}
	for i := range rows {
		t.Run(rows[i].name, func(t *testing.T) { rows[i].run(t, r) })
	}
}
