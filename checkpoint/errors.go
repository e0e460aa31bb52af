package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Stage names a step of a launch in errors and reports.
type Stage string

// Stages in the order in which a launch passes them.
const (
	StageConfig     Stage = "config"     // the request is not valid
	StageAgent      Stage = "agent"      // the agent did not start, or died
	StageClone      Stage = "clone"      // clone3(2)
	StageMaps       Stage = "map-ids"    // setgroups, uid_map, gid_map
	StageNamespaces Stage = "namespaces" // setns(2), unshare(2)
	StageTime       Stage = "time-offsets"
	StageEnter      Stage = "enter" // joining a running process
	StageInit       Stage = "init"  // process 1 of a pid namespace
	StageCgroup     Stage = "cgroup"
	StageNetwork    Stage = "network"
	StageHostname   Stage = "hostname"
	StageMounts     Stage = "mounts"
	StageDevices    Stage = "devices"
	StageReadOnly   Stage = "read-only-paths"
	StageMasked     Stage = "masked-paths"
	StageSysctl     Stage = "sysctl"
	StageOOM        Stage = "oom-score-adj"
	StageSched      Stage = "scheduling"
	StageMemory     Stage = "memory" // memory policy and flags of the address space
	StageSignals    Stage = "signals"
	StageSession    Stage = "session"
	StageKeyring    Stage = "keyring"
	StageStdio      Stage = "stdio"
	StageFiles      Stage = "files"
	StageUmask      Stage = "umask"
	StageCwd        Stage = "cwd"
	StageRlimits    Stage = "rlimits"
	StagePersona    Stage = "personality"
	StageBounding   Stage = "capabilities.bounding"
	StageSecurebits Stage = "securebits"
	StageIDs        Stage = "ids"
	StageCaps       Stage = "capabilities"
	StageAmbient    Stage = "capabilities.ambient"
	StageNNP        Stage = "no-new-privs"
	StagePdeathsig  Stage = "pdeathsig"
	StageLandlock   Stage = "landlock"
	StageSubreaper  Stage = "subreaper"
	StageSpec       Stage = "speculation"
	StageTracer     Stage = "ptracer"
	StageLSM        Stage = "lsm" // labels of AppArmor and SELinux
	StageSeccomp    Stage = "seccomp"
	StageExec       Stage = "execve"
)

