package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/internal/exitzero"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var theFreezer = sync.OnceValues(func() (*Runner, error) { return NewRunner(bg, &RunnerOptions{Freeze: true}) })

// freezer is a runner that freezes, one for all tests.
func freezer(t testing.TB) *Runner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes, ptrace and namespaces")
	}
	r, err := theFreezer()
	if err != nil {
		t.Fatal(err)
	}
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: " + r.ProbesErr.Error())
	}
	t.Cleanup(func() { r.tamper, r.parked, r.stopped, r.held, r.falsify = nil, nil, nil, nil, nil })
	return r
}

// instants of the snapshots, in order.
func instantsOf(c *Case) (list []At) {
	for _, s := range c.snaps {
		list = append(list, s.At)
	}
	return list
}

func (c *Case) check(name string) *Check {
	for i := range c.Checks {
		if c.Checks[i].Name() == name {
			return &c.Checks[i]
		}
	}
	return &Check{}
}

// Requests of every kind are constrained in the freezer as outside, and end as
// they would have.
func TestFreeze_Constrained(t *testing.T) {
	r := freezer(t)
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sh := func(script string) *request.Request { return request.New("/bin/sh", "-c", script) }
	with := func(q *request.Request, f func(*request.Request)) *request.Request { f(q); return q }
	killed := with(request.New("/bin/true"), func(q *request.Request) {
		q.Spec.Process.NoNewPrivileges = true
		q.Spec.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"brk", "exit", "exit_group"}, Action: specs.ActKillProcess}},
		}
	})
	static := file("static", exitzero.ELF())
	for name, c := range map[string]struct {
		req    *request.Request
		code   int
		signal unix.Signal
	}{
		"nothing asked for":    {req: request.New("/bin/true")},
		"eight namespaces":     {req: every()},
		"static":               {req: request.New(static)},
		"script":               {req: request.New(file("script", []byte("#!/bin/sh\nexit 6\n"))), code: 6},
		"session":              {req: with(sh("exit 3"), func(q *request.Request) { q.Ext.Session = true }), code: 3},
		"ends by a signal":     {req: sh("kill -TERM $$"), signal: unix.SIGTERM},
		"killed by its filter": {req: killed, signal: unix.SIGSYS},
		"SIGCONT ignored":      {req: with(sh("exit 4"), func(q *request.Request) { q.Ext.IgnoreSignals = []request.Signal{request.Signal(unix.SIGCONT)} }), code: 4},
		"SIGCONT blocked":      {req: with(request.New("/bin/grep", "-q", "Pnd:.*20000", "/proc/self/status"), func(q *request.Request) { q.Ext.BlockSignals = []request.Signal{request.Signal(unix.SIGCONT)} }), code: 1},
		"stops blocked": {req: with(request.New("/bin/true"), func(q *request.Request) {
			q.Ext.BlockSignals = []request.Signal{request.Signal(unix.SIGTSTP), request.Signal(unix.SIGTTIN)}
		})},
		"no capability and another user": {req: with(request.New("/bin/true"), anotherUser)},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "static" && exitzero.ELF() == nil {
				t.Skip("needs a program for this architecture")
			}
			cs, err := r.Run(bg, c.req, nil)
			if err != nil {
				t.Fatal(err)
			}
			if cs.Verdict != Constrained || cs.Launch.ExitCode != c.code || cs.Launch.Signal != c.signal {
				t.Errorf("verdict %s, status %d, signal %d; want constrained, %d, %d\n%s", cs.Verdict, cs.Launch.ExitCode, cs.Launch.Signal, c.code, c.signal, text(cs))
			}
			if at := instantsOf(cs); !slices.Equal(at, []At{AtExec, AtReturn, AtFrozen, AtFirst, AtExit}) {
				t.Errorf("snapshots at %v", at)
			}
			if len(cs.Launch.Stops) > 0 {
				t.Errorf("stops of the workload: %+v", cs.Launch.Stops)
			}
		})
	}
}

