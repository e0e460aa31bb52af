package oracle

import (
	"slices"

	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Features is what the oracle must know of kernel, machine and program. The
// zero Features know of no capability and of no cgroup.
type Features struct {
	// AllCaps are the capabilities that the kernel knows.
	AllCaps posture.CapSet
	// SuidDumpable is the sysctl fs.suid_dumpable.
	SuidDumpable uint32
	// CPUs are the CPUs that the workload's cpuset allows; nil if that is
	// not known.
	CPUs []uint64
	// SlackFollowsPolicy: a realtime task has no timer slack (since Linux 6.13).
	SlackFollowsPolicy bool
	// CgroupV2 and CgroupV1 say where linux.cgroupsPath puts the workload.
	CgroupV2 bool
	CgroupV1 []string
	// LandlockABI is what the kernel answers to
	// LANDLOCK_CREATE_RULESET_VERSION, 0 without Landlock.
	LandlockABI int
	// Program is the file that will be executed.
	Program Program
	// Labels are the caller's.
	Labels Labels
	// Profile is that of another engine; nil for our own launcher.
	Profile *Profile
	// Seccomp judges filters; without it they are unobservable.
	Seccomp SeccompJudge
}

// SeccompJudge decides whether an installed filter does what a policy asks.
type SeccompJudge interface {
	// JudgeFilter answers Equal, Weaker, Stronger or Unobservable, and why.
	JudgeFilter(policy *specs.LinuxSeccomp, got *posture.Filter) (Outcome, string)
}

func (a *Features) equal(b *Features) bool {
	x, y := &a.Program, &b.Program
	return a.AllCaps == b.AllCaps && a.SuidDumpable == b.SuidDumpable && slices.Equal(a.CPUs, b.CPUs) &&
		(a.CPUs == nil) == (b.CPUs == nil) &&
		a.SlackFollowsPolicy == b.SlackFollowsPolicy && a.CgroupV2 == b.CgroupV2 && slices.Equal(a.CgroupV1, b.CgroupV1) &&
		a.Seccomp == b.Seccomp && a.Profile == b.Profile && a.LandlockABI == b.LandlockABI && a.Labels == b.Labels &&
		x.SetUID == y.SetUID && x.SetGID == y.SetGID && x.HasFileCaps == y.HasFileCaps &&
		x.FilePermitted == y.FilePermitted && x.FileInheritable == y.FileInheritable && x.FileEffective == y.FileEffective &&
		x.Unreadable == y.Unreadable && x.Path == y.Path && slices.Equal(x.Interpreter, y.Interpreter)
}

// NoFile is what a program must be that can be no file: its name leads out of the
// root that was asked for.
var NoFile posture.Inode

// Facts is what only the launch itself can tell. What is not known stays
// unset, and what was asked for and depends on it is then unobservable.
type Facts struct {
	PID       posture.Value[uint32] // of the workload, in the initial pid namespace
	PIDInside posture.Value[uint32] // only needed when a pid namespace was joined
	Parent    posture.Value[uint32]

	// Joined holds what was joined: namespaces, and the maps, owner and
	// parent of a joined user namespace, the names and offsets of joined uts
	// and time namespaces.
	Joined struct {
		Namespaces posture.Namespaces
		UserNS     posture.UserNS
		UTS        posture.UTS
		Time       posture.TimeOffsets
	}

	CgroupV2 posture.Value[uint64]
	// CgroupV1 has every controller that was moved, also those that share a
	// hierarchy with one that was asked for.
	CgroupV1 []posture.CgroupV1

	Root posture.Value[posture.Inode] // of the changed root
	// RootReadOnly: its directory is on a mount or a file system that is so.
	RootReadOnly posture.Value[bool]

	Cwd      posture.Value[posture.Inode] // of process.cwd
	Exe      posture.Value[posture.Inode]
	ExeNlink posture.Value[uint32]
	TTY      posture.Value[posture.TTY]
	// LandlockPaths has what the paths of Landlock rules are in the workload's
	// root, in the numbers of the file system itself.
	LandlockPaths map[string]posture.Value[posture.Inode]
	// Files are the descriptors that were passed, in order, those from 0 to 2
	// included. A zero inode is not compared.
	Files []posture.File
	// Signals are those that the harness itself sends to the workload, which
	// may therefore be pending; bit n-1 is signal n.
	Signals uint64
	// Ignorable signals may be ignored or not.
	Ignorable uint64
}
