package harness

import (
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

type finds = map[string]oracle.Outcome

var identity = []checkpoint.IDMap{{Count: 1<<32 - 1}}

func TestSabotageNamespaces(t *testing.T) {
	maps := func(_ *testing.T, q *request.Request) {
		ns(specs.UserNamespace)(t, q)
		q.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 0, Size: 1000}, {ContainerID: 1000, HostID: 200000, Size: 1000}}
		q.Spec.Linux.GIDMappings = q.Spec.Linux.UIDMappings
	}
	table(t, []sabotage{
		{
			name: "user/skipped",
			ask:  func(t *testing.T, q *request.Request) { t.Helper(); ns(specs.UserNamespace)(t, q); allIDs(q) },
			tamper: func(c *checkpoint.Config, o *checkpoint.Options) {
				t.Helper()
				without(checkpoint.User)(c, o)
				c.UIDMap, c.GIDMap = nil, nil
			},
			want: finds{"namespaces.user": oracle.Ignored, "user_namespace.parent": oracle.Inherited},
			also: []string{"capabilities."},
		}, // where the caller has not all of them
		{name: "mount/skipped", ask: ns(specs.MountNamespace), tamper: without(checkpoint.Mnt), want: finds{"namespaces.mnt": oracle.Ignored}},
		{
			name: "pid/skipped", ask: ns(specs.PIDNamespace), tamper: without(checkpoint.PID),
			want: finds{"namespaces.pid": oracle.Ignored, "namespaces.pid_for_children": oracle.Inherited},
			also: []string{"process.pid_inside", "process.session", "process.process_group"},
		},
		{
			name:   "init/skipped",
			ask:    func(t *testing.T, q *request.Request) { t.Helper(); ns(specs.PIDNamespace)(t, q); q.Ext.Init = true },
			tamper: config(func(c *checkpoint.Config) { c.Init = false }), want: finds{"process.pid_inside": oracle.Weaker},
			also: []string{"process.session", "process.process_group"},
		},
		{
			name: "init/unasked", ask: ns(specs.PIDNamespace),
			tamper: config(func(c *checkpoint.Config) { c.Init = true }), want: finds{"process.pid_inside": oracle.Weaker},
			also: []string{"process.session", "process.process_group"},
		},
		{name: "net/skipped", ask: ns(specs.NetworkNamespace), tamper: without(checkpoint.Net), want: finds{"namespaces.net": oracle.Ignored}},
		{name: "uts/skipped", ask: ns(specs.UTSNamespace), tamper: without(checkpoint.UTS), want: finds{"namespaces.uts": oracle.Ignored}},
		{name: "ipc/skipped", ask: ns(specs.IPCNamespace), tamper: without(checkpoint.IPC), want: finds{"namespaces.ipc": oracle.Ignored}},
		{name: "cgroup/skipped", ask: ns(specs.CgroupNamespace), tamper: without(checkpoint.Cgroups), want: finds{"namespaces.cgroup": oracle.Ignored}},
		{
			name: "time/skipped", ask: ns(specs.TimeNamespace), tamper: without(checkpoint.Time),
			want: finds{"namespaces.time": oracle.Ignored, "namespaces.time_for_children": oracle.Inherited},
		},
		{name: "net/unasked", tamper: config(func(c *checkpoint.Config) {
			c.Namespaces = append(c.Namespaces, checkpoint.Namespace{Kind: checkpoint.Net})
		}), want: finds{"namespaces.net": oracle.Leaked}},

		{name: "uid_map/line missing", ask: maps, tamper: config(func(c *checkpoint.Config) { c.UIDMap = c.UIDMap[:1] }), want: finds{"user_namespace.uid_map": oracle.Stronger}},
		{name: "uid_map/elsewhere", ask: maps, tamper: config(func(c *checkpoint.Config) { c.UIDMap[1].Outside = 300000 }), want: finds{"user_namespace.uid_map": oracle.Weaker}},
		{name: "uid_map/longer", ask: maps, tamper: config(func(c *checkpoint.Config) { c.UIDMap[1].Count = 1001 }), want: finds{"user_namespace.uid_map": oracle.Weaker}},
		{name: "gid_map/line missing", ask: maps, tamper: config(func(c *checkpoint.Config) { c.GIDMap = c.GIDMap[:1] }), want: finds{"user_namespace.gid_map": oracle.Stronger}},
		{name: "gid_map/elsewhere", ask: maps, tamper: config(func(c *checkpoint.Config) { c.GIDMap[1].Outside = 300000 }), want: finds{"user_namespace.gid_map": oracle.Weaker}},
		{name: "uid_map/everything", ask: maps, tamper: config(func(c *checkpoint.Config) { c.UIDMap = identity }), want: finds{"user_namespace.uid_map": oracle.Ignored}},
		{
			name: "setgroups/allowed",
			ask: func(t *testing.T, q *request.Request) {
				t.Helper()
				ns(specs.UserNamespace)(t, q)
				allIDs(q)
				q.Ext.DenySetgroups = true
			},
			tamper: config(func(c *checkpoint.Config) { c.DenySetgroups = false }), want: finds{"user_namespace.setgroups": oracle.Ignored},
		},
		{
			name:   "setgroups/denied unasked",
			ask:    func(t *testing.T, q *request.Request) { t.Helper(); ns(specs.UserNamespace)(t, q); allIDs(q) },
			tamper: config(func(c *checkpoint.Config) { c.DenySetgroups = true }), want: finds{"user_namespace.setgroups": oracle.Leaked},
		},

		{name: "hostname/skipped", ask: names, tamper: config(func(c *checkpoint.Config) { c.Hostname = checkpoint.Option[string]{} }), want: finds{"uts.hostname": oracle.Ignored}},
		{name: "hostname/wrong", ask: names, tamper: config(func(c *checkpoint.Config) { c.Hostname.Value += "x" }), want: finds{"uts.hostname": oracle.Weaker}},
		{name: "domainname/skipped", ask: names, tamper: config(func(c *checkpoint.Config) { c.Domainname = checkpoint.Option[string]{} }), want: finds{"uts.domainname": oracle.Ignored}},
		{name: "domainname/wrong", ask: names, tamper: config(func(c *checkpoint.Config) { c.Domainname.Value += "x" }), want: finds{"uts.domainname": oracle.Weaker}},
		{name: "time offset/monotonic skipped", ask: offsets, tamper: config(func(c *checkpoint.Config) { c.TimeOffsets.Monotonic = 0 }), want: finds{"time.monotonic_ns": oracle.Ignored}},
		{name: "time offset/boottime skipped", ask: offsets, tamper: config(func(c *checkpoint.Config) { c.TimeOffsets.Boottime = 0 }), want: finds{"time.boottime_ns": oracle.Ignored}},
		{name: "time offset/wrong", ask: offsets, tamper: config(func(c *checkpoint.Config) { c.TimeOffsets.Boottime += time.Nanosecond }), want: finds{"time.boottime_ns": oracle.Weaker}},
	})
}

