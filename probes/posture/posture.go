// Package posture says what the kernel enforces on one task at one instant.
//
// A [Posture] is plain data: probes fill it, the oracle predicts it, reports
// print it. Identifiers are the kernel's own, as seen from the initial
// namespaces: user ids are kuids, process ids are those of the initial pid
// namespace, namespaces and cgroups are named by inode number. Every field is
// a [Value], so "not readable here" cannot look like a zero.
//
// The package imports nothing of ours.
package posture

import "cmp"

// Posture is everything that a tracepoint program can read of one task.
type Posture struct {
	Namespaces   Namespaces     `json:"namespaces"`
	UserNS       UserNS         `json:"user_namespace"`
	UTS          UTS            `json:"uts"`
	Time         TimeOffsets    `json:"time"`
	IDs          IDs            `json:"ids"`
	Capabilities Capabilities   `json:"capabilities"`
	Privilege    Privilege      `json:"privilege"`
	Seccomp      Seccomp        `json:"seccomp"`
	Landlock     Landlock       `json:"landlock"`
	Cgroup       Cgroup         `json:"cgroup"`
	Rlimits      Value[Rlimits] `json:"rlimits"`
	OOM          OOM            `json:"oom"`
	Sched        Sched          `json:"sched"`
	Memory       Memory         `json:"memory"`
	Signals      Signals        `json:"signals"`
	Process      Process        `json:"process"`
	FS           FS             `json:"fs"`
	Files        Value[Files]   `json:"files"`
	Keyrings     Keyrings       `json:"keyrings"`
	Exec         Exec           `json:"exec"`
}

// Namespace is one namespace: its inode number (as in /proc/PID/ns), the inode
// number of the user namespace that owns it (0 for user namespaces: their
// parent is in [UserNS]), and its depth for pid and user namespaces.
type Namespace struct {
	Inode uint32 `json:"inode"`
	Owner uint32 `json:"owner,omitempty"`
	Level uint32 `json:"level,omitempty"`
}

// Namespaces are the namespaces that the task is in, and the two that only its
// children would enter.
type Namespaces struct {
	User            Value[Namespace] `json:"user"`
	Mount           Value[Namespace] `json:"mnt"`
	PID             Value[Namespace] `json:"pid"`
	PIDForChildren  Value[Namespace] `json:"pid_for_children"`
	Net             Value[Namespace] `json:"net"`
	UTS             Value[Namespace] `json:"uts"`
	IPC             Value[Namespace] `json:"ipc"`
	Cgroup          Value[Namespace] `json:"cgroup"`
	Time            Value[Namespace] `json:"time"`
	TimeForChildren Value[Namespace] `json:"time_for_children"`
}

// IDExtent is one line of an id map. Host is the id in the initial user
// namespace, whatever the map's parent is.
type IDExtent struct {
	Inside uint32 `json:"inside"`
	Host   uint32 `json:"host"`
	Count  uint32 `json:"count"`
}

// UserNS describes the user namespace of the task's credentials.
type UserNS struct {
	Parent    Value[uint32]     `json:"parent"` // inode number, 0 for the initial one
	UIDMap    Value[[]IDExtent] `json:"uid_map"`
	GIDMap    Value[[]IDExtent] `json:"gid_map"`
	Setgroups Value[bool]       `json:"setgroups"` // false: /proc/PID/setgroups says "deny"
	OwnerUID  Value[uint32]     `json:"owner_uid"`
}

// UTS is what uname(2) tells the task.
type UTS struct {
	Hostname   Value[string] `json:"hostname"`
	Domainname Value[string] `json:"domainname"`
}

// TimeOffsets are the offsets of the task's time namespace, in nanoseconds.
type TimeOffsets struct {
	Monotonic Value[int64] `json:"monotonic_ns"`
	Boottime  Value[int64] `json:"boottime_ns"`
}

// IDs are the task's credentials, as ids of the initial user namespace.
type IDs struct {
	UID    Value[uint32]   `json:"uid"`
	EUID   Value[uint32]   `json:"euid"`
	SUID   Value[uint32]   `json:"suid"`
	FSUID  Value[uint32]   `json:"fsuid"`
	GID    Value[uint32]   `json:"gid"`
	EGID   Value[uint32]   `json:"egid"`
	SGID   Value[uint32]   `json:"sgid"`
	FSGID  Value[uint32]   `json:"fsgid"`
	Groups Value[[]uint32] `json:"groups"` // in the kernel's (sorted) order
}

// CapSet is a set of capabilities, bit n being capability number n.
type CapSet uint64

