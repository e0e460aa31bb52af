package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

// These tests are about defects of an older kit of this kind; each is named
// after what was wrong there, or after what is right here.

type kit struct {
	*testing.T
	l *checkpoint.Launcher
}

func newKit(t *testing.T, root bool) kit {
	t.Helper()
	if root && os.Geteuid() != 0 {
		t.Skip("needs root: namespaces, ids or cgroups")
	}
	l, err := checkpoint.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return kit{t, l}
}

func (k kit) spawn(cfg *checkpoint.Config, opts *checkpoint.Options) *checkpoint.Workload {
	k.Helper()
	w, err := k.l.Spawn(context.Background(), cfg, opts)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = w.Kill() })
	return w
}

func (k kit) wait(w *checkpoint.Workload) checkpoint.Result {
	k.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := w.Wait(ctx)
	if err != nil {
		k.Fatalf("it does not end: %v", err)
	}
	return r
}

// says runs a shell script and returns what it prints.
func (k kit) says(cfg checkpoint.Config, script string) string {
	k.Helper()
	r, out, err := os.Pipe()
	if err != nil {
		k.Fatal(err)
	}
	defer r.Close()
	cfg.Args = []string{"/bin/sh", "-c", script}
	cfg.Env = append(slices.Clip(cfg.Env), "PATH=/usr/bin:/bin")
	w, err := k.l.Start(context.Background(), &cfg, &checkpoint.Options{Stdout: out, Stderr: out})
	out.Close()
	if err != nil {
		k.Fatal(err)
	}
	b, _ := io.ReadAll(r)
	if res := k.wait(w); res.State != checkpoint.Exited {
		k.Errorf("%s: %s\n%s", script, res, b)
	}
	return strings.TrimSpace(string(b))
}

func link(pid any, kind string) string {
	s, _ := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", pid, kind))
	return s
}

var sleep = checkpoint.Config{Args: []string{"/bin/sleep", "1000"}}

// 1: the time namespace was the parent's, and its child could not be reaped.
func TestDefect01_TimeNamespaceIsReal(t *testing.T) {
	k := newKit(t, true)
	if link("self", "time") == "" {
		t.Skip("needs time namespaces")
	}
	for _, offset := range []time.Duration{0, 3 * 24 * time.Hour} {
		cfg := sleep
		cfg.Namespaces = []checkpoint.Namespace{{Kind: checkpoint.Time}}
		cfg.TimeOffsets.Boottime = offset
		w := k.spawn(&cfg, nil)
		if err := w.Proceed(deadline(t)); err != nil {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.HostPID()))
			call, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", w.HostPID()))
			t.Fatalf("offset %s: %v: %+v\nstat %ssyscall %s", offset, err, w.Info(), stat, call)
		}
		own, its := link("self", "time"), link(w.HostPID(), "time")
		if own == its || its == "" {
			t.Errorf("time namespace %s, ours is %s", its, own)
		}
		if err := w.Signal(unix.SIGTERM); err != nil {
			t.Error(err)
		}
		if r := k.wait(w); r.Signal != unix.SIGTERM {
			t.Errorf("%s", r)
		}
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		t.Fatal(err)
	}
	cfg := checkpoint.Config{Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Time}}, TimeOffsets: checkpoint.TimeOffsets{Boottime: 1000 * time.Hour}}
	var inside float64
	if _, err := fmt.Sscan(k.says(cfg, "cat /proc/uptime"), &inside); err != nil || inside < float64(up.Sec)+3599000 {
		t.Errorf("uptime inside %g (%v), outside %d; want 1000 hours more", inside, err, up.Sec)
	}
}

// 2: end-of-file on the status pipe was taken for execve.
func TestDefect02_KilledBetweenProceedAndExecIsNotRunning(t *testing.T) {
	k := newKit(t, false)
	ran := map[bool]int{}
	for i := range 100 {
		w := k.spawn(&sleep, nil)
		fd, err := unix.PidfdOpen(w.HostPID(), 0)
		if err != nil {
			t.Fatal(err)
		}
		proceeded := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		go func() { proceeded <- w.Proceed(ctx) }()
		for begun := time.Now(); time.Since(begun) < time.Duration(i*i)*2*time.Microsecond; { // from before the child wakes up to after its exec
		}
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		unix.Close(fd)
		err = <-proceeded
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("try %d: proceed does not answer: %+v", i, w.Info())
		}
		if r := k.wait(w); r.State != checkpoint.Signaled || r.Ran != (err == nil) {
			t.Errorf("proceed said %v, the result %+v", err, r)
		}
		ran[err == nil]++
	}
	t.Logf("%d had begun to run, %d not", ran[true], ran[false])
	if ran[true] == 0 || ran[false] == 0 {
		t.Error("the kill never came in time, or always too early: this test shows nothing")
	}
}

