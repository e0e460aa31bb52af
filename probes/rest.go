package probes

import (
	"bytes"
	"fmt"
	"os"
)

// mayRest reports whether the process is to be frozen at an exec whose return
// has not been seen. The mutex is held.
func (p *process) mayRest() bool {
	return p.g.opts.Freeze && !p.rec.Ended && p.pending[AtReturn]
}

// checkRest finds out whether a process whose exec was seen, but not its return,
// has come to rest all the same: the kernel may have left out the program at
// sys_exit (see docs/observation.md), and a process that stands still never gets
// to its first instruction, which else tells. Signals are delivered, and so
// SIGSTOP obeyed, only after sys_exit (exit_to_user_mode_loop,
// kernel/entry/common.c), so a process that has stopped since its exec is at its
// entry point, and the event of its return will not come any more.
func (o *Observer) checkRest(p *process) error {
	o.mu.Lock()
	may, pid, execs := p.mayRest(), p.rec.PID, p.rec.Execs
	o.mu.Unlock()
	if !may || !hasStopped(pid) {
		return nil
	}
	if err := o.drain(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.mayRest() && p.rec.Execs == execs && !p.rested {
		p.rested = true
		p.freeze()
	}
	return nil
}

// hasStopped reports whether a signal has stopped the process. One that is being
// traced says so in another way (proc_pid_stat(5): t), and does not count: a
// tracer's stops may come inside execve.
func hasStopped(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	i := bytes.LastIndexByte(b, ')')
	return i >= 0 && i+2 < len(b) && b[i+2] == 'T'
}