// Capabilities are the five sets of capabilities(7).
type Capabilities struct {
	Bounding    Value[CapSet] `json:"bounding"`
	Permitted   Value[CapSet] `json:"permitted"`
	Effective   Value[CapSet] `json:"effective"`
	Inheritable Value[CapSet] `json:"inheritable"`
	Ambient     Value[CapSet] `json:"ambient"`
}

// Privilege is what decides whether privileges may be gained or shown.
type Privilege struct {
	NoNewPrivs  Value[bool]   `json:"no_new_privs"`
	Securebits  Value[uint32] `json:"securebits"`
	Dumpable    Value[uint32] `json:"dumpable"` // 0 no, 1 yes, 2 root only
	Pdeathsig   Value[uint32] `json:"pdeathsig"`
	Personality Value[uint32] `json:"personality"`
	LoginUID    Value[uint32] `json:"loginuid"`
	SessionID   Value[uint32] `json:"sessionid"`
	// SpecFlags are the speculation bits of task_struct.atomic_flags.
	SpecFlags Value[uint32] `json:"spec_flags"`
}

// Instruction is one classic BPF instruction, laid out as struct sock_filter.
type Instruction struct {
	Code uint16 `json:"code"`
	JT   uint8  `json:"jt"`
	JF   uint8  `json:"jf"`
	K    uint32 `json:"k"`
}

// Filter is one installed seccomp filter.
type Filter struct {
	Log              bool          `json:"log,omitempty"`
	WaitKillable     bool          `json:"wait_killable_recv,omitempty"`
	HasNotifier      bool          `json:"notifier,omitempty"`
	Instructions     []Instruction `json:"instructions"`
	InstructionsLost string        `json:"instructions_unreadable,omitempty"` // why Instructions is empty
}

// Seccomp is the task's seccomp(2) state.
type Seccomp struct {
	Mode    Value[uint32]   `json:"mode"` // 0 off, 1 strict, 2 filter
	Count   Value[uint32]   `json:"filter_count"`
	Filters Value[[]Filter] `json:"filters"` // newest first, as the kernel runs them
	// Armed: the flag is set that sends the task's system calls through
	// seccomp. Mode and filters have no effect without it.
	Armed Value[bool] `json:"armed"`
}

// LandlockLayer says what one Landlock layer restrains, as the bits of
// landlock(7): LANDLOCK_ACCESS_FS_, LANDLOCK_ACCESS_NET_ and LANDLOCK_SCOPE_.
// A right that no rule of the layer grants is denied. LANDLOCK_ACCESS_FS_REFER is
// always among those of a layer that handles files.
type LandlockLayer struct {
	FS    uint32 `json:"fs"`
	Net   uint32 `json:"net,omitempty"`
	Scope uint32 `json:"scope,omitempty"`
}

// Landlock is the task's Landlock domain, where it can be read.
type Landlock struct {
	Layers  Value[uint32]          `json:"layers"`  // stacked; 0 is no domain
	Handled Value[[]LandlockLayer] `json:"handled"` // oldest first
	// Rules is the number of rules of the whole domain. Rules on one object
	// in several layers count once.
	Rules Value[uint32] `json:"rules"`
	// RuleList has what they allow, layer by layer. It is unreadable if Rules
	// is more than [MaxLandlockRules].
	RuleList Value[[]LandlockRule] `json:"rule_list"`
}

// MaxLandlockRules is how many rules are read of a domain.
const MaxLandlockRules = 64

// LandlockRule is what one layer allows on a file, and on all that is beneath it
// if it is a directory, or on a port. Rules are sorted by layer, kind, inode and
// port; a layer has at most one for each inode and each port, since what is added
// to a ruleset twice is one rule with the rights of both.
type LandlockRule struct {
	Layer uint32 `json:"layer"` // from 1, the oldest
	Kind  string `json:"kind"`  // RulePath or RulePort
	// Inode is that of the file system itself. What stat(2) says differs where
	// a file system makes device or inode numbers up for it (btrfs,
	// overlayfs). It is zero once the file's file system is gone; such a rule
	// allows nothing.
	Inode Inode  `json:"inode,omitzero"`
	Port  uint16 `json:"port,omitempty"`
	// Access are the LANDLOCK_ACCESS_FS_ or LANDLOCK_ACCESS_NET_ bits that it
	// allows, of those that the layer handles.
	Access uint32 `json:"access"`
}

// The kinds of a [LandlockRule].
const (
	RulePath = "path"
	RulePort = "port"
)

// Compare orders rules as a posture lists them.
func (r LandlockRule) Compare(o LandlockRule) int {
	return cmp.Or(cmp.Compare(r.Layer, o.Layer), cmp.Compare(r.Kind, o.Kind), cmp.Compare(r.Inode.Dev, o.Inode.Dev),
		cmp.Compare(r.Inode.Ino, o.Inode.Ino), cmp.Compare(r.Port, o.Port), cmp.Compare(r.Access, o.Access))
}

