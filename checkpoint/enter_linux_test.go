package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

// traits are what two processes must have in common, as the host sees them.
func traits(t testing.TB, pid int) map[string]string {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	m := map[string]string{}
	for _, k := range kindsInOrder {
		m["ns/"+string(k)], _ = os.Readlink(dir + "/ns/" + string(k))
	}
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Umask:", "Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"} {
		m[key], _ = line(string(b), key)
	}
	for _, file := range []string{"limits", "cgroup", "oom_score_adj", "uid_map"} {
		b, _ := os.ReadFile(dir + "/" + file)
		m[file] = string(b)
	}
	for _, link := range []string{"root", "cwd"} {
		var st unix.Stat_t
		_ = unix.Stat(dir+"/"+link, &st)
		m[link] = fmt.Sprint(st.Dev, " ", st.Ino)
	}
	return m
}

func same(t *testing.T, target, got map[string]string, but ...string) {
	t.Helper()
	for k, want := range target {
		if got[k] != want && !slices.Contains(but, k) {
			t.Errorf("%s is\n%s; the target has\n%s", k, got[k], want)
		}
	}
}

var sleeper = []string{"/bin/sleep", "1000"}

func start(t testing.TB, l *Launcher, cfg Config, opts *Options) *Workload {
	t.Helper()
	if cfg.Args == nil {
		cfg.Args = sleeper
	}
	w, err := l.Start(bg, &cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.Kill()
		result(t, w)
	})
	return w
}

// constrained is a target with as much of its own as this machine allows.
func constrained(t testing.TB) Config {
	t.Helper()
	kill := Some(CapSet(1<<5 | 1<<10))
	cfg := Config{
		Namespaces: all(), UIDMap: rootMap(), GIDMap: rootMap(), Hostname: Some("target"),
		Mounts: []Mount{{Target: "/proc", Type: "proc"}}, Cwd: "/usr",
		UID: Some[uint32](1000), GID: Some[uint32](1001), Groups: Some([]uint32{7, 9}),
		Capabilities: Capabilities{kill, kill, kill, kill, kill}, NoNewPrivs: true, Umask: Some[uint32](0o27),
		Rlimits: []Rlimit{{"RLIMIT_NOFILE", 99, 111}, {"RLIMIT_CORE", 0, 4096}}, OOMScoreAdj: Some(77),
		Cgroup: Cgroup{Create: true, V1: map[string]string{}},
	}
	if dir := testCgroup(); dir != "" {
		cfg.Cgroup.V2 = dir + "-target"
	}
	for _, c := range []string{"pids", "freezer"} {
		if _, err := os.Stat("/sys/fs/cgroup/" + c + "/cgroup.procs"); err == nil {
			cfg.Cgroup.V1[c] = "/sys/fs/cgroup/" + c + "/holdshort-target-" + strconv.Itoa(os.Getpid())
		}
	}
	return cfg
}

func TestEnter_TakesEverything(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	for name, change := range map[string]func(*Config){
		"all":               func(*Config) {},
		"no user namespace": func(c *Config) { c.Namespaces, c.UIDMap, c.GIDMap = c.Namespaces[1:], nil, nil },
		"no namespaces": func(c *Config) {
			c.Namespaces, c.UIDMap, c.GIDMap, c.Hostname, c.Mounts = nil, nil, nil, Option[string]{}, nil
		},
		"root with all": func(c *Config) {
			c.UID, c.GID, c.Groups, c.Capabilities, c.NoNewPrivs = Option[uint32]{}, Option[uint32]{}, Option[[]uint32]{}, Capabilities{}, false
		},
		"setgroups denied":   func(c *Config) { c.DenySetgroups, c.Groups = true, Option[[]uint32]{} },
		"an init of its own": func(c *Config) { c.Init = true },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := constrained(t)
			change(&cfg)
			target := start(t, l, cfg, nil)
			want := traits(t, target.HostPID())
			for _, how := range []string{"pid", "pidfd"} {
				into := Config{Enter: &Enter{PID: target.HostPID()}}
				opts := &Options{}
				if how == "pidfd" {
					fd, err := target.PIDFD()
					if err != nil {
						t.Fatal(err)
					}
					defer fd.Close()
					into.Enter.PID, opts.Target = 0, fd
				}
				w := start(t, l, into, opts)
				same(t, want, traits(t, w.HostPID()))
				if w.HostPID() == target.HostPID() {
					t.Fatal("not two processes")
				}
			}
		})
	}
}

