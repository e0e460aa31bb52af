package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGuard: what the keeper leaves stopped when it is killed goes on, or is
// killed, as the policy says; what it has told the end of, or never of, is left
// alone.
func TestGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		say  string
		want string // the state it comes to, in /proc/PID/stat
	}{
		"fails open":     {"+ %d false\n", "S"},
		"fails closed":   {"+ %d true\n", "Z"},
		"is done with":   {"+ %[1]d true\n- %[1]d\n", "T"},
		"an orderly end": {"+ %d true\nend\n", "T"},
	} {
		t.Run(name, func(t *testing.T) {
			p := exec.Command("/bin/sleep", "1000")
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.Process.Kill(); _ = p.Wait() }()
			state := func() string {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
				if err != nil {
					return ""
				}
				return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
			}
			eventually(t, "it sleeps", func() bool { return state() == "S" })
			if err := p.Process.Signal(unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is stopped", func() bool { return state() == "T" })
			guard := exec.Command(binary, "shim", "--guard")
			guard.Stdin = strings.NewReader(fmt.Sprintf(tt.say, p.Process.Pid))
			if out, err := guard.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := state(); got != tt.want {
				t.Errorf("its state is %q; want %q", got, tt.want)
			}
		})
	}
}

// TestVerify_EnforceWhatCannotBeRead: a workload that another traces cannot be
// read at its entry point, and what cannot be read is not let run.
func TestVerify_EnforceWhatCannotBeRead(t *testing.T) {
	verifies(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace")
	}
	asked := file(t, `{"ociVersion":"1.2.0","process":{"args":["/bin/sh","-c","echo ran"]},"linux":{"namespaces":[{"type":"network"}]},"holdshort":{"keepIDs":true}}`)
	o := holdshort(t, "verify", "-q", "--freeze", "--enforce", "--config", asked, "--", "env", "-i", "strace", "-f", "-o", "/dev/null", "/bin/sh", "-c", "echo ran")
	if strings.Contains(o.out, "ran") || o.code == 0 {
		t.Errorf("exit status %d, stdout %q, stderr %q", o.code, o.out, o.errors)
	}
}