// CgroupV1 is the membership in one version 1 hierarchy.
type CgroupV1 struct {
	Controller string `json:"controller"` // "memory", "cpu", …
	ID         uint64 `json:"id"`         // inode number of the directory
}

// Cgroup is the task's cgroup membership. An id is the inode number of the
// cgroup's directory.
type Cgroup struct {
	V2 Value[uint64]     `json:"v2"`
	V1 Value[[]CgroupV1] `json:"v1"` // sorted by controller
	// Frozen: its version 2 cgroup or one above it is, or is about to be.
	Frozen Value[bool] `json:"frozen"`
}

// Rlimit is one resource limit, in the units of getrlimit(2).
type Rlimit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Rlimits are the sixteen limits, indexed by RLIMIT_ number.
type Rlimits [16]Rlimit

// OOM is the task's standing with the out-of-memory killer.
type OOM struct {
	ScoreAdj    Value[int32] `json:"score_adj"`
	ScoreAdjMin Value[int32] `json:"score_adj_min"`
}

// Uclamp is one bound of what the scheduler takes for the task's utilisation, in
// 1024ths of the biggest CPU's capacity.
type Uclamp struct {
	Value uint32 `json:"value"`
	// User: it was asked for, and is no default.
	User bool `json:"user,omitempty"`
}

// Sched is the task's scheduling state.
type Sched struct {
	Policy      Value[uint32]   `json:"policy"`
	Nice        Value[int32]    `json:"nice"`
	RTPriority  Value[uint32]   `json:"rt_priority"`
	ResetOnFork Value[bool]     `json:"reset_on_fork"`
	Affinity    Value[[]uint64] `json:"affinity"` // bit mask of CPUs, trailing zero words removed
	IOPrio      Value[uint32]   `json:"ioprio"`   // as ioprio_get(2); 0 if none was set
	TimerSlack  Value[uint64]   `json:"timer_slack_ns"`
	CoreCookie  Value[uint64]   `json:"core_cookie"`
	// What a SCHED_DEADLINE task gets, in nanoseconds; 0 for the others.
	DeadlineRuntime Value[uint64] `json:"deadline_runtime_ns"`
	Deadline        Value[uint64] `json:"deadline_ns"`
	DeadlinePeriod  Value[uint64] `json:"deadline_period_ns"`
	UclampMin       Value[Uclamp] `json:"uclamp_min"`
	UclampMax       Value[Uclamp] `json:"uclamp_max"`
	// Autogroup is the number of the group of sched(7) that a session has,
	// 0 for the initial one.
	Autogroup     Value[uint64] `json:"autogroup"`
	AutogroupNice Value[int32]  `json:"autogroup_nice"`
}

// Memory is what the task's memory is subject to.
type Memory struct {
	// Policy and its mode flags as get_mempolicy(2) tells them: 0 is
	// MPOL_DEFAULT.
	Policy      Value[uint32]   `json:"policy"`
	Nodes       Value[[]uint64] `json:"nodes"`        // of the policy: bit mask, trailing zero words removed
	MemsAllowed Value[[]uint64] `json:"mems_allowed"` // by the cpuset: the same
	// MDWE is as prctl(2) PR_GET_MDWE tells: bit 0 PR_MDWE_REFUSE_EXEC_GAIN,
	// bit 1 PR_MDWE_NO_INHERIT.
	MDWE Value[uint32] `json:"mdwe"`
	// THPDisabled is as prctl(2) PR_GET_THP_DISABLE tells: 0 no, 1 yes, 3
	// except where advised.
	THPDisabled Value[uint32] `json:"thp_disabled"`
	// MergeAny: PR_SET_MEMORY_MERGE, pages may be shared with others (KSM).
	MergeAny       Value[bool]   `json:"merge_any"`
	CoredumpFilter Value[uint32] `json:"coredump_filter"` // as in /proc/PID/coredump_filter
	// Randomized: the address space was laid out at random (PF_RANDOMIZE).
	Randomized Value[bool] `json:"randomized"`
}

// Signals is the signal state; bit n-1 stands for signal n.
type Signals struct {
	Blocked Value[uint64] `json:"blocked"`
	Ignored Value[uint64] `json:"ignored"`
	Pending Value[uint64] `json:"pending"`
}

// TTY identifies a controlling terminal; the zero TTY is "none".
type TTY struct {
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
}