func TestEnter_OnlyWhatIsListed(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	target := start(t, l, constrained(t), nil)
	theirs, ours := traits(t, target.HostPID()), traits(t, l.AgentPID())
	w := start(t, l, Config{Enter: &Enter{PID: target.HostPID(), Namespaces: []NamespaceKind{Net, UTS}, Skip: aspects}}, nil)
	got := traits(t, w.HostPID())
	for k := range theirs {
		want := ours[k]
		if k == "ns/net" || k == "ns/uts" {
			want = theirs[k]
		}
		if got[k] != want {
			t.Errorf("%s is %q; want %q", k, got[k], want)
		}
	}
	// What is asked for comes before what the target has.
	w = start(t, l, Config{
		Enter: &Enter{PID: target.HostPID()}, Namespaces: []Namespace{{Kind: Net}}, UID: Some[uint32](5), Umask: Some[uint32](0o77),
		Cwd: "/tmp", Rlimits: []Rlimit{{"RLIMIT_NOFILE", 50, 60}},
	}, nil)
	got = traits(t, w.HostPID())
	same(t, theirs, got, "ns/net", "Uid:", "Umask:", "cwd", "limits")
	if got["ns/net"] == theirs["ns/net"] || got["ns/net"] == ours["ns/net"] || got["Uid:"] != "100005\t100005\t100005\t100005" || got["Umask:"] != "0077" {
		t.Errorf("%v", got)
	}
	// An empty list is no namespaces.
	w = start(t, l, Config{Enter: &Enter{PID: target.HostPID(), Namespaces: []NamespaceKind{}, Skip: aspects}}, nil)
	same(t, ours, traits(t, w.HostPID()))
}

// The net namespace belongs to the outer user namespace, the mount namespace to
// the target's own: no order of single calls joins both for every caller.
func TestEnter_NamespacesOfTwoOwners(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("needs unshare(1)")
	}
	l := newLauncher(t)
	for name, script := range map[string]string{
		"user last":  "exec unshare -n unshare -U -r -m sleep 1000",
		"user first": "exec unshare -U -r unshare -n -m -u sleep 1000",
		"nested":     "exec unshare -n unshare -U -r unshare -U -r -i sleep 1000",
	} {
		t.Run(name, func(t *testing.T) {
			target := start(t, l, Config{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}, nil)
			awaitComm(t, target, "sleep")
			w := start(t, l, Config{Enter: &Enter{PID: target.HostPID()}}, nil)
			same(t, traits(t, target.HostPID()), traits(t, w.HostPID()))
		})
	}
}

// A root that is not that of the mount namespace.
func TestEnter_Chroot(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	dir := t.TempDir()
	script := "cd " + dir + ` && mount -t tmpfs none . && mkdir usr && mount --bind /usr usr && ln -s usr/bin bin && ln -s usr/lib lib &&
		ln -s usr/lib64 lib64 && exec chroot . /bin/sleep 1000`
	target := start(t, l, Config{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Namespaces: []Namespace{{Kind: Mnt}}}, nil)
	awaitComm(t, target, "sleep")
	want := traits(t, target.HostPID())
	if want["root"] == traits(t, l.AgentPID())["root"] {
		t.Fatal("the target has no root of its own")
	}
	w := start(t, l, Config{Enter: &Enter{PID: target.HostPID()}}, nil)
	same(t, want, traits(t, w.HostPID()))
	// Skipped, it is the root of the mount namespace.
	w = start(t, l, Config{Enter: &Enter{PID: target.HostPID(), Skip: []Aspect{TakeRoot, TakeCwd}}}, nil)
	if got := traits(t, w.HostPID()); got["root"] == want["root"] || got["ns/mnt"] != want["ns/mnt"] {
		t.Errorf("%v", got)
	}
	// In one's own mount namespace the target's root is nowhere.
	w = start(t, l, Config{Enter: &Enter{PID: target.HostPID()}, Namespaces: []Namespace{{Kind: Mnt}}}, nil)
	if got := traits(t, w.HostPID()); got["root"] == want["root"] || got["ns/mnt"] == want["ns/mnt"] {
		t.Errorf("%v", got)
	}
}

// awaitComm waits until the workload's program is another.
func awaitComm(t testing.TB, w *Workload, comm string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(w.HostPID()) + "/comm")
		if string(b) == comm+"\n" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the target is still %q", b)
		}
	}
}

