package probes

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/internal/exitzero"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
)

func procReader(t *testing.T) *procfs.Reader {
	t.Helper()
	r, err := procfs.New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// held waits until the process is frozen, takes hold of it, and compares what
// the two instruments say of it.
func held(ctx context.Context, t *testing.T, w *Watch) (*procfs.Held, *Record) {
	t.Helper()
	r, err := w.Frozen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h, err := procReader(t).Hold(ctx, w.PID(), nil)
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs CAP_SYS_PTRACE: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Leave() })
	s := r.Snapshot(AtReturn)
	if s == nil {
		t.Fatalf("no snapshot at return: %+v", r)
	}
	for _, d := range procfs.Disagree(h.Posture(), s.Posture()) {
		t.Errorf("%s: seen %s, /proc says %s", d.Path, d.A, d.B)
	}
	if ip, ok := h.IP().Get(); !ok || !s.IPKnown || ip != s.Entry {
		t.Errorf("instruction pointer %#x (%v), entry %#x", ip, h.IP().Why(), s.Entry)
	}
	return h, r
}

func TestFrozen_BothInstrumentsAgree(t *testing.T) {
	for name, mode := range map[string]string{
		"plain": "plain", "first of a pid namespace": "strange", "user namespace": "plain",
		"exec by another thread": "thread", "memfd": "memfd", "stacked filters": "filters",
	} {
		t.Run(name, func(t *testing.T) {
			o, ctx := observer(t), testContext(t)
			attr := &syscall.SysProcAttr{Setsid: true}
			switch name {
			case "first of a pid namespace":
				attr.Cloneflags = unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID
			case "user namespace":
				attr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWCGROUP
				attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 5, HostID: 1000, Size: 20}}
				attr.GidMappings = attr.UidMappings
			}
			c, proceed, _ := startHelper(t, mode, attr)
			w, err := o.Watch(ctx, c.Process.Pid, &WatchOptions{Freeze: true})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			proceed()
			h, _ := held(ctx, t, w)
			unread := map[string]bool{}
			for _, f := range posture.Fields() {
				if !f.Known(h.Posture()) {
					unread[f.Path] = true
					if f.Why(h.Posture()) == "not read" {
						t.Errorf("%s: unreadable without a reason", f.Path)
					}
				}
			}
			if list, _ := h.Posture().Seccomp.Filters.Get(); mode == "filters" && len(list) != 2 {
				t.Errorf("%d filters, want 2", len(list))
			}
			for _, path := range mustRead {
				if unread[path] {
					f, _ := posture.Lookup(path)
					t.Errorf("%s: %s", path, f.Why(h.Posture()))
				}
			}
			if err := h.Continue(0); err != nil {
				t.Fatal(err)
			}
			r, err := w.Record(ctx)
			if err != nil || !r.Complete() {
				t.Fatalf("record %+v, %v", r, err)
			}
			if d := posture.Diff(r.Snapshot(AtExec).Posture(), r.Snapshot(AtFirst).Posture()); d != nil {
				t.Errorf("the stop has left a trace: %+v", d)
			}
		})
	}
}

// A workload that blocks SIGCONT would find it pending after an ordinary stop.
func TestContinue_LeavesNoSignal(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, &WatchOptions{Freeze: true, Exec: 2})
	c := exec.Command("/usr/bin/env", "--block-signal=CONT", "grep", "-E", "Pnd|SigBlk", "/proc/self/status")
	var out strings.Builder
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := held(ctx, t, w)
	if err := h.Continue(0); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
	if want := "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000020000\n"; out.String() != want {
		t.Errorf("the program sees %q, want %q", out.String(), want)
	}
}

// mustRead are fields that every kernel's /proc shows, one of each source.
var mustRead = []string{
	"namespaces.user", "namespaces.pid_for_children", "user_namespace.uid_map", "user_namespace.parent", "uts.hostname",
	"ids.fsuid", "ids.groups", "capabilities.bounding", "privilege.personality", "seccomp.filters", "rlimits.nofile",
	"oom.score_adj", "sched.reset_on_fork", "sched.affinity", "sched.timer_slack_ns", "signals.ignored", "process.pid_inside",
	"process.session", "process.tty", "fs.root_is_mount_root", "fs.cwd_under_root", "files", "exec.exe", "exec.env", "exec.secure",
}