// Process is the task's place among other processes. Process ids are those of
// the initial pid namespace.
type Process struct {
	PID           Value[uint32] `json:"pid"`
	PIDInside     Value[uint32] `json:"pid_inside"`
	Parent        Value[uint32] `json:"parent"`
	Tracer        Value[uint32] `json:"tracer"` // 0: not traced
	Session       Value[uint32] `json:"session"`
	Group         Value[uint32] `json:"process_group"`
	SessionLeader Value[bool]   `json:"session_leader"`
	TTY           Value[TTY]    `json:"tty"`
	Subreaper     Value[bool]   `json:"child_subreaper"`
	Threads       Value[uint32] `json:"threads"`
	// SyscallDispatch: system calls go to a handler in the task itself
	// (prctl(2) PR_SET_SYSCALL_USER_DISPATCH).
	SyscallDispatch Value[bool] `json:"syscall_user_dispatch"`
	// ShadowStack has the bits of ARCH_SHSTK_ENABLE on x86 and of
	// PR_SET_SHADOW_STACK_STATUS on arm64.
	ShadowStack Value[uint64] `json:"shadow_stack"`
	// IOUring: the task has an io_uring context.
	IOUring Value[bool] `json:"io_uring"`
	// IOUringRestricted: new rings of the task are born with restrictions.
	IOUringRestricted Value[bool] `json:"io_uring_restricted"`
	// MCEKill is as prctl(2) PR_MCE_KILL_GET tells.
	MCEKill   Value[MCEKill] `json:"mce_kill"`
	IOFlusher Value[bool]    `json:"io_flusher"` // PR_SET_IO_FLUSHER
}

// MCEKill says when a task is told of broken memory.
type MCEKill string

// The policies of prctl(2) PR_MCE_KILL.
const (
	MCEKillDefault MCEKill = "default"
	MCEKillEarly   MCEKill = "early"
	MCEKillLate    MCEKill = "late"
)

// Inode identifies a file: device number as in stat(2), inode number.
type Inode struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// FS is the task's view of the file system.
type FS struct {
	Umask        Value[uint32] `json:"umask"`
	Root         Value[Inode]  `json:"root"`
	Cwd          Value[Inode]  `json:"cwd"`
	CwdUnderRoot Value[bool]   `json:"cwd_under_root"`
	// RootIsMountRoot: root is the root of the mount at the top of the mount
	// namespace, that is: pivoted, not chrooted.
	RootIsMountRoot Value[bool] `json:"root_is_mount_root"`
	RootReadOnly    Value[bool] `json:"root_read_only"`
	// RootPropagation is that of root's mount alone, not of those below it.
	RootPropagation Value[Propagation] `json:"root_propagation"`
}

// Propagation says how mounts made below a mount spread, see
// mount_namespaces(7).
type Propagation string

// The kinds of propagation.
const (
	PropagationPrivate     Propagation = "private"
	PropagationShared      Propagation = "shared"
	PropagationSlave       Propagation = "slave"
	PropagationSharedSlave Propagation = "shared and slave"
	PropagationUnbindable  Propagation = "unbindable"
)

// File is one open file descriptor.
type File struct {
	FD          int32  `json:"fd"`
	Inode       Inode  `json:"inode"`
	Mode        uint32 `json:"mode"`  // i_mode: type and permissions
	Flags       uint32 `json:"flags"` // f_flags, as O_ values
	Magic       uint64 `json:"magic"` // s_magic of the file system
	CloseOnExec bool   `json:"close_on_exec,omitempty"`
}

// Files is the file descriptor table in order of descriptor.
type Files struct {
	Open []File `json:"open"`
	// Truncated is the number of open descriptors that did not fit.
	Truncated uint32 `json:"truncated,omitempty"`
}

// Keyrings are key serial numbers; 0 means that the keyring does not exist.
type Keyrings struct {
	Session Value[int32] `json:"session"`
	Process Value[int32] `json:"process"`
	Thread  Value[int32] `json:"thread"`
	// SessionOwner is the user whose key the session keyring is, as an id of
	// the initial user namespace; 0 if there is none.
	SessionOwner Value[uint32] `json:"session_owner"`
}

// Exec is the program that the task runs.
type Exec struct {
	Exe        Value[Inode]    `json:"exe"`
	ExeNlink   Value[uint32]   `json:"exe_nlink"` // 0: deleted or a memfd
	Comm       Value[string]   `json:"comm"`
	Args       Value[[]string] `json:"args"`
	Env        Value[[]string] `json:"env"`
	Secure     Value[bool]     `json:"secure"`       // AT_SECURE
	ForkNoExec Value[bool]     `json:"fork_no_exec"` // PF_FORKNOEXEC: never exec'd
}
