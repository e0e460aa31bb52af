package oci

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
)

// onTerminal runs the command with a terminal and returns its exit status and
// what the terminal was set to before and after.
func (c *command) onTerminal(args ...string) (code int, before, after unix.Termios) {
	c.t.Helper()
	master, slave, err := checkpoint.OpenPTY(24, 80)
	if err != nil {
		c.t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	settings := func() unix.Termios {
		c.t.Helper()
		s, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			c.t.Fatal(err)
		}
		return *s
	}
	before = settings()
	text, err := json.Marshal(append([]string{"--root", c.root}, args...))
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "HOLDSHORT_TEST_OCI="+string(text))
	cmd.Stdin = slave
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	c.t.Logf("%v: %s, %s", args, cmd.ProcessState, out)
	return cmd.ProcessState.ExitCode(), before, settings()
}

// TestTerminalIsGivenBack: whatever becomes of run and exec, the caller's
// terminal is as it was.
func TestTerminalIsGivenBack(t *testing.T) {
	c, id := newCommand(t), id(t)
	check := func(wantCode int, args ...string) {
		t.Helper()
		code, before, after := c.onTerminal(args...)
		if code != wantCode {
			t.Errorf("%v: status %d, want %d", args, code, wantCode)
		}
		if before != after {
			t.Errorf("%v: the terminal was %+v and is %+v", args, before, after)
		}
	}
	terminal := func(s *specs.Spec) { s.Process.Terminal = true }
	check(0, "run", "--bundle", bundle(t, []string{"/bin/true"}, terminal), id)
	check(1, "run", "--bundle", bundle(t, []string{"/no/such"}, terminal), id)
	check(1, "run", "--bundle", bundle(t, []string{"/out"}, terminal), id) // a directory: start fails
	c.must("create", "--bundle", bundle(t, []string{"/bin/sleep", "1000"}, nil), id)
	pid := c.state(id).Pid
	c.must("start", id)
	check(0, "exec", "--tty", id, "/bin/true")
	check(1, "exec", "--tty", id, "/no/such")
	check(1, "exec", "--tty", id, "/out")
	c.must("kill", id, "KILL")
	reapUntil(t, pid)
	c.must("delete", id)
}
