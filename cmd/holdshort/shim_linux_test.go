package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/harness/shim"
	"golang.org/x/sys/unix"
)

// shimmed is a keeper of its own, with a directory for reports.
type shimmed struct {
	t       *testing.T
	reports string
	state   string
	runtime string
	root    string // of the runtime's state
}

func newShim(t *testing.T) *shimmed {
	t.Helper()
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("needs runc")
	}
	return newKeeper(t, "runc")
}

func newKeeper(t *testing.T, runtime string) *shimmed {
	t.Helper()
	clean(t)
	s := &shimmed{t: t, reports: t.TempDir(), runtime: runtime, root: t.TempDir()}
	s.state = filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() {
		if pid := s.keeper(); pid > 0 {
			_ = unix.Kill(pid, unix.SIGTERM)
		}
	})
	return s
}

// keeper finds the keeper's process by the lock that it holds.
func (s *shimmed) keeper() int {
	var st unix.Stat_t
	if unix.Stat(filepath.Join(s.state, "lock"), &st) != nil {
		return 0
	}
	b, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			pid, _ := strconv.Atoi(f[4])
			return pid
		}
	}
	return 0
}

func (s *shimmed) command(options []string, args ...string) *exec.Cmd {
	a := append([]string{"shim", "--engine", "runc", "--runtime", s.runtime, "--reports", s.reports}, options...)
	cmd := exec.Command(binary, append(append(a, "--", "--root", s.root), args...)...)
	cmd.Env = append(os.Environ(), "HOLDSHORT_SHIM_STATE="+s.state)
	return cmd
}

// bundle asks for little, and for nothing of which engines are known to do less.
func (s *shimmed) bundle(args ...string) string {
	s.t.Helper()
	dir := s.t.TempDir()
	root := filepath.Join(dir, "rootfs")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		s.t.Skip("needs busybox")
	}
	b, err := os.ReadFile(busybox)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range []string{"bin", "proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), b, 0o755); err != nil {
		s.t.Fatal(err)
	}
	config := map[string]any{
		"ociVersion": "1.0.2", "root": map[string]any{"path": "rootfs", "readonly": true}, "hostname": "box",
		"process": map[string]any{
			"args": append([]string{"/bin/busybox"}, args...), "env": []string{"PATH=/bin", "HOME=/"}, "cwd": "/", "noNewPrivileges": true, "user": map[string]any{"umask": 0o022},
			"capabilities": map[string]any{"bounding": []string{"CAP_KILL"}, "permitted": []string{"CAP_KILL"}, "effective": []string{"CAP_KILL"}},
		},
		"mounts": []map[string]any{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":  map[string]any{"namespaces": []map[string]any{{"type": "pid"}, {"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}}},
	}
	if b, err = json.Marshal(config); err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// report waits for the report of an operation.
func (s *shimmed) report(id, operation string) *shim.Report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if list, _ := filepath.Glob(filepath.Join(s.reports, id+"-"+operation+"-*.json")); len(list) > 0 {
			b, err := os.ReadFile(list[0])
			if err != nil {
				s.t.Fatal(err)
			}
			r := &shim.Report{}
			if err := json.Unmarshal(b, r); err != nil || r.Report == nil || len(r.Checks) == 0 {
				s.t.Fatalf("no report: %v\n%s", err, b)
			}
			return r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			list, _ := filepath.Glob(filepath.Join(s.reports, "*"))
			s.t.Fatalf("no report of %s %s; there are %v", operation, id, list)
		}
	}
}

func against(r *shim.Report) string {
	var out []string
	for _, c := range r.Checks {
		if c.Outcome.Finding() {
			out = append(out, fmt.Sprintf("%s %s %v", c.Field, c.Outcome, c.Got))
		}
	}
	return strings.Join(append(out, r.Reasons...), "; ")
}

func TestShim_Run(t *testing.T) {
	s := newShim(t)
	for name, options := range map[string][]string{"observed": nil, "frozen": {"--freeze"}, "enforced": {"--enforce", "--fail-closed"}} {
		t.Run(name, func(t *testing.T) {
			b := s.bundle("sh", "-c", "read x; echo $x; echo more >&2; exit 9")
			cmd := s.command(options, "run", "--bundle", b, "run-"+name)
			got := start(t, cmd, strings.NewReader("hello\n"))()
			if got.code != 9 || got.out != "hello\n" || got.errors != "more\n" {
				r := s.report("run-"+name, "run")
				t.Fatalf("status %d, output %q, errors %q; verdict %s: %s", got.code, got.out, got.errors, r.Verdict, against(r))
			}
			want := "constrained"
			if name == "observed" {
				want = "unknown" // the mount
			}
			if r := s.report("run-"+name, "run"); string(r.Verdict) != want || r.Findings != 0 || r.Engine != "runc" || r.Executions != 1 {
				t.Errorf("verdict %s: %s", r.Verdict, against(r))
			}
		})
	}
}

