package checkpoint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/checkpoint/seccomp/notify"
	"github.com/holdshort/holdshort/internal/exitzero"
	"golang.org/x/sys/unix"
)

// notifyOf allows everything and notifies of some calls.
func notifyOf(calls ...string) *seccomp.Policy {
	return &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: calls, Action: seccomp.ActNotify}}}
}

// answering returns Options.Notify that answers each call with f.
func answering(t *testing.T, f func(l *notify.Listener, n *notify.Notification) error) func(*Workload, *os.File) error {
	t.Helper()
	return func(_ *Workload, file *os.File) error {
		l := notify.New(file)
		go func() {
			defer l.Close()
			for {
				n, err := l.Receive()
				if err != nil {
					return
				}
				_ = f(l, n)
			}
		}()
		return nil
	}
}

// tryNotified is try with a listener.
func tryNotified(t *testing.T, l *Launcher, cfg Config, what string, f func(*notify.Listener, *notify.Notification) error) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exe, _ := os.Executable()
	cfg.Args = []string{exe, "-test.run=^TestHelperTries$"}
	cfg.Env = append(cfg.Env, "HOLDSHORT_TRY="+what)
	res, err := l.Run(bg, &cfg, &Options{Stdout: w, Stderr: w, Notify: answering(t, f)})
	w.Close()
	out, _ := io.ReadAll(r)
	if err != nil || res.State != Exited || res.ExitCode != 0 {
		t.Fatalf("%s: %v %v\n%s", what, err, res, out)
	}
	_, rest, _ := strings.Cut(string(out), "<")
	name, _, ok := strings.Cut(rest, ">")
	if !ok {
		t.Fatalf("%s: %q", what, out)
	}
	return name
}

// TestNotify: a notified call gets what the host answers, which has seen its
// arguments.
func TestNotify(t *testing.T) {
	l := newLauncher(t)
	dir := filepath.Join(t.TempDir(), "d")
	cfg := Config{NoNewPrivs: true, Seccomp: notifyOf("mkdir", "mkdirat")}
	var asked atomic.Int32
	seen := func(l *notify.Listener, n *notify.Notification) string {
		asked.Add(1)
		at := n.Args[0]
		if n.Call == "mkdirat" {
			at = n.Args[1]
		}
		path, err := l.String(n, at)
		if err != nil {
			t.Errorf("path of %s: %v", n.Call, err)
		}
		return path
	}
	var path atomic.Value
	// In its stead, and not at all.
	got := tryNotified(t, l, cfg, "mkdir:"+dir, func(l *notify.Listener, n *notify.Notification) error {
		path.Store(seen(l, n))
		return l.Return(n, 0)
	})
	if _, err := os.Stat(dir); got != "" || !errors.Is(err, os.ErrNotExist) || path.Load() != dir || asked.Load() != 1 {
		t.Errorf("answer 0: %q, %v, path %v, asked %d times", got, err, path.Load(), asked.Load())
	}
	got = tryNotified(t, l, cfg, "mkdir:"+dir, func(l *notify.Listener, n *notify.Notification) error { return l.Fail(n, unix.EDQUOT) })
	if got != "EDQUOT" {
		t.Errorf("answer EDQUOT: %q", got)
	}
	got = tryNotified(t, l, cfg, "mkdir:"+dir, func(l *notify.Listener, n *notify.Notification) error { return l.Continue(n) })
	if st, err := os.Stat(dir); got != "" || err != nil || !st.IsDir() {
		t.Errorf("continued: %q, %v", got, err)
	}
}

