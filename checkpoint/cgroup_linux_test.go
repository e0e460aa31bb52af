package checkpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint/devices"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// hierarchy is where a controller is mounted.
type hierarchy struct {
	mount string
	v1    string // the controller, if it is version 1
}

// withController finds the controller, in version 2 ("" is any such hierarchy)
// or version 1, or skips the test.
func withController(t *testing.T, v2, v1 string) hierarchy {
	t.Helper()
	needRoot(t)
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if v1 != "" && m.FSType == "cgroup" && slices.Contains(strings.Split(m.VFSOptions, ","), v1) {
			return hierarchy{m.Mountpoint, v1}
		}
		if v1 == "" && m.FSType == "cgroup2" {
			have, _ := words(filepath.Join(m.Mountpoint, "cgroup.controllers"))
			if v2 == "" || slices.Contains(have, v2) {
				return hierarchy{m.Mountpoint, ""}
			}
		}
	}
	if v1 != "" {
		t.Skipf("needs the controller %s of cgroup version 1", v1)
	}
	t.Skipf("needs a cgroup2 mount with the controller %q", v2)
	return hierarchy{}
}

// since are the files that came later than their controller, and the version of
// Linux that is meant by the skip (Documentation/admin-guide/cgroup-v2.rst).
var since = map[string]string{"cpu.max.burst": "5.14", "cpu.idle": "5.15"}

// needFile skips the test where the kernel's controller lacks one of these files.
func (h hierarchy) needFile(t *testing.T, controller, file string) {
	t.Helper()
	if since[file] == "" {
		return
	}
	dir := filepath.Join(h.mount, "holdshort-file-"+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(filepath.Join(h.mount, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		t.Skipf("needs %s (since Linux %s)", file, since[file])
	}
}

// group places a workload into a new cgroup of the hierarchy.
func (h hierarchy) group(t *testing.T, more Cgroup) Cgroup {
	t.Helper()
	dir := filepath.Join(h.mount, "holdshort-test-"+strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(time.Now().UnixNano()%1e9, 36))
	t.Cleanup(func() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
			_ = removeCgroups([]string{dir})
		}
	})
	more.Create = true
	if h.v1 == "" {
		more.V2 = dir
	} else {
		more.V1 = map[string]string{h.v1: dir}
		for i := range more.Limits {
			more.Limits[i].Controller = h.v1
		}
	}
	return more
}

// run parks a workload, looks at it, lets it run a script, and returns what it
// said.
func runIn(t *testing.T, cfg Config, script string, parked func(*Workload)) (string, Result) {
	t.Helper()
	l := newLauncher(t)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg.Args = []string{"/bin/sh", "-c", script}
	cfg.Env = append(cfg.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	w, err := l.Spawn(bg, &cfg, &Options{Stdout: out, Stderr: out})
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(bg) }()
	if parked != nil {
		parked(w)
	}
	if err := w.Proceed(bg); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n := 0
	for {
		k, err := r.Read(b[n:])
		n += k
		if err != nil || k == 0 {
			break
		}
	}
	res, _ := w.Wait(bg)
	return strings.TrimSpace(string(b[:n])), res
}

