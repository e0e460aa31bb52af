package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// TreeKill says how a tree of processes was killed.
type TreeKill string

// The ways, from the surest on.
const (
	// TreeCgroup: everything in the cgroups that were made for the workload,
	// with cgroup.kill (since Linux 5.14), or frozen and then one by one.
	TreeCgroup TreeKill = "cgroup"
	// TreePIDNamespace: everything in the pid namespace that was made for it;
	// the kernel ends it with its first process.
	TreePIDNamespace TreeKill = "pid-namespace"
	// TreeDescendants: the process and those below it that could be found.
	// One that was started while the others were looked for, or whose parent
	// had ended, may be missed.
	TreeDescendants TreeKill = "descendants"
	// TreeNone: it had ended already.
	TreeNone TreeKill = ""
)

// KillTree kills the workload and what it started, in any state, and returns
// when the workload has ended. The answer says how sure that is: only a cgroup
// or a pid namespace made for the workload holds all of its processes; without
// either, what daemonised escapes. If ctx ends first, everything was killed but
// may not be gone yet.
func (w *Workload) KillTree(ctx context.Context) (TreeKill, error) {
	w.mu.Lock()
	if w.state.ended() {
		w.mu.Unlock()
		return TreeNone, w.awaitDone(ctx)
	}
	pid := w.pid
	pidNS := w.plan.cfg.has(PID, false)
	made := slices.Clone(w.plan.made)
	w.mu.Unlock()

	how := TreeDescendants
	var below []int
	switch {
	case len(made) > 0:
		how = TreeCgroup
		freezeCgroups(made, true)
		for _, dir := range made {
			killCgroup(dir)
		}
	case pidNS:
		how = TreePIDNamespace
	case pid > 0:
		below = w.stopDescendants(pid)
	}
	err := w.Kill() // before its children, whose end it might react to
	for _, fd := range below {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		unix.Close(fd)
	}
	if how == TreeCgroup {
		freezeCgroups(made, false)
	}
	if err != nil {
		return how, err
	}
	return how, w.awaitDone(ctx)
}

func (w *Workload) awaitDone(ctx context.Context) error {
	select {
	case <-w.done:
		return nil
	default:
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// freezeCgroups keeps what is in version 1 cgroups from forking while it is
// killed one by one; version 2 has cgroup.kill, which needs no help.
func freezeCgroups(dirs []string, on bool) {
	state := "THAWED"
	if on {
		state = "FROZEN"
	}
	for _, dir := range dirs {
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte(state), 0)
	}
}

// stopDescendants stops the workload and what it finds below, from the top
// down, so that little can fork behind its back, and returns pidfds of the
// latter. A descendant's pid may be given away, so each counts only if a parent
// still names it as a child once its pidfd is open.
func (w *Workload) stopDescendants(pid int) (fds []int) {
	w.mu.Lock()
	if w.pidfd >= 0 {
		_ = unix.PidfdSendSignal(w.pidfd, unix.SIGSTOP, nil, 0)
	}
	w.mu.Unlock()
	seen := map[int]bool{pid: true}
	for again := true; again; {
		again = false
		for _, p := range descendants(pid) {
			if seen[p] {
				continue
			}
			seen[p] = true
			fd, err := unix.PidfdOpen(p, 0)
			if err != nil {
				continue
			}
			if !slices.Contains(descendants(pid), p) {
				unix.Close(fd)
				continue
			}
			_ = unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0)
			fds = append(fds, fd)
			again = true
		}
	}
	return fds
}

// descendants lists the processes below pid, as proc_pid_task(5) has them
// (CONFIG_PROC_CHILDREN).
func descendants(pid int) []int {
	var all []int
	for todo := []int{pid}; len(todo) > 0; todo = todo[1:] {
		tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(todo[0]) + "/task/*/children")
		for _, t := range tasks {
			b, _ := os.ReadFile(t)
			for f := range strings.FieldsSeq(string(b)) {
				if p, err := strconv.Atoi(f); err == nil && !slices.Contains(all, p) {
					all = append(all, p)
					todo = append(todo, p)
				}
			}
		}
	}
	return all
}
