package oci

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
)

// bundle makes a bundle of the host's own file system, read-only, with what
// change asks for besides.
func bundle(t *testing.T, args []string, change func(s *specs.Spec)) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts, cgroups and namespaces of the host")
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	for _, d := range []string{"proc", "dev", "tmp", "out"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/bin:/usr/bin"}},
		Root:    &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "pid"}, {Type: "mount"}, {Type: "ipc"}, {Type: "uts"}}},
	}
	for _, d := range []string{"/bin", "/lib", "/lib64", "/usr"} {
		if at, err := filepath.EvalSymlinks(d); err == nil {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: d, Source: at, Options: []string{"rbind", "ro"}})
		}
	}
	if change != nil {
		change(s)
	}
	writeSpec(t, dir, s)
	return dir
}

func writeSpec(t *testing.T, dir string, s *specs.Spec) {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// engine is the command with a state directory of its own.
type command struct {
	t    *testing.T
	root string
}

func newCommand(t *testing.T) *command {
	t.Helper()
	// Orphans are to be ours, so that they can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	c := &command{t, filepath.Join(t.TempDir(), "state")}
	t.Cleanup(func() {
		for _, e := range entries(c.root) {
			_, _, _ = c.run("delete", "--force", e)
		}
		if left := entries(c.root); len(left) > 0 {
			t.Errorf("state of %v is left", left)
		}
	})
	return c
}

func entries(dir string) []string {
	list, _ := os.ReadDir(dir)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func (c *command) run(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	var out, err bytes.Buffer
	code = Main(c.t.Context(), append([]string{"--root", c.root}, args...), &out, &err)
	return code, out.String(), err.String()
}

func (c *command) must(args ...string) string {
	c.t.Helper()
	code, out, err := c.run(args...)
	if code != 0 {
		c.t.Fatalf("%v: status %d: %s", args, code, err)
	}
	return out
}

func (c *command) fails(want string, args ...string) {
	c.t.Helper()
	if code, _, err := c.run(args...); code == 0 || !strings.Contains(err, want) {
		c.t.Errorf("%v: status %d, %q; want an error with %q", args, code, err, want)
	}
}

func (c *command) state(id string) *specs.State {
	c.t.Helper()
	s := &specs.State{}
	if err := json.Unmarshal([]byte(c.must("state", id)), s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

func id(t *testing.T) string {
	t.Helper()
	return "holdshort-test-" + strconv.Itoa(os.Getpid()) + "-" + strings.NewReplacer("/", "-", " ", "").Replace(t.Name())
}

// reap waits for the end of a child of ours.
func reap(t *testing.T, pid int) unix.WaitStatus {
	t.Helper()
	var st unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &st, 0, nil); err == nil {
			return st
		} else if err != unix.EINTR {
			t.Fatalf("wait for %d: %v", pid, err)
		}
	}
}

// reapUntil waits for the end of a child of ours that is the first of a pid
// namespace, and meanwhile takes what else of it was left to us: it does not end
// before.
func reapUntil(t *testing.T, pid int) {
	t.Helper()
	for {
		got, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil && err != unix.EINTR {
			t.Fatalf("wait for %d: %v", pid, err)
		}
		if got == pid {
			return
		}
	}
}

func TestLifecycle(t *testing.T) {
	c, id := newCommand(t), id(t)
	dir := bundle(t, []string{"/bin/sh", "-c", "echo done >/out/file; exit 3"}, func(s *specs.Spec) { s.Root.Readonly = false })
	out := filepath.Join(dir, "rootfs", "out", "file")
	c.fails("does not exist", "state", id)
	c.fails("does not exist", "start", id)
	pidFile := filepath.Join(dir, "pid")
	c.must("create", "--bundle", dir, "--pid-file", pidFile, id)
	s := c.state(id)
	if b, _ := os.ReadFile(pidFile); s.Status != specs.StateCreated || string(b) != strconv.Itoa(s.Pid) || s.Bundle != dir {
		t.Errorf("%+v, pid file %q", s, b)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("it has run before it was started")
	}
	if list, _ := os.ReadDir("/proc/" + strconv.Itoa(s.Pid) + "/task"); len(list) != 1 {
		t.Errorf("%d threads", len(list))
	}
	c.fails("already exists", "create", "--bundle", dir, id)
	c.fails("not stopped", "delete", id)
	writeSpec(t, dir, &specs.Spec{}) // has no effect any more
	c.must("start", id)
	if st := reap(t, s.Pid); st.ExitStatus() != 3 {
		t.Errorf("status %v", st)
	}
	if b, _ := os.ReadFile(out); string(b) != "done\n" {
		t.Errorf("it has written %q", b)
	}
	if s := c.state(id); s.Status != specs.StateStopped {
		t.Errorf("%+v", s)
	}
	c.fails("has stopped", "start", id)
	c.fails("not running", "kill", id, "KILL")
	c.must("delete", id)
	c.fails("does not exist", "state", id)
	c.fails("does not exist", "delete", id)
	c.must("delete", "--force", id)
	host, err := readHost()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range host.CgroupV1 {
		if _, err := os.Stat(filepath.Join(at, id)); err == nil {
			t.Errorf("%s is left", filepath.Join(at, id))
		}
	}
}

func TestKillsParkedContainer(t *testing.T) {
	c, id := newCommand(t), id(t)
	dir := bundle(t, []string{"/bin/true"}, nil)
	c.must("create", "--bundle", dir, id)
	pid := c.state(id).Pid
	c.must("kill", id, "KILL")
	if st := reap(t, pid); st.Signal() != unix.SIGKILL {
		t.Errorf("status %v", st)
	}
	c.fails("has stopped", "start", id)
	c.must("delete", id)
}

func TestSaysWhatCannotBeStarted(t *testing.T) {
	c, id := newCommand(t), id(t)
	dir := bundle(t, []string{"/no/such"}, nil)
	c.fails(errNoProgram.Error(), "create", "--bundle", dir, id)
	c.fails("does not exist", "state", id)
	dir = bundle(t, []string{"/out/program"}, nil)
	program := filepath.Join(dir, "rootfs", "out", "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.must("create", "--bundle", dir, id)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	pid := c.state(id).Pid
	c.fails("execve", "start", id)
	reap(t, pid)
	if s := c.state(id); s.Status != specs.StateStopped {
		t.Errorf("%+v", s)
	}
	c.must("delete", id)
}

func TestRefusesByName(t *testing.T) {
	n := uint32(1)
	for field, change := range map[string]func(s *specs.Spec){
		"ociVersion":              func(s *specs.Spec) { s.Version = "2.0.0" },
		"linux.intelRdt":          func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x"} },
		"linux.mountLabel":        func(s *specs.Spec) { s.Linux.MountLabel = "x" },
		"linux.cgroupsPath":       func(s *specs.Spec) { s.Linux.CgroupsPath = "a.slice:b:c" },
		"process.cwd":             func(s *specs.Spec) { s.Process.Cwd = "tmp" },
		"process.rlimits[0].type": func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}} },
		"linux.namespaces[4]":     func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) },
		"hooks.poststop[0].path":  func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "x"}}} },
		"linux.resources.rdma.mlx5_1": func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5_1": {HcaObjects: &n}}}
		},
		"vm": func(s *specs.Spec) { s.VM = &specs.VM{} },
	} {
		t.Run(field, func(t *testing.T) {
			if field == "linux.resources.rdma.mlx5_1" {
				if host, err := readHost(); err != nil || host.CgroupV1["rdma"] != "" || slices.Contains(host.ControllersV2, "rdma") {
					t.Skip("there is an rdma controller")
				}
			}
			c := newCommand(t)
			c.fails(field, "create", "--bundle", bundle(t, []string{"true"}, change), id(t))
		})
	}
	c := newCommand(t)
	c.fails("--systemd-cgroup", "--systemd-cgroup", "create", "--bundle", bundle(t, []string{"true"}, nil), id(t))
	c.fails("--no-pivot", "create", "--no-pivot", "--bundle", bundle(t, []string{"true"}, nil), id(t))
	c.fails("invalid container ID", "create", "--bundle", bundle(t, []string{"true"}, nil), "../x")
}

