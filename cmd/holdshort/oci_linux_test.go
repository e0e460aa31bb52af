package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/oci"
)

// verifiedOCI is "holdshort oci --verify" with a keeper of its own.
type verifiedOCI struct{ *shimmed }

func newVerifiedOCI(t *testing.T) *verifiedOCI {
	t.Helper()
	return &verifiedOCI{newKeeper(t, "")}
}

func (v *verifiedOCI) command(options []string, args ...string) *exec.Cmd {
	a := append([]string{"oci", "--verify", "--reports", v.reports, "--root", v.root}, options...)
	return v.environed(exec.Command(binary, append(a, args...)...))
}

func (v *verifiedOCI) environed(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), "HOLDSHORT_SHIM_STATE="+v.state)
	return cmd
}

// created makes a container, which is deleted at the end.
func (v *verifiedOCI) created(options []string, bundle, id string) (pid int) {
	v.t.Helper()
	pidFile := filepath.Join(v.t.TempDir(), "pid")
	if err := v.command(options, "create", "--bundle", bundle, "--pid-file", pidFile, id).Run(); err != nil { // it keeps its streams
		v.t.Fatalf("create: %v", err)
	}
	v.t.Cleanup(func() { _ = exec.Command(binary, "oci", "--root", v.root, "delete", "--force", id).Run() })
	text, err := os.ReadFile(pidFile)
	if err != nil {
		v.t.Fatal(err)
	}
	if pid, err = strconv.Atoi(string(text)); err != nil {
		v.t.Fatal(err)
	}
	return pid
}

// changed is a bundle whose configuration was changed.
func changed(t *testing.T, dir string, change func(config map[string]any)) string {
	t.Helper()
	file := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	change(config)
	if b, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Each way to start a program is judged, and is what it is without --verify.
func TestOCI_Verify(t *testing.T) {
	v := newVerifiedOCI(t)
	t.Run("run", func(t *testing.T) {
		got := start(t, v.command([]string{"--freeze"}, "run", "--bundle", v.bundle("sh", "-c", "read x; echo $x; exit 9"), "verified-run"), strings.NewReader("hello\n"))()
		r := v.report("verified-run", "run")
		if got.code != 9 || got.out != "hello\n" {
			t.Errorf("%+v", got)
		}
		if r.Verdict != "constrained" || r.Engine != ociName || r.Executions != 1 {
			t.Errorf("verdict %s of %s: %s", r.Verdict, r.Engine, against(r))
		}
	})
	t.Run("create, start, exec", func(t *testing.T) {
		const id = "verified-created"
		bundle := changed(t, v.bundle("sleep", "1000"), func(c map[string]any) {
			c["linux"].(map[string]any)["resources"] = map[string]any{"devices": []map[string]any{{"allow": false, "access": "rwm"}}}
		})
		pid := v.created([]string{"--freeze", "--enforce", "--fail-closed"}, bundle, id)
		// The variable is as good as the options.
		begin := v.environed(exec.Command(binary, "oci", "--root", v.root, "start", id))
		begin.Env = append(begin.Env, oci.VerifyEnv+"=--freeze --reports "+v.reports)
		if got := start(t, begin, nil)(); got.code != 0 {
			t.Fatalf("start: %+v", got)
		}
		if r := v.report(id, "start"); r.Verdict != "constrained" || r.Workload.HostPID != pid || r.Killed {
			t.Errorf("verdict %s of process %d, not %d: %s", r.Verdict, r.Workload.HostPID, pid, against(r))
		}
		if got := start(t, v.command([]string{"--freeze"}, "exec", id, "/bin/busybox", "sh", "-c", "echo in; exit 4"), nil)(); got.code != 4 || got.out != "in\n" {
			t.Errorf("exec: %+v", got)
		}
		if r := v.report(id, "exec"); r.Verdict != "constrained" {
			t.Errorf("exec: verdict %s: %s", r.Verdict, against(r))
		}
	})
}

// What somebody does to a container between create and start is seen, and with
// --enforce its program never runs.
func TestOCI_VerifyEnforces(t *testing.T) {
	v := newVerifiedOCI(t)
	for name, c := range map[string]struct {
		options []string
		runs    bool
	}{"told": {[]string{"--freeze"}, true}, "refused": {[]string{"--enforce"}, false}} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			bundle := changed(t, v.bundle("sh", "-c", "echo ran >/out/file"), func(c map[string]any) {
				c["process"].(map[string]any)["oomScoreAdj"] = 100
				c["mounts"] = append(c["mounts"].([]any), map[string]any{"destination": "/out", "source": out, "options": []string{"bind"}})
			})
			if err := os.Mkdir(filepath.Join(bundle, "rootfs", "out"), 0o755); err != nil {
				t.Fatal(err)
			}
			id := "tampered-" + name
			pid := v.created(c.options, bundle, id)
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pidfd)
			if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("50"), 0); err != nil {
				t.Fatal(err)
			}
			_ = start(t, v.command(c.options, "start", id), nil)()
			r := v.report(id, "start")
			if r.Verdict != "violated" || !strings.Contains(against(r), "oom.score_adj weaker 50") || r.Killed == c.runs {
				t.Errorf("verdict %s, killed: %v: %s", r.Verdict, r.Killed, against(r))
			}
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 60_000); n != 1 {
				t.Fatalf("it does not end: %v", err)
			}
			if _, err := os.Stat(filepath.Join(out, "file")); (err == nil) != c.runs {
				t.Errorf("ran: %v; want %v", err == nil, c.runs)
			}
		})
	}
}

