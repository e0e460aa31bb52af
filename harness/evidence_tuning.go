package harness

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// isTuning says which fields are read by tuning.
func isTuning(name string) bool {
	switch name {
	case "process.scheduler.deadline", "linux.memoryPolicy", "holdshort.uclamp", "holdshort.autogroupNice", "holdshort.ioFlusher",
		"holdshort.memory.thpDisable", "holdshort.memory.merge":
		return true
	}
	return false
}

// tuning reads what the kernel tells of the held workload's scheduling and
// memory. All of it is kept over execve.
func (h *held) tuning(name string, want any) (any, bool, string, error) {
	switch name {
	case "process.scheduler.deadline":
		return h.deadline(want.(*specs.Scheduler))
	case "holdshort.uclamp":
		return h.uclamp(want.(request.Uclamp))
	case "linux.memoryPolicy":
		return h.memoryPolicy(want.(*specs.LinuxMemoryPolicy))
	case "holdshort.autogroupNice":
		return h.autogroup(want.(int))
	case "holdshort.ioFlusher":
		return h.ioFlusher()
	case "holdshort.memory.thpDisable":
		got, err := h.line("status", "THP_enabled:")
		return same(strconv.Itoa(1-number(want.(bool))), got, err)
	case "holdshort.memory.merge":
		got, err := h.line("ksm_stat", "ksm_merge_any:")
		return same(map[bool]string{true: "yes", false: "no"}[want.(bool)], got, err)
	}
	return nil, false, "", errors.New("no way to see it from outside is known")
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func same(want, got string, err error) (any, bool, string, error) {
	switch {
	case err != nil:
		return nil, false, "", err
	case got != want:
		return got, false, fmt.Sprintf("it is %q, not %q", got, want), nil
	}
	return got, true, "", nil
}

// line is the value in a line of a file of /proc/PID.
func (h *held) line(file, key string) (string, error) {
	b, err := os.ReadFile(h.proc(file))
	if err != nil {
		return "", err
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, key); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("/proc/PID/%s of this kernel has no %q", file, key)
}

func (h *held) deadline(want *specs.Scheduler) (any, bool, string, error) {
	a, err := unix.SchedGetAttr(h.pid, 0)
	if err != nil {
		return nil, false, "", fmt.Errorf("sched_getattr: %w", err)
	}
	const reclaimOverrun = 2 | 4
	show := func(policy uint32, runtime, deadline, period, flags uint64) string {
		return fmt.Sprintf("policy %d, runtime %d, deadline %d, period %d, flags %#x", policy, runtime, deadline, period, flags&reclaimOverrun)
	}
	// An absent period is the deadline, and told so (__setparam_dl).
	period := want.Period
	if period == 0 {
		period = want.Deadline
	}
	return same(show(unix.SCHED_DEADLINE, want.Runtime, want.Deadline, period, request.DeadlineFlags(want.Flags)),
		show(a.Policy, a.Runtime, a.Deadline, a.Period, a.Flags), nil)
}

func (h *held) uclamp(want request.Uclamp) (any, bool, string, error) {
	a, err := unix.SchedGetAttr(h.pid, 0)
	if err != nil {
		return nil, false, "", fmt.Errorf("sched_getattr: %w", err)
	}
	got := request.Uclamp{Min: new(int(a.Util_min)), Max: new(int(a.Util_max))}
	for _, v := range []struct {
		name      string
		want, got *int
	}{{"min", want.Min, got.Min}, {"max", want.Max, got.Max}} {
		if v.want != nil && *v.want != *v.got {
			return got, false, fmt.Sprintf("%s is %d, not %d", v.name, *v.got, *v.want), nil
		}
	}
	return got, true, "", nil
}

// memoryModes are as /proc/PID/numa_maps names them (mpol_to_str, mm/mempolicy.c).
var memoryModes = [...]string{"default", "prefer", "bind", "interleave", "local", "prefer (many)", "weighted interleave"}

// memoryPolicy reads the task's policy off a mapping that has none of its own,
// which is every mapping of a child that has not called mbind(2).
func (h *held) memoryPolicy(want *specs.LinuxMemoryPolicy) (any, bool, string, error) {
	b, err := os.ReadFile(h.proc("numa_maps"))
	if err != nil {
		return nil, false, "", err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	_, rest, ok := strings.Cut(first, " ") // the address
	if !ok {
		return nil, false, "", errors.New("/proc/PID/numa_maps is empty")
	}
	mode, _ := request.MemoryMode(want.Mode)
	expect := memoryModes[mode]
	bits, _ := request.MemoryFlags(want.Flags)
	var flags []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{1 << 15, "static"}, {1 << 14, "relative"}, {1 << 13, "balancing"}} {
		if bits&f.bit != 0 {
			flags = append(flags, f.name)
		}
	}
	if len(flags) > 0 {
		expect += "=" + strings.Join(flags, "|")
	}
	nodes := want.Nodes
	if mode == 1 && nodes == "" {
		expect = "local" // MPOL_PREFERRED without a node (do_set_mempolicy)
	}
	if nodes == "" {
		got, _, _ := strings.Cut(rest, " ")
		return same(expect, got, nil)
	}
	// The mode may have a space in it; the nodes end with one.
	if !strings.HasPrefix(rest, expect+":") {
		got, _, _ := strings.Cut(rest, " ")
		return same(expect+":"+nodes, got, nil)
	}
	list, _, _ := strings.Cut(strings.TrimPrefix(rest, expect+":"), " ")
	if !sameList(nodes, list) {
		return same(expect+":"+nodes, expect+":"+list, nil)
	}
	return expect + ":" + list, true, "", nil
}

// sameList compares two lists of CPUs or nodes, however they are written.
func sameList(a, b string) bool {
	x, err1 := request.CPUNumbers(a)
	y, err2 := request.CPUNumbers(b)
	return err1 == nil && err2 == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// autogroup reads "/autogroup-12 nice 5". The group must be one of the
// workload's own: the request asks for a new session with it.
func (h *held) autogroup(want int) (any, bool, string, error) {
	got, err := h.line("autogroup", "/autogroup-")
	if err != nil {
		return nil, false, "", err
	}
	_, nice, _ := strings.Cut(got, " ")
	if own, err := os.ReadFile("/proc/self/autogroup"); err == nil && strings.TrimSpace(string(own)) == "/autogroup-"+got {
		return got, false, "it is the caller's group", nil
	}
	return same("nice "+strconv.Itoa(want), nice, nil)
}

// ioFlusher looks for PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE (include/linux/
// sched.h) in the flags of /proc/PID/stat.
func (h *held) ioFlusher() (any, bool, string, error) {
	b, err := os.ReadFile(h.proc("stat"))
	if err != nil {
		return nil, false, "", err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	const flagsField = 6 // the ninth, three before this
	if len(f) <= flagsField {
		return nil, false, "", errors.New("/proc/PID/stat is too short")
	}
	flags, err := strconv.ParseUint(f[flagsField], 10, 64)
	if err != nil {
		return nil, false, "", err
	}
	const noIO, throttle = 0x80000, 0x100000
	if flags&(noIO|throttle) != noIO|throttle {
		return fmt.Sprintf("%#x", flags), false, "the flags of the task lack it", nil
	}
	return fmt.Sprintf("%#x", flags), true, "", nil
}
