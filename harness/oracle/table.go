package oracle

import "github.com/holdshort/holdshort/probes/posture"

type (
	pst = posture.Posture
	u32 = posture.Value[uint32]
	u64 = posture.Value[uint64]
	i32 = posture.Value[int32]
	yes = posture.Value[bool]
	txt = posture.Value[string]
	cps = posture.Value[posture.CapSet]
	nsp = posture.Value[posture.Namespace]
	ino = posture.Value[posture.Inode]
)

// table says of every field what it is called and how it is compared. A new
// field of the posture needs a line here, a rule in expect.go, and a mutation in
// the tests; a test fails for a field that has none.
var table = [NumFields]struct {
	name string
	ops  ops
}{
	NSUser:            {"namespaces.user", scalar(func(p *pst) *nsp { return &p.Namespaces.User }, nil)},
	NSMount:           {"namespaces.mnt", scalar(func(p *pst) *nsp { return &p.Namespaces.Mount }, nil)},
	NSPID:             {"namespaces.pid", scalar(func(p *pst) *nsp { return &p.Namespaces.PID }, nil)},
	NSPIDForChildren:  {"namespaces.pid_for_children", scalar(func(p *pst) *nsp { return &p.Namespaces.PIDForChildren }, nil)},
	NSNet:             {"namespaces.net", scalar(func(p *pst) *nsp { return &p.Namespaces.Net }, nil)},
	NSUTS:             {"namespaces.uts", scalar(func(p *pst) *nsp { return &p.Namespaces.UTS }, nil)},
	NSIPC:             {"namespaces.ipc", scalar(func(p *pst) *nsp { return &p.Namespaces.IPC }, nil)},
	NSCgroup:          {"namespaces.cgroup", scalar(func(p *pst) *nsp { return &p.Namespaces.Cgroup }, nil)},
	NSTime:            {"namespaces.time", scalar(func(p *pst) *nsp { return &p.Namespaces.Time }, nil)},
	NSTimeForChildren: {"namespaces.time_for_children", scalar(func(p *pst) *nsp { return &p.Namespaces.TimeForChildren }, nil)},

	UserParent: {"user_namespace.parent", scalar(func(p *pst) *u32 { return &p.UserNS.Parent }, nil)},
	UserUIDMap: {"user_namespace.uid_map", of[[]posture.IDExtent]{
		func(p *pst) *posture.Value[[]posture.IDExtent] { return &p.UserNS.UIDMap }, equalMaps, mapOrder,
	}},
	UserGIDMap: {"user_namespace.gid_map", of[[]posture.IDExtent]{
		func(p *pst) *posture.Value[[]posture.IDExtent] { return &p.UserNS.GIDMap }, equalMaps, mapOrder,
	}},
	UserSetgroups: {"user_namespace.setgroups", scalar(func(p *pst) *yes { return &p.UserNS.Setgroups }, falseIsStricter)},
	UserOwnerUID:  {"user_namespace.owner_uid", scalar(func(p *pst) *u32 { return &p.UserNS.OwnerUID }, nil)},

	UTSHostname:   {"uts.hostname", scalar(func(p *pst) *txt { return &p.UTS.Hostname }, nil)},
	UTSDomainname: {"uts.domainname", scalar(func(p *pst) *txt { return &p.UTS.Domainname }, nil)},

	TimeMonotonic: {"time.monotonic_ns", scalar(func(p *pst) *posture.Value[int64] { return &p.Time.Monotonic }, nil)},
	TimeBoottime:  {"time.boottime_ns", scalar(func(p *pst) *posture.Value[int64] { return &p.Time.Boottime }, nil)},

	UID:    {"ids.uid", scalar(func(p *pst) *u32 { return &p.IDs.UID }, uidOrder)},
	EUID:   {"ids.euid", scalar(func(p *pst) *u32 { return &p.IDs.EUID }, uidOrder)},
	SUID:   {"ids.suid", scalar(func(p *pst) *u32 { return &p.IDs.SUID }, uidOrder)},
	FSUID:  {"ids.fsuid", scalar(func(p *pst) *u32 { return &p.IDs.FSUID }, uidOrder)},
	GID:    {"ids.gid", scalar(func(p *pst) *u32 { return &p.IDs.GID }, uidOrder)},
	EGID:   {"ids.egid", scalar(func(p *pst) *u32 { return &p.IDs.EGID }, uidOrder)},
	SGID:   {"ids.sgid", scalar(func(p *pst) *u32 { return &p.IDs.SGID }, uidOrder)},
	FSGID:  {"ids.fsgid", scalar(func(p *pst) *u32 { return &p.IDs.FSGID }, uidOrder)},
	Groups: {"ids.groups", of[[]uint32]{func(p *pst) *posture.Value[[]uint32] { return &p.IDs.Groups }, equalLists[uint32], groupOrder}},

	CapBounding:    {"capabilities.bounding", scalar(func(p *pst) *cps { return &p.Capabilities.Bounding }, capOrder)},
	CapPermitted:   {"capabilities.permitted", scalar(func(p *pst) *cps { return &p.Capabilities.Permitted }, capOrder)},
	CapEffective:   {"capabilities.effective", scalar(func(p *pst) *cps { return &p.Capabilities.Effective }, capOrder)},
	CapInheritable: {"capabilities.inheritable", scalar(func(p *pst) *cps { return &p.Capabilities.Inheritable }, capOrder)},
	CapAmbient:     {"capabilities.ambient", scalar(func(p *pst) *cps { return &p.Capabilities.Ambient }, capOrder)},

	NoNewPrivs:   {"privilege.no_new_privs", scalar(func(p *pst) *yes { return &p.Privilege.NoNewPrivs }, trueIsStricter)},
	Securebits:   {"privilege.securebits", scalar(func(p *pst) *u32 { return &p.Privilege.Securebits }, securebitsOrder)},
	Dumpable:     {"privilege.dumpable", scalar(func(p *pst) *u32 { return &p.Privilege.Dumpable }, dumpableOrder)},
	Pdeathsig:    {"privilege.pdeathsig", scalar(func(p *pst) *u32 { return &p.Privilege.Pdeathsig }, pdeathsigOrder)},
	Personality:  {"privilege.personality", scalar(func(p *pst) *u32 { return &p.Privilege.Personality }, nil)},
	LoginUID:     {"privilege.loginuid", scalar(func(p *pst) *u32 { return &p.Privilege.LoginUID }, nil)},
	AuditSession: {"privilege.sessionid", scalar(func(p *pst) *u32 { return &p.Privilege.SessionID }, nil)},
	SpecFlags:    {"privilege.spec_flags", scalar(func(p *pst) *u32 { return &p.Privilege.SpecFlags }, moreIsStricter[uint32])},

	SeccompMode:  {"seccomp.mode", scalar(func(p *pst) *u32 { return &p.Seccomp.Mode }, higherIsStricter[uint32])},
	SeccompCount: {"seccomp.filter_count", scalar(func(p *pst) *u32 { return &p.Seccomp.Count }, higherIsStricter[uint32])},
	SeccompFilters: {"seccomp.filters", of[[]posture.Filter]{
		func(p *pst) *posture.Value[[]posture.Filter] { return &p.Seccomp.Filters }, equalFilters, filterOrder,
	}},
	SeccompArmed: {"seccomp.armed", scalar(func(p *pst) *yes { return &p.Seccomp.Armed }, trueIsStricter)},
	LandlockHandled: {"landlock.handled", of[[]posture.LandlockLayer]{
		func(p *pst) *posture.Value[[]posture.LandlockLayer] { return &p.Landlock.Handled }, equalLists[posture.LandlockLayer], handledOrder,
	}},
	LandlockRules: {"landlock.rules", scalar(func(p *pst) *u32 { return &p.Landlock.Rules }, lowerIsStricter[uint32])},
	LandlockRuleList: {"landlock.rule_list", of[[]posture.LandlockRule]{
		func(p *pst) *posture.Value[[]posture.LandlockRule] { return &p.Landlock.RuleList }, equalLists[posture.LandlockRule], ruleListOrder,
	}},
	LandlockLayers: {"landlock.layers", scalar(func(p *pst) *u32 { return &p.Landlock.Layers }, higherIsStricter[uint32])},

	CgroupV2: {"cgroup.v2", scalar(func(p *pst) *u64 { return &p.Cgroup.V2 }, nil)},
	CgroupV1: {"cgroup.v1", list(func(p *pst) *posture.Value[[]posture.CgroupV1] { return &p.Cgroup.V1 })},

	CgroupFrozen: {"cgroup.frozen", scalar(func(p *pst) *yes { return &p.Cgroup.Frozen }, trueIsStricter)},

	RlimitCPU: {"rlimits.cpu", rlimit(0)}, RlimitFSize: {"rlimits.fsize", rlimit(1)},
	RlimitData: {"rlimits.data", rlimit(2)}, RlimitStack: {"rlimits.stack", rlimit(3)},
	RlimitCore: {"rlimits.core", rlimit(4)}, RlimitRSS: {"rlimits.rss", rlimit(5)},
	RlimitNProc: {"rlimits.nproc", rlimit(6)}, RlimitNoFile: {"rlimits.nofile", rlimit(7)},
	RlimitMemlock: {"rlimits.memlock", rlimit(8)}, RlimitAS: {"rlimits.as", rlimit(9)},
	RlimitLocks: {"rlimits.locks", rlimit(10)}, RlimitSigpending: {"rlimits.sigpending", rlimit(11)},
	RlimitMsgqueue: {"rlimits.msgqueue", rlimit(12)}, RlimitNice: {"rlimits.nice", rlimit(13)},
	RlimitRTPrio: {"rlimits.rtprio", rlimit(14)}, RlimitRTTime: {"rlimits.rttime", rlimit(15)},

	OOMScoreAdj:    {"oom.score_adj", scalar(func(p *pst) *i32 { return &p.OOM.ScoreAdj }, higherIsStricter[int32])},
	OOMScoreAdjMin: {"oom.score_adj_min", scalar(func(p *pst) *i32 { return &p.OOM.ScoreAdjMin }, higherIsStricter[int32])},

	SchedPolicy:      {"sched.policy", scalar(func(p *pst) *u32 { return &p.Sched.Policy }, nil)},
	SchedNice:        {"sched.nice", scalar(func(p *pst) *i32 { return &p.Sched.Nice }, higherIsStricter[int32])},
	SchedRTPriority:  {"sched.rt_priority", scalar(func(p *pst) *u32 { return &p.Sched.RTPriority }, lowerIsStricter[uint32])},
	SchedResetOnFork: {"sched.reset_on_fork", scalar(func(p *pst) *yes { return &p.Sched.ResetOnFork }, trueIsStricter)},
	SchedAffinity:    {"sched.affinity", of[[]uint64]{func(p *pst) *posture.Value[[]uint64] { return &p.Sched.Affinity }, equalMasks, affinityOrder}},
	SchedIOPrio:      {"sched.ioprio", scalar(func(p *pst) *u32 { return &p.Sched.IOPrio }, nil)},
	SchedTimerSlack:  {"sched.timer_slack_ns", scalar(func(p *pst) *u64 { return &p.Sched.TimerSlack }, nil)},
	SchedCoreCookie:  {"sched.core_cookie", scalar(func(p *pst) *u64 { return &p.Sched.CoreCookie }, nil)},

	SchedDeadlineRuntime: {"sched.deadline_runtime_ns", scalar(func(p *pst) *u64 { return &p.Sched.DeadlineRuntime }, lowerIsStricter[uint64])},
	SchedDeadline:        {"sched.deadline_ns", scalar(func(p *pst) *u64 { return &p.Sched.Deadline }, nil)},
	SchedDeadlinePeriod:  {"sched.deadline_period_ns", scalar(func(p *pst) *u64 { return &p.Sched.DeadlinePeriod }, nil)},
	SchedUclampMin:       {"sched.uclamp_min", scalar(func(p *pst) *posture.Value[posture.Uclamp] { return &p.Sched.UclampMin }, clampOrder)},
	SchedUclampMax:       {"sched.uclamp_max", scalar(func(p *pst) *posture.Value[posture.Uclamp] { return &p.Sched.UclampMax }, clampOrder)},
	SchedAutogroup:       {"sched.autogroup", scalar(func(p *pst) *u64 { return &p.Sched.Autogroup }, nil)},
	SchedAutogroupNice:   {"sched.autogroup_nice", scalar(func(p *pst) *i32 { return &p.Sched.AutogroupNice }, higherIsStricter[int32])},

	MemoryPolicy:         {"memory.policy", scalar(func(p *pst) *u32 { return &p.Memory.Policy }, nil)},
	MemoryNodes:          {"memory.nodes", of[[]uint64]{func(p *pst) *posture.Value[[]uint64] { return &p.Memory.Nodes }, equalMasks, affinityOrder}},
	MemoryMemsAllowed:    {"memory.mems_allowed", of[[]uint64]{func(p *pst) *posture.Value[[]uint64] { return &p.Memory.MemsAllowed }, equalMasks, affinityOrder}},
	MemoryMDWE:           {"memory.mdwe", scalar(func(p *pst) *u32 { return &p.Memory.MDWE }, moreIsStricter[uint32])},
	MemoryTHPDisabled:    {"memory.thp_disabled", scalar(func(p *pst) *u32 { return &p.Memory.THPDisabled }, nil)},
	MemoryMergeAny:       {"memory.merge_any", scalar(func(p *pst) *yes { return &p.Memory.MergeAny }, falseIsStricter)},
	MemoryCoredumpFilter: {"memory.coredump_filter", scalar(func(p *pst) *u32 { return &p.Memory.CoredumpFilter }, nil)},
	MemoryRandomized:     {"memory.randomized", scalar(func(p *pst) *yes { return &p.Memory.Randomized }, trueIsStricter)},

	SignalsBlocked: {"signals.blocked", scalar(func(p *pst) *u64 { return &p.Signals.Blocked }, fewerIsStricter)},
	SignalsIgnored: {"signals.ignored", scalar(func(p *pst) *u64 { return &p.Signals.Ignored }, fewerIsStricter)},
	SignalsPending: {"signals.pending", scalar(func(p *pst) *u64 { return &p.Signals.Pending }, nil)},

	ProcessPID:               {"process.pid", scalar(func(p *pst) *u32 { return &p.Process.PID }, nil)},
	ProcessPIDInside:         {"process.pid_inside", scalar(func(p *pst) *u32 { return &p.Process.PIDInside }, nil)},
	ProcessParent:            {"process.parent", scalar(func(p *pst) *u32 { return &p.Process.Parent }, nil)},
	ProcessTracer:            {"process.tracer", scalar(func(p *pst) *u32 { return &p.Process.Tracer }, nil)},
	ProcessSession:           {"process.session", scalar(func(p *pst) *u32 { return &p.Process.Session }, nil)},
	ProcessGroup:             {"process.process_group", scalar(func(p *pst) *u32 { return &p.Process.Group }, nil)},
	ProcessSessionLeader:     {"process.session_leader", scalar(func(p *pst) *yes { return &p.Process.SessionLeader }, nil)},
	ProcessTTY:               {"process.tty", scalar(func(p *pst) *posture.Value[posture.TTY] { return &p.Process.TTY }, nil)},
	ProcessSubreaper:         {"process.child_subreaper", scalar(func(p *pst) *yes { return &p.Process.Subreaper }, nil)},
	ProcessThreads:           {"process.threads", scalar(func(p *pst) *u32 { return &p.Process.Threads }, nil)},
	ProcessSyscallDispatch:   {"process.syscall_user_dispatch", scalar(func(p *pst) *yes { return &p.Process.SyscallDispatch }, nil)},
	ProcessShadowStack:       {"process.shadow_stack", scalar(func(p *pst) *u64 { return &p.Process.ShadowStack }, nil)},
	ProcessIOUring:           {"process.io_uring", scalar(func(p *pst) *yes { return &p.Process.IOUring }, falseIsStricter)},
	ProcessIOUringRestricted: {"process.io_uring_restricted", scalar(func(p *pst) *yes { return &p.Process.IOUringRestricted }, trueIsStricter)},
	ProcessMCEKill:           {"process.mce_kill", scalar(func(p *pst) *posture.Value[posture.MCEKill] { return &p.Process.MCEKill }, nil)},
	ProcessIOFlusher:         {"process.io_flusher", scalar(func(p *pst) *yes { return &p.Process.IOFlusher }, falseIsStricter)},

	FSUmask:           {"fs.umask", scalar(func(p *pst) *u32 { return &p.FS.Umask }, moreIsStricter[uint32])},
	FSRoot:            {"fs.root", scalar(func(p *pst) *ino { return &p.FS.Root }, nil)},
	FSCwd:             {"fs.cwd", scalar(func(p *pst) *ino { return &p.FS.Cwd }, nil)},
	FSCwdUnderRoot:    {"fs.cwd_under_root", scalar(func(p *pst) *yes { return &p.FS.CwdUnderRoot }, trueIsStricter)},
	FSRootIsMountRoot: {"fs.root_is_mount_root", scalar(func(p *pst) *yes { return &p.FS.RootIsMountRoot }, trueIsStricter)},
	FSRootReadOnly:    {"fs.root_read_only", scalar(func(p *pst) *yes { return &p.FS.RootReadOnly }, trueIsStricter)},
	FSRootPropagation: {"fs.root_propagation", scalar(func(p *pst) *posture.Value[posture.Propagation] { return &p.FS.RootPropagation }, propagationOrder)},

	OpenFiles: {"files", of[posture.Files]{func(p *pst) *posture.Value[posture.Files] { return &p.Files }, equalFiles, fileOrder}},

	KeyringSession:      {"keyrings.session", scalar(func(p *pst) *i32 { return &p.Keyrings.Session }, nil)},
	KeyringProcess:      {"keyrings.process", scalar(func(p *pst) *i32 { return &p.Keyrings.Process }, nil)},
	KeyringThread:       {"keyrings.thread", scalar(func(p *pst) *i32 { return &p.Keyrings.Thread }, nil)},
	KeyringSessionOwner: {"keyrings.session_owner", scalar(func(p *pst) *u32 { return &p.Keyrings.SessionOwner }, nil)},

	ExecExe:        {"exec.exe", scalar(func(p *pst) *ino { return &p.Exec.Exe }, nil)},
	ExecExeNlink:   {"exec.exe_nlink", scalar(func(p *pst) *u32 { return &p.Exec.ExeNlink }, nil)},
	ExecComm:       {"exec.comm", scalar(func(p *pst) *txt { return &p.Exec.Comm }, nil)},
	ExecArgs:       {"exec.args", list(func(p *pst) *posture.Value[[]string] { return &p.Exec.Args })},
	ExecEnv:        {"exec.env", list(func(p *pst) *posture.Value[[]string] { return &p.Exec.Env })},
	ExecSecure:     {"exec.secure", scalar(func(p *pst) *yes { return &p.Exec.Secure }, nil)},
	ExecForkNoExec: {"exec.fork_no_exec", scalar(func(p *pst) *yes { return &p.Exec.ForkNoExec }, nil)},
}

// 0 hides the task from its own user, 2 opens it to root only, 1 to its user.
func dumpableOrder(want, got uint32) order {
	switch {
	case got == 1:
		return laxer
	case want == 1:
		return stricter
	}
	return lowerIsStricter(want, got)
}

// A workload that outlives its parent is the weaker case.
func pdeathsigOrder(want, got uint32) order {
	switch {
	case got == 0:
		return laxer
	case want == 0:
		return stricter
	}
	return other
}
