package checkpoint

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var bg = context.Background()

func spawn(t testing.TB, l *Launcher, cfg Config, opts *Options) *Workload {
	t.Helper()
	if len(cfg.Args) == 0 {
		cfg.Args = []string{"/bin/sleep", "1000"}
	}
	w, err := l.Spawn(bg, &cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func proceed(t testing.TB, w *Workload) {
	t.Helper()
	if err := w.Proceed(bg); err != nil {
		t.Fatal(err)
	}
}

func result(t testing.TB, w *Workload) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	r, err := w.Wait(ctx)
	if err != nil {
		t.Fatalf("no end: %v", err)
	}
	return r
}

// gone waits until a process that is not our child has ended.
func gone(t testing.TB, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if !endedWithin(fd, time.Minute) {
		t.Errorf("process %d is still there", pid)
	}
}

func TestStates(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	if s := w.Info(); s.State != Parked || s.HostPID == 0 {
		t.Errorf("info %+v; want parked", s)
	}
	if err := w.Signal(unix.SIGTERM); !errors.Is(err, ErrNotRunning) {
		t.Errorf("signal while parked: %v; want ErrNotRunning", err)
	}
	proceed(t, w)
	if err := w.Proceed(bg); !errors.Is(err, ErrNotParked) {
		t.Errorf("second proceed: %v; want ErrNotParked", err)
	}
	if err := w.Abort(bg); !errors.Is(err, ErrNotParked) {
		t.Errorf("abort while running: %v; want ErrNotParked", err)
	}
	if err := w.Apply(bg, &Config{Nice: Some(5)}); !errors.Is(err, ErrNotParked) {
		t.Errorf("constraint after proceed: %v; want ErrNotParked", err)
	}
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	if _, err := w.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait with timeout: %v", err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if r := result(t, w); r.State != Signaled || r.Signal != unix.SIGTERM || !r.Ran || r.During != Running {
				t.Errorf("result %+v; want killed by SIGTERM", r)
			}
		})
	}
	if err := w.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := w.Signal(unix.SIGTERM); !errors.Is(err, ErrEnded) {
		t.Errorf("signal after the end: %v; want ErrEnded", err)
	}
}

func TestAbort(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	if err := w.Abort(bg); err != nil {
		t.Fatal(err)
	}
	if r := result(t, w); r.State != Aborted || r.Ran {
		t.Errorf("result %+v; want aborted", r)
	}
	if err := w.Proceed(bg); !errors.Is(err, ErrEnded) {
		t.Errorf("proceed after abort: %v; want ErrEnded", err)
	}
}

func TestKilledWhileParked(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	if err := unix.Kill(w.HostPID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := result(t, w)
	if r.State != Signaled || r.Ran || r.During != Parked {
		t.Errorf("result %+v; want killed while parked", r)
	}
	if err := w.Proceed(bg); err == nil || !strings.Contains(err.Error(), "before its program ran") {
		t.Errorf("proceed: %v", err)
	}
}

func TestExitStatus(t *testing.T) {
	l := newLauncher(t)
	for _, code := range []int{0, 1, 42, 126, 127} {
		r, err := l.Run(bg, &Config{Args: []string{"/bin/sh", "-c", "exit " + strconv.Itoa(code)}}, nil)
		if err != nil || r.State != Exited || r.ExitCode != code || !r.Ran {
			t.Errorf("exit %d: %+v %v", code, r, err)
		}
	}
	r, err := l.Run(bg, &Config{Args: []string{"/bin/sh", "-c", "kill -SEGV $$"}, Rlimits: []Rlimit{{"RLIMIT_CORE", 0, 0}}}, nil)
	if err != nil || r.State != Signaled || r.Signal != unix.SIGSEGV || !r.Ran {
		t.Errorf("segv: %+v %v", r, err)
	}
	if r.Rusage.Maxrss == 0 {
		t.Error("no resource usage")
	}
}

func TestAgentKilled(t *testing.T) {
	for name, park := range map[string]bool{"parked": true, "running": false} {
		t.Run(name, func(t *testing.T) {
			l := newLauncher(t)
			w := spawn(t, l, Config{}, nil)
			if !park {
				proceed(t, w)
			}
			pid := w.HostPID()
			if err := unix.Kill(l.AgentPID(), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r := result(t, w)
			if r.State != Failed || !errors.Is(r.Err, ErrAgentDied) || !strings.Contains(r.Err.Error(), "was killed") {
				t.Errorf("result %+v", r)
			}
			gone(t, pid)
			if _, err := l.Spawn(bg, &Config{Args: []string{"/bin/true"}}, nil); err == nil {
				t.Error("spawn with a dead agent succeeded")
			}
		})
	}
}

// A workload that was started without waiting for execve has no pidfd; it is
// found all the same.
func TestAgentKilledUnwatched(t *testing.T) {
	for name, ns := range map[string][]Namespace{"plain": nil, "second clone": {{Kind: Time}, {Kind: PID}}} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Args: []string{"/bin/sleep", "1000"}, Session: true, Namespaces: ns}
			if ns != nil {
				needRoot(t)
				cfg.TimeOffsets.Boottime = time.Hour
			}
			l := newLauncher(t)
			w, err := l.Go(bg, &cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			for pid == 0 { // the only child that has exec'd
				for _, c := range childrenOf(l.AgentPID()) {
					if comm, _ := os.ReadFile("/proc/" + strconv.Itoa(c) + "/comm"); string(comm) == "sleep\n" {
						pid = c
					}
				}
			}
			if err := unix.Kill(l.AgentPID(), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r := result(t, w)
			if r.State != Failed || !errors.Is(r.Err, ErrAgentDied) || !strings.Contains(r.Err.Error(), "was killed") || r.HostPID != pid {
				t.Errorf("result %+v; want process %d killed", r, pid)
			}
			gone(t, pid)
		})
	}
}