// TestNotifyAddFile: the host can open a file for the workload that the
// workload could not open itself.
func TestNotifyAddFile(t *testing.T) {
	l := newLauncher(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	const name = "/no/such/file"
	answered := make(chan struct{}, 8)
	cfg := Config{NoNewPrivs: true, Seccomp: notifyOf("openat")}
	got := tryNotified(t, l, cfg, "read:"+name, func(l *notify.Listener, n *notify.Notification) error {
		if path, err := l.String(n, n.Args[1]); err != nil || path != name {
			return l.Continue(n)
		}
		fd, err := l.AddFile(n, null)
		if err != nil {
			t.Error(err)
			return l.Fail(n, unix.EIO)
		}
		before, sent, after := l.Valid(n), l.Return(n, int64(fd)), l.Valid(n)
		if before != nil || sent != nil || !errors.Is(after, notify.ErrGone) {
			t.Errorf("valid: %v, answered: %v, and then valid: %v; want that it is gone", before, sent, after)
		}
		answered <- struct{}{}
		return nil
	})
	if got != "" {
		t.Errorf("%q; want that it can be read", got)
	}
	<-answered
}

// TestNotifyExecve: execve itself may be notified, so the host has the listener
// before.
func TestNotifyExecve(t *testing.T) {
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: notifyOf("execve")}
	var asked atomic.Int32
	opts := &Options{Notify: answering(t, func(l *notify.Listener, n *notify.Notification) error { asked.Add(1); return l.Continue(n) })}
	r, err := l.Run(bg, &cfg, opts)
	if err != nil || r.State != Exited || r.ExitCode != 0 || asked.Load() != 1 {
		t.Errorf("%v %v, asked %d times", r, err, asked.Load())
	}
	opts.Notify = answering(t, func(l *notify.Listener, n *notify.Notification) error { return l.Fail(n, unix.ENOTTY) })
	_, err = l.Start(bg, &cfg, opts)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageExec || !errors.Is(err, unix.ENOTTY) {
		t.Errorf("%v; want the answer to execve", err)
	}
}

// TestNotifyUnderStrictFilter: the child can do nothing but execve once the
// filter is loaded, and the listener gets out all the same; also when it was
// cloned twice and is another user in a user namespace.
func TestNotifyUnderStrictFilter(t *testing.T) {
	needRoot(t)
	image := exitzero.ELF()
	if image == nil {
		t.Skip("needs the smallest program for this architecture")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "exitzero")
	if err := os.WriteFile(program, image, 0o755); err != nil {
		t.Fatal(err)
	}
	l := newLauncher(t)
	strict := &seccomp.Policy{DefaultAction: seccomp.ActKillProcess, Syscalls: []seccomp.Rule{
		{Names: []string{"execve"}, Action: seccomp.ActAllow}, {Names: []string{"exit", "exit_group"}, Action: seccomp.ActNotify},
	}}
	for name, cfg := range map[string]Config{
		"plain": {},
		"user namespace": {
			Namespaces: []Namespace{{Kind: User}, {Kind: PID}}, UIDMap: []IDMap{{0, 100000, 1000}}, GIDMap: []IDMap{{0, 100000, 1000}},
			UID: Some[uint32](7), GID: Some[uint32](7),
		},
		"second clone": {Namespaces: []Namespace{{Kind: Time}}, TimeOffsets: TimeOffsets{Boottime: time.Hour}},
	} {
		cfg.Args, cfg.NoNewPrivs, cfg.Seccomp = []string{program}, true, strict
		var asked atomic.Int32
		r, err := l.Run(bg, &cfg, &Options{Notify: answering(t, func(l *notify.Listener, n *notify.Notification) error { asked.Add(1); return l.Continue(n) })})
		if err != nil || r.State != Exited || r.ExitCode != 0 || asked.Load() != 1 {
			t.Errorf("%s: %v %v, asked %d times", name, r, err, asked.Load())
		}
	}
}

func TestNotifyRootless(t *testing.T) {
	if os.Getenv("HOLDSHORT_TEST_NOTIFY") != "" {
		l := newLauncher(t)
		uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
		cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: notifyOf("execve"), Namespaces: []Namespace{{Kind: User}}, UIDMap: []IDMap{{5, uid, 1}}, GIDMap: []IDMap{{5, gid, 1}}, DenySetgroups: true}
		for _, cfg := range []Config{cfg, {Args: cfg.Args, NoNewPrivs: true, Seccomp: cfg.Seccomp}} {
			r, err := l.Run(bg, &cfg, &Options{Notify: answering(t, func(l *notify.Listener, n *notify.Notification) error { return l.Continue(n) })})
			if err != nil || r.State != Exited || r.ExitCode != 0 {
				t.Errorf("%v %v", r, err)
			}
		}
		return
	}
	needRoot(t)
	reexec(t, "^TestNotifyRootless$", "HOLDSHORT_TEST_NOTIFY=1")
}

