package checkpoint

import (
	"bytes"
	"os"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// A workload that parks tells of its execve through a pipe of the host's, not
// of the agent's: the agent may have thousands parked, and every child that it
// clones gets a copy of its whole table of descriptors.

// earlyPipes is how many parked workloads have such a pipe from the start, so
// that nothing has to be made when they proceed. It is 2.5 kB of the kernel's
// memory, and another descriptor here: of more than these, each child makes its
// pipe when it proceeds, and sends the host the end to wait at.
const earlyPipes = 64

// execPipe makes the pipe and returns the child's end, which execve closes.
func (w *Workload) execPipe() (int, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fail(StageAgent, "", err)
	}
	w.execFD = fds[0]
	return fds[1], nil
}

// watchExec waits for the end of the pipe, if it has one, and reports the
// workload as running if that was execve.
func (w *Workload) watchExec() {
	w.mu.Lock()
	if w.execFD < 0 {
		w.mu.Unlock()
		return
	}
	pipe := os.NewFile(uintptr(w.execFD), "exec")
	w.execFD = -1
	w.mu.Unlock()
	_, _ = pipe.Read(make([]byte, 1))
	pipe.Close()
	// The kernel closes descriptors a moment before it clears PF_FORKNOEXEC
	// (begin_new_exec), and a descriptor that the workload gets may have taken
	// the place of the pipe's.
	for try := 0; ; try++ {
		execed, known := w.execed()
		if !known {
			return // it has ended, and the report of that will say
		}
		if execed {
			break
		}
		pause(min(try/100, 20) - 1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == Proceeding {
		w.follow(agent.Running)
	}
}

// execed reads PF_FORKNOEXEC; unknown of a process that has ended.
func (w *Workload) execed() (yes, known bool) {
	fd, err := w.openProc("stat")
	if err != nil {
		return false, false
	}
	b := make([]byte, 512)
	n, err := unix.Read(fd, b)
	unix.Close(fd)
	i := bytes.LastIndexByte(b[:max(n, 0)], ')')
	if err != nil || i < 0 {
		return false, false
	}
	const state, flags, forkNoExec = 0, 6, 0x40 // ") S ppid pgrp session tty tpgid flags"
	f := bytes.Fields(b[i+1 : n])
	if len(f) <= flags || f[state][0] == 'Z' || f[state][0] == 'X' {
		return false, false
	}
	word, err := strconv.ParseUint(string(f[flags]), 10, 64)
	return word&forkNoExec == 0, err == nil
}