// TestCgroupLimits writes each limit, on whichever version has it, and has the
// workload read it back from where it is itself.
func TestCgroupLimits(t *testing.T) {
	for name, row := range map[string]struct {
		controller  string
		v1          bool
		file, value string
		want        string // if not value
	}{
		"memory.max":           {controller: "memory", file: "memory.max", value: "33554432"},
		"memory.high":          {controller: "memory", file: "memory.high", value: "16777216"},
		"memory.low":           {controller: "memory", file: "memory.low", value: "1048576"},
		"memory.min":           {controller: "memory", file: "memory.min", value: "1048576"},
		"memory.swap.max":      {controller: "memory", file: "memory.swap.max", value: "0"},
		"memory.oom.group":     {controller: "memory", file: "memory.oom.group", value: "1"},
		"cpu.max":              {controller: "cpu", file: "cpu.max", value: "50000 100000"},
		"cpu.weight":           {controller: "cpu", file: "cpu.weight", value: "77"},
		"cpu.max.burst":        {controller: "cpu", file: "cpu.max.burst", value: "0"},
		"cpu.idle":             {controller: "cpu", file: "cpu.idle", value: "1"},
		"cpuset.cpus":          {controller: "cpuset", file: "cpuset.cpus", value: "0"},
		"cpuset.mems":          {controller: "cpuset", file: "cpuset.mems", value: "0"},
		"io.weight":            {controller: "io", file: "io.weight", value: "default 50"},
		"pids.max":             {controller: "pids", file: "pids.max", value: "44"},
		"hugetlb.2MB.max":      {controller: "hugetlb", file: "hugetlb.2MB.max", value: "4194304"},
		"hugetlb.2MB.rsvd.max": {controller: "hugetlb", file: "hugetlb.2MB.rsvd.max", value: "4194304"},

		"v1 memory":      {"memory", true, "memory.limit_in_bytes", "33554432", ""},
		"v1 memory soft": {"memory", true, "memory.soft_limit_in_bytes", "16777216", ""},
		"v1 swappiness":  {"memory", true, "memory.swappiness", "7", ""},
		"v1 cpu shares":  {"cpu", true, "cpu.shares", "77", ""},
		"v1 cpu quota":   {"cpu", true, "cpu.cfs_quota_us", "50000", ""},
		"v1 cpuset":      {"cpuset", true, "cpuset.cpus", "0", ""},
		"v1 pids":        {"pids", true, "pids.max", "44", ""},
		"v1 hugetlb":     {"hugetlb", true, "hugetlb.2MB.limit_in_bytes", "4194304", ""},
		"v1 net_cls":     {"net_cls", true, "net_cls.classid", "1048577", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := hierarchy{}
			if row.v1 {
				h = withController(t, "", row.controller)
			} else {
				h = withController(t, row.controller, "")
			}
			h.needFile(t, row.controller, row.file)
			g := h.group(t, Cgroup{Limits: []CgroupLimit{{File: row.file, Value: row.value}}})
			dir := g.V2
			if row.v1 {
				dir = g.V1[row.controller]
			}
			if _, err := os.Stat(filepath.Join(h.mount, "..")); err != nil {
				t.Fatal(err)
			}
			got, _ := runIn(t, Config{Cgroup: g}, "cat "+filepath.Join(dir, row.file)+"; cat "+filepath.Join(dir, "cgroup.procs")+" | grep -c ^$$\\$", nil)
			want := row.value
			if got != want+"\n1" {
				t.Errorf("%q, want %q and the workload in it", got, want)
			}
		})
	}
}

// TestCgroupControllerThatIsNotThere is refused with the reason.
func TestCgroupControllerThatIsNotThere(t *testing.T) {
	h := withController(t, "", "")
	g := h.group(t, Cgroup{Limits: []CgroupLimit{{File: "nosuch.max", Value: "1"}}})
	l := newLauncher(t)
	_, err := l.Spawn(bg, &Config{Args: []string{"/bin/true"}, Cgroup: g}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageCgroup || !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "has no controller nosuch") {
		t.Errorf("%v; want a refusal at %s that says which controllers there are", err, StageCgroup)
	}
}

// TestCgroupWithProcessesAbove: controllers cannot be enabled below a cgroup
// that has processes.
func TestCgroupWithProcessesAbove(t *testing.T) {
	h := withController(t, "memory", "")
	l := newLauncher(t)
	outer := h.group(t, Cgroup{})
	w, err := l.Start(bg, &Config{Args: []string{"/bin/sleep", "100"}, Cgroup: outer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(bg) }()
	inner := Cgroup{V2: outer.V2 + "/inner", Create: true, Limits: []CgroupLimit{{File: "memory.max", Value: "33554432"}}}
	_, err = l.Spawn(bg, &Config{Args: []string{"/bin/true"}, Cgroup: inner}, nil)
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "has processes of its own") {
		t.Errorf("%v; want EBUSY that says why", err)
	}
}

// TestCgroupOOMKill: the events tell of it, and so does the result.
func TestCgroupOOMKill(t *testing.T) {
	for name, row := range map[string]struct{ v2, v1, file, swap string }{
		"version 2": {"memory", "", "memory.max", "memory.swap.max"},
		"version 1": {"", "memory", "memory.limit_in_bytes", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := withController(t, row.v2, row.v1)
			limits := []CgroupLimit{{File: row.file, Value: "8388608"}}
			if row.swap != "" {
				if _, err := os.Stat("/proc/swaps"); err == nil {
					limits = append(limits, CgroupLimit{File: row.swap, Value: "0"})
				}
			}
			_, res := runIn(t, Config{Cgroup: h.group(t, Cgroup{Limits: limits})}, "exec dd if=/dev/zero of=/dev/null bs=64M count=1", nil)
			if res.Signal != unix.SIGKILL || res.OOM != Some(true) {
				t.Errorf("%s, oom %+v; want killed for want of memory", res, res.OOM)
			}
		})
	}
}

