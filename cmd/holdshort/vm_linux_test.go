package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm"
)

// guestKernel is a kernel of the cache that QEMU can boot here.
func guestKernel(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64")
	}
	for _, tool := range []string{"go", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs ", tool)
		}
	}
	if testing.Short() {
		t.Skip("needs seconds for each guest: without -short")
	}
	c, err := vm.OpenCache("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range vm.Catalogue() {
		if _, err := c.Fetch(t.Context(), name, &vm.FetchOptions{Cached: true}); err == nil {
			return name
		}
	}
	t.Skip("needs a kernel in the cache: holdshort vm get 6.1")
	return ""
}

// A project's own go test runs in a guest by one flag.
func TestVMExample(t *testing.T) {
	k := guestKernel(t)
	cmd := exec.Command("go", "test", "-count=1", "-v", "-exec", binary+" vm exec --kernel "+k+" --", "./...")
	cmd.Dir = "../../examples/vmtest"
	cmd.Env = append(os.Environ(), "WANT_KERNEL="+k+".", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestOverlay") || !strings.Contains(string(out), "--- PASS: TestKernel") {
		t.Errorf("%v\n%s", err, out)
	}
	// and its failure is go test's
	cmd = exec.Command("go", "test", "-count=1", "-run=TestKernel", "-exec", binary+" vm exec --kernel "+k+" --", "./...")
	cmd.Dir = "../../examples/vmtest"
	cmd.Env = append(os.Environ(), "WANT_KERNEL=1.0.", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "want 1.0.") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestVMExec(t *testing.T) {
	k := guestKernel(t)
	for name, c := range map[string]struct {
		args    []string
		code    int
		out, er string
	}{
		"status":     {[]string{"--", "/bin/sh", "-c", "echo $X; exit 7"}, 7, "y\n", ""},
		"signal":     {[]string{"--", "/bin/sh", "-c", "kill -9 $$"}, 137, "", ""},
		"time limit": {[]string{"--time-limit", "1s", "--", "/bin/sleep", "100"}, harness.ExitFault, "", "time-limit: a command was still running"},
		"itself":     {[]string{"--", "holdshort", "version"}, 0, "holdshort", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(binary, append([]string{"vm", "exec", "-k", k, "--no-dir", "-e", "X=y"}, c.args...)...)
			got := start(t, cmd, nil)()
			if got.code != c.code || !strings.HasPrefix(got.out, c.out) || !strings.Contains(got.errors, c.er) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestVMUsage(t *testing.T) {
	for _, args := range [][]string{
		{"vm", "exec"},
		{"vm", "exec", "-k", "six", "--", "/bin/true"},
		{"vm", "exec", "-k", "./nonexistent", "--", "/bin/true"},
		{"vm", "exec", "-k", "6.1", "--arch", "mips", "--", "/bin/true"},
		{"matrix", "--no-tests", "--kernels", "host"},
	} {
		if got := start(t, exec.Command(binary, args...), nil)(); got.code != harness.ExitUsage || got.errors == "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
