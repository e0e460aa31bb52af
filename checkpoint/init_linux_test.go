package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func withInit(ns ...NamespaceKind) Config {
	cfg := Config{Init: true, Namespaces: []Namespace{{Kind: PID}, {Kind: Mnt}}, Mounts: []Mount{{Target: "/proc", Type: "proc"}}}
	for _, k := range ns {
		cfg.Namespaces = append(cfg.Namespaces, Namespace{Kind: k})
	}
	return cfg
}

// initOf finds the init of a workload on the host.
func initOf(t testing.TB, l *Launcher) int {
	t.Helper()
	for _, p := range childrenOf(l.AgentPID()) {
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(p) + "/comm"); string(b) == "holdshort-init\n" {
			return p
		}
	}
	t.Fatal("no init")
	return 0
}

func TestInit(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	t.Run("is process 1, the workload 2", func(t *testing.T) {
		if out := output(t, l, withInit(), "echo $$ $PPID; cat /proc/1/comm"); out != "2 0\nholdshort-init" {
			t.Errorf("%q", out)
		}
	})
	t.Run("status and signal of the workload", func(t *testing.T) {
		cfg := withInit()
		cfg.Args = []string{"/bin/sh", "-c", "exit 42"}
		if r, err := l.Run(bg, &cfg, nil); err != nil || r.ExitCode != 42 || r.State != Exited || !r.Ran || r.Rusage.Maxrss == 0 {
			t.Errorf("%+v %v", r, err)
		}
		cfg.Args = []string{"/bin/sh", "-c", "kill -SEGV $$"}
		if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Signaled || r.Signal != unix.SIGSEGV {
			t.Errorf("%+v %v", r, err)
		}
	})
	t.Run("reaps orphans", func(t *testing.T) {
		out := output(t, l, withInit(), `
			for i in 1 2 3 4 5 6 7 8; do (sh -c : & exec true); done
			for i in 1 2 3 4 5 6 7 8 9 10; do
				cat /proc/[0-9]*/stat 2>/dev/null | grep -q ') Z ' || { echo none; exit; }
				sleep 0.05
			done
			cat /proc/[0-9]*/stat | grep ') Z '`)
		if out != "none" {
			t.Errorf("zombies:\n%s", out)
		}
	})
	t.Run("passes signals on", func(t *testing.T) {
		for name, how := range map[string]string{"from inside": "kill -USR1 1; ", "from outside": ""} {
			cfg := withInit()
			cfg.Args = []string{"/bin/sh", "-c", "trap 'exit 7' USR1; " + how + "while :; do sleep 0.01; done"}
			cfg.Env = []string{"PATH=/usr/bin:/bin"}
			w, err := l.Start(bg, &cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if how == "" {
				caught(t, w, unix.SIGUSR1)
				if err := unix.Kill(initOf(t, l), unix.SIGUSR1); err != nil {
					t.Fatal(err)
				}
			}
			if r := result(t, w); r.ExitCode != 7 {
				t.Errorf("%s: %s", name, r)
			}
		}
	})
	t.Run("ends everything with the workload", func(t *testing.T) {
		cfg := withInit()
		cfg.Args = []string{"/bin/sh", "-c", "setsid sleep 1000 & sleep 0.02; exit 3"}
		cfg.Env = []string{"PATH=/usr/bin:/bin"}
		for _, start := range []string{"Run", "Spawn"} {
			before := sleeps()
			var r Result
			if start == "Run" {
				r, _ = l.Run(bg, &cfg, nil)
			} else {
				w := spawn(t, l, cfg, nil)
				proceed(t, w)
				r = result(t, w)
			}
			if r.ExitCode != 3 {
				t.Errorf("%s: %s", start, r)
			}
			if left := sleeps(); len(left) > len(before) {
				t.Errorf("%s: %v are left once the end is told", start, left)
			}
		}
	})
	t.Run("all namespaces", func(t *testing.T) {
		cfg := Config{Init: true, Namespaces: all(), UIDMap: rootMap(), GIDMap: rootMap(), TimeOffsets: TimeOffsets{Boottime: time.Hour}, Mounts: []Mount{{Target: "/proc", Type: "proc"}}}
		out := output(t, l, cfg, "echo $$; id -u; grep -E '^(Uid|Groups|CapEff|CapPrm|NoNewPrivs|Seccomp):' /proc/1/status; for n in user mnt net uts ipc pid cgroup; do readlink /proc/self/ns/$n; done; ls /proc/1/fd 2>&1; true")
		for _, want := range []string{"2\n0\n", "Uid:\t0\t0\t0\t0", "CapPrm:\t0000000000000020", "CapEff:\t0000000000000020", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		for _, k := range []string{"user", "mnt", "pid", "net", "uts", "ipc", "cgroup"} {
			own, _ := os.Readlink("/proc/self/ns/" + k)
			if strings.Contains(out, own) {
				t.Errorf("workload shares %s", own)
			}
		}
	})
	t.Run("without a new pid namespace", func(t *testing.T) {
		if err := (&Config{Args: []string{"x"}, Init: true}).Validate(); err == nil {
			t.Error("no error")
		}
		if err := (&Config{Args: []string{"x"}, Init: true, Namespaces: []Namespace{{Kind: PID, PID: 1}}}).Validate(); err == nil {
			t.Error("no error for a joined one")
		}
	})
}

// caught waits until the workload has a handler for sig.
func caught(t testing.TB, w *Workload, sig unix.Signal) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(w.HostPID()) + "/status")
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "SigCgt:\t"); ok {
				if n, _ := strconv.ParseUint(strings.TrimSpace(v), 16, 64); n&(1<<(sig-1)) != 0 {
					return
				}
			}
		}
	}
	t.Fatalf("no handler for %s", unix.SignalName(sig))
}

