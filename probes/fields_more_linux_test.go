package probes

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// Calls of prctl(2) that x/sys does not name, or that are newer than a build
// may assume.
const (
	prSetMDWE, prGetMDWE               = 65, 66 // 6.3
	prSetMemoryMerge, prGetMemoryMerge = 67, 68 // 6.4
	prMCEKill, prMCEKillGet            = 33, 34
	prSetIOFlusher, prGetIOFlusher     = 57, 58
)

// ifThere forgives what a kernel is built without.
func ifThere(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// memorySays is what only the process itself can ask.
type memorySays struct{ MDWE, Merge, MCE, Flusher, THP int }

func askMemory() memorySays {
	get := func(op int) int {
		v, err := unix.PrctlRetInt(op, 0, 0, 0, 0)
		if err != nil {
			return 0
		}
		return v
	}
	return memorySays{
		MDWE: get(prGetMDWE), Merge: get(prGetMemoryMerge), MCE: get(prMCEKillGet), Flusher: get(prGetIOFlusher),
		THP: get(unix.PR_GET_THP_DISABLE),
	}
}

// strangeMemory changes all that the machine lets it change.
func strangeMemory() error {
	err := ifThere(sys.SetMempolicy(3, 1)) // MPOL_INTERLEAVE over node 0
	for _, e := range []error{
		unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0),
		unix.Prctl(prMCEKill, 1, 1, 0, 0), // PR_MCE_KILL_SET, PR_MCE_KILL_EARLY
		unix.Prctl(prSetMDWE, 1, 0, 0, 0),
		os.WriteFile("/proc/self/coredump_filter", []byte("0x7f"), 0),
	} {
		err = errors.Join(err, ifThere(e))
	}
	// These need CAP_SYS_RESOURCE on some kernels: what came of it is asked for.
	_ = unix.Prctl(prSetMemoryMerge, 1, 0, 0, 0)
	_ = unix.Prctl(prSetIOFlusher, 1, 0, 0, 0)
	return err
}

// onThread runs f on a thread that is never used again.
func onThread[T any](t *testing.T, f func() (T, error)) T {
	t.Helper()
	var v T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		v, err = f()
	}()
	<-done
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs more privilege: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var kernelTypes = sync.OnceValues(btf.LoadKernelSpec)

// hasMember reports whether a structure of the running kernel has a member.
func hasMember(t *testing.T, name, member string) bool {
	t.Helper()
	spec, err := kernelTypes()
	if err != nil {
		t.Fatal(err)
	}
	var s *btf.Struct
	if spec.TypeByName(name, &s) != nil {
		return false
	}
	for _, m := range s.Members {
		if m.Name == member {
			return true
		}
	}
	return false
}