func TestNotifyRefusals(t *testing.T) {
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: notifyOf("mkdir")}
	var e *Error
	if _, err := l.Start(bg, &cfg, nil); !errors.As(err, &e) || e.Stage != StageSeccomp || !strings.Contains(err.Error(), "Options.Notify") {
		t.Errorf("%v; want that nobody would answer", err)
	}
	// An error of Notify ends the workload before it runs.
	cause := errors.New("nobody home")
	_, err := l.Start(bg, &cfg, &Options{Notify: func(_ *Workload, f *os.File) error { f.Close(); return cause }})
	if !errors.As(err, &e) || e.Stage != StageSeccomp || !errors.Is(err, cause) {
		t.Errorf("%v; want the error of Notify", err)
	}
	// One filter may listen.
	two := cfg
	two.Filters = []*seccomp.Policy{notifyOf("rmdir")}
	if _, err := l.Start(bg, &two, &Options{Notify: func(_ *Workload, f *os.File) error { return f.Close() }}); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "second filter with a listener") {
		t.Errorf("%v; want a refusal of two listeners", err)
	}
	// No number is left for it.
	few := cfg
	few.Rlimits = []Rlimit{{Resource: "RLIMIT_NOFILE", Soft: 3, Hard: 3}}
	if _, err := l.Start(bg, &few, &Options{Notify: func(_ *Workload, f *os.File) error { return f.Close() }}); !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
		t.Errorf("%v; want EMFILE and a hint", err)
	}
	// A caller that gives up meanwhile.
	ctx, cancel := context.WithCancel(bg)
	w, err := l.Spawn(bg, &cfg, &Options{Notify: func(_ *Workload, f *os.File) error { cancel(); return f.Close() }})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Proceed(ctx)
	_ = w.Kill()
	if r, err := w.Wait(bg); err != nil {
		t.Errorf("%v %v", r, err)
	}
}

// Every flag is one that the kernel takes, or is refused as not supported.
func TestFilterFlags(t *testing.T) {
	l := newLauncher(t)
	for _, f := range [][]seccomp.Flag{
		{seccomp.FlagTSync},
		{seccomp.FlagLog},
		{seccomp.FlagSpecAllow},
		{seccomp.FlagTSync, seccomp.FlagTSyncESRCH},
		{seccomp.FlagNewListener},
		{seccomp.FlagWaitKillable},
		{seccomp.FlagTSync, seccomp.FlagWaitKillable, seccomp.FlagLog, seccomp.FlagSpecAllow},
	} {
		p := notifyOf("execve")
		if !strings.Contains(fmt.Sprint(f), "KILLABLE") && f[0] != seccomp.FlagNewListener {
			p = &seccomp.Policy{DefaultAction: seccomp.ActAllow}
		}
		p.Flags = f
		cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: p}
		r, err := l.Run(bg, &cfg, &Options{Notify: answering(t, func(l *notify.Listener, n *notify.Notification) error { return l.Continue(n) })})
		if lacksWaitKillable() && strings.Contains(fmt.Sprint(f), "KILLABLE") {
			if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), "since Linux 5.19") {
				t.Errorf("%v: %v; want that it is not supported", f, err)
			}
			continue
		}
		if err != nil || r.State != Exited || r.ExitCode != 0 {
			t.Errorf("%v: %v %v", f, r, err)
		}
	}
	cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: &seccomp.Policy{DefaultAction: seccomp.ActAllow, Flags: []seccomp.Flag{seccomp.FlagTSyncESRCH}}}
	if r, err := l.Run(bg, &cfg, nil); err != nil || r.ExitCode != 0 {
		t.Errorf("TSYNC_ESRCH alone: %v %v", r, err)
	}
}

// TestFilterStack: all filters hold, the strictest decides, and an earlier one
// must let the later ones be loaded.
func TestFilterStack(t *testing.T) {
	l := newLauncher(t)
	deny := func(errno uint, calls ...string) *seccomp.Policy {
		return &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: calls, Action: seccomp.ActErrno, ErrnoRet: &errno}}}
	}
	dir := filepath.Join(t.TempDir(), "d")
	cfg := Config{NoNewPrivs: true, Filters: []*seccomp.Policy{deny(uint(unix.EDQUOT), "mkdirat", "mkdir"), deny(uint(unix.EXDEV), "kill")}, Seccomp: deny(uint(unix.ENOTTY), "connect")}
	for what, want := range map[string]string{"mkdir:" + dir: "EDQUOT", "signal:1": "EXDEV", "connect:1": "ENOTTY"} {
		if got := try(t, l, cfg, what); got != want {
			t.Errorf("%s: %q; want %q", what, got, want)
		}
	}
	cfg.Filters[0].Syscalls[0].Names = []string{"seccomp"}
	cfg.Args = []string{"/bin/true"}
	var e *Error
	if _, err := l.Start(bg, &cfg, nil); !errors.As(err, &e) || e.Stage != StageSeccomp || e.Index != 0 || !strings.Contains(err.Error(), `"seccomp"`) {
		t.Errorf("%v; want a refusal that names the filter and the call", err)
	}
	cfg.Filters[0], cfg.Filters[1].Syscalls[0].Names = deny(1, "acct"), []string{"execve"}
	if _, err := l.Start(bg, &cfg, nil); !errors.As(err, &e) || e.Index != 1 || !strings.Contains(err.Error(), "execve") {
		t.Errorf("%v; want a refusal that names the second filter and execve", err)
	}
}

