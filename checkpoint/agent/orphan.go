package agent

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Orphan finds the child of a launch without Spawned event after the agent has
// died: its pid and a pidfd, or -1. The agent left the pid in shared memory. It
// may have ended since and its number may have been given away, so the process
// must still be in the session of the agent, or lead one of its own, and must not have
// another parent than an orphan has.
func (l *Launch) Orphan() (pid, pidfd int) {
	pid = int(l.mem.pid)
	if second := int(l.mem.pid2); second > 0 {
		pid = second
	}
	if pid <= 0 {
		return 0, -1
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return pid, -1
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	var state string
	var parent, group, session int
	if i := bytes.LastIndexByte(b, ')'); err == nil && i > 0 {
		_, err = fmt.Sscan(string(b[i+1:]), &state, &parent, &group, &session)
	}
	if err != nil || session != l.agent.PID() && session != pid {
		unix.Close(fd)
		return pid, -1
	}
	return pid, fd
}