// TestHostKilled runs this test again as a host of its own, and kills it.
func TestHostKilled(t *testing.T) {
	if how := os.Getenv("HOLDSHORT_TEST_HOST"); how != "" {
		l := newLauncher(t)
		opts := &Options{}
		cfg := Config{}
		if dir := os.Getenv("HOLDSHORT_TEST_CGROUP"); dir != "" {
			cfg.Cgroup = Cgroup{V2: dir, Create: true}
		}
		switch how {
		case "linger":
			opts.Orphan = -1
			cfg.Args = []string{"/bin/sleep", "1"}
		case "grace":
			opts.Orphan = 200 * time.Millisecond
			cfg.Args = []string{"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"}
		}
		w := spawn(t, l, cfg, opts)
		if how != "parked" {
			proceed(t, w)
		}
		os.Stdout.WriteString("pid " + strconv.Itoa(w.HostPID()) + " " + strconv.Itoa(l.AgentPID()) + "\n")
		select {}
	}
	for _, how := range []string{"parked", "running", "grace", "linger"} {
		t.Run(how, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestHostKilled$")
			dir := testCgroup()
			cmd.Env = append(os.Environ(), "HOLDSHORT_TEST_HOST="+how, "HOLDSHORT_TEST_CGROUP="+dir)
			out, _ := cmd.StdoutPipe()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid, agentPID int
			for s := bufio.NewScanner(out); s.Scan(); {
				if f := strings.Fields(s.Text()); len(f) == 3 && f[0] == "pid" {
					pid, _ = strconv.Atoi(f[1])
					agentPID, _ = strconv.Atoi(f[2])
					break
				}
			}
			if pid == 0 {
				t.Fatal("host did not start")
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if how == "linger" {
				if unix.Kill(pid, 0) != nil {
					t.Error("workload did not linger")
				}
			}
			gone(t, pid)
			gone(t, agentPID)
			if _, err := os.Stat(dir); dir != "" && err == nil {
				t.Errorf("cgroup %s is left", dir)
			}
		})
	}
}