// TestNotifyHelperHost is no test: it is a host whose Notify never returns.
func TestNotifyHelperHost(t *testing.T) {
	ticks, err := strconv.ParseUint(os.Getenv("HOLDSHORT_TICKS"), 10, 64)
	if err != nil {
		t.Skip("is a process of other tests")
	}
	waitTicks = ticks
	refuse := os.Getenv("HOLDSHORT_REFUSE")
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: notifyOf("mkdir")}
	if refuse != "" {
		cfg.Seccomp.Syscalls = append(cfg.Seccomp.Syscalls, seccomp.Rule{Names: []string{refuse}, Action: seccomp.ActErrno})
	}
	_, _ = l.Start(bg, &cfg, &Options{Notify: func(w *Workload, _ *os.File) error {
		fmt.Printf("<%d %d>\n", l.AgentPID(), w.HostPID())
		select {}
	}})
}

// hostThatWaits starts one; it returns the ids of host, agent and child, the
// latter with a pidfd.
func hostThatWaits(t *testing.T, ticks uint64) (host *os.Process, agent, child int, pidfd int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestNotifyHelperHost$")
	cmd.Env = append(os.Environ(), "HOLDSHORT_TICKS="+strconv.FormatUint(ticks, 10))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(line, "<%d %d>", &agent, &child); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if pidfd, err = unix.PidfdOpen(child, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); unix.Close(pidfd) })
	return cmd.Process, agent, child, pidfd
}

// TestNotifyHostDies: a child that waits for its listener to be taken does not
// outlive its host, nor its agent, nor both at once.
func TestNotifyHostDies(t *testing.T) {
	// A filter that forbids futex makes the child compute while it waits.
	for name, refuse := range map[string]string{"asleep": "", "computing": "futex"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOLDSHORT_REFUSE", refuse)
			notifyHostDies(t)
		})
	}
}

func notifyHostDies(t *testing.T) {
	t.Helper()
	const long, short = 1 << 45, 1 << 29
	t.Run("host", func(t *testing.T) {
		host, _, child, pidfd := hostThatWaits(t, long)
		utime := func() uint64 { // in ticks of 10 ms, proc(5)
			b, _ := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
			n, _ := strconv.ParseUint(strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[11], 10, 64)
			return n
		}
		before, computes := utime(), os.Getenv("HOLDSHORT_REFUSE") != ""
		endedWithin(pidfd, 300*time.Millisecond)
		for end := time.Now().Add(time.Minute); computes && utime()-before < 3 && time.Now().Before(end); { // as it gets the processor
			endedWithin(pidfd, 300*time.Millisecond)
		}
		if after := utime(); (after-before >= 3) != computes {
			t.Errorf("it computed for %d ticks", after-before)
		}
		_ = host.Kill()
		if !endedWithin(pidfd, time.Minute) {
			t.Error("the child is still there: the agent should have ended it")
		}
	})
	t.Run("agent", func(t *testing.T) {
		_, agent, _, pidfd := hostThatWaits(t, long)
		_ = unix.Kill(agent, unix.SIGKILL)
		if !endedWithin(pidfd, time.Minute) {
			t.Error("the child is still there: the host should have ended it")
		}
	})
	both := func(t *testing.T, ticks uint64) int {
		t.Helper()
		host, agent, _, pidfd := hostThatWaits(t, ticks)
		_ = host.Signal(unix.SIGSTOP) // so that it does not see the agent's death
		var ws unix.WaitStatus
		if _, err := unix.Wait4(host.Pid, &ws, unix.WUNTRACED, nil); err != nil || !ws.Stopped() {
			t.Fatalf("host does not stop: %v %v", ws, err)
		}
		_ = unix.Kill(agent, unix.SIGKILL)
		_ = host.Kill()
		return pidfd
	}
	t.Run("both", func(t *testing.T) {
		if !endedWithin(both(t, short), 20*time.Second) {
			t.Error("the child is still there: its own bound should have ended it")
		}
	})
	// The same without a bound shows that it is the bound that ends it.
	t.Run("both, no bound", func(t *testing.T) {
		if endedWithin(both(t, long), 2*time.Second) {
			t.Error("the child has ended, so the test above shows nothing")
		}
	})
}