func TestEnter_Seccomp(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	deny := func(calls ...string) *seccomp.Policy {
		return &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: calls, Action: seccomp.ActErrno}}}
	}
	for _, nnp := range []bool{true, false} {
		cfg := Config{Seccomp: deny("mkdir", "mkdirat"), NoNewPrivs: nnp}
		target := start(t, l, cfg, nil)
		// A second target has two filters: its own and, first, that of the one
		// that it has entered.
		var e *Error
		_, err := l.Start(bg, &Config{Args: sleeper, Enter: &Enter{PID: target.HostPID()}}, nil)
		if !errors.As(err, &e) || e.Stage != StageEnter || !strings.Contains(err.Error(), "StopTarget") {
			t.Fatalf("without a word on its filters: %v", err)
		}
		second := start(t, l, Config{Enter: &Enter{PID: target.HostPID(), StopTarget: true}, Seccomp: deny("rmdir", "unlinkat")}, nil)
		want := traits(t, second.HostPID())
		if want["Seccomp_filters:"] != "2" {
			t.Fatalf("%q filters; want 2", want["Seccomp_filters:"])
		}
		third := start(t, l, Config{Enter: &Enter{PID: second.HostPID(), StopTarget: true}}, nil)
		same(t, want, traits(t, third.HostPID()))
		out := output(t, l, Config{Enter: &Enter{PID: second.HostPID(), StopTarget: true}}, "mkdir /tmp/x 2>&1; rmdir /tmp 2>&1; true")
		if strings.Count(out, "not permitted") != 2 {
			t.Errorf("filters do not work: %s", out)
		}
		for _, w := range []*Workload{target, second} {
			if b, _ := os.ReadFile("/proc/" + strconv.Itoa(w.HostPID()) + "/status"); !strings.Contains(string(b), "TracerPid:\t0") || strings.Contains(strings.ToUpper(string(b)), "STATE:\tT") {
				t.Errorf("the target was not let go:\n%s", b)
			}
			if len(w.stops()) > 0 {
				t.Errorf("the target's parent saw it stop")
			}
		}
		if w := start(t, l, Config{Enter: &Enter{PID: second.HostPID(), Skip: []Aspect{TakeSeccomp}}}, nil); traits(t, w.HostPID())["Seccomp_filters:"] != "0" {
			t.Error("filters taken that were to be skipped")
		}
	}
	// A filter that would not let the launch end is found before it begins.
	target := start(t, l, Config{NoNewPrivs: true}, nil)
	w, err := l.prepare(&Config{Args: sleeper, Enter: &Enter{PID: target.HostPID(), StopTarget: true}}, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := compileFilter(deny("execve"))
	w.plan.target.filters = []agent.Filter{{Program: f.bytes}}
	w.plan.final = batch{}
	w.plan.finalSteps()
	if err := w.plan.final.err; err == nil || !strings.Contains(err.Error(), "execve") {
		t.Errorf("a filter without execve: %v", err)
	}
	w.plan.close()
}

