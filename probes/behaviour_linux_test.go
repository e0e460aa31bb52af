package probes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/holdshort/holdshort/internal/exitzero"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// special opens an observer of its own, for tests that break it.
func special(t *testing.T, opts *Options) (*Observer, context.Context) {
	t.Helper()
	ctx := testContext(t)
	o, err := Open(ctx, opts)
	skipUnsupported(t, err)
	t.Cleanup(func() { _ = o.Close() })
	return o, ctx
}

func children(ctx context.Context, t *testing.T, o *Observer, opts *WatchOptions) *Children {
	t.Helper()
	kids, err := o.WatchChildrenOf(ctx, os.Getpid(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kids.Close() })
	return kids
}

// run starts a program, waits for its end and returns its record.
func run(ctx context.Context, t *testing.T, kids *Children, name string, args ...string) (*Watch, *Record) {
	t.Helper()
	c := exec.Command(name, args...)
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Final(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return w, r
}

func missing(r *Record, at At) *Missing {
	for i := range r.Missing {
		if r.Missing[i].At == at {
			return &r.Missing[i]
		}
	}
	return nil
}

func TestOpen_HooksAreLive(t *testing.T) {
	for _, h := range observer(t).Hooks() {
		if !h.Live || h.Err != nil {
			t.Errorf("%s: live %v, %v", h.Name, h.Live, h.Err)
		}
	}
}

func TestHook_DetachedMidwayIsMissingEvidence(t *testing.T) {
	for hook, at := range map[string]At{hookExec: AtExec, hookSysX: AtReturn} {
		t.Run(hook, func(t *testing.T) {
			o, ctx := special(t, nil)
			c, proceed, _ := startHelper(t, "plain", nil)
			// The helper has exec'd before, so only its flags could mislead.
			w, err := o.Watch(ctx, c.Process.Pid, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.hooks.drop(hook); err != nil {
				t.Fatal(err)
			}
			proceed()
			waitSleep(t, c.Process.Pid)
			_ = c.Process.Kill()
			r, err := w.Final(ctx)
			if err != nil {
				t.Fatal(err)
			}
			m := missing(r, at)
			if m == nil || m.Harmless || m.Why == "" || r.Complete() {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// waitSleep waits until the process is in the system call that sleep(1) is for:
// its name changes long before the first instruction.
func waitSleep(t *testing.T, pid int) {
	t.Helper()
	for testContext(t).Err() == nil {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		switch nr, _, _ := strings.Cut(string(b), " "); nr {
		case strconv.Itoa(unix.SYS_NANOSLEEP), strconv.Itoa(unix.SYS_CLOCK_NANOSLEEP):
			return
		}
		runtime.Gosched()
	}
	t.Fatal("it does not sleep")
}

func TestHook_MissingFromTheStart(t *testing.T) {
	for name, tc := range map[string]struct {
		skip []string
		at   At
	}{
		"exec":   {[]string{hookExec}, AtExec},
		"return": {[]string{hookSysX}, AtReturn},
		"fault":  {[]string{hookFault, hookPerf}, AtFirst},
	} {
		t.Run(name, func(t *testing.T) {
			skip := map[string]bool{}
			for _, s := range tc.skip {
				skip[s] = true
			}
			o, ctx := special(t, &Options{skip: skip})
			_, r := run(ctx, t, children(ctx, t, o, nil), "/bin/true")
			if m := missing(r, tc.at); m == nil || m.Harmless || r.Complete() {
				t.Errorf("record %+v", r)
			}
			for _, h := range o.Hooks() {
				if h.Live && skip[h.Name] {
					t.Errorf("%s is said to be live", h.Name)
				}
			}
		})
	}
}

func TestHook_PageFaultEvent(t *testing.T) {
	o, ctx := special(t, &Options{skip: map[string]bool{hookFault: true}})
	_, r := run(ctx, t, children(ctx, t, o, nil), "/bin/true")
	s := r.Snapshot(AtFirst)
	if s == nil || !s.IPIsEntry || !s.Equal(r.Snapshot(AtExec)) || !r.Complete() {
		t.Errorf("record %+v", r)
	}
}

func TestRing_TooSmallIsCountedAndSaid(t *testing.T) {
	o, ctx := special(t, &Options{RingBufferBytes: os.Getpagesize()})
	kids := children(ctx, t, o, &WatchOptions{Want: []At{AtCaller, AtReturn, AtFirst, AtExit}})
	var pids []int
	for range 20 {
		c := exec.Command("/bin/true")
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, c.Process.Pid)
	}
	if o.Lost().Total() == 0 {
		t.Fatal("nothing was lost in a ring of one page")
	}
	for _, pid := range pids {
		w, err := kids.Take(ctx, pid)
		if err != nil {
			if !errors.Is(err, ErrEvidence) {
				t.Errorf("an untraceable child is not said to be lost evidence: %v", err)
			}
			continue
		}
		r, err := w.Record(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete() && (len(r.Snapshots) != 4 || r.Lost+r.LostElsewhere == 0) {
			t.Errorf("complete in spite of losses: %+v", r)
		}
	}
}

func TestWatch_MapFullIsCounted(t *testing.T) {
	o, ctx := special(t, &Options{MaxWatches: 1})
	kids := children(ctx, t, o, nil)
	first, second := exec.Command("/bin/sleep", "60"), exec.Command("/bin/true")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Process.Kill(); _ = first.Wait() }()
	if err := second.Run(); err != nil {
		t.Fatal(err)
	}
	if o.Lost().Watches == 0 {
		t.Error("the unwatched child was not counted")
	}
	if _, err := kids.Take(ctx, second.Process.Pid); !errors.Is(err, ErrEvidence) {
		t.Errorf("take: %v, want lost evidence", err)
	}
}

func TestWatch_AbortedWithoutExec(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, nil)
	// A child that never execs: the kernel refuses the program.
	if err := exec.Command("/dev/null").Run(); err == nil {
		t.Fatal("/dev/null was executed")
	}
	o.mu.Lock()
	var p *process
	if err := func() error { o.mu.Unlock(); defer o.mu.Lock(); return o.drain() }(); err != nil {
		t.Error(err)
	}
	for _, x := range kids.g.procs {
		p = x
	}
	o.mu.Unlock()
	if p == nil {
		t.Fatal("the child was not seen")
	}
	r, err := (&Watch{p: p}).Record(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := missing(r, AtExec)
	if m == nil || !m.Harmless || !r.Ended || r.Execs != 0 || r.Lost != 0 || r.Complete() {
		t.Errorf("record %+v", r)
	}
}

func TestWatch_Descendants(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, &WatchOptions{Descendants: true, Exec: AllExecs})
	w, r := run(ctx, t, kids, "/bin/sh", "-c", "/bin/true; exec /bin/echo x")
	if r.Execs != 2 || !r.Complete() {
		t.Errorf("root: %+v", r)
	}
	var comms []string
	for _, s := range r.Snapshots {
		if s.At == AtExec {
			c, _ := s.Posture().Exec.Comm.Get()
			comms = append(comms, c)
		}
	}
	if !slices.Equal(comms, []string{"sh", "echo"}) {
		t.Errorf("programs of the root: %v", comms)
	}
	d := w.Descendants()
	if len(d) != 1 {
		t.Fatalf("%d descendants, want 1", len(d))
	}
	r2, err := d[0].Final(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := r2.Snapshot(AtExec).Posture().Exec.Comm.Get(); c != "true" || r2.Parent != r.TGID || !r2.Complete() {
		t.Errorf("descendant %s: %+v", c, r2)
	}
}

func TestWatch_SecondExec(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	_, r := run(ctx, t, children(ctx, t, o, &WatchOptions{Exec: 2}), "/bin/sh", "-c", "exec /bin/true")
	s := r.Snapshot(AtExec)
	if s == nil || s.Exec != 2 || len(r.Snapshots) != 3 || !r.Complete() {
		t.Fatalf("record %+v", r)
	}
	if c, _ := s.Posture().Exec.Comm.Get(); c != "true" {
		t.Errorf("the second exec is %s", c)
	}
}

// A program whose only segment is writable and has a tail of zeroes on the page
// of its entry: the kernel clears the tail, so the page is there already.
func TestFirst_AbsentIsHarmless(t *testing.T) {
	image := exitzero.ELF()
	if image == nil {
		t.Skip("no program for this architecture")
	}
	const phFlags, phMemsz = 64 + 4, 64 + 40
	image[phFlags] = 7
	image[phMemsz+1] += 4 // 1024 bytes more than in the file
	path := t.TempDir() + "/rwx"
	if err := os.WriteFile(path, image, 0o755); err != nil {
		t.Fatal(err)
	}
	o, ctx := observer(t), testContext(t)
	_, r := run(ctx, t, children(ctx, t, o, nil), path)
	m := missing(r, AtFirst)
	if m == nil || !m.Harmless || r.Snapshot(AtReturn) == nil || !r.Complete() || r.Latest().At != AtReturn {
		t.Errorf("record %+v", r)
	}
}

// What another process changes between exec and first instruction is seen.
func TestFirst_ShowsALateChange(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	c, proceed, _ := startHelper(t, "plain", nil)
	w, err := o.Watch(ctx, c.Process.Pid, &WatchOptions{Freeze: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	proceed()
	frozen(ctx, t, w)
	if err := unix.Prlimit(c.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 11, Max: 12}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r, err := w.Record(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, d := range posture.Diff(r.Snapshot(AtExec).Posture(), r.Snapshot(AtFirst).Posture()) {
		paths = append(paths, d.Path)
	}
	if !slices.Equal(paths, []string{"rlimits.nofile"}) || r.Snapshot(AtFirst).Equal(r.Snapshot(AtExec)) {
		t.Errorf("differences: %v", paths)
	}
}

func TestCaller_IsTheCreator(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	_, r := run(ctx, t, children(ctx, t, o, &WatchOptions{Want: []At{AtCaller}}), "/bin/true")
	if r.Caller == nil {
		t.Fatal("no caller")
	}
	p := r.Caller.Posture()
	if pid, _ := p.Process.PID.Get(); int(pid) != os.Getpid() || r.Parent != os.Getpid() {
		t.Errorf("caller %d, parent %d, want %d", pid, r.Parent, os.Getpid())
	}
	if p.Exec.Args.IsKnown() {
		t.Error("the caller's arguments are not read, but known")
	}
	self, err := o.Self(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range posture.Diff(p, self.Posture()) {
		switch d.Path {
		case "signals.blocked", "files", "process.threads", "exec.args", "exec.env", "exec.comm":
		case "signals.pending":
			// The runtime of Go sends SIGURG to its threads to preempt them, at any moment.
			const urgent = 1 << (unix.SIGURG - 1)
			a, _ := p.Signals.Pending.Get()
			b, _ := self.Posture().Signals.Pending.Get()
			if a&^urgent != b&^urgent {
				t.Errorf("caller and self differ: %+v", d)
			}
		default:
			t.Errorf("caller and self differ: %+v", d)
		}
	}
}

func TestSnapshot_OfAnotherProcess(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	c, _, _ := startHelper(t, "plain", &syscall.SysProcAttr{Setsid: true})
	s, err := o.Snapshot(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if sid, ok := s.Posture().Process.Session.Get(); !ok || int(sid) != c.Process.Pid || s.PID != c.Process.Pid {
		t.Errorf("snapshot %+v, session %d", s, sid)
	}
	// Every living process can be found, and no dead one.
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := o.Snapshot(ctx, pid)
		if errors.Is(err, unix.ESRCH) {
			if _, err := os.Stat("/proc/" + e.Name()); err == nil {
				t.Errorf("process %d lives and was not found", pid)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if s.TGID != pid {
			t.Errorf("asked for %d, got %d", pid, s.TGID)
		}
		found++
	}
	t.Logf("%d processes", found)
	for pid, want := range map[int]error{0: unix.EINVAL, -1: unix.EINVAL, 1<<22 - 1: unix.ESRCH, 1 << 30: unix.ESRCH} {
		if _, err := o.Snapshot(ctx, pid); !errors.Is(err, want) {
			t.Errorf("process %d: %v, want %v", pid, err, want)
		}
	}
}

// A watch whose process has died does not take over its successor's events.
func TestWatch_PidReuse(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	c, _, _ := startHelper(t, "plain", nil)
	pid := c.Process.Pid
	w, err := o.Watch(ctx, pid, &WatchOptions{Want: []At{}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	entry, ok := o.kernelWatch(uint32(pid))
	if !ok {
		t.Fatal("no entry")
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if _, err := o.Watch(ctx, pid, nil); !errors.Is(err, unix.ESRCH) {
		t.Errorf("watch of a dead process: %v", err)
	}
	// The worst case: the entry outlived its process.
	if err := o.objs.watches.Update(uint32(pid), &entry, ebpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.objs.watches.Delete(uint32(pid)) }()
	for range 200 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skipf("needs the privilege to choose process ids: %v", err)
		}
		again := exec.Command("/bin/true")
		if err := again.Run(); err != nil {
			t.Fatal(err)
		}
		if again.Process.Pid != pid {
			continue
		}
		r, err := w.Record(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Snapshots) != 0 || r.Execs != 0 {
			t.Errorf("the dead process's watch has its successor's snapshots: %+v", r)
		}
		return
	}
	t.Skip("the machine is too busy to get a chosen process id")
}

func TestLandlock_Layers(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	if _, err := sys.LandlockABI(); err != nil {
		t.Skipf("needs Landlock: %v", err)
	}
	got := make(chan string, 1)
	go func() {
		runtime.LockOSThread() // never given back
		for range 2 {
			if err := sys.LandlockSelf(); err != nil {
				got <- err.Error()
				return
			}
		}
		s, err := o.Self(ctx)
		if err != nil {
			got <- err.Error()
			return
		}
		f, _ := posture.Lookup("landlock.layers")
		got <- f.Format(s.Posture())
	}()
	if g := <-got; g != "2" {
		t.Errorf("layers %s, want 2", g)
	}
}

func TestUserNamespace(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	c := exec.Command("/bin/true")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: 1000, Size: 3},
			{ContainerID: 10, HostID: 2000, Size: 1},
			{ContainerID: 20, HostID: 3000, Size: 1},
			{ContainerID: 30, HostID: 4000, Size: 1},
			{ContainerID: 40, HostID: 5000, Size: 1},
			{ContainerID: 50, HostID: 6000, Size: 7},
		},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1000, Size: 1}},
		Credential:  &syscall.Credential{Uid: 10, Gid: 0, NoSetGroups: true},
	}
	kids := children(ctx, t, o, nil)
	if err := c.Run(); err != nil {
		t.Skipf("needs the privilege to make user namespaces: %v", err)
	}
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Record(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil {
		t.Fatal(err)
	}
	p := r.Snapshot(AtFirst).Posture()
	for path, want := range map[string]string{
		"user_namespace.uid_map":   "0:1000:3 10:2000:1 20:3000:1 30:4000:1 40:5000:1 50:6000:7",
		"user_namespace.gid_map":   "0:1000:1",
		"user_namespace.setgroups": "false", // what os/exec writes
		"user_namespace.parent":    fmt.Sprint(st.Ino),
		"user_namespace.owner_uid": "0",
		"ids.uid":                  "2000",
		"ids.gid":                  "1000",
		"capabilities.effective":   "none",
	} {
		f, _ := posture.Lookup(path)
		if got := f.Format(p); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if n, _ := p.Namespaces.User.Get(); n.Level != 1 {
		t.Errorf("level %d, want 1", n.Level)
	}
}

func TestObserver_CloseTwice(t *testing.T) {
	o, ctx := special(t, nil)
	for range 2 {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := o.Self(ctx); err == nil {
		t.Error("a closed observer answers")
	}
	if _, err := o.Watch(ctx, os.Getpid(), nil); err == nil {
		t.Error("a closed observer watches")
	}
}

func TestFiles_ManyDescriptors(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := exec.Command("/bin/true")
	for range 300 {
		c.ExtraFiles = append(c.ExtraFiles, null)
	}
	kids := children(ctx, t, o, nil)
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Record(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := r.Snapshot(AtFirst).Posture().Files.Get()
	if !ok || len(f.Open)+int(f.Truncated) < 303 || (o.objs.direct && f.Truncated != 0) {
		t.Errorf("%d descriptors, %d truncated", len(f.Open), f.Truncated)
	}
}
