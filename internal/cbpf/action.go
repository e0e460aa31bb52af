package cbpf

import "fmt"

// Action is what a filter's return value tells the kernel to do: the bits of
// SECCOMP_RET_ACTION_FULL.
type Action uint32

// The actions of seccomp(2), the strongest first.
const (
	KillProcess Action = 0x80000000
	KillThread  Action = 0x00000000
	Trap        Action = 0x00030000
	Errno       Action = 0x00050000
	UserNotify  Action = 0x7fc00000
	Trace       Action = 0x7ff00000
	Log         Action = 0x7ffc0000
	Allow       Action = 0x7fff0000
)

const (
	actionMask = 0xffff0000
	dataMask   = 0x0000ffff
	// MaxErrno is MAX_ERRNO: SECCOMP_RET_ERRNO caps its data there.
	MaxErrno = 4095
)

// rank orders actions as the kernel does: as signed numbers, least first.
func (a Action) rank() int32 { return int32(a) }

// StrongerThan reports whether the kernel prefers a over b when two filters
// disagree.
func (a Action) StrongerThan(b Action) bool { return a.rank() < b.rank() }

func (a Action) String() string {
	switch a {
	case KillProcess:
		return "kill_process"
	case KillThread:
		return "kill_thread"
	case Trap:
		return "trap"
	case Errno:
		return "errno"
	case UserNotify:
		return "notify"
	case Trace:
		return "trace"
	case Log:
		return "log"
	case Allow:
		return "allow"
	}
	return fmt.Sprintf("action(%#x)", uint32(a))
}

// Decision is what happens to a system call: an action and, where the action
// uses it, the data (an errno, what the tracer or the signal handler reads).
type Decision struct {
	Action Action
	Data   uint16
}

// Decide interprets a filter's return value: two values with equal Decisions
// do the same. Data that the kernel ignores is dropped, an errno is capped at
// [MaxErrno], and an action that the kernel does not know is a KillProcess
// (the default case of __seccomp_filter, since Linux 4.14).
func Decide(ret uint32) Decision {
	d := Decision{Action: Action(ret & actionMask), Data: uint16(ret & dataMask)}
	switch d.Action {
	case Errno:
		d.Data = min(d.Data, MaxErrno)
	case Trap, Trace:
	case KillThread, UserNotify, Log, Allow:
		d.Data = 0
	default:
		d = Decision{Action: KillProcess}
	}
	return d
}

func (d Decision) String() string {
	switch d.Action {
	case Errno, Trace, Trap:
		if d.Action == Trap && d.Data == 0 {
			break
		}
		return fmt.Sprintf("%s(%d)", d.Action, d.Data)
	}
	return d.Action.String()
}

// Combine returns the value that the kernel acts on when one filter returned
// older and a filter installed later returned newer: the stronger action wins
// and, between equal ones, the filter installed last (seccomp_run_filters
// replaces its result only by a smaller one, and walks newest first).
func Combine(newer, older uint32) uint32 {
	if int32(older&actionMask) < int32(newer&actionMask) {
		return older
	}
	return newer
}

// RunStack runs a task's filters, newest first, and returns the value that the
// kernel acts on. Like the kernel it starts from SECCOMP_RET_ALLOW with data
// 0, so no filters allow everything.
func RunStack(filters [][]Instruction, data *Data) (uint32, error) {
	ret := uint32(Allow)
	for _, f := range filters {
		r, err := Run(f, data)
		if err != nil {
			return 0, err
		}
		ret = Combine(ret, r)
	}
	return ret, nil
}