// TestCgroupEvents waits for what the kernel tells of.
func TestCgroupEvents(t *testing.T) {
	h := withController(t, "", "")
	l := newLauncher(t)
	w, err := l.Start(bg, &Config{Args: []string{"/bin/sleep", "100"}, Cgroup: h.group(t, Cgroup{})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(bg) }()
	g := w.Cgroup()
	if e, err := g.Read("cgroup.events"); err != nil || e["populated"] != 1 || e["frozen"] != 0 {
		t.Errorf("%v, %v; want it populated and not frozen", e, err)
	}
	frozen := make(chan error, 1)
	go func() {
		_, err := g.Await(bg, "cgroup.events", func(e map[string]uint64) bool { return e["frozen"] == 1 })
		frozen <- err
	}()
	if err := g.Freeze(bg); err != nil {
		t.Fatal(err)
	}
	if err := <-frozen; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	defer cancel()
	if _, err := g.Await(ctx, "cgroup.events", func(e map[string]uint64) bool { return e["frozen"] == 0 }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want the end of the context", err)
	}
	if err := g.Thaw(); err != nil {
		t.Error(err)
	}
	if _, err := g.Await(bg, "cgroup.events", func(e map[string]uint64) bool { return e["frozen"] == 0 }); err != nil {
		t.Error(err)
	}
	if _, err := g.Read("nosuch.events"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v; want ENOENT", err)
	}
}

// TestCgroupPidsEvents: forks that the limit refuses are counted.
func TestCgroupPidsEvents(t *testing.T) {
	for name, row := range map[string]struct{ v2, v1 string }{"version 2": {"pids", ""}, "version 1": {"", "pids"}} {
		t.Run(name, func(t *testing.T) {
			h := withController(t, row.v2, row.v1)
			l := newLauncher(t)
			g := h.group(t, Cgroup{Limits: []CgroupLimit{{File: "pids.max", Value: "2"}}})
			// The subshell is the second process, and may not have one itself.
			w, err := l.Start(bg, &Config{Args: []string{"/bin/sh", "-c", "( (:); : ) 2>/dev/null; exec /bin/sleep 100"}, Cgroup: g}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Kill(); _, _ = w.Wait(bg) }()
			e := map[string]uint64{}
			for range 500 {
				if e, err = w.Cgroup().Read("pids.events"); err != nil || e["max"] > 0 {
					break
				}
				pause(1)
			}
			if err != nil || e["max"] == 0 {
				t.Errorf("%v, %v; want refused forks to be counted", e, err)
			}
		})
	}
}

// TestCgroupPressure: a busy pair of processes on a tenth of a CPU has to wait,
// and a trigger tells so.
func TestCgroupPressure(t *testing.T) {
	h := withController(t, "cpu", "")
	l := newLauncher(t)
	w, err := l.Start(bg, &Config{
		Args:   []string{"/bin/sh", "-c", "while :; do :; done & while :; do :; done"},
		Cgroup: h.group(t, Cgroup{Limits: []CgroupLimit{{File: "cpu.max", Value: "10000 100000"}}}),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(bg) }()
	g := w.Cgroup()
	if _, _, err := g.Pressure("cpu"); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		t.Skip("needs psi=1: ", err)
	}
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	if err := g.AwaitPressure(ctx, "cpu", "some", 100*time.Millisecond, 2*time.Second); err != nil {
		t.Error("trigger:", err)
	}
	some, _, err := g.Pressure("cpu")
	if err != nil || some.Total == 0 {
		t.Errorf("%+v, %v; want time lost", some, err)
	}
	if err := g.AwaitPressure(ctx, "cpu", "some", time.Second, time.Millisecond); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a window of a millisecond: %v; want EINVAL", err)
	}
}

