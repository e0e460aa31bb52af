package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// init makes the test binary a workload that prints what prctl(2) tells of it.
func init() {
	if os.Getenv("HOLDSHORT_TELL") == "" {
		return
	}
	for name, option := range map[string]int{
		"thp_disable": unix.PR_GET_THP_DISABLE, "mdwe": unix.PR_GET_MDWE, "merge": unix.PR_GET_MEMORY_MERGE, "io_flusher": unix.PR_GET_IO_FLUSHER,
	} {
		n, err := unix.PrctlRetInt(option, 0, 0, 0, 0)
		if err != nil {
			n = -1
		}
		fmt.Printf("%s=%d\n", name, n)
	}
	b, _ := os.ReadFile("/proc/self/autogroup")
	fmt.Printf("autogroup=%s\n", strings.TrimSpace(string(b)))
	b, _ = os.ReadFile("/proc/self/numa_maps")
	f := strings.Fields(string(b))
	if len(f) > 1 {
		fmt.Printf("mempolicy=%s\n", f[1])
	}
	if a, err := unix.SchedGetAttr(0, 0); err == nil {
		fmt.Printf("policy=%d runtime=%d deadline=%d period=%d flags=%#x uclamp=%d-%d\n", a.Policy, a.Runtime, a.Deadline, a.Period, a.Flags, a.Util_min, a.Util_max)
	}
	os.Exit(0)
}

// tell runs this binary as the workload and returns what it told.
func tell(t *testing.T, cfg Config) ([]string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg.Args = []string{"/proc/self/exe"}
	if cfg.Path, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	cfg.Env = []string{"HOLDSHORT_TELL=1"}
	l := newLauncher(t)
	res, err := l.Run(context.Background(), &cfg, &Options{Stdout: w, Stderr: w})
	w.Close()
	if err == nil {
		err = res.Err
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, 1<<16)
	n, _ := r.Read(b)
	if res.State != Exited || res.ExitCode != 0 {
		t.Fatalf("%s\n%s", res, b[:n])
	}
	return strings.Split(strings.TrimSpace(string(b[:n])), "\n"), nil
}

// TestTuning asks the program itself, after execve, what is left of each.
func TestTuning(t *testing.T) {
	needRoot(t)
	batch := Sched{Policy: unix.SCHED_BATCH}
	deadline := Sched{Policy: 6, Runtime: 10 * time.Millisecond, Deadline: 20 * time.Millisecond, Period: 30 * time.Millisecond, ResetOnFork: true}
	for name, row := range map[string]struct {
		cfg  Config
		want string
		lack error  // what a kernel without it answers
		need string // and what that is
	}{
		"thp disabled":           {Config{Memory: Memory{THPDisable: Some(true)}}, "thp_disable=1", unix.EINVAL, "CONFIG_TRANSPARENT_HUGEPAGE"},
		"thp allowed":            {Config{Memory: Memory{THPDisable: Some(false)}}, "thp_disable=0", unix.EINVAL, "CONFIG_TRANSPARENT_HUGEPAGE"},
		"mdwe":                   {Config{Memory: Memory{DenyWriteExec: true}}, "mdwe=1", unix.EINVAL, "PR_SET_MDWE"},
		"merge":                  {Config{Memory: Memory{Merge: Some(true)}}, "merge=1", unix.EINVAL, "PR_SET_MEMORY_MERGE"},
		"memory policy":          {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: MPOLBind, Nodes: []int{0}})}}, "mempolicy=bind:0", unix.ENOSYS, "CONFIG_NUMA"},
		"memory policy, static":  {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: MPOLInterleave, Nodes: []int{0}, Flags: MPOLStaticNodes})}}, "mempolicy=interleave=static:0", unix.ENOSYS, "CONFIG_NUMA"},
		"memory policy, local":   {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: MPOLLocal})}}, "mempolicy=local", unix.ENOSYS, "CONFIG_NUMA"},
		"deadline":               {Config{Scheduler: Some(deadline)}, "policy=6 runtime=10000000 deadline=20000000 period=30000000 flags=0x1 uclamp=", unix.EINVAL, "SCHED_DEADLINE"},
		"uclamp":                 {Config{Uclamp: Uclamp{Min: Some(100), Max: Some(500)}}, "uclamp=100-500", unix.EOPNOTSUPP, "CONFIG_UCLAMP_TASK"},
		"uclamp keeps policy":    {Config{Scheduler: Some(batch), Uclamp: Uclamp{Max: Some(500)}}, "policy=3 runtime", unix.EOPNOTSUPP, "CONFIG_UCLAMP_TASK"},
		"autogroup":              {Config{Session: true, AutogroupNice: Some(7)}, "nice 7", unix.ENOENT, "CONFIG_SCHED_AUTOGROUP"},
		"io flusher":             {Config{IOFlusher: true}, "io_flusher=1", unix.EPERM, "CAP_SYS_RESOURCE"},
		"thp, second clone":      {Config{Namespaces: []Namespace{{Kind: Time}}, TimeOffsets: TimeOffsets{Boottime: time.Hour}, Memory: Memory{THPDisable: Some(true)}}, "thp_disable=1", unix.EINVAL, "CONFIG_TRANSPARENT_HUGEPAGE"},
		"nothing is asked for":   {Config{}, "thp_disable=0", nil, ""},
		"no mdwe without asking": {Config{}, "mdwe=", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tell(t, row.cfg)
			if row.lack != nil && errors.Is(err, row.lack) {
				t.Skipf("needs %s: %v", row.need, err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, row.want) }) {
				t.Errorf("no %q in %q", row.want, got)
			}
		})
	}
}