// Where nothing can be verified the policy decides, and it is written down.
func TestOCI_VerifyFails(t *testing.T) {
	v := newVerifiedOCI(t)
	if err := os.Mkdir(v.state, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(v.state, 0o777); err != nil { // of others, too: no keeper uses it
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options []string
		code    int
		out     string
	}{"open": {[]string{"--fail-open"}, 0, "ran\n"}, "closed": {[]string{"--fail-closed"}, 1, ""}} {
		t.Run(name, func(t *testing.T) {
			got := start(t, v.command(c.options, "run", "--bundle", v.bundle("echo", "ran"), "unseen-"+name), nil)()
			if got.code != c.code || got.out != c.out {
				t.Errorf("%+v", got)
			}
			list, _ := filepath.Glob(filepath.Join(v.reports, "unseen-"+name+"-run-*.json"))
			if c.code == 0 && len(list) != 1 || c.code != 0 && !strings.Contains(got.errors, "--fail-closed") {
				t.Errorf("%d reports; %s", len(list), got.errors)
			}
		})
	}
}

// The command that is an OCI runtime and nothing else finds the verifier beside it.
func TestOCI_VerifyAlone(t *testing.T) {
	v := newVerifiedOCI(t)
	dir := t.TempDir()
	lean := filepath.Join(dir, ociName)
	if out, err := exec.Command("go", "build", "-o", lean, "../holdshort-oci").CombinedOutput(); err != nil {
		t.Skipf("needs the go command: %v: %s", err, out)
	}
	run := func(id string) outcome {
		t.Helper()
		cmd := exec.Command(lean, "--verify", "--freeze", "--reports", v.reports, "--root", v.root, "run", "--bundle", v.bundle("echo", "ran"), id)
		cmd = v.environed(cmd)
		cmd.Env = append(cmd.Env, "PATH="+dir)
		return start(t, cmd, nil)()
	}
	if got := run("alone"); got.code == 0 || !strings.Contains(got.errors, "has the verifier") {
		t.Errorf("without it: %+v", got)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "holdshort")); err != nil {
		t.Fatal(err)
	}
	if got := run("beside"); got.code != 0 || got.out != "ran\n" {
		t.Errorf("beside it: %+v", got)
	}
	if r := v.report("beside", "run"); r.Verdict != "constrained" {
		t.Errorf("verdict %s: %s", r.Verdict, against(r))
	}
}

// What starts nothing is not verified, and options about nothing are refused.
func TestOCI_VerifyOptions(t *testing.T) {
	v := newVerifiedOCI(t)
	if got := start(t, v.command(nil, "list", "--quiet"), nil)(); got.code != 0 || v.keeper() != 0 {
		t.Errorf("%+v, keeper %d", got, v.keeper())
	}
	for want, args := range map[string][]string{
		"--freeze without --verify":         {"--freeze", "list"},
		"--fail-open and --fail-closed":     {"--verify", "--fail-open", "--fail-closed", "run", "x"},
		"flag provided but not defined":     {"--verified", "run", "x"},
		oci.VerifyEnv + ": \"x\" is no opt": {"run", "y"},
	} {
		cmd := exec.Command(binary, append([]string{"oci"}, args...)...)
		if args[0] == "run" {
			cmd.Env = append(os.Environ(), oci.VerifyEnv+"=--freeze x")
		}
		text := strings.ReplaceAll(start(t, cmd, nil)().errors, `\"`, `"`)
		if !strings.Contains(text, want) {
			t.Errorf("%v: %q; want %q", args, text, want)
		}
	}
}
