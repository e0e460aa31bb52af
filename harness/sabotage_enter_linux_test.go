package harness

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// entry starts a target with much of its own and returns its launch.
func entry(t *testing.T, r *Runner, change func(*checkpoint.Config)) *checkpoint.Workload {
	t.Helper()
	caps := checkpoint.Some(checkpoint.CapSet(1<<5 | 1<<10))
	cfg := &checkpoint.Config{
		Args: []string{"/bin/sleep", "1000"}, UIDMap: identity, GIDMap: identity, Cwd: "/usr",
		UID: checkpoint.Some[uint32](1000), GID: checkpoint.Some[uint32](1001), Groups: checkpoint.Some([]uint32{7, 9}),
		Capabilities: checkpoint.Capabilities{Bounding: caps, Permitted: caps, Effective: caps, Inheritable: caps, Ambient: caps},
		NoNewPrivs:   true, Umask: checkpoint.Some[uint32](0o27), OOMScoreAdj: checkpoint.Some(77), Hostname: checkpoint.Some("target"),
		Rlimits: []checkpoint.Rlimit{{Resource: "RLIMIT_NOFILE", Soft: 99, Hard: 111}},
		Seccomp: &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: []string{"mkdir"}, Action: seccomp.ActErrno}}},
	}
	for _, k := range []checkpoint.NamespaceKind{checkpoint.User, checkpoint.Mnt, checkpoint.PID, checkpoint.Net, checkpoint.UTS, checkpoint.IPC, checkpoint.Cgroups, checkpoint.Time} {
		cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: k})
	}
	cfg.Cgroup = checkpoint.Cgroup{Create: true, V1: map[string]string{}}
	name := "holdshort-enter-" + strconv.Itoa(os.Getpid())
	if _, err := os.Stat("/sys/fs/cgroup/pids/cgroup.procs"); err == nil {
		cfg.Cgroup.V1["pids"] = "/sys/fs/cgroup/pids/" + name
	}
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(dir + "/cgroup.controllers"); err == nil {
			cfg.Cgroup.V2 = dir + "/" + name
		}
	}
	if change != nil {
		change(cfg)
	}
	w, err := r.launcher.Start(bg, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Kill(); _, _ = w.Wait(bg) })
	// Its execve changes the capabilities, and ends after Start.
	if !sleeps(w.HostPID()) {
		t.Fatal("the target does not sleep")
	}
	return w
}

// TestSabotageEnter enters a target, or leaves a part of that out: the exec
// path of an engine that differs from its run path.
func TestSabotageEnter(t *testing.T) {
	r := shared(t)
	target := entry(t, r, nil)
	enter := func(_ *testing.T, q *request.Request) {
		q.Ext.Enter = &request.Enter{PID: target.HostPID(), StopTarget: true}
	}
	skip := func(a checkpoint.Aspect) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { c.Enter.Skip = append(c.Enter.Skip, a) })
	}
	but := func(kind checkpoint.NamespaceKind) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) {
			for _, k := range []checkpoint.NamespaceKind{checkpoint.User, checkpoint.Mnt, checkpoint.PID, checkpoint.Net, checkpoint.UTS, checkpoint.IPC, checkpoint.Cgroups, checkpoint.Time} {
				if k != kind {
					c.Enter.Namespaces = append(c.Enter.Namespaces, k)
				}
			}
		})
	}
	rows := []sabotage{
		{name: "credentials", tamper: skip(checkpoint.TakeCredentials), want: finds{
			"ids.uid": oracle.Leaked, "ids.euid": oracle.Leaked, "ids.gid": oracle.Leaked, "capabilities.bounding": oracle.Leaked, "privilege.no_new_privs": oracle.Leaked,
		}, also: []string{"ids.", "capabilities.", "privilege.", "exec.secure"}},
		{name: "limits", tamper: skip(checkpoint.TakeLimits), want: finds{"rlimits.nofile": oracle.Leaked, "oom.score_adj": oracle.Leaked}, also: []string{"rlimits."}},
		{name: "umask", tamper: skip(checkpoint.TakeUmask), want: finds{"fs.umask": oracle.Leaked}},
		{name: "cwd", tamper: skip(checkpoint.TakeCwd), want: finds{"fs.cwd": oracle.Leaked}},
		{name: "seccomp", tamper: skip(checkpoint.TakeSeccomp), want: finds{"seccomp.mode": oracle.Leaked, "seccomp.filter_count": oracle.Leaked}, also: []string{"seccomp."}},
		{name: "net", tamper: but(checkpoint.Net), want: finds{"namespaces.net": oracle.Leaked}},
		{name: "uts", tamper: but(checkpoint.UTS), want: finds{"namespaces.uts": oracle.Leaked, "uts.hostname": oracle.Leaked}},
		{name: "ipc", tamper: but(checkpoint.IPC), want: finds{"namespaces.ipc": oracle.Leaked}},
		{name: "cgroup namespace", tamper: but(checkpoint.Cgroups), want: finds{"namespaces.cgroup": oracle.Leaked}},
		{name: "time", tamper: but(checkpoint.Time), want: finds{"namespaces.time": oracle.Leaked}, also: []string{"namespaces.time_for_children"}},
		{name: "pid", tamper: but(checkpoint.PID), want: finds{"namespaces.pid": oracle.Leaked}, also: []string{"namespaces.pid_for_children"}},
	}
	if target.Info().State != checkpoint.Running {
		t.Fatal("no target")
	}
	cgroup := sabotage{name: "cgroup", tamper: skip(checkpoint.TakeCgroup), want: finds{}, also: []string{"cgroup."}}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(target.HostPID()) + "/cgroup")
	if err == nil && strings.Contains(string(b), "holdshort-enter-") {
		if strings.Contains(string(b), "0::/holdshort-enter-") {
			cgroup.want["cgroup.v2"] = oracle.Leaked
		} else {
			cgroup.want["cgroup.v1"] = oracle.Leaked
		}
		rows = append(rows, cgroup)
	}
	for i := range rows {
		rows[i].ask = enter
	}
	table(t, rows)
}

