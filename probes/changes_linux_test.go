package probes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// watched starts sleep(1) with its changes watched, and returns when it has
// executed.
func watched(ctx context.Context, t *testing.T, o *Observer) (*exec.Cmd, *Watch) {
	t.Helper()
	kids := children(ctx, t, o, &WatchOptions{Want: []At{AtReturn, AtFirst, AtExit}, Changes: true})
	c := exec.Command("/bin/sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	now, cancel := context.WithCancel(ctx)
	cancel()
	for ctx.Err() == nil { // the record is not complete before the end
		if r, _ := w.Record(now); r.Snapshot(AtFirst) != nil {
			return c, w
		}
		runtime.Gosched()
	}
	t.Fatal("no first instruction")
	return nil, nil
}

// TestChanges_FromOutside does to a process what can be done from outside, and
// looks who is said to have done it.
func TestChanges_FromOutside(t *testing.T) {
	file := func(name, value string) func(int) error {
		return func(pid int) error { return os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, name), []byte(value), 0) }
	}
	for name, tc := range map[string]struct {
		do    func(pid int) error
		kind  ChangeKind
		about uint64
		field string // that drifts by it
	}{
		"oom":      {file("oom_score_adj", "555"), ChangeOOM, 0, "oom.score_adj"},
		"affinity": {func(pid int) error { return unix.SchedSetaffinity(pid, &unix.CPUSet{1}) }, ChangeAffinity, 0, "sched.affinity"},
		"nice":     {func(pid int) error { return unix.Setpriority(unix.PRIO_PROCESS, pid, 9) }, ChangeNice, 0, "sched.nice"},
		"sched": {func(pid int) error {
			return unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH}, 0)
		}, ChangeSched, unix.SYS_SCHED_SETATTR, "sched.policy"},
		"limit": {func(pid int) error {
			return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: 200}, nil)
		}, ChangeLimit, unix.RLIMIT_NOFILE, "rlimits.nofile"},
		"ioprio": {func(pid int) error {
			if _, _, e := unix.Syscall(unix.SYS_IOPRIO_SET, 1, uintptr(pid), 2<<13|6); e != 0 {
				return e
			}
			return nil
		}, ChangeIOPrio, 0, "sched.ioprio"},
		"cgroup": {moveAway(t), ChangeCgroup, 0, "cgroup."},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "affinity" && len(onlineCPUs()) < 2 {
				t.Skip("needs two processors: of one there is no other affinity")
			}
			o, ctx := observer(t), testContext(t)
			c, w := watched(ctx, t, o)
			switch err := tc.do(c.Process.Pid); {
			case errors.Is(err, unix.EPERM), errors.Is(err, errNoCgroup):
				t.Skipf("needs more privilege or another machine: %v", err)
			case err != nil:
				t.Fatal(err)
			}
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			r, err := w.Final(ctx)
			if err != nil || !r.Complete() || len(r.Blind) > 0 {
				t.Fatal(err, r)
			}
			seen := func(kind ChangeKind, about uint64) bool {
				return slices.ContainsFunc(r.Changes, func(c Change) bool {
					return c.Kind == kind && (about == 0 || c.About == about) && c.By == os.Getpid() && c.ByName != ""
				})
			}
			if !seen(tc.kind, tc.about) || !seen(ChangeSignal, uint64(unix.SIGTERM)) {
				t.Errorf("changes %+v", r.Changes)
			}
			drift := r.Drift()
			if !slices.ContainsFunc(drift, func(d Drift) bool {
				return (d.Field == tc.field || tc.field == "cgroup." && (d.Field == "cgroup.v1" || d.Field == "cgroup.v2")) && d.Outside && d.By.Kind == tc.kind
			}) {
				t.Errorf("drift %+v of %+v", drift, r.Changes)
			}
			for _, d := range drift {
				if !d.Outside {
					t.Errorf("drift without a cause: %+v", d)
				}
			}
		})
	}
}

var errNoCgroup = errors.New("no cgroup can be made")

// moveAway moves a process to a cgroup of its own.
func moveAway(t *testing.T) func(int) error {
	t.Helper()
	return func(pid int) error {
		for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
			if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
				continue
			}
			dir := filepath.Join(root, "holdshort-changes-"+strconv.Itoa(os.Getpid()))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return errors.Join(errNoCgroup, err)
			}
			t.Cleanup(func() {
				for range 1000 {
					if os.Remove(dir) == nil {
						return
					}
					runtime.Gosched()
				}
				t.Errorf("%s is left", dir)
			})
			return os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0)
		}
		return errNoCgroup
	}
}

// TestDrift_OfItsOwn: what a process does to itself is drift, and nobody else's.
func TestDrift_OfItsOwn(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, &WatchOptions{Want: []At{AtReturn, AtFirst, AtExit}, Changes: true})
	_, r := run(ctx, t, kids, "/bin/sh", "-c", "umask 0123; ulimit -n 99; cd /proc; echo 77 > /proc/self/oom_score_adj")
	fields := map[string]bool{}
	for _, d := range r.Drift() {
		fields[d.Field] = true
		if d.Outside {
			t.Errorf("%+v is said to be from outside", d)
		}
	}
	for _, f := range []string{"fs.umask", "rlimits.nofile", "fs.cwd", "oom.score_adj"} {
		if !fields[f] {
			t.Errorf("no drift of %s: %v", f, fields)
		}
	}
	_, quiet := run(ctx, t, kids, "/bin/true")
	if d := quiet.Drift(); len(d) > 0 {
		t.Errorf("drift of true(1): %+v", d)
	}
}

// A watch that does not ask is told nothing.
func TestChanges_OnlyIfAsked(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	watched(ctx, t, o) // attaches the hooks
	kids, err := o.WatchChildrenOf(ctx, os.Getpid(), nil)
	if err == nil {
		_ = kids.Close()
		t.Fatal("two watches of one parent")
	}
	c, proceed, _ := startHelper(t, "plain", nil)
	w, err := o.Watch(ctx, c.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	proceed()
	waitSleep(t, c.Process.Pid)
	if err := unix.Setpriority(unix.PRIO_PROCESS, c.Process.Pid, 3); err != nil {
		t.Fatal(err)
	}
	_ = c.Process.Kill()
	if r, err := w.Final(ctx); err != nil || len(r.Changes) > 0 {
		t.Errorf("%v: %+v", err, r.Changes)
	}
}