func names(t *testing.T, q *request.Request) {
	t.Helper()
	t.Helper()
	ns(specs.UTSNamespace)(t, q)
	q.Spec.Hostname, q.Spec.Domainname = "constrained", "example.org"
}

func offsets(t *testing.T, q *request.Request) {
	t.Helper()
	ns(specs.TimeNamespace)(t, q)
	q.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1000}, "boottime": {Secs: 2000}}
}

// TestSabotageJoined joins the namespaces of another process, or does not.
func TestSabotageJoined(t *testing.T) {
	r := shared(t)
	kinds := []checkpoint.NamespaceKind{checkpoint.User, checkpoint.Mnt, checkpoint.PID, checkpoint.Net, checkpoint.UTS, checkpoint.IPC, checkpoint.Cgroups, checkpoint.Time}
	var targets [2]int
	for i := range targets {
		cfg := &checkpoint.Config{Args: []string{"/bin/sleep", "1000"}, UIDMap: identity, GIDMap: identity}
		for _, k := range kinds {
			cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: k})
		}
		w, err := r.launcher.Start(bg, cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Kill(); _, _ = w.Wait(bg) })
		targets[i] = w.HostPID()
	}
	oci := map[checkpoint.NamespaceKind]specs.LinuxNamespaceType{
		checkpoint.User: specs.UserNamespace, checkpoint.Mnt: specs.MountNamespace, checkpoint.PID: specs.PIDNamespace, checkpoint.Net: specs.NetworkNamespace,
		checkpoint.UTS: specs.UTSNamespace, checkpoint.IPC: specs.IPCNamespace, checkpoint.Cgroups: specs.CgroupNamespace, checkpoint.Time: specs.TimeNamespace,
	}
	for _, k := range kinds {
		f := "namespaces." + string(k)
		also := []string{f + "_for_children"}
		switch k {
		case checkpoint.User:
			also = append(also, "user_namespace.", "ids.", "capabilities.")
		case checkpoint.PID:
			also = append(also, "process.pid_inside")
		case checkpoint.Mnt:
			also = append(also, "fs.")
		}
		join := func(_ *testing.T, q *request.Request) {
			q.Ext.Namespaces = []request.JoinedNamespace{{Type: oci[k], PID: targets[0]}}
			if k == checkpoint.User {
				q.Ext.KeepIDs = false
			}
		}
		for _, row := range []sabotage{
			{name: string(k) + "/skipped", ask: join, tamper: without(k), want: finds{f: oracle.Ignored}, also: also},
			{name: string(k) + "/another process's", ask: join, tamper: config(func(c *checkpoint.Config) { c.Namespaces[0].PID = targets[1] }), want: finds{f: oracle.Weaker}, also: also},
			{name: string(k) + "/new instead", ask: join, tamper: config(func(c *checkpoint.Config) {
				c.Namespaces[0].PID = 0
				if k == checkpoint.User {
					c.UIDMap, c.GIDMap = identity, identity
				}
			}), want: finds{f: oracle.Weaker}, also: also},
		} {
			t.Run(row.name, func(t *testing.T) { row.run(t, r) })
		}
	}
}
