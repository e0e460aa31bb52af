package reference

var process = []Constraint{
	{Config: []string{"Session"}, Key: "holdshort.session", Call: "setsid", Proof: []string{"process.session", "process.session_leader", "process.process_group"}},
	{Config: []string{"Options.Terminal"}, Key: "process.terminal", Call: "setsid, ioctl TIOCSCTTY", Proof: []string{"process.tty"}},
	{Key: "process.consoleSize", Call: "ioctl TIOCSWINSZ", Proof: []string{"process.consoleSize"}},
	{Config: []string{"NewKeyring"}, Key: "holdshort.newKeyring", Call: "keyctl KEYCTL_JOIN_SESSION_KEYRING", Proof: []string{"keyrings.session"}},
	{Config: []string{"Pdeathsig"}, Key: "holdshort.pdeathsig", Call: "prctl PR_SET_PDEATHSIG", Proof: []string{"privilege.pdeathsig"}},
	{Config: []string{"Personality"}, Key: "linux.personality, holdshort.personality", Call: "personality", Proof: []string{"privilege.personality"}},
	{Config: []string{"IgnoreSignals"}, Key: "holdshort.ignoreSignals", Call: "rt_sigaction", Proof: []string{"signals.ignored"}},
	{Config: []string{"BlockSignals"}, Key: "holdshort.blockSignals", Call: "rt_sigprocmask", Proof: []string{"signals.blocked"}},
	{
		Config: []string{"Init"}, Key: "holdshort.init", Call: "unshare CLONE_NEWPID, clone3 CLONE_PARENT", Proof: []string{"process.pid_inside"},
		Note: "The init is a child of the agent's, as the workload is; what it may do is tested, not judged (`TestInit_GivesNothingAway`).",
	},
	{
		Config: []string{"Args", "Env", "Path", "SearchPath"}, Key: "process.args, process.env, holdshort.path, holdshort.searchPath", Call: "execve",
		Proof: []string{"exec.args", "exec.env", "exec.exe", "exec.exe_nlink", "exec.comm"},
	},
}

// Reasons for a field without a sabotage test. That the judge would find it is
// shown for every field by a snapshot in which nothing else is wrong.
const (
	kernelOnly = "only the kernel sets it; TestJudge_OneMutation changes it in a snapshot"
	noWay      = "the launcher has no operation that changes it; TestJudge_OneMutation changes it in a snapshot"
)

// Kept lists what is compared without being asked for.
var Kept = []State{
	{Field: "user_namespace.parent", Want: "the caller's user namespace, for a new one"},
	{Field: "user_namespace.owner_uid", Want: "the caller's effective user id, for a new one", Untested: kernelOnly},
	{Field: "privilege.dumpable", Want: "what execve makes of the credentials", Untested: kernelOnly},
	{Field: "privilege.loginuid", Want: "the caller's", Untested: noWay},
	{Field: "privilege.sessionid", Want: "the caller's", Untested: noWay},
	{Field: "privilege.spec_flags", Want: "the caller's, if not asked for"},
	{Field: "oom.score_adj_min", Want: "the caller's", Untested: noWay},
	{Field: "sched.autogroup", Want: "the caller's, but in a new session"},
	{Field: "seccomp.armed", Want: "yes with a seccomp mode, else no", Untested: kernelOnly},
	{Field: "cgroup.frozen", Want: "no", Untested: noWay},
	{Field: "memory.mems_allowed", Want: "the caller's, in the same cpuset", Untested: noWay},
	{Field: "memory.coredump_filter", Want: "the caller's"},
	{Field: "memory.randomized", Want: "what personality and kernel.randomize_va_space say"},
	{Field: "signals.pending", Want: "none"},
	{Field: "process.pid", Want: "the process that was launched", Untested: kernelOnly},
	{Field: "process.pid_inside", Want: "1 in a new pid namespace, 2 with an init"},
	{Field: "process.parent", Want: "the caller", Untested: kernelOnly},
	{Field: "process.tracer", Want: "none"},
	{Field: "process.child_subreaper", Want: "no, if not asked for"},
	{Field: "process.threads", Want: "1", Untested: kernelOnly},
	{Field: "process.syscall_user_dispatch", Want: "no: execve ends it", Untested: kernelOnly},
	{Field: "process.shadow_stack", Want: "none: execve ends it", Untested: kernelOnly},
	{Field: "process.io_uring", Want: "none: execve drops it", Untested: kernelOnly},
	{Field: "process.io_uring_restricted", Want: "the caller's", Untested: noWay},
	{Field: "process.mce_kill", Want: "the caller's", Untested: noWay},
	{Field: "keyrings.session_owner", Want: "the caller's, with the caller's keyring", Untested: noWay},
	{Field: "keyrings.process", Want: "none", Untested: kernelOnly},
	{Field: "keyrings.thread", Want: "none", Untested: kernelOnly},
	{Field: "fs.root_is_mount_root", Want: "yes for a new root: pivoted, not chrooted", Untested: noWay},
	{Field: "fs.cwd_under_root", Want: "yes", Untested: noWay},
	{Field: "exec.secure", Want: "what execve makes of program and credentials", Untested: kernelOnly},
	{Field: "exec.fork_no_exec", Want: "no: it has passed execve", Untested: kernelOnly},
}
