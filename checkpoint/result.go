package checkpoint

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// String says it in one line, with the reason where that is known.
func (r Result) String() string {
	s := string(r.State)
	switch r.State {
	case Exited:
		s = fmt.Sprintf("exited with status %d", r.ExitCode)
	case Signaled:
		s = fmt.Sprintf("killed by %s", unix.SignalName(r.Signal))
		if !r.Ran {
			s += fmt.Sprintf(" while %s, before its program ran", r.During)
		}
	case Failed:
		return r.Err.Error()
	}
	switch {
	case r.Timeout != nil:
		return fmt.Sprintf("%v: %s", r.Timeout, s)
	case r.Signal == unix.SIGKILL && r.OOM.Value:
		return s + ": its cgroup was out of memory"
	case r.Signal == unix.SIGXCPU && !r.Ran:
		return s + ": its launch took more CPU time than RLIMIT_CPU, or than the runtime of a deadline policy with Overrun, allows; give it more"
	case r.Signal == unix.SIGSYS:
		// wait(2) passes on neither the number of the call nor that it was a
		// filter; the kernel's log has both (audit, type 1326).
		return s + ": as a seccomp filter does to a forbidden system call"
	}
	return s
}