// 3: the agent's pipes were the workload's descriptors 3 and 4.
func TestDefect03_ControlChannelNotInherited(t *testing.T) {
	k := newKit(t, false)
	w := k.spawn(&sleep, nil)
	if n := descriptors(t, w.HostPID()); len(n) <= 3 {
		t.Errorf("parked with %v: then this test shows nothing", n)
	}
	if err := w.Proceed(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := descriptors(t, w.HostPID()); !slices.Equal(n, []string{"0", "1", "2"}) {
		t.Errorf("descriptors %v; want 0, 1, 2", n)
	}
}

func descriptors(t *testing.T, pid int) []string {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// 4: a constraint that came after proceed was answered with ok, and ignored.
func TestDefect04_LateConstraintIsRefused(t *testing.T) {
	k := newKit(t, false)
	for _, running := range []bool{true, false} {
		w := k.spawn(&sleep, nil)
		if running {
			if err := w.Proceed(context.Background()); err != nil {
				t.Fatal(err)
			}
		} else if err := w.Abort(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(context.Background(), &checkpoint.Config{Nice: checkpoint.Some(5)}); err == nil {
			t.Error("a constraint after proceed or abort was accepted")
		}
		if err := w.Abort(context.Background()); running && !errors.Is(err, checkpoint.ErrNotParked) {
			t.Errorf("abort of a running workload: %v", err)
		}
		_ = w.Kill()
		if r := k.wait(w); r.Ran != running {
			t.Errorf("%+v", r)
		}
	}
	// Whatever the race between Apply and Proceed: what was accepted is in force.
	for range 50 {
		w := k.spawn(&sleep, nil)
		done := make(chan error, 1)
		go func() {
			done <- w.Apply(context.Background(), &checkpoint.Config{Umask: checkpoint.Some[uint32](0o77)})
		}()
		if err := w.Proceed(context.Background()); err != nil {
			t.Fatal(err)
		}
		accepted := <-done == nil
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.HostPID()))
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(b), "Umask:\t0077"); has != accepted {
			t.Errorf("accepted %t, in force %t", accepted, has)
		}
		_ = w.Kill()
		k.wait(w)
	}
}

// 5: the filter was in force while the child still had to set itself up.
func TestDefect05_FilterDoesNotHitTheLauncher(t *testing.T) {
	k := newKit(t, false)
	if real, _ := filepath.EvalSymlinks("/bin/true"); filepath.Base(real) == "busybox" {
		t.Skip("needs a /bin/true that does nothing: that of busybox uses some of what the filter forbids")
	}
	// What the launcher itself uses between here and execve, and sleep does not.
	policy := &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{
		Action: seccomp.ActKillProcess,
		Names:  []string{"dup3", "setsid", "umask", "chdir", "prctl", "capset", "setresuid", "setgroups", "close_range", "seccomp", "fcntl", "clone3"},
	}}}
	cfg := checkpoint.Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: policy, Session: true, Cwd: "/", Umask: checkpoint.Some[uint32](0o22)}
	if r, err := k.l.Run(context.Background(), &cfg, nil); err != nil || r.State != checkpoint.Exited || r.ExitCode != 0 {
		t.Errorf("%+v %v", r, err)
	}
	cfg.Args = []string{"/bin/sh", "-c", "umask 0"}
	if r, err := k.l.Run(context.Background(), &cfg, nil); err != nil || r.Signal != unix.SIGSYS || !r.Ran {
		t.Errorf("the filter is not in force: %+v %v", r, err)
	}
}