func TestLeavesNothing(t *testing.T) {
	needRoot(t)
	leavesNothing(t, func() {
		l, err := New(bg)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cfg := Config{
			Args: []string{"/bin/true"}, Namespaces: all(), UIDMap: rootMap(), GIDMap: rootMap(),
			Mounts: []Mount{{Target: "/proc", Type: "proc"}},
		}
		for range rounds(20) {
			if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Exited {
				t.Fatal(r, err)
			}
			w := spawn(t, l, cfg, nil)
			if err := w.Abort(bg); err != nil {
				t.Fatal(err)
			}
			w = spawn(t, l, cfg, nil)
			_ = unix.Kill(w.HostPID(), unix.SIGKILL)
			result(t, w)
			bad := cfg
			bad.Args = []string{"/nonexistent"}
			if r, err := l.Run(bg, &bad, nil); err != nil || r.State != Failed {
				t.Fatal(r, err)
			}
			bad = cfg
			bad.Mounts = []Mount{{Target: "/x", Type: "nosuchfs"}}
			if _, err := l.Spawn(bg, &bad, nil); err == nil {
				t.Fatal("mount of an unknown type succeeded")
			}
			spawn(t, l, cfg, nil) // ends with the launcher
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	l := newLauncher(t)
	n := rounds(200)
	ws := make([]*Workload, n)
	for i := range ws {
		ws[i] = spawn(t, l, Config{Args: []string{"/bin/sh", "-c", "exit " + strconv.Itoa(i%100)}}, nil)
	}
	var wg sync.WaitGroup
	for i, w := range ws {
		wg.Go(func() {
			if err := w.Proceed(bg); err != nil {
				t.Error(err)
			}
			if r := result(t, w); r.ExitCode != i%100 {
				t.Errorf("workload %d: %s", i, r)
			}
		})
	}
	wg.Wait()
	// Its place is given back a moment after the end is told.
	for end := time.Now().Add(time.Minute); l.Live() != 0; {
		if time.Now().After(end) {
			t.Fatalf("%d live", l.Live())
		}
	}
}

func TestContextEnds(t *testing.T) {
	l := newLauncher(t)
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	defer cancel()
	r, err := l.Run(ctx, &Config{Args: []string{"/bin/sleep", "1000"}}, nil)
	if err != nil || r.State != Signaled || r.Signal != unix.SIGKILL {
		t.Errorf("%+v %v", r, err)
	}
}

// A context that has ended already never lets a workload get to the checkpoint.
func TestContextHasEnded(t *testing.T) {
	l := newLauncher(t)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for range 50 {
		if _, err := l.Spawn(ctx, &Config{Args: []string{"/bin/true"}}, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v; want it cancelled", err)
		}
	}
}

func TestPTY(t *testing.T) {
	l := newLauncher(t)
	master, slave, err := OpenPTY(33, 77)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	w, err := l.Start(bg, &Config{Args: []string{"/bin/sh", "-c", "stty size; tty; read x; echo got $x"}, Env: []string{"PATH=/usr/bin:/bin"}},
		&Options{Stdin: slave, Stdout: slave, Stderr: slave, Terminal: true})
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := master.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(master) // ends with EIO when the last slave is closed
	for _, want := range []string{"33 77", "/dev/pts/", "got hello"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
	result(t, w)
}

func TestPassedFiles(t *testing.T) {
	l := newLauncher(t)
	r, w, _ := os.Pipe()
	defer r.Close()
	leak, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	wl, err := l.Start(bg, &Config{Args: []string{"/bin/sh", "-c", "echo /proc/self/fd/* >&7"}}, &Options{Files: []PassedFile{{7, w}, {4, w}}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(r)
	got := strings.TrimSpace(string(out))
	// the shell has the directory itself open while it expands
	if want := "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3 /proc/self/fd/4 /proc/self/fd/7"; got != want {
		t.Errorf("descriptors %s; want %s", got, want)
	}
	result(t, wl)
}

func TestApplyWhileParked(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	r, w, _ := os.Pipe()
	defer r.Close()
	cfg := Config{Args: []string{"/bin/sh", "-c", "hostname; umask; ulimit -n; cut -d' ' -f19 /proc/self/stat"}, Env: []string{"PATH=/usr/bin:/bin"}, Namespaces: []Namespace{{Kind: UTS}, {Kind: Net}}}
	wl := spawn(t, l, cfg, &Options{Stdout: w})
	w.Close()
	patches := []*Config{
		{Hostname: Some("late")},
		{Umask: Some[uint32](0o27)},
		{Rlimits: []Rlimit{{"RLIMIT_NOFILE", 77, 88}}},
		{Nice: Some(7)},
		{Network: Network{LoopbackUp: true}},
	}
	for _, p := range patches {
		if err := wl.Apply(bg, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := wl.Apply(bg, &Config{Namespaces: []Namespace{{Kind: IPC}}}); !errors.Is(err, ErrBirth) {
		t.Errorf("namespace while parked: %v; want ErrBirth", err)
	}
	proceed(t, wl)
	out, _ := io.ReadAll(r)
	if want := "late\n0027\n77\n7\n"; string(out) != want {
		t.Errorf("got %q; want %q", out, want)
	}
	wl = spawn(t, l, cfg, nil)
	err := wl.Apply(bg, &Config{Sysctls: map[string]string{"net.no.such": "1"}})
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageSysctl || !errors.Is(err, unix.ENOENT) {
		t.Errorf("bad sysctl: %v", err)
	}
	if r := result(t, wl); r.State != Failed {
		t.Errorf("%+v", r)
	}
}

// testCgroup names a version 2 cgroup that can be made here, or is empty.
func testCgroup() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(dir + "/cgroup.controllers"); err == nil && os.Geteuid() == 0 {
			return dir + "/holdshort-test-" + strconv.Itoa(os.Getpid())
		}
	}
	return ""
}