// What cannot be taken from another process is found missing.
func TestEnter_WhatCannotBeTaken(t *testing.T) {
	r := shared(t)
	target := entry(t, r, func(c *checkpoint.Config) {
		c.Securebits = checkpoint.Some[uint32](1<<2 | 1<<3) // SECBIT_NO_SETUID_FIXUP and its lock
		c.Seccomp = nil
	})
	q := request.New("/bin/true")
	q.Ext.Enter = &request.Enter{PID: target.HostPID()}
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := found(c); got["privilege.securebits"] != oracle.Leaked {
		t.Errorf("%v: securebits of the target are not missed", got)
	}
	bits := uint32(1<<2 | 1<<3)
	q.Ext.Securebits = &bits
	if c, err = r.Run(bg, q, nil); err != nil || c.Verdict != Constrained {
		t.Errorf("asked for: %v %v %v", found(c), c.Reasons, err)
	}
}

// No verdict without knowing what the target is.
func TestEnter_Doubts(t *testing.T) {
	r := shared(t)
	q := func(w *checkpoint.Workload) *request.Request {
		q := request.New("/bin/true")
		q.Ext.Enter = &request.Enter{PID: w.HostPID(), Namespaces: []specs.LinuxNamespaceType{specs.NetworkNamespace}, Skip: []string{"cgroup", "seccomp"}}
		return q
	}
	plain := func(c *checkpoint.Config) { c.Cgroup, c.Seccomp = checkpoint.Cgroup{}, nil }
	r.parked = nil
	defer func() { r.parked = nil }()
	target := entry(t, r, plain)
	if c, err := r.Run(bg, q(target), nil); err != nil || c.Verdict != Constrained {
		t.Fatalf("%v %v %v %v", c.Verdict, c.Reasons, found(c), err)
	}
	r.parked = func(*checkpoint.Workload) { _ = target.Kill(); _, _ = target.Wait(bg) }
	c, err := r.Run(bg, q(target), nil)
	if err != nil || c.Verdict != Unknown || !strings.Contains(strings.Join(c.Reasons, " "), "ended") {
		t.Errorf("target ended meanwhile: %v %v %v; want unknown", c.Verdict, c.Reasons, err)
	}
	other := entry(t, r, plain)
	r.parked = func(*checkpoint.Workload) {
		if err := os.WriteFile("/proc/"+strconv.Itoa(other.HostPID())+"/oom_score_adj", []byte("99"), 0); err != nil {
			t.Error(err)
		}
	}
	c, err = r.Run(bg, q(other), nil)
	if err != nil || c.Verdict != Unknown || !strings.Contains(strings.Join(c.Reasons, " "), "changed") {
		t.Errorf("target changed meanwhile: %v %v %v; want unknown", c.Verdict, c.Reasons, err)
	}
}
