package checkpoint

import (
	"fmt"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

// Actor is who takes a step of a launch.
type Actor string

// The three that take part in a launch.
const (
	ByHost  Actor = "host"  // this process, while the child is parked
	ByAgent Actor = "agent" // the child's parent, before the child does anything
	ByChild Actor = "child" // the workload itself, before its execve
)

// PlannedStep is one step of a launch, as it was compiled from the request:
// what an [Error] names, and what a reader of a failed test wants to see.
type PlannedStep struct {
	By     Actor  `json:"by"`
	Stage  Stage  `json:"stage"`
	Index  int    `json:"index"`            // in a list of equal steps, -1 if there is only one
	Object string `json:"object,omitempty"` // path, limit or file acted on
	// Calls are the system calls in their order, by the names of syscalls(2).
	// Of a step of the host's they are not known. A name in brackets is
	// something that the agent does by itself, such as a comparison.
	Calls []string `json:"calls,omitempty"`
}

// String is one line: who, stage, object and system calls.
func (s *PlannedStep) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s  %s", s.By, s.Stage)
	if s.Index >= 0 {
		fmt.Fprintf(&b, "[%d]", s.Index)
	}
	if s.Object != "" {
		fmt.Fprintf(&b, " %q", s.Object)
	}
	if len(s.Calls) > 0 {
		b.WriteString(": " + strings.Join(s.Calls, ", "))
	}
	return b.String()
}

// Steps are what the launch consists of, in the order in which it happens, from
// clone3 to execve. It can be asked for at any time, also once the workload has
// ended; what [Workload.Apply] put on later is not in it.
func (w *Workload) Steps() []PlannedStep {
	w.mu.Lock()
	p := w.plan
	w.mu.Unlock()
	birth := PlannedStep{By: ByAgent, Stage: StageClone, Index: -1, Object: p.birth(), Calls: []string{"clone3"}}
	list := describe([]PlannedStep{birth}, ByAgent, p.agent.steps)
	list = describeHost(list, p.first)
	list = describe(list, ByChild, p.setup.steps)
	list = describeHost(list, p.host)
	list = describeHost(list, p.last)
	return describe(list, ByChild, p.final.steps)
}

func describe(list []PlannedStep, by Actor, all steps) []PlannedStep {
	for i := range all {
		s := &all[i]
		if last := &list[len(list)-1]; i > 0 && last.Stage == s.stage && last.Index == s.index && last.Object == s.object {
			last.Calls = append(last.Calls, callName(&s.op))
			continue
		}
		list = append(list, PlannedStep{By: by, Stage: s.stage, Index: s.index, Object: s.object, Calls: []string{callName(&s.op)}})
	}
	return list
}

func describeHost(list []PlannedStep, all []hostStep) []PlannedStep {
	for _, s := range all {
		list = append(list, PlannedStep{By: ByHost, Stage: s.stage, Index: -1, Object: s.object})
	}
	return list
}

func callName(op *agent.Op) string {
	switch op.NR {
	case agent.OpClone:
		return "clone3"
	case agent.OpStore32:
		return "[store]"
	case agent.OpEqual:
		return "[compare]"
	case agent.OpStatIs:
		return "statx"
	case agent.OpWritePID:
		return "write"
	case agent.OpWait:
		return "wait4"
	case agent.OpInit:
		return "[init]"
	}
	if name := seccomp.CallName(seccomp.NativeArch(), op.NR); name != "" {
		return name
	}
	return fmt.Sprintf("[call %d]", op.NR)
}

var cloneFlags = []struct {
	bit  uint64
	name string
}{
	{unix.CLONE_NEWUSER, "user"},
	{unix.CLONE_NEWNS, "mnt"},
	{unix.CLONE_NEWPID, "pid"},
	{unix.CLONE_NEWNET, "net"},
	{unix.CLONE_NEWUTS, "uts"},
	{unix.CLONE_NEWIPC, "ipc"},
	{unix.CLONE_NEWCGROUP, "cgroup"},
	{unix.CLONE_NEWTIME, "time"},
}

// birth names what clone3 makes new, and that it puts the child into a cgroup.
func (p *plan) birth() string {
	var names []string
	for _, f := range cloneFlags {
		if p.cloneFlags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	if p.cgroupFD >= 0 {
		names = append(names, "into its cgroup")
	}
	return strings.Join(names, ",")
}