// TestHooks: each in its place and its namespaces, with the state on its stdin.
func TestHooks(t *testing.T) {
	c, id := newCommand(t), id(t)
	log := filepath.Join(t.TempDir(), "log")
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", `read state; echo "` + name + ` $(readlink /proc/self/ns/mnt) $(hostname) $state" >>` + log}, Env: []string{"PATH=/bin:/usr/bin"}}}
	}
	dir := bundle(t, []string{"/bin/sleep", "1000"}, func(s *specs.Spec) {
		s.Hostname = "inside"
		s.Mounts = append(s.Mounts, specs.Mount{Destination: filepath.Dir(log), Source: filepath.Dir(log), Options: []string{"bind"}})
		s.Hooks = &specs.Hooks{
			Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"), //nolint:staticcheck // prestart is deprecated, and still to be run
			StartContainer: hook("startContainer"), Poststart: hook("poststart"), Poststop: hook("poststop"),
		}
	})
	c.must("create", "--bundle", dir, id)
	pid := c.state(id).Pid
	inside, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	outside, _ := os.Readlink("/proc/self/ns/mnt")
	c.must("start", id)
	c.must("kill", id, "KILL")
	reap(t, pid)
	c.must("delete", id)
	b, _ := os.ReadFile(log)
	var got []string
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(line, " ", 4)
		var s specs.State
		if err := json.Unmarshal([]byte(f[len(f)-1]), &s); err != nil || s.ID != id {
			t.Fatalf("%q: %v", line, err)
		}
		want, own := outside, false
		switch f[0] {
		case "createContainer", "startContainer":
			want, own = inside, true
		}
		if f[1] != want || (f[2] == "inside") != own {
			t.Errorf("%s ran in %s, as host %s; want %s", f[0], f[1], f[2], want)
		}
		got = append(got, f[0]+":"+string(s.Status))
	}
	const want = "prestart:created createRuntime:created createContainer:created startContainer:created poststart:running poststop:stopped"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestHookThatFails(t *testing.T) {
	for _, name := range []string{"createRuntime", "createContainer", "startContainer", "poststart"} {
		t.Run(name, func(t *testing.T) {
			c, id := newCommand(t), id(t)
			bad := []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo no such luck >&2; exit 4"}}}
			dir := bundle(t, []string{"/bin/sleep", "1000"}, func(s *specs.Spec) {
				s.Hooks = &specs.Hooks{}
				switch name {
				case "createRuntime":
					s.Hooks.CreateRuntime = bad
				case "createContainer":
					s.Hooks.CreateContainer = bad
				case "startContainer":
					s.Hooks.StartContainer = bad
				case "poststart":
					s.Hooks.Poststart = bad
				}
			})
			if strings.HasPrefix(name, "create") {
				c.fails("no such luck", "create", "--bundle", dir, id)
				c.fails("does not exist", "state", id)
				return
			}
			c.must("create", "--bundle", dir, id)
			pid := c.state(id).Pid
			c.fails("no such luck", "start", id)
			reap(t, pid)
			if s := c.state(id); s.Status != specs.StateStopped {
				t.Errorf("%+v", s)
			}
			c.must("delete", id)
		})
	}
}

