package checkpoint

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree starts a workload with three generations, one of which has left its
// session and its parent, and returns their host pids.
func tree(t *testing.T, l *Launcher, cfg Config) (*Workload, []int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg.Args = []string{"/bin/sh", "-c", "(setsid sleep 1000 & setsid sleep 1000 & wait) & sleep 0.05; echo ready; wait"}
	cfg.Env = []string{"PATH=/usr/bin:/bin"}
	wl, err := l.Start(bg, &cfg, &Options{Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if s := bufio.NewScanner(r); !s.Scan() {
		t.Fatal("workload did not start")
	}
	var pids []int
	for end := time.Now().Add(time.Minute); len(pids) < 3 && time.Now().Before(end); {
		pids = descendants(wl.HostPID())
	}
	if len(pids) < 3 {
		t.Fatalf("descendants %v; want 3", pids)
	}
	return wl, pids
}

// allGone fails if one of the processes lives. A zombie does not: it is for
// its new parent to reap.
func allGone(t *testing.T, pids []int) {
	t.Helper()
	for _, p := range pids {
		for end := time.Now().Add(time.Minute); ; {
			b, err := os.ReadFile("/proc/" + strconv.Itoa(p) + "/stat")
			if err != nil || strings.Contains(string(b), ") Z ") || strings.Contains(string(b), ") X ") {
				break
			}
			if time.Now().After(end) {
				t.Errorf("process %d is still there: %s", p, b)
				break
			}
		}
	}
}

func TestKillTree(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	v1 := map[string]string{}
	for _, c := range []string{"freezer", "pids"} {
		if _, err := os.Stat("/sys/fs/cgroup/" + c + "/cgroup.procs"); err == nil {
			v1[c] = "/sys/fs/cgroup/" + c + "/holdshort-tree-" + strconv.Itoa(os.Getpid())
		}
	}
	for name, tt := range map[string]struct {
		cfg  Config
		want TreeKill
		skip string
	}{
		"cgroup2":              {cfg: Config{Cgroup: Cgroup{V2: testCgroup(), Create: true}}, want: TreeCgroup},
		"cgroup1":              {cfg: Config{Cgroup: Cgroup{V1: v1, Create: true}}, want: TreeCgroup},
		"pid namespace":        {cfg: Config{Namespaces: []Namespace{{Kind: PID}}}, want: TreePIDNamespace},
		"nothing of one's own": {cfg: Config{}, want: TreeDescendants},
	} {
		t.Run(name, func(t *testing.T) {
			switch {
			case name == "cgroup2" && testCgroup() == "":
				t.Skip("needs a cgroup2 hierarchy")
			case name == "cgroup1" && len(v1) == 0:
				t.Skip("needs version 1 cgroups")
			}
			w, pids := tree(t, l, tt.cfg)
			how, err := w.KillTree(bg)
			if err != nil || how != tt.want {
				t.Errorf("%q, %v; want %q", how, err, tt.want)
			}
			allGone(t, append(pids, w.HostPID()))
			if r := result(t, w); r.Signal != unix.SIGKILL {
				t.Errorf("%+v", r)
			}
			if how, err := w.KillTree(bg); err != nil || how != TreeNone {
				t.Errorf("again: %q, %v", how, err)
			}
		})
	}
	t.Run("parked", func(t *testing.T) {
		w := spawn(t, l, Config{}, nil)
		if _, err := w.KillTree(bg); err != nil {
			t.Error(err)
		}
		if r := result(t, w); r.Ran || r.Signal != unix.SIGKILL || r.During != Parked {
			t.Errorf("%+v", r)
		}
	})
	t.Run("agent stopped", func(t *testing.T) {
		l := newLauncher(t)
		w := spawn(t, l, Config{}, nil)
		if err := unix.Kill(l.AgentPID(), unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
		defer cancel()
		if _, err := w.KillTree(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the end of its context", err)
		}
		_ = unix.Kill(l.AgentPID(), unix.SIGCONT)
		result(t, w)
	})
}

// A cgroup that is only joined has others in it, which are left alone.
func TestKillTree_LeavesOthersAlone(t *testing.T) {
	needRoot(t)
	dir := testCgroup()
	if dir == "" {
		t.Skip("needs a cgroup2 hierarchy")
	}
	dir += "-shared"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = removeCgroups([]string{dir}) }()
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/sleep", "1000"}, Cgroup: Cgroup{V2: dir}}
	other, err := l.Start(bg, &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.Start(bg, &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if how, err := w.KillTree(bg); err != nil || how != TreeDescendants {
		t.Errorf("%q %v", how, err)
	}
	if s := other.Info().State; s != Running {
		t.Errorf("the other one is %s", s)
	}
	if err := other.Kill(); err != nil {
		t.Error(err)
	}
	result(t, other)
}