// 6: the death of a parked child was "agent died".
func TestDefect06_DeathWhileParkedIsToldApart(t *testing.T) {
	k := newKit(t, false)
	w := k.spawn(&sleep, nil)
	if err := unix.Kill(w.HostPID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := k.wait(w)
	if r.State != checkpoint.Signaled || r.Signal != unix.SIGKILL || r.Ran || r.During != checkpoint.Parked || errors.Is(r.Err, checkpoint.ErrAgentDied) {
		t.Errorf("%+v", r)
	}
	reaped := false
	for i := 0; i < 500 && !reaped; i++ { // the agent is told after we are
		_, err := os.Stat(fmt.Sprintf("/proc/%d", r.HostPID))
		reaped = err != nil
		time.Sleep(time.Millisecond) //nolint:forbidigo // a test's poll of /proc
	}
	if !reaped {
		t.Error("it is not reaped")
	}
	if res, err := k.l.Run(context.Background(), &checkpoint.Config{Args: []string{"/bin/true"}}, nil); err != nil || res.State != checkpoint.Exited {
		t.Errorf("the agent is of no use any more: %+v %v", res, err)
	}
}

// 7: a workload lived on, unsupervised, when the agent was killed.
func TestDefect07_NothingOutlivesTheAgent(t *testing.T) {
	k := newKit(t, false)
	parked, running := k.spawn(&sleep, nil), k.spawn(&sleep, nil)
	if err := running.Proceed(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(k.l.AgentPID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*checkpoint.Workload{parked, running} {
		r := k.wait(w)
		if r.State != checkpoint.Failed || !errors.Is(r.Err, checkpoint.ErrAgentDied) {
			t.Errorf("%+v", r)
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.HostPID))
		if err == nil && !strings.Contains(string(b), ") Z") && !strings.Contains(string(b), ") X") {
			t.Errorf("it lives: %s", b)
		}
	}
}

// 8: verbs of the host took a bare number, which may have come to mean another.
func TestDefect08_VerbsNeverReachAnotherProcess(t *testing.T) {
	k := newKit(t, true)
	w := k.spawn(&sleep, nil)
	_ = w.Kill()
	k.wait(w)
	if err := w.Signal(unix.SIGTERM); !errors.Is(err, checkpoint.ErrEnded) {
		t.Errorf("signal: %v", err)
	}
	if err := w.Apply(context.Background(), &checkpoint.Config{Nice: checkpoint.Some(1)}); err == nil {
		t.Error("apply succeeded")
	}
	if err := w.Proceed(context.Background()); err == nil {
		t.Error("proceed succeeded")
	}
}

// 9: SIGPIPE stayed ignored through execve.
func TestDefect09_DispositionsAndMaskAreReset(t *testing.T) {
	k := newKit(t, false)
	// A shell may ignore signals for itself, as that of busybox does; what it was started with it cannot undo.
	got := k.says(checkpoint.Config{}, "trap - QUIT; exec grep -E 'Sig(Blk|Ign)' /proc/self/status")
	for line := range strings.Lines(got) {
		if !strings.HasSuffix(strings.TrimSpace(line), "0000000000000000") {
			t.Errorf("%q", line)
		}
	}
	if strings.Count(got, "Sig") != 2 {
		t.Errorf("got %q", got)
	}
}

// 11: after the capabilities were cut the bounding set could not be.
func TestDefect11_BoundingSetIsCutWithTheOthers(t *testing.T) {
	k := newKit(t, true)
	none := checkpoint.Some(checkpoint.CapSet(0))
	got := k.says(checkpoint.Config{Capabilities: checkpoint.Capabilities{Bounding: none, Permitted: none, Effective: none, Inheritable: none, Ambient: none}},
		"grep '^Cap' /proc/self/status")
	if n := strings.Count(got, "0000000000000000"); n != 5 {
		t.Errorf("%d empty sets; want 5, also for root after execve\n%s", n, got)
	}
}

// 12: groups and ids were left to chance in a user namespace.
func TestDefect12_IDsAreSetInUserNamespaces(t *testing.T) {
	k := newKit(t, true)
	m := []checkpoint.IDMap{{Inside: 0, Outside: 100000, Count: 65536}}
	cfg := checkpoint.Config{
		Namespaces: []checkpoint.Namespace{{Kind: checkpoint.User}}, UIDMap: m, GIDMap: m,
		UID: checkpoint.Some[uint32](5), GID: checkpoint.Some[uint32](6), Groups: checkpoint.Some([]uint32{7}),
	}
	if got := k.says(cfg, "echo $(id -u) $(id -g) $(id -G)"); got != "5 6 6 7" {
		t.Errorf("ids %q; want 5 6 6 7", got)
	}
}

// 14 and 15: the child was placed after its birth, and saw its own path.
func TestDefect14_BornInItsCgroup(t *testing.T) {
	k := newKit(t, true)
	top := "/sys/fs/cgroup"
	if _, err := os.Stat(top + "/cgroup.procs"); err != nil {
		top += "/unified"
	}
	dir := filepath.Join(top, fmt.Sprintf("holdshort-defect-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("needs cgroup version 2: " + err.Error())
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	got := k.says(checkpoint.Config{Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Cgroups}}, Cgroup: checkpoint.Cgroup{V2: dir}}, "grep '^0::' /proc/self/cgroup")
	if got != "0::/" {
		t.Errorf("the workload sees %q; want 0::/", got)
	}
}

// 16: /dev/null was opened in the new root.
func TestDefect16_NoDevNullInTheRootIsNeeded(t *testing.T) {
	k := newKit(t, true)
	root := t.TempDir()
	cfg := checkpoint.Config{Args: []string{"/bin/true"}, Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Mnt}}, Root: checkpoint.Root{Path: root}}
	for _, d := range []string{"/bin", "/lib", "/lib64", "/usr"} {
		if _, err := os.Stat(d); err == nil {
			cfg.Mounts = append(cfg.Mounts, checkpoint.Mount{Source: d, Target: d, Options: []string{"rbind", "ro"}})
		}
	}
	if r, err := k.l.Run(context.Background(), &cfg, nil); err != nil || r.State != checkpoint.Exited || r.ExitCode != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := os.Stat(root + "/dev/null"); err == nil {
		t.Error("there is a /dev/null: this test shows nothing")
	}
}