func TestHookTimeout(t *testing.T) {
	c, id := newCommand(t), id(t)
	one := 1
	dir := bundle(t, []string{"/bin/true"}, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Timeout: &one}}}
	})
	c.fails(errHookTimeout.Error(), "create", "--bundle", dir, id)
}

// TestHalfMade: what a create leaves that was killed between its steps.
func TestHalfMade(t *testing.T) {
	c, id := newCommand(t), id(t)
	bundle(t, nil, nil)
	if err := os.MkdirAll(filepath.Join(c.root, id), 0o700); err != nil {
		t.Fatal(err)
	}
	if s := c.state(id); s.Status != specs.StateStopped {
		t.Errorf("%+v", s)
	}
	c.must("delete", id)
}

// TestNumberGivenAway: a pid that has come to mean another process is not taken
// for the container's.
func TestNumberGivenAway(t *testing.T) {
	c, id := newCommand(t), id(t)
	bundle(t, nil, nil)
	k, err := makeContainer(c.root, id)
	if err != nil {
		t.Fatal(err)
	}
	k.Process = &checkpoint.LeftProcess{PID: os.Getpid(), Started: 1}
	if err := k.save(); err != nil {
		t.Fatal(err)
	}
	k.close()
	if s := c.state(id); s.Status != specs.StateStopped {
		t.Errorf("%+v", s)
	}
	c.fails("not running", "kill", id, "KILL")
	c.must("delete", "--force", id) // we would not survive it
}