func wantSched(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	a, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	if a.Policy != unix.SCHED_DEADLINE {
		a.Runtime = 0 // since 6.12 the slice of a fair task
	}
	want["sched.deadline_runtime_ns"] = strconv.FormatUint(a.Runtime, 10)
	want["sched.deadline_ns"] = strconv.FormatUint(a.Deadline, 10)
	want["sched.deadline_period_ns"] = strconv.FormatUint(a.Period, 10)
	want["sched.uclamp_min"], want["sched.uclamp_max"] = "0 (default)", "1024 (default)"
	if !hasMember(t, "task_struct", "uclamp_req") {
		const none = "? (this kernel is built without it (CONFIG_UCLAMP_TASK))"
		want["sched.uclamp_min"], want["sched.uclamp_max"] = none, none
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
	if err != nil {
		const none = "? (this kernel is built without it (CONFIG_SCHED_AUTOGROUP))"
		want["sched.autogroup"], want["sched.autogroup_nice"] = none, none
		return
	}
	var id, nice int
	if _, err := fmt.Sscanf(string(text), "/autogroup-%d nice %d", &id, &nice); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	want["sched.autogroup"], want["sched.autogroup_nice"] = strconv.Itoa(id), strconv.Itoa(nice)
}

func wantMemory(t *testing.T, pid int, status map[string]string, says memorySays, want map[string]string) {
	t.Helper()
	want["memory.mems_allowed"] = ranges(status["Mems_allowed_list"])
	// A mapping without a policy of its own is shown with the task's.
	policy, nodes := "0x0", "none"
	for line := range strings.Lines(procFile(t, pid, "numa_maps")) {
		name, list, _ := strings.Cut(strings.Fields(line)[1], ":")
		for i, n := range []string{"default", "prefer", "bind", "interleave", "local"} {
			if n == name {
				policy = fmt.Sprintf("0x%x", i)
			}
		}
		nodes = orNone(ranges(list))
		break
	}
	want["memory.policy"], want["memory.nodes"] = policy, nodes
	want["memory.mdwe"] = strconv.Itoa(says.MDWE)
	want["memory.thp_disabled"] = strconv.Itoa(says.THP)
	want["memory.merge_any"] = strconv.FormatBool(says.Merge == 1)
	filter, err := strconv.ParseUint(strings.TrimSpace(procFile(t, pid, "coredump_filter")), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	want["memory.coredump_filter"] = fmt.Sprintf("0x%x", filter)
	persona, err := strconv.ParseUint(strings.TrimSpace(procFile(t, pid, "personality")), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	want["memory.randomized"] = strconv.FormatBool(persona&0x0040000 == 0 && procSys(t, "kernel/randomize_va_space") != "0")
}

func wantAttached(t *testing.T, says memorySays, want map[string]string) {
	t.Helper()
	want["process.syscall_user_dispatch"] = "false"
	if !hasMember(t, "thread_info", "syscall_work") {
		want["process.syscall_user_dispatch"] = "? (this kernel does not have it (since 5.11, where system calls enter by common code))"
	}
	want["process.shadow_stack"] = "0"
	if !hasMember(t, "thread_struct", "features") && !hasMember(t, "thread_struct", "gcs_el0_mode") {
		want["process.shadow_stack"] = "? (this kernel has no shadow stacks)"
	}
	want["process.io_uring"] = "false"
	want["process.io_uring_restricted"] = "false"
	if !hasMember(t, "task_struct", "io_uring_restrict") {
		want["process.io_uring_restricted"] = "? (this kernel has no restrictions of tasks)"
	}
	want["process.mce_kill"] = [...]string{"late", "early", "default"}[says.MCE]
	want["process.io_flusher"] = strconv.FormatBool(says.Flusher == 1)
	want["cgroup.frozen"] = "false" // or it would not have got so far
}

// ranges turns "0,2-4" into "0,2,3,4".
func ranges(s string) string {
	var parts []string
	for r := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(r, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		z := a
		if ok {
			z, _ = strconv.Atoi(to)
		}
		for i := a; i <= z; i++ {
			parts = append(parts, strconv.Itoa(i))
		}
	}
	return strings.Join(parts, ",")
}

// rootPropagation reads that of the topmost mount on /.
func rootPropagation(t *testing.T, pid int) string {
	t.Helper()
	kind := ""
	for line := range strings.Lines(procFile(t, pid, "mountinfo")) {
		left, _, _ := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if f[4] != "/" {
			continue
		}
		tags := strings.Join(f[6:], " ")
		shared, slave := strings.Contains(tags, "shared:"), strings.Contains(tags, "master:")
		switch {
		case shared && slave:
			kind = "shared and slave"
		case shared:
			kind = "shared"
		case slave:
			kind = "slave"
		case strings.Contains(tags, "unbindable"):
			kind = "unbindable"
		default:
			kind = "private"
		}
	}
	return kind
}

// TestRoot_Propagation looks at each kind that a root can have.
func TestRoot_Propagation(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	for name, flags := range map[posture.Propagation]uintptr{
		posture.PropagationPrivate: unix.MS_PRIVATE, posture.PropagationShared: unix.MS_SHARED, posture.PropagationUnbindable: unix.MS_UNBINDABLE,
		posture.PropagationSlave: unix.MS_SLAVE, posture.PropagationSharedSlave: 0,
	} {
		t.Run(string(name), func(t *testing.T) {
			got := onThread(t, func() (posture.Value[posture.Propagation], error) {
				var none posture.Value[posture.Propagation]
				if err := errors.Join(
					unix.Unshare(unix.CLONE_NEWNS),
					unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""),
					unix.Mount("", "/", "", unix.MS_SHARED, ""),
				); err != nil {
					return none, err
				}
				// A slave needs a master, in a namespace that lives on.
				ns, err := os.Open("/proc/thread-self/ns/mnt")
				if err != nil {
					return none, err
				}
				defer ns.Close()
				if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
					return none, err
				}
				if flags != 0 {
					if err := unix.Mount("", "/", "", flags, ""); err != nil {
						return none, err
					}
				}
				if name == posture.PropagationSharedSlave {
					if err := errors.Join(unix.Mount("", "/", "", unix.MS_SLAVE, ""), unix.Mount("", "/", "", unix.MS_SHARED, "")); err != nil {
						return none, err
					}
				}
				s, err := o.Self(ctx)
				if err != nil {
					return none, err
				}
				return s.Posture().FS.RootPropagation, nil
			})
			if v, ok := got.Get(); !ok || v != name {
				t.Errorf("root is %q (%s), want %q", v, got.Why(), name)
			}
		})
	}
}

// TestLandlock_WhatLayersHandle stacks two domains and looks for their masks.
func TestLandlock_WhatLayersHandle(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	abi, err := sys.LandlockABI()
	if err != nil {
		t.Skipf("needs Landlock: %v", err)
	}
	const refer = 1 << 13 // is denied whether it is handled or not
	want := []posture.LandlockLayer{{FS: 1<<13 - 1}, {FS: 1 << 3}}
	if abi >= 4 { // network: 6.7; scopes: 6.12
		want[0].Net = 3
		want[1].Net = 2
	}
	if abi >= 6 {
		want[1].Scope = 1
	}
	enter := slices.Clone(want)
	for i := range want {
		want[i].FS |= refer
	}
	got := onThread(t, func() (posture.Landlock, error) {
		var l posture.Landlock
		for i, w := range enter {
			if err := sys.LandlockEnter(uint64(w.FS), uint64(w.Net), uint64(w.Scope), []string{"/", "/proc", "/tmp"}[i:i+1+i]); err != nil {
				return l, err
			}
		}
		s, err := o.Self(ctx)
		if err != nil {
			return l, err
		}
		return s.Posture().Landlock, nil
	})
	list, ok := got.Handled.Get()
	if !ok && strings.Contains(got.Handled.Why(), "form") {
		t.Skipf("needs masks in a form that is known: %s", got.Handled.Why())
	}
	if !ok || fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("handled %v (%s), want %v", list, got.Handled.Why(), want)
	}
	if n, _ := got.Layers.Get(); n != 2 {
		t.Errorf("%d layers, want 2", n)
	}
	if n, _ := got.Rules.Get(); n != 3 { // "/", "/proc", "/tmp"
		t.Errorf("%d rules, want 3 (%s)", n, got.Rules.Why())
	}
}

