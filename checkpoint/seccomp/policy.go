package seccomp

import (
	"slices"

	"github.com/holdshort/holdshort/internal/cbpf"
)

// Policy is a seccomp policy with the fields and JSON names of the OCI
// runtime-spec's linux.seccomp object, which decodes into it as it is.
type Policy struct {
	DefaultAction    Action `json:"defaultAction"`
	DefaultErrnoRet  *uint  `json:"defaultErrnoRet,omitempty"`
	Architectures    []Arch `json:"architectures,omitempty"`
	Flags            []Flag `json:"flags,omitempty"`
	ListenerPath     string `json:"listenerPath,omitempty"`
	ListenerMetadata string `json:"listenerMetadata,omitempty"`
	Syscalls         []Rule `json:"syscalls,omitempty"`
}

// Rule is what happens to the calls it names.
type Rule struct {
	Names    []string    `json:"names"`
	Action   Action      `json:"action"`
	ErrnoRet *uint       `json:"errnoRet,omitempty"` // for errno and trace; EPERM if nil
	Args     []Condition `json:"args,omitempty"`
}

// Condition compares one argument.
type Condition struct {
	Index    uint     `json:"index"`              // 0 to 5
	Value    uint64   `json:"value"`              // the mask for MASKED_EQ
	ValueTwo uint64   `json:"valueTwo,omitempty"` // only for MASKED_EQ: what the masked argument equals
	Op       Operator `json:"op"`
}

// Action is an OCI action name.
type Action string

// The actions. ActNotify gives the filter a listener; who loads it must see to
// it that somebody answers.
const (
	ActKill        Action = "SCMP_ACT_KILL" // the thread: libseccomp's historical meaning
	ActKillProcess Action = "SCMP_ACT_KILL_PROCESS"
	ActKillThread  Action = "SCMP_ACT_KILL_THREAD"
	ActTrap        Action = "SCMP_ACT_TRAP"
	ActErrno       Action = "SCMP_ACT_ERRNO"
	ActTrace       Action = "SCMP_ACT_TRACE"
	ActAllow       Action = "SCMP_ACT_ALLOW"
	ActLog         Action = "SCMP_ACT_LOG"
	ActNotify      Action = "SCMP_ACT_NOTIFY"
)

var kernelActions = map[Action]cbpf.Action{
	ActKill: cbpf.KillThread, ActKillProcess: cbpf.KillProcess, ActKillThread: cbpf.KillThread,
	ActTrap: cbpf.Trap, ActErrno: cbpf.Errno, ActTrace: cbpf.Trace, ActAllow: cbpf.Allow, ActLog: cbpf.Log,
	ActNotify: cbpf.UserNotify,
}

// takesErrno reports whether the action uses errnoRet. The runtime-spec wants an
// error for others that set it.
func (a Action) takesErrno() bool { return a == ActErrno || a == ActTrace }

// Operator is an OCI comparison name.
type Operator string

// The comparisons, unsigned and on 64 bits.
const (
	OpNotEqual     Operator = "SCMP_CMP_NE"
	OpLess         Operator = "SCMP_CMP_LT"
	OpLessEqual    Operator = "SCMP_CMP_LE"
	OpEqual        Operator = "SCMP_CMP_EQ"
	OpGreaterEqual Operator = "SCMP_CMP_GE"
	OpGreater      Operator = "SCMP_CMP_GT"
	OpMaskedEqual  Operator = "SCMP_CMP_MASKED_EQ"
)

var operators = map[Operator]bool{
	OpNotEqual: true, OpLess: true, OpLessEqual: true, OpEqual: true,
	OpGreaterEqual: true, OpGreater: true, OpMaskedEqual: true,
}

// Flag is an OCI name of a flag of seccomp(2).
type Flag string

// The flags, by the version of Linux that brought them. FlagWaitKillable needs
// a listener, which FlagNewListener asks for, and so does ActNotify.
const (
	FlagTSync        Flag = "SECCOMP_FILTER_FLAG_TSYNC"              // 3.17
	FlagLog          Flag = "SECCOMP_FILTER_FLAG_LOG"                // 4.14
	FlagSpecAllow    Flag = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"         // 4.17
	FlagNewListener  Flag = "SECCOMP_FILTER_FLAG_NEW_LISTENER"       // 5.0
	FlagTSyncESRCH   Flag = "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"        // 5.7
	FlagWaitKillable Flag = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" // 5.19
)

// flagBits are the values of linux/seccomp.h.
var flagBits = map[Flag]uint32{
	FlagTSync: 1 << 0, FlagLog: 1 << 1, FlagSpecAllow: 1 << 2, FlagNewListener: 1 << 3, FlagTSyncESRCH: 1 << 4, FlagWaitKillable: 1 << 5,
}

// Listens reports whether the policy's filter has a listener: one of its
// actions is ActNotify, or it is asked for by a flag.
func (p *Policy) Listens() bool {
	return p.DefaultAction == ActNotify || slices.Contains(p.Flags, FlagNewListener) ||
		slices.ContainsFunc(p.Syscalls, func(r Rule) bool { return r.Action == ActNotify })
}

// Dialect says how rules that overlap are read; see the package comment.
type Dialect string

// The dialects.
const (
	// FirstMatch is this package's own: the first rule that matches decides.
	FirstMatch Dialect = ""
	// Libseccomp is what runc and crun make of a policy.
	Libseccomp Dialect = "libseccomp"
)