// Programs of every kind rest at the entry, and nothing notices.
func TestFrozen_Programs(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, path := range map[string]string{
		"dynamic": "/bin/true",
		"static":  write("static", exitzero.ELF()),
		"script":  write("script", []byte("#!/bin/sh\nexit 0\n")),
	} {
		t.Run(name, func(t *testing.T) {
			o, ctx := observer(t), testContext(t)
			kids := children(ctx, t, o, &WatchOptions{Freeze: true})
			c := exec.Command(path)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			w, err := kids.Take(ctx, c.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			h, _ := held(ctx, t, w)
			if err := h.Continue(0); err != nil {
				t.Error(err)
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
			if r, err := w.Final(ctx); err != nil || !r.Complete() {
				t.Errorf("record %+v, %v", r, err)
			}
		})
	}
}

// With every exec watched, every one is frozen.
func TestFrozen_EveryExec(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, &WatchOptions{Freeze: true, Exec: AllExecs})
	c := exec.Command("/usr/bin/env", "/usr/bin/env", "/bin/true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		h, r := held(ctx, t, w)
		if r.Execs != i+1 {
			t.Errorf("exec %d, want %d", r.Execs, i+1)
		}
		if err := h.Continue(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := w.Frozen(ctx); !errors.Is(err, unix.ESRCH) {
		t.Errorf("after the end: %v", err)
	}
}

// sleeper is a frozen process that would sleep.
func sleeper(ctx context.Context, t *testing.T) (*exec.Cmd, *Watch) {
	t.Helper()
	o := observer(t)
	c, proceed, _ := startHelper(t, "plain", nil)
	w, err := o.Watch(ctx, c.Process.Pid, &WatchOptions{Freeze: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	proceed()
	return c, w
}

func TestHeld_Killed(t *testing.T) {
	ctx := testContext(t)
	c, w := sleeper(ctx, t)
	h, _ := held(ctx, t, w)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := h.Continue(0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("continue: %v", err)
	}
	_ = c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGKILL {
		t.Errorf("end: %v", c.ProcessState)
	}
}

// Who holds it is not moved by SIGCONT; who comes too late does not get hold.
func TestHold_ContinuedFromOutside(t *testing.T) {
	t.Run("while held", func(t *testing.T) {
		ctx := testContext(t)
		c, w := sleeper(ctx, t)
		h, _ := held(ctx, t, w)
		if err := c.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if r, err := w.Now(); err != nil || len(r.Snapshots) != 2 || !strings.Contains(procFile(t, c.Process.Pid, "status"), "State:\tt") {
			t.Errorf("it moved: %+v, %v", r, err)
		}
		if err := h.Continue(0); err != nil {
			t.Error(err)
		}
		if r, err := w.Record(ctx); err != nil || !r.Complete() {
			t.Errorf("record %+v, %v", r, err)
		}
	})
	t.Run("before", func(t *testing.T) {
		ctx := testContext(t)
		c, w := sleeper(ctx, t)
		frozen(ctx, t, w)
		if err := c.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Record(ctx); err != nil {
			t.Fatal(err)
		}
		passed := errors.New("passed")
		_, err := procReader(t).Hold(ctx, c.Process.Pid, func() error { return passed })
		if !errors.Is(err, passed) {
			t.Errorf("hold: %v", err)
		}
		for range 1000 { // its tracer's thread needs a moment to end
			if strings.Contains(procFile(t, c.Process.Pid, "status"), "TracerPid:\t0\n") {
				return
			}
			runtime.Gosched()
		}
		t.Error("it is still traced")
	})
}

// Seized before SIGSTOP is delivered, it never stops as a job.
func TestHold_BeforeTheStop(t *testing.T) {
	for _, leave := range []bool{false, true} {
		ctx := testContext(t)
		o := observer(t)
		c, proceed, _ := startHelper(t, "plain", nil)
		w, err := o.Watch(ctx, c.Process.Pid, &WatchOptions{Freeze: true})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		h, err := procReader(t).Hold(ctx, c.Process.Pid, func() error { proceed(); return nil })
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Frozen(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ip, _ := h.IP().Get(); ip != r.Snapshot(AtReturn).Entry {
			t.Error("not at the entry")
		}
		if leave {
			if err := h.Leave(); err != nil {
				t.Error(err)
			}
			if h, err = procReader(t).Hold(ctx, c.Process.Pid, nil); err != nil { // the job is stopped now
				t.Fatal(err)
			}
		}
		if err := h.Continue(0); err != nil {
			t.Error(err)
		}
		if r, err := w.Record(ctx); err != nil || r.Snapshot(AtFirst) == nil {
			t.Errorf("record %+v, %v", r, err)
		}
	}
}

func TestDisagree_SeesEachPlantedField(t *testing.T) {
	ctx := testContext(t)
	_, w := sleeper(ctx, t)
	h, r := held(ctx, t, w)
	seen := r.Snapshot(AtReturn).Posture()
	for name, change := range map[string]func(*posture.Posture){
		"capabilities.bounding": func(p *posture.Posture) { p.Capabilities.Bounding = posture.Known(posture.CapSet(1)) },
		"files": func(p *posture.Posture) {
			f, _ := p.Files.Get()
			f.Open = append(slices.Clone(f.Open), posture.File{FD: 99})
			p.Files = posture.Known(f)
		},
		"seccomp.filters": func(p *posture.Posture) { p.Seccomp.Filters = posture.Known([]posture.Filter{{}}) },
		"namespaces.net":  func(p *posture.Posture) { p.Namespaces.Net = posture.Known(posture.Namespace{Inode: 1}) },
		"signals.pending": func(p *posture.Posture) {
			p.Signals.Pending, p.Signals.Blocked = posture.Known[uint64](1<<9), posture.Known[uint64](1<<9)
		},
	} {
		p := *seen
		change(&p)
		var paths []string
		for _, d := range procfs.Disagree(h.Posture(), &p) {
			paths = append(paths, d.Path)
		}
		if !slices.Contains(paths, name) {
			t.Errorf("%s: not among %v", name, paths)
		}
		if d := procfs.Disagree(h.Posture(), &p, seen); d != nil {
			t.Errorf("%s: one of two says the same, yet %v", name, d)
		}
	}
}