// TestSched_Deadline makes a thread one of SCHED_DEADLINE.
func TestSched_Deadline(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	got := onThread(t, func() (posture.Sched, error) {
		a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 1e6, Deadline: 30e6, Period: 50e6}
		if err := unix.SchedSetAttr(0, &a, 0); err != nil {
			return posture.Sched{}, err
		}
		s, err := o.Self(ctx)
		if err != nil {
			return posture.Sched{}, err
		}
		return s.Posture().Sched, nil
	})
	for name, x := range map[string]struct {
		got  posture.Value[uint64]
		want uint64
	}{"runtime": {got.DeadlineRuntime, 1e6}, "deadline": {got.Deadline, 30e6}, "period": {got.DeadlinePeriod, 50e6}} {
		if v, ok := x.got.Get(); !ok || v != x.want {
			t.Errorf("%s is %d (%s), want %d", name, v, x.got.Why(), x.want)
		}
	}
}

// TestSched_Clamps asks for bounds of utilisation.
func TestSched_Clamps(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	if !hasMember(t, "task_struct", "uclamp_req") {
		t.Skip("needs CONFIG_UCLAMP_TASK")
	}
	got := onThread(t, func() (posture.Sched, error) {
		const keep, clamp = unix.SCHED_FLAG_KEEP_POLICY | unix.SCHED_FLAG_KEEP_PARAMS, unix.SCHED_FLAG_UTIL_CLAMP_MIN | unix.SCHED_FLAG_UTIL_CLAMP_MAX
		a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Flags: keep | clamp, Util_min: 100, Util_max: 700}
		if err := unix.SchedSetAttr(0, &a, 0); err != nil {
			return posture.Sched{}, err
		}
		s, err := o.Self(ctx)
		if err != nil {
			return posture.Sched{}, err
		}
		return s.Posture().Sched, nil
	})
	if v, ok := got.UclampMin.Get(); !ok || v != (posture.Uclamp{Value: 100, User: true}) {
		t.Errorf("minimum %v (%s), want 100", v, got.UclampMin.Why())
	}
	if v, ok := got.UclampMax.Get(); !ok || v != (posture.Uclamp{Value: 700, User: true}) {
		t.Errorf("maximum %v (%s), want 700", v, got.UclampMax.Why())
	}
}

// TestIDMap_Long reads maps of more lines than a record has room for.
func TestIDMap_Long(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	for _, n := range []int{5, 6, 17, 340} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			var uids, gids []syscall.SysProcIDMap
			for i := range n {
				uids = append(uids, syscall.SysProcIDMap{ContainerID: 3 * i, HostID: 1000 + 2*i, Size: 1})
				gids = append(gids, syscall.SysProcIDMap{ContainerID: 5 * i, HostID: 7000 + 3*i, Size: 2})
			}
			c, _, _ := startHelper(t, "plain", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids})
			s, err := o.Snapshot(ctx, c.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			u := s.Posture().UserNS
			for name, x := range map[string]struct {
				got  posture.Value[[]posture.IDExtent]
				want []syscall.SysProcIDMap
			}{"uid_map": {u.UIDMap, uids}, "gid_map": {u.GIDMap, gids}} {
				got, ok := x.got.Get()
				if !ok || len(got) != n {
					t.Fatalf("%s has %d lines (%s), want %d", name, len(got), x.got.Why(), n)
				}
				for i, w := range x.want {
					if e := (posture.IDExtent{Inside: uint32(w.ContainerID), Host: uint32(w.HostID), Count: uint32(w.Size)}); got[i] != e {
						t.Fatalf("%s line %d is %v, want %v", name, i, got[i], e)
					}
				}
			}
			// What lies behind them in the record is where it belongs.
			if env, ok := s.Posture().Exec.Env.Get(); ok && len(env) == 0 {
				t.Error("no environment")
			}
		})
	}
}