func sleeps() []string {
	var all []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, _ := os.ReadFile(f); string(b) == "sleep\x001000\x00" {
			all = append(all, f)
		}
	}
	slices.Sort(all)
	return all
}

// What the workload could reach of the agent through its init.
func TestInit_GivesNothingAway(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := withInit()
	cfg.Args = []string{"/bin/sleep", "1000"}
	w, err := l.Start(bg, &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	pid := initOf(t, l)
	dir := "/proc/" + strconv.Itoa(pid)
	if fds, err := os.ReadDir(dir + "/fd"); err != nil || len(fds) != 0 {
		t.Errorf("descriptors of the init: %v %v; want none", fds, err)
	}
	maps, err := os.ReadFile(dir + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "arena") || strings.Contains(line, " rw-s ") {
			t.Errorf("init has the agent's memory: %s", line)
		}
	}
	status, _ := os.ReadFile(dir + "/status")
	if !strings.Contains(string(status), "Seccomp:\t2") || !strings.Contains(string(status), "NoNewPrivs:\t1") {
		t.Errorf("%s", status)
	}
	_ = w.Kill()
	result(t, w)

	// Not even with the same user id, and without CAP_SYS_PTRACE.
	cfg = withInit()
	none := Some(CapSet(0))
	cfg.Capabilities = Capabilities{none, none, none, none, none}
	out := output(t, l, cfg, "id -u; cat /proc/1/environ >/dev/null 2>&1 || echo refused; kill -KILL 1; echo alive")
	if !strings.Contains(out, "refused") || !strings.Contains(out, "alive") {
		t.Errorf("%q", out)
	}
}

// At each state the death of init, host or agent ends everything, and is told.
func TestInit_Deaths(t *testing.T) {
	needRoot(t)
	for _, who := range []string{"init", "agent"} {
		for _, state := range []State{Parked, Running} {
			t.Run(who+", "+string(state), func(t *testing.T) {
				l := newLauncher(t)
				cfg := withInit()
				w := spawn(t, l, cfg, nil)
				if state == Running {
					proceed(t, w)
				}
				pids := []int{w.HostPID(), initOf(t, l)}
				if who == "init" {
					_ = unix.Kill(pids[1], unix.SIGKILL)
				} else {
					_ = unix.Kill(l.AgentPID(), unix.SIGKILL)
				}
				r := result(t, w)
				if who == "init" && (r.State != Signaled || r.Signal != unix.SIGKILL || r.During != state) || who == "agent" && r.State != Failed {
					t.Errorf("%+v", r)
				}
				for _, p := range pids {
					gone(t, p)
				}
			})
		}
	}
	t.Run("nothing left", func(t *testing.T) {
		leavesNothing(t, func() {
			l, err := New(bg)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for range 20 {
				cfg := withInit()
				w := spawn(t, l, cfg, nil)
				if err := w.Abort(bg); err != nil {
					t.Fatal(err)
				}
				cfg.Args = []string{"/nonexistent"}
				if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Failed {
					t.Fatal(r, err)
				}
				cfg.Args = []string{"/bin/true"}
				if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Exited {
					t.Fatal(r, err)
				}
			}
			for end := time.Now().Add(time.Minute); len(childrenOf(l.AgentPID())) > 0; {
				if time.Now().After(end) {
					t.Fatalf("children left: %v", childrenOf(l.AgentPID()))
				}
			}
		})
	})
}

// TestInit_OneProcessor: on one processor a workload may have ended before the
// process that cloned it has said so and has ended, too. Its memory is not
// given to the next launch before it has.
func TestInit_OneProcessor(t *testing.T) {
	needRoot(t)
	var was unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		t.Fatal(err)
	}
	one := unix.CPUSet{}
	for n := range 1024 {
		if was.IsSet(n) {
			one.Set(n)
			break
		}
	}
	// The agent and its children have the affinity of the thread that starts it.
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	l, err := New(bg)
	if err := errors.Join(unix.SchedSetaffinity(0, &was), err); err != nil {
		t.Fatal(err)
	}
	runtime.UnlockOSThread()
	defer l.Close()
	cfg := withInit()
	for range rounds(400) {
		cfg.Args = []string{"/nonexistent"}
		if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Failed || !errors.Is(r.Err, unix.ENOENT) {
			t.Fatal(r, err)
		}
		cfg.Args = []string{"/bin/true"}
		if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Exited {
			t.Fatal(r, err)
		}
	}
}
