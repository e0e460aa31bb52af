// Package procfs reads the posture of a process from /proc, with ptrace(2) and
// with system calls that take a process id: a second instrument that shares
// nothing with the eBPF programs, so that each can be checked against the
// other.
//
//	r, err := procfs.New()
//	…
//	h, err := r.Hold(ctx, pid, stillThere) // a process that SIGSTOP stops
//	if err != nil {
//		return err
//	}
//	fmt.Print(h.Posture().Table())
//	err = h.Continue(0)
//
// # Model
//
// A process that is stopped, or about to be, is seized with PTRACE_SEIZE by a
// thread of ours and read while it cannot run: not even SIGCONT from somebody
// else moves it. Then it is let go in such a way that nothing of the stop is
// left: neither a pending SIGCONT nor a changed mask. All that anybody can see
// is that time has passed, and that its parent was told of a stop (and, usually,
// of its end).
//
// Values have the units of package posture: ids as the initial user namespace
// has them, process ids of the initial pid namespace. A reader that is not in
// those itself reports such fields as unreadable.
//
// # What is not shown
//
// /proc has no securebits, no death signal, no keyrings, no Landlock domain and
// no oom_score_adj_min of another process; of seccomp filters it lacks the
// listener; and whether a process may dump core is seen only where it decides
// who owns its files in /proc. Each such field says so.
//
// # Beware
//
// A program that waits for just any child (wait4(-1)) while this package is at
// work takes reports that are meant for it.
package procfs
