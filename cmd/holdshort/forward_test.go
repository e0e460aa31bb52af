package main

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A signal that comes before the engine is started is kept for it.
func TestForward_BeforeTheStart(t *testing.T) {
	started, stop := forward()
	defer stop()
	if err := unix.Kill(unix.Getpid(), unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Skip("needs sleep: ", err)
	}
	started(cmd.Process)
	_ = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != unix.SIGUSR2 {
		t.Errorf("it ended with %s", cmd.ProcessState)
	}
}

// One that is never started is no reason to wait.
func TestForward_NeverStarted(*testing.T) {
	_, stop := forward()
	stop()
}