// The target ends at every point of the launch; the error is always the same.
func TestEnter_TargetDies(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	dead := func(t *testing.T, err error) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, unix.ESRCH) || e.Stage != StageEnter || !strings.Contains(err.Error(), "the target has ended") {
			t.Errorf("%v; want ESRCH at the stage enter", err)
		}
	}
	end := func(t *testing.T, w *Workload) {
		t.Helper()
		_ = w.Kill()
		result(t, w)
	}
	t.Run("before", func(t *testing.T) {
		target := start(t, l, constrained(t), nil)
		fd, err := target.PIDFD()
		if err != nil {
			t.Fatal(err)
		}
		defer fd.Close()
		end(t, target)
		_, err = l.Start(bg, &Config{Args: sleeper, Enter: &Enter{}}, &Options{Target: fd})
		var e *Error
		if !errors.As(err, &e) || e.Stage != StageEnter || !errors.Is(err, unix.ESRCH) {
			t.Errorf("%v", err)
		}
		_, err = l.Start(bg, &Config{Args: sleeper, Enter: &Enter{PID: target.HostPID()}}, nil)
		if !errors.As(err, &e) || e.Stage != StageEnter || !errors.Is(err, unix.ESRCH) {
			t.Errorf("%v", err)
		}
	})
	t.Run("between reading and joining", func(t *testing.T) {
		for _, ns := range [][]Namespace{all(), {{Kind: PID}}, {{Kind: Net}}} {
			cfg := constrained(t)
			cfg.Namespaces, cfg.Hostname, cfg.Mounts = ns, Option[string]{}, nil
			if len(ns) == 1 {
				cfg.UIDMap, cfg.GIDMap = nil, nil
			}
			cfg.Cgroup = Cgroup{} // would be gone with the target
			target := start(t, l, cfg, nil)
			w, err := l.prepare(&Config{Args: sleeper, Enter: &Enter{PID: target.HostPID()}}, &Options{})
			if err != nil {
				t.Fatal(err)
			}
			end(t, target)
			dead(t, w.spawn(bg))
		}
	})
	t.Run("while parked", func(t *testing.T) {
		target := start(t, l, Config{Namespaces: []Namespace{{Kind: Net}}}, nil)
		w := spawn(t, l, Config{Enter: &Enter{PID: target.HostPID()}}, nil)
		end(t, target)
		proceed(t, w) // it holds the namespace by now
		end(t, w)
		target = start(t, l, Config{Namespaces: []Namespace{{Kind: PID}}}, nil)
		w = spawn(t, l, Config{Enter: &Enter{PID: target.HostPID()}}, nil)
		end(t, target) // its pid namespace ends all that is in it
		if r := result(t, w); r.State != Signaled || r.Signal != unix.SIGKILL || r.Ran {
			t.Errorf("%+v", r)
		}
	})
	t.Run("races", func(t *testing.T) {
		for i := range 60 {
			target := start(t, l, Config{Namespaces: []Namespace{{Kind: PID}, {Kind: Net}}}, nil)
			go func() {
				ts := unix.NsecToTimespec(int64(i) * 20000)
				_ = unix.Nanosleep(&ts, nil)
				_ = target.Kill()
			}()
			w, err := l.Start(bg, &Config{Args: sleeper, Enter: &Enter{PID: target.HostPID()}}, nil)
			if err == nil {
				if r := result(t, w); r.Signal != unix.SIGKILL {
					t.Errorf("%+v", r)
				}
				continue
			}
			var e *Error
			if !errors.As(err, &e) && !errors.Is(err, ErrEnded) || e != nil && e.Stage != StageEnter && e.Stage != StageClone {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestEnter_Refused(t *testing.T) {
	l := newLauncher(t)
	for name, tt := range map[string]struct {
		enter Enter
		more  Config
		want  string
	}{
		"no target":    {Enter{}, Config{}, "neither a pid"},
		"negative":     {Enter{PID: -1}, Config{}, "pid -1"},
		"no such kind": {Enter{PID: 1, Namespaces: []NamespaceKind{"net", "mount"}}, Config{}, `unknown kind "mount"`},
		"no such word": {Enter{PID: 1, Skip: []Aspect{"all"}}, Config{}, `unknown word "all"`},
		"init":         {Enter{PID: 1}, Config{Init: true}, "init"},
	} {
		cfg := tt.more
		cfg.Args, cfg.Enter = sleeper, &tt.enter
		if _, err := l.Start(bg, &cfg, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", name, err, tt.want)
		}
	}
	if _, err := l.Start(bg, &Config{Enter: &Enter{PID: 1}}, nil); err == nil || !strings.Contains(err.Error(), "args") {
		t.Errorf("no program: %v", err)
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := l.Start(bg, &Config{Args: sleeper, Enter: &Enter{}}, &Options{Target: file}); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "not a pidfd") {
		t.Errorf("a file that is no pidfd: %v", err)
	}
	w := spawn(t, l, Config{}, nil)
	if err := w.Apply(bg, &Config{Enter: &Enter{PID: 1}}); !errors.Is(err, ErrBirth) {
		t.Errorf("while parked: %v; want ErrBirth", err)
	}
	_ = w.Abort(bg)
}

// The agent that dies, the launch that is cancelled: nothing of it is left.
func TestEnter_LeavesNothing(t *testing.T) {
	needRoot(t)
	leavesNothing(t, func() {
		l, err := New(bg)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cfg := constrained(t)
		cfg.Args = sleeper
		target, err := l.Start(bg, &cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		into := Config{Args: sleeper, Enter: &Enter{PID: target.HostPID()}}
		for range 10 {
			w := spawn(t, l, into, nil)
			if err := w.Abort(bg); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(bg)
			cancel()
			if _, err := l.Spawn(ctx, &into, nil); err == nil {
				t.Fatal("spawned although its context had ended")
			}
			bad := into
			bad.Args = []string{"/nonexistent"}
			if _, err := l.Start(bg, &bad, nil); err == nil {
				t.Fatal("started a missing program")
			}
			bad = into
			bad.Cgroup.V2 = "/nonexistent"
			if _, err := l.Start(bg, &bad, nil); err == nil {
				t.Fatal("started in a missing cgroup")
			}
		}
		_ = target.Kill()
		result(t, target)
	})
}