// TestCgroupFreeze: parked and frozen, a workload stays whatever it is told,
// and can be ended.
func TestCgroupFreeze(t *testing.T) {
	for name, v1 := range map[string]string{"version 2": "", "version 1": "freezer"} {
		spawn := func(t *testing.T) *Workload {
			t.Helper()
			h := withController(t, "", v1)
			w, err := newLauncher(t).Spawn(bg, &Config{Args: []string{"/bin/true"}, Cgroup: h.group(t, Cgroup{Freeze: true})}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if on, err := w.Cgroup().Frozen(); !on || err != nil {
				t.Fatalf("frozen %t, %v", on, err)
			}
			return w
		}
		t.Run(name+", told to proceed", func(t *testing.T) {
			w := spawn(t)
			ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
			defer cancel()
			if err := w.Proceed(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v; want it to stay", err)
			}
			if err := w.Cgroup().Thaw(); err != nil {
				t.Fatal(err)
			}
			if res, _ := w.Wait(bg); res.State != Exited || !res.Ran {
				t.Errorf("%s", res)
			}
		})
		t.Run(name+", aborted", func(t *testing.T) {
			w := spawn(t)
			if err := w.Abort(bg); err != nil {
				t.Error(err)
			}
			if res, _ := w.Wait(bg); res.State != Aborted || res.Ran {
				t.Errorf("%s", res)
			}
		})
		t.Run(name+", killed", func(t *testing.T) {
			w := spawn(t)
			if err := w.Kill(); err != nil {
				t.Error(err)
			}
			if res, _ := w.Wait(bg); res.State != Signaled || res.Signal != unix.SIGKILL {
				t.Errorf("%s", res)
			}
		})
		t.Run(name+", killed with its tree", func(t *testing.T) {
			w := spawn(t)
			if _, err := w.KillTree(bg); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCgroupDelegate: the workload, root of its user namespace and nobody
// outside, makes a cgroup below its own and moves there.
func TestCgroupDelegate(t *testing.T) {
	h := withController(t, "", "")
	g := h.group(t, Cgroup{Delegate: true})
	cfg := Config{
		Namespaces: []Namespace{{Kind: User}, {Kind: Cgroups}, {Kind: Mnt}}, UIDMap: rootMap(), GIDMap: rootMap(),
		UID: Some[uint32](0), GID: Some[uint32](0), Cgroup: g,
	}
	try := "mkdir " + g.V2 + "/sub && echo $$ > " + g.V2 + "/sub/cgroup.procs && cat /proc/self/cgroup | grep ^0; echo 7 > " + g.V2 + "/cgroup.max.depth"
	got, _ := runIn(t, cfg, try+" || echo depth refused", func(w *Workload) {
		for _, f := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "cgroup.max.depth"} {
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(g.V2, f), &st); err != nil {
				t.Error(err)
			}
			want := uint32(100000)
			if f == "cgroup.max.depth" {
				want = 0 // a limit is not theirs
			}
			if st.Uid != want || st.Gid != want {
				t.Errorf("%q belongs to %d:%d, want %d", f, st.Uid, st.Gid, want)
			}
		}
	})
	if !strings.Contains(got, "0::/sub") || !strings.Contains(got, "depth refused") {
		t.Errorf("delegated: %q", got)
	}
	// Without it none of this.
	g = h.group(t, Cgroup{})
	cfg.Cgroup = g
	got, _ = runIn(t, cfg, "mkdir "+g.V2+"/sub && echo made", nil)
	if strings.Contains(got, "made") {
		t.Errorf("not delegated: %q", got)
	}
}

func TestCgroupIsValidated(t *testing.T) {
	for name, row := range map[string]struct {
		g    Cgroup
		want string
	}{
		"freeze as a limit":      {Cgroup{V2: "/x", Limits: []CgroupLimit{{File: "cgroup.freeze", Value: "1"}}}, "ask for cgroup.freeze"},
		"freeze what":            {Cgroup{Freeze: true}, "cgroup.freeze: needs"},
		"devices of what":        {Cgroup{Devices: Some([]devices.Rule{})}, "cgroup.devices: needs"},
		"a rule":                 {Cgroup{V2: "/x", Devices: Some([]devices.Rule{{Type: "x"}})}, "cgroup.devices[0]"},
		"delegate what is there": {Cgroup{V2: "/x", Delegate: true}, "made for it"},
	} {
		c := Config{Args: []string{"x"}, Cgroup: row.g}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