// 17: a reader that does not read stopped the signals.
func TestDefect17_StalledReaderDoesNotStopSignals(t *testing.T) {
	k := newKit(t, false)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := k.l.Start(context.Background(), &checkpoint.Config{Args: []string{"/bin/sh", "-c", "while :; do echo 0123456789; done"}}, &checkpoint.Options{Stdout: out, Stderr: out})
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if res := k.wait(w); res.Signal != unix.SIGTERM {
		t.Errorf("%s", res)
	}
}

// 18: nothing was said of cores and resources.
func TestDefect18_EndIsDescribed(t *testing.T) {
	k := newKit(t, false)
	r, err := k.l.Run(context.Background(), &checkpoint.Config{
		Args:    []string{"/bin/sh", "-c", "kill -ABRT $$"},
		Rlimits: []checkpoint.Rlimit{{Resource: "RLIMIT_CORE"}},
	}, nil)
	if err != nil || r.Signal != unix.SIGABRT || r.Core || r.Rusage.Maxrss == 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// 19: the whole environment was passed on, and requests were small.
func TestDefect19_NothingOfTheEnvironmentIsInherited(t *testing.T) {
	k := newKit(t, false)
	t.Setenv("HOLDSHORT_SECRET", "1")
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	long := "LONG=" + strings.Repeat("x", 100_000)
	w, err := k.l.Start(context.Background(), &checkpoint.Config{Args: []string{"/usr/bin/env"}, Env: []string{long}}, &checkpoint.Options{Stdout: out})
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r)
	k.wait(w)
	if string(b) != long+"\n" {
		t.Errorf("environment of %d bytes; want what was asked for alone", len(b))
	}
}

// 20: a new mount namespace sent its mounts back to the host.
func TestDefect20_MountsArePrivateByDefault(t *testing.T) {
	k := newKit(t, true)
	for _, propagation := range []string{"", "private"} {
		got := k.says(checkpoint.Config{Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Mnt}}, Propagation: propagation},
			"grep -c -E 'shared:|master:' /proc/self/mountinfo; exit 0")
		if got != "0" {
			t.Errorf("%s mounts are shared or slaves", got)
		}
	}
	if got := k.says(checkpoint.Config{Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Mnt}}, Propagation: "shared"},
		"grep -c shared: /proc/self/mountinfo; exit 0"); got == "0" {
		t.Error("shared was asked for and is not there: this test shows nothing")
	}
}

// deadline ends a verb that does not answer.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