func anotherUser(q *request.Request) {
	q.Ext.KeepIDs = false
	q.Spec.Process.User = specs.User{UID: 12345, GID: 23456, AdditionalGids: []uint32{7}}
	q.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
}

// What no posture shows is judged at the entry point.
func TestFreeze_EvidenceIsOfTheEntry(t *testing.T) {
	r := freezer(t)
	q := request.New("/bin/true")
	ns(specs.MountNamespace, specs.NetworkNamespace)(t, q)
	q.Spec.Mounts = []specs.Mount{{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid"}}}
	q.Ext.Network.LoopbackUp = true
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mounts[0]", "holdshort.network.loopbackUp"} {
		if k := c.check(name); k.Outcome != oracle.Equal || k.At != AtFrozen {
			t.Errorf("%s: %s at %q\n%s", name, k.Outcome, k.At, text(c))
		}
	}
	// A change between parking and entry escapes who looks at the parked one.
	r.stopped = func(pid int) {
		h := held{pid: pid}
		if err := h.inside([]string{"net"}, func() error { return setLoopback(false) }); err != nil {
			t.Error(err)
		}
	}
	if c, err = r.Run(bg, q, nil); err != nil {
		t.Fatal(err)
	}
	if k := c.check("holdshort.network.loopbackUp"); c.Verdict != Violated || k.Outcome != oracle.Weaker || k.At != AtFrozen {
		t.Errorf("verdict %s, %s at %s", c.Verdict, k.Outcome, k.At)
	}
}

func setLoopback(up bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if up {
		req.SetUint16(unix.IFF_UP)
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// A false word of either instrument is caught, in every field that both read,
// and nobody is accused because of it.
func TestFreeze_DisagreementIsCaught(t *testing.T) {
	r := freezer(t)
	req := every()
	control, err := r.Run(bg, req, nil)
	if err != nil || control.Verdict != Constrained {
		t.Fatalf("control: %v\n%s", err, text(control))
	}
	proc := control.snaps[2].Posture
	tried := 0
	for f := range oracle.NumFields {
		if ok, _ := f.Known(proc); !ok {
			continue
		}
		if ok, _ := f.Known(control.snaps[1].Posture); !ok {
			continue
		}
		tried++
		for _, which := range []string{"eBPF", "/proc"} {
			if f == oracle.SignalsPending && which == "/proc" {
				continue // one more may have come from outside meanwhile
			}
			snaps := slices.Clone(control.snaps)
			for i := range snaps {
				if (snaps[i].At == AtFrozen) == (which == "/proc") && snaps[i].At != AtExit {
					snaps[i].Posture = bend(t, snaps[i].Posture, f.String())
				}
			}
			res := Judge(control.exp, snaps, nil, 0)
			got := (&Case{Result: res}).check(f.String())
			if got.Outcome != oracle.Disagreement || got.At == "" || !strings.Contains(got.Why, "/proc says") {
				t.Errorf("%s, false by %s: %s (%s)", f, which, got.Outcome, got.Why)
			}
			if res.Verdict == Constrained || res.Verdict == Unknown && (res.Cause != Contradiction || res.ExitCode() != ExitFault) {
				t.Errorf("%s, false by %s: verdict %s, cause %s", f, which, res.Verdict, res.Cause)
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d fields are read by both", tried)
	}
}

// bend changes one field of a posture, through its JSON form.
func bend(t *testing.T, p *posture.Posture, path string) *posture.Posture {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	at, keys := any(tree), strings.Split(path, ".")
	if keys[0] == "rlimits" {
		i := slices.Index(posture.RlimitNames[:], keys[1])
		tree["rlimits"].([]any)[i] = map[string]int{"soft": 3, "hard": 4}
		return rebuilt(t, tree)
	}
	for _, k := range keys[:len(keys)-1] {
		at = at.(map[string]any)[k]
	}
	m, last := at.(map[string]any), keys[len(keys)-1]
	if l, ok := m[last].([]any); m[last] == nil || ok && len(l) == 0 { // a list that is empty, in either way
		m[last] = map[string]any{
			"ids.groups": []int{1}, "memory.nodes": []int{1}, "exec.env": []string{"X=1"}, "seccomp.filters": []posture.Filter{{}}, "cgroup.v1": []posture.CgroupV1{{}},
		}[path]
		return rebuilt(t, tree)
	}
	m[last] = bent(m[last])
	if path == "signals.pending" { // only one that is blocked has to be seen by both
		m[last], m["blocked"] = 1<<9, 1<<9
	}
	return rebuilt(t, tree)
}

func rebuilt(t *testing.T, tree map[string]any) *posture.Posture {
	t.Helper()
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	q := &posture.Posture{}
	if err := json.Unmarshal(b, q); err != nil {
		t.Fatal(err)
	}
	return q
}

func bent(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Int64()
		return n ^ 1
	case bool:
		return !v
	case string:
		return v + "x"
	case []any:
		return v[:len(v)-1]
	case map[string]any:
		for k := range v { // one member is enough
			if k == "inode" || k == "ino" || k == "major" || k == "open" {
				v[k] = bent(v[k])
			}
		}
		return v
	}
	return v
}

// What happens to a frozen workload makes the evidence void, and never good.
func TestFreeze_Disturbed(t *testing.T) {
	r := freezer(t)
	for name, c := range map[string]struct {
		stopped, held func(pid int)
		want          Verdict
	}{
		"killed while held":     {held: func(pid int) { _ = unix.Kill(pid, unix.SIGKILL) }, want: Unknown},
		"killed while stopped":  {stopped: func(pid int) { _ = unix.Kill(pid, unix.SIGKILL) }, want: Unknown},
		"continued before":      {stopped: func(pid int) { waitStopped(pid); _ = unix.Kill(pid, unix.SIGCONT); waitGone(pid, "true") }, want: Unknown},
		"continued while held":  {held: func(pid int) { _ = unix.Kill(pid, unix.SIGCONT) }, want: Constrained},
		"constrained meanwhile": {held: func(pid int) { _ = unix.Setpriority(unix.PRIO_PROCESS, pid, 5) }, want: Violated},
		"undone before": {stopped: func(pid int) {
			_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 9, Max: 9}, nil)
		}, want: Violated},
	} {
		t.Run(name, func(t *testing.T) {
			r.stopped, r.held = c.stopped, c.held
			q := request.New("/bin/true")
			cs, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if cs.Verdict != c.want {
				t.Errorf("verdict %s, want %s\n%s", cs.Verdict, c.want, text(cs))
			}
			if c.want == Unknown && cs.ExitCode() != ExitFault {
				t.Errorf("exit status %d", cs.ExitCode())
			}
		})
	}
	if n := r.launcher.Live(); n != 0 {
		t.Errorf("%d workloads are left", n)
	}
}

func waitStopped(pid int) {
	for range 5000 {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if strings.Contains(string(b), "State:\tT") {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // a test's poll of /proc
	}
}

// waitGone waits until a process has left its first instruction well behind.
func waitGone(pid int, _ string) {
	for range 5000 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || strings.Contains(string(b), "State:\tZ") {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // a test's poll of /proc
	}
}

// The end of the caller's patience does not leave a frozen workload.
func TestFreeze_Cancelled(t *testing.T) {
	r := freezer(t)
	ctx, cancel := context.WithCancel(bg)
	r.held = func(int) { cancel() }
	c, err := r.Run(ctx, request.New("/bin/sleep", "1000"), nil)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if c != nil && c.Launch.State != checkpoint.Signaled {
		t.Errorf("end: %s", c.Launch)
	}
	if n := r.launcher.Live(); n != 0 {
		t.Errorf("%d workloads are left", n)
	}
}

// Without the privilege to trace there is a reason, and no verdict.
func TestJudge_VoidSecondReading(t *testing.T) {
	r := freezer(t)
	c, err := r.Run(bg, request.New("/bin/true"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, denied := range []bool{true, false} {
		snaps := slices.Clone(c.snaps)
		snaps[2] = Snapshot{At: AtFrozen, Void: "no", Denied: denied}
		res := Judge(c.exp, snaps, nil, 0)
		want := map[bool]int{true: ExitUnsupported, false: ExitFault}[denied]
		if res.Verdict != Unknown || res.ExitCode() != want {
			t.Errorf("denied %v: %s, status %d", denied, res.Verdict, res.ExitCode())
		}
	}
}

// A field that the programs cannot read is judged by the second reading.
func TestJudge_OnlyProcShowsIt(t *testing.T) {
	r := freezer(t)
	c, err := r.Run(bg, every(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []bool{false, true} {
		snaps := slices.Clone(c.snaps)
		for i := range snaps {
			p := *snaps[i].Posture
			if snaps[i].At == AtFrozen {
				if bad {
					p.UserNS.UIDMap = posture.Known([]posture.IDExtent{{Count: 1}})
				}
			} else {
				p.UserNS.UIDMap = posture.Unreadable[[]posture.IDExtent]("planted")
			}
			snaps[i].Posture = &p
		}
		res := Judge(c.exp, snaps, nil, 0)
		k := (&Case{Result: res}).check("user_namespace.uid_map")
		if k.At != AtFrozen || (k.Outcome == oracle.Equal) == bad || (res.Verdict == Constrained) == bad {
			t.Errorf("bad %v: %s at %s, verdict %s", bad, k.Outcome, k.At, res.Verdict)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for _, freeze := range []bool{false, true} {
		b.Run(fmt.Sprintf("freeze=%v", freeze), func(b *testing.B) {
			if os.Geteuid() != 0 {
				b.Skip("needs root")
			}
			r, err := NewRunner(bg, &RunnerOptions{Freeze: freeze})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			if r.ProbesErr != nil {
				b.Skip("needs eBPF: " + r.ProbesErr.Error())
			}
			path := filepath.Join(b.TempDir(), "true")
			if err := os.WriteFile(path, exitzero.ELF(), 0o755); err != nil {
				b.Fatal(err)
			}
			q := request.New(path)
			b.ReportAllocs()
			for b.Loop() {
				if c, err := r.Run(bg, q, nil); err != nil || c.Verdict != Constrained {
					b.Fatal(err, c)
				}
			}
		})
	}
}

// A workload whose cgroup is frozen while it is parked is thawed, held at its
// entry point all the same, and goes on.
func TestFreeze_OfFrozenCgroup(t *testing.T) {
	r := freezer(t)
	if h := r.machine.host; h.CgroupV2 == "" && h.CgroupV1["freezer"] == "" {
		t.Skip("needs a cgroup of version 2, or of the freezer controller")
	}
	q := request.New("/bin/true")
	q.Spec.Linux.CgroupsPath = "/holdshort-freeze-" + strconv.Itoa(os.Getpid())
	q.Ext.Cgroup.Freeze = true
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	c, err := r.Run(ctx, q, nil)
	if err != nil || c.Verdict != Constrained || c.Launch.State != checkpoint.Exited || !slices.ContainsFunc(c.snaps, func(s Snapshot) bool { return s.At == AtFrozen && s.Void == "" }) {
		t.Fatalf("%v\n%s", err, text(c))
	}
	if k := c.check(cgroupFreeze); k.Outcome != oracle.Equal {
		t.Errorf("%s is %s", cgroupFreeze, k.Outcome)
	}
}

// An execve that fails when the old program is gone kills the workload before
// it could be held, or seen at all (begin_new_exec, fs/exec.c).
func TestFrozen_DiesInExecve(t *testing.T) {
	r := frozenRunner(t, nil)
	q := request.New("/bin/true")
	q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_AS", Soft: 1 << 16, Hard: 1 << 16}}
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Unknown || c.Launch.State != checkpoint.Signaled {
		t.Errorf("%s, %s\n%s", c.Verdict, c.Launch.String(), text(c))
	}
}