// TestTuningStaysWithTheChild: what the child does to its address space must
// not reach the agent, and through it the next workload.
func TestTuningStaysWithTheChild(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/true"}, Memory: Memory{THPDisable: Some(true), Policy: Some(MemPolicy{Mode: MPOLBind, Nodes: []int{0}})}}
	if res, err := l.Run(context.Background(), &cfg, nil); err != nil || res.Err != nil {
		t.Skip("needs THP and NUMA: ", err, res.Err)
	}
	got := output(t, l, Config{}, "grep THP_enabled /proc/self/status; head -1 /proc/self/numa_maps")
	f := strings.Fields(got)
	if f[1] != "1" || f[3] != "default" {
		t.Errorf("the next workload has %q", got)
	}
}

// TestTuningInUserNamespace: the child is no user of the host's any more.
func TestTuningInUserNamespace(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/proc/self/autogroup"); err != nil {
		t.Skip("needs CONFIG_SCHED_AUTOGROUP: ", err)
	}
	l := newLauncher(t)
	for range 3 { // faster than one every 100 ms
		cfg := Config{
			Namespaces: []Namespace{{Kind: User}}, UIDMap: rootMap(), GIDMap: rootMap(), UID: Some[uint32](0), GID: Some[uint32](0),
			Session: true, AutogroupNice: Some(7), Memory: Memory{THPDisable: Some(true)},
		}
		got := output(t, l, cfg, "cat /proc/self/autogroup; grep THP_enabled /proc/self/status")
		if !strings.Contains(got, "nice 7") || !strings.Contains(got, "THP_enabled:\t0") {
			t.Errorf("%q", got)
		}
	}
}

// TestApplyTuning puts each on a parked child, a session with them.
func TestApplyTuning(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	w, err := l.Spawn(context.Background(), &Config{Args: []string{"/bin/sleep", "100"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(context.Background()) }()
	if err := w.Apply(context.Background(), &Config{AutogroupNice: Some(3)}); err == nil || !strings.Contains(err.Error(), "needs a session") {
		t.Fatalf("%v; want a refusal", err)
	}
	if err := w.Apply(context.Background(), &Config{Session: true, AutogroupNice: Some(3), Memory: Memory{THPDisable: Some(true)}}); err != nil {
		if errors.Is(err, unix.ENOENT) {
			t.Skip("needs CONFIG_SCHED_AUTOGROUP: ", err)
		}
		t.Fatal(err)
	}
	if err := w.Proceed(context.Background()); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"autogroup": "nice 3", "status": "THP_enabled:\t0"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", w.HostPID(), file))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s has no %q, %v", file, want, err)
		}
	}
	if sid, err := unix.Getsid(w.HostPID()); err != nil || sid != w.HostPID() {
		t.Errorf("session %d, %v; want its own", sid, err)
	}
}

func TestTuningIsValidated(t *testing.T) {
	for name, row := range map[string]struct {
		cfg  Config
		want string
	}{
		"uclamp out of range":       {Config{Uclamp: Uclamp{Max: Some(1025)}}, "uclamp.max"},
		"uclamp upside down":        {Config{Uclamp: Uclamp{Min: Some(3), Max: Some(2)}}, "uclamp: min 3"},
		"autogroup without session": {Config{AutogroupNice: Some(1)}, "needs a session"},
		"mode unknown":              {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: "bind"})}}, "unknown mode"},
		"bind without nodes":        {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: MPOLBind})}}, "needs nodes"},
		"local with nodes":          {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: MPOLLocal, Nodes: []int{0}})}}, "takes none"},
		"both kinds of nodes":       {Config{Memory: Memory{Policy: Some(MemPolicy{Mode: MPOLBind, Nodes: []int{0}, Flags: 3 << 14})}}, "exclude"},
		"runtime without deadline":  {Config{Scheduler: Some(Sched{Policy: 1, Priority: 1, Runtime: 1})}, "SCHED_DEADLINE"},
	} {
		t.Run(name, func(t *testing.T) {
			row.cfg.Args = []string{"x"}
			if err := row.cfg.Validate(); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v; want %q", err, row.want)
			}
		})
	}
}

// TestApplyOOMScoreAdjInUserNamespace: the parked child has become a user that
// may not write its own file, so the host does.
func TestApplyOOMScoreAdjInUserNamespace(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	w, err := l.Spawn(context.Background(), &Config{
		Args: []string{"/bin/sleep", "100"}, Namespaces: []Namespace{{Kind: User}}, UIDMap: rootMap(), GIDMap: rootMap(),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Kill(); _, _ = w.Wait(context.Background()) }()
	if err := w.Apply(context.Background(), &Config{OOMScoreAdj: Some(700)}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", w.HostPID()))
	if got := strings.TrimSpace(string(b)); err != nil || got != "700" {
		t.Errorf("oom_score_adj %q, %v; want 700", got, err)
	}
}