// create, start, exec, delete: each is the runtime's own, and reported.
func TestShim_CreateStartExec(t *testing.T) {
	s := newShim(t)
	b := s.bundle("sleep", "1000")
	const id = "shim-created"
	pidFile := filepath.Join(t.TempDir(), "pid")
	do := func(args ...string) outcome {
		t.Helper()
		cmd := s.command([]string{"--freeze"}, args...)
		if args[0] == "create" { // what it leaves behind keeps its streams
			var o outcome
			if err := cmd.Run(); err != nil {
				t.Fatalf("create: %v", err)
			}
			return o
		}
		return start(t, cmd, nil)()
	}
	defer func() { _ = exec.Command("runc", "--root", s.root, "delete", "--force", id).Run() }()
	do("create", "--bundle", b, "--pid-file", pidFile, id)
	if got := do("start", id); got.code != 0 {
		t.Fatalf("start: %+v", got)
	}
	r := s.report(id, "start")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if pid := strconv.Itoa(r.Workload.HostPID); r.Verdict != "constrained" || pid != string(text) || r.Workload.PID != 1 || r.Killed {
		t.Errorf("verdict %s of process %s, pid file %s: %s", r.Verdict, pid, text, against(r))
	}
	if got := do("exec", id, "/bin/busybox", "sh", "-c", "echo in; exit 4"); got.code != 4 || got.out != "in\n" {
		t.Errorf("exec: %+v", got)
	}
	if r := s.report(id, "exec"); r.Verdict != "constrained" {
		t.Errorf("verdict %s: %s", r.Verdict, against(r))
	}
	if got := do("exec", "nobody", "/bin/true"); got.code == 0 {
		t.Error("an exec in no container succeeds")
	}
}

// A runtime that does less than it was asked for: with --enforce its workload
// never runs.
func TestShim_Enforce(t *testing.T) {
	s := newShim(t)
	liar := filepath.Join(t.TempDir(), "liar")
	const script = `#!/bin/sh
for a; do case $a in /*) test -f "$a/config.json" && sed -i 's/"noNewPrivileges":true/"noNewPrivileges":false/' "$a/config.json";; esac; done
exec runc "$@"
`
	if err := os.WriteFile(liar, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.runtime = liar
	for name, options := range map[string][]string{"told": {"--freeze"}, "refused": {"--enforce"}} {
		t.Run(name, func(t *testing.T) {
			b := s.bundle("sh", "-c", "echo ran")
			got := start(t, s.command(options, "run", "--bundle", b, name), nil)()
			r := s.report(name, "run")
			if r.Verdict != "violated" || !strings.Contains(against(r), "privilege.no_new_privs ignored") {
				t.Errorf("verdict %s: %s", r.Verdict, against(r))
			}
			ran := got.out == "ran\n"
			if want := name == "told"; ran != want || r.Killed == want || !want && got.code != 137 {
				t.Errorf("ran: %v, killed: %v, status %d; want it to run: %v", ran, r.Killed, got.code, want)
			}
		})
	}
}

// Where nothing can be verified the policy decides, and it is written down.
func TestShim_Fail(t *testing.T) {
	s := newShim(t)
	// The state directory belongs to others, too: no keeper uses it.
	if err := os.Mkdir(s.state, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.state, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options []string
		code    int
		out     string
	}{"open": {nil, 0, "ran\n"}, "closed": {[]string{"--fail-closed"}, 4, ""}} {
		t.Run(name, func(t *testing.T) {
			got := start(t, s.command(c.options, "run", "--bundle", s.bundle("echo", "ran"), "fail-"+name), nil)()
			if got.code != c.code || got.out != c.out {
				t.Errorf("%+v", got)
			}
			list, _ := filepath.Glob(filepath.Join(s.reports, "fail-"+name+"-run-*.json"))
			if name == "closed" {
				if !strings.Contains(got.errors, "--fail-closed") {
					t.Errorf("it does not say why: %s", got.errors)
				}
				return
			}
			if len(list) != 1 {
				t.Fatalf("%d reports", len(list))
			}
			b, _ := os.ReadFile(list[0])
			if !strings.Contains(string(b), `"unknown"`) || !strings.Contains(string(b), "directory") {
				t.Errorf("report %s", b)
			}
		})
	}
}

// Calls that start nothing are the runtime's own, without a keeper.
func TestShim_PassesThrough(t *testing.T) {
	s := newShim(t)
	cmd := s.command(nil, "--version")
	cmd.Env = []string{"HOLDSHORT_SHIM_STATE=" + s.state} // as podman calls it now and then
	got := start(t, cmd, nil)()
	want := start(t, exec.Command("runc", "--version"), nil)()
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if s.keeper() != 0 {
		t.Error("a keeper was started for nothing")
	}
}