// Error is a step of a launch that failed. It is to a launch what fs.PathError
// is to files: test the cause with errors.Is(err, unix.EPERM), and read where
// it happened from the fields.
type Error struct {
	Stage  Stage
	Index  int    // position in a list of equal steps, -1 if there is only one
	Object string // path, limit or file acted on; may be empty
	Child  bool   // reported by the child; false if host or agent failed
	Err    error  // a unix.Errno unless the step is no system call
	Hint   string // what to do about it; may be empty
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("checkpoint: ")
	b.WriteString(string(e.Stage))
	if e.Index >= 0 {
		fmt.Fprintf(&b, "[%d]", e.Index)
	}
	if e.Object != "" {
		fmt.Fprintf(&b, " %q", e.Object)
	}
	if e.Child {
		b.WriteString(" in child")
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	if errno, ok := errors.AsType[unix.Errno](e.Err); ok {
		if name := unix.ErrnoName(errno); name != "" {
			b.WriteString(" (" + name + ")")
		}
	}
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Sentinel errors, to be tested with errors.Is.
var (
	// ErrNotParked: the verb needs a parked workload (it has not got there
	// yet, or was already released).
	ErrNotParked = errors.New("workload is not parked")
	// ErrNotRunning: the verb needs a running workload.
	ErrNotRunning = errors.New("workload is not running")
	// ErrEnded: the workload has already ended.
	ErrEnded = errors.New("workload has ended")
	// ErrBirth: the constraint can only be given to Spawn.
	ErrBirth = errors.New("can only be asked for at birth")
	// ErrUnmapped: a user or group that a launch takes from its target has no
	// number in the target's user namespace. It is EINVAL, too.
	ErrUnmapped = errors.New("not mapped in the target's user namespace")
	// ErrAgentDied: the agent ended before its workloads.
	ErrAgentDied = errors.New("agent died")
	// ErrNotSupported: this kernel lacks what was asked for. It is
	// errors.ErrUnsupported, which ENOSYS and EOPNOTSUPP match too.
	ErrNotSupported = errors.ErrUnsupported
)

func fail(stage Stage, object string, err error) *Error {
	return &Error{Stage: stage, Index: -1, Object: object, Err: err}
}

// hint says what usually helps against an errno at a stage.
func hint(stage Stage, object string, errno unix.Errno) string {
	if h := identityHint(stage, errno); h != "" {
		return h
	}
	switch {
	case stage == StageSched || stage == StageMemory:
		return tuningHint(object, errno)
	case stage == StageClone && errno == unix.EPERM:
		return "needs CAP_SYS_ADMIN, or a new user namespace with the others"
	case stage == StageClone && (errno == unix.ENOSPC || errno == unix.EUSERS):
		return "a limit in /proc/sys/user/max_*_namespaces or the nesting depth of 32 is reached"
	case stage == StageClone && errno == unix.ENOSYS:
		return "clone3 is needed (since Linux 5.3); an outer seccomp filter may be hiding it"
	case stage == StageClone && errno == unix.EINVAL:
		return "a namespace kind that this kernel was built without, see /proc/self/ns"
	case stage == StageClone && errno == unix.EBUSY:
		return "the cgroup has controllers enabled for its children (no internal processes rule, cgroups(7))"
	case stage == StageMaps && errno == unix.EPERM:
		return "a map other than one's own id needs CAP_SETUID/CAP_SETGID over the parent namespace, or map_helper with /etc/subuid"
	case (stage == StageMounts || stage == StageDevices) && errno == unix.EOVERFLOW:
		return "the target is missing, and the child has no id that a file could belong to: map user and group 0, or make the target beforehand"
	case (stage == StageMounts || stage == StageDevices) && errno == unix.EROFS:
		return "the target is missing on a read-only file system: make it beforehand"
	case stage == StageMounts && errno == unix.EPERM:
		return "needs CAP_SYS_ADMIN in the mount namespace's user namespace; what a mount has from outside of it (ro, nodev, …, the access time) is locked there"
	case stage == StageMounts && errno == unix.ELOOP:
		return "a symbolic link that dangles, or one of /proc"
	case stage == StageMounts && errno == unix.EAGAIN:
		return "a part of the path was moved while it was looked up: try again"
	case stage == StageDevices && errno == unix.EEXIST:
		return "something else is there already"
	case stage == StageDevices && errno == unix.ENODEV:
		return "the host's own is another device"
	case stage == StageSeccomp && errno == unix.EBUSY:
		return "a filter of the caller has a listener already, and there can be one"
	case stage == StageSeccomp && errno == unix.EMFILE:
		return "RLIMIT_NOFILE leaves no number for the listener"
	case stage == StageSeccomp && errno == unix.EACCES:
		return "needs no_new_privs or CAP_SYS_ADMIN"
	case stage == StageLandlock:
		return landlockHint(errno)
	case stage == StageEnter && errno == unix.ESRCH:
		return "the target has ended"
	case stage == StageEnter && (errno == unix.EPERM || errno == unix.EACCES):
		return "needs CAP_SYS_ADMIN over the target's namespaces, and CAP_SYS_PTRACE to look into it"
	case stage == StageClone && errno == unix.ENOMEM:
		return "the pid namespace that was joined has lost its first process"
	case stage == StageIDs && errno == unix.EINVAL:
		return "the id is not mapped in the workload's user namespace"
	case stage == StageIDs && errno == unix.EPERM:
		return "needs CAP_SETUID/CAP_SETGID in the workload's user namespace, and setgroups not denied"
	case stage == StageRlimits && errno == unix.EPERM:
		return "raising a hard limit needs CAP_SYS_RESOURCE in the initial user namespace"
	case (stage == StageBounding || stage == StageSecurebits) && errno == unix.EPERM:
		return "needs CAP_SETPCAP"
	case stage == StageAmbient && errno == unix.EPERM:
		return "a capability must be permitted and inheritable to become ambient"
	case stage == StageOOM && errno == unix.EACCES:
		return "lowering the score below its floor needs CAP_SYS_RESOURCE in the initial user namespace"
	case stage == StageExec && errno == unix.ENOENT:
		return "no such program in the workload's root, or its interpreter is missing; a script that is given as an open file needs a number to stay open at"
	case stage == StageExec && errno == unix.EACCES:
		return "not executable for the workload's ids, or on a noexec mount"
	case stage == StageExec && errno == unix.ENOEXEC:
		return "neither ELF nor a script with #!"
	}
	return ""
}
