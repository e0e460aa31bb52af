package oci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExecFileIsWhole: what a file with the process would overrule is refused by
// name, and what says nothing about it is taken.
func TestExecFileIsWhole(t *testing.T) {
	c, id := newCommand(t), id(t)
	file := filepath.Join(t.TempDir(), "process.json")
	if err := os.WriteFile(file, []byte(`{"args": ["/bin/true"], "cwd": "/"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flag := range [][]string{
		{"--no-new-privs"},
		{"--apparmor", "x"},
		{"--process-label", "x"},
		{"--cap", "CAP_CHOWN"},
		{"-c", "CAP_CHOWN"},
		{"--user", "1"},
		{"--additional-gids", "1"},
		{"--cwd", "/tmp"},
		{"--env", "A=B"},
	} {
		c.fails(strings.TrimLeft(flag[0], "-")+" together", append(append([]string{"exec", "--process", file}, flag...), id)...)
	}
	c.fails("does not exist", "exec", "--process", file, "--tty", "--detach", "--ignore-paused", "--no-subreaper",
		"--console-socket", "x", "--pid-file", "x", "--preserve-fds", "0", id)
}
