package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

// engines are small launchers; what they are asked for is in the file.
func TestVerify(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const ask = `{"process":{"args":["/bin/sh","-c","cat; exit 7"]},"linux":{"namespaces":[{"type":"network"}]},"holdshort":{"keepIDs":true}}`
	for name, c := range map[string]struct {
		config, stdin string
		args          []string
		code          int
		out           string
		verdict       harness.Verdict
	}{
		"its own status and output": {ask, "hello", []string{"--", "env", "-i", "unshare", "--net", "/bin/sh", "-c", "cat; exit 7"}, 7, "hello", harness.Constrained},
		"translated":                {ask, "hello", []string{"--engine", "unshare"}, 7, "hello", harness.Constrained},
		"another program":           {ask, "", []string{"--engine", "unshare", "--", "/bin/true"}, 0, "", harness.Constrained},
		"a finding":                 {ask, "", []string{"--", "env", "-i", "/bin/sh", "-c", "cat; exit 7"}, 1, "", harness.Violated},
		"never seen":                {ask, "", []string{"--", "/bin/true"}, 4, "", harness.Unknown},
		"killed":                    {strings.ReplaceAll(ask, "cat; exit 7", "kill -9 $$"), "", []string{"--engine", "unshare"}, 137, "", harness.Constrained},
	} {
		t.Run(name, func(t *testing.T) {
			write(c.config)
			report := filepath.Join(dir, "report.json")
			_ = os.Remove(report)
			cmd := exec.Command(binary, append([]string{"verify", "--config", config, "--report", report}, c.args...)...)
			cmd.Env = append(os.Environ(), "NO_COLOR=1")
			got := start(t, cmd, strings.NewReader(c.stdin))()
			b, err := os.ReadFile(report)
			if err != nil {
				t.Fatalf("%v\n%s", err, got.errors)
			}
			rep, err := harness.ReadReport(b)
			if err != nil {
				t.Fatal(err)
			}
			if got.code != c.code || got.out != c.out || rep.Verdict != c.verdict {
				t.Errorf("status %d, output %q, verdict %s\n%s", got.code, got.out, rep.Verdict, got.errors)
			}
		})
	}
}

func TestVerify_Usage(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"process":{"args":["/bin/true"],"oomScoreAdj":3},"holdshort":{"keepIDs":true}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing asked for":  {[]string{"verify", "--", "/bin/true"}, 64, "--config"},
		"no engine":          {[]string{"verify", "--config", config}, 64, "--engine"},
		"an unknown engine":  {[]string{"verify", "--config", config, "--engine", "x"}, 64, "bwrap"},
		"cannot be said":     {[]string{"verify", "--config", config, "--engine", "unshare"}, 3, "process.oomScoreAdj"},
		"enforce and no way": {[]string{"verify", "--config", config, "--enforce", "--", "/bin/true"}, 64, "--freeze"},
	} {
		t.Run(name, func(t *testing.T) {
			got := start(t, exec.Command(binary, c.args...), nil)()
			if got.code != c.code || !strings.Contains(got.errors, c.says) {
				t.Errorf("status %d: %s", got.code, got.errors)
			}
		})
	}
	got := start(t, exec.Command(binary, "verify", "--config", config, "--engine", "unshare", "--partial", "--print"), nil)()
	if got.code != 0 || got.out != "unshare -- /bin/true\n" {
		t.Errorf("status %d: %q %s", got.code, got.out, got.errors)
	}
}

// A signal that is sent to us goes to the engine.
func TestVerify_Signal(t *testing.T) {
	clean(t)
	config := filepath.Join(t.TempDir(), "config.json")
	const program = `trap 'echo got it; exit 5' USR1; echo ready; while :; do read x; done`
	b, err := json.Marshal(map[string]any{"process": map[string]any{"args": []string{"/bin/sh", "-c", program}}, "holdshort": map[string]any{"keepIDs": true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, b, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "verify", "--config", config, "--quiet", "--engine", "unshare")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := out.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, 16)
	n, _ := out.Read(rest)
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 || string(rest[:n]) != "got it\n" {
		t.Errorf("status %d (%v), output %q", code, err, rest[:n])
	}
}

// clean: verdicts can be given, and nothing is passed on that whoever started
// the tests may have left open, since an engine passes it on, too.
func clean(t *testing.T) {
	t.Helper()
	verifies(t)
	for fd := 3; fd < 1024; fd++ {
		unix.CloseOnExec(fd)
	}
}
