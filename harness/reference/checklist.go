package reference

// Row is one line of the checklist for other people's engines: a part of an OCI
// request, what conforms to it at the first instruction, and where engines are
// known to differ.
type Row struct {
	Field  string   // of config.json; of several, with commas
	Checks []string // names in reports; one that ends in "." or "[" stands for all that begin so
	State  string   // what conforms
	Spec   string   // section of the runtime-spec: file#anchor; empty if it says nothing
	// Engines says how engines differ. Versions are those of Debian 12 (runc
	// 1.1.5, crun 1.8.1, bubblewrap 0.8.0) unless said otherwise.
	Engines string
	// NotJudged says what of the row is not judged, and why.
	NotJudged string
}

// specURL is the version of the runtime-spec that the rows speak of.
const specURL = "https://github.com/opencontainers/runtime-spec/blob/v1.3.0/"

// SpecLink is where the row's section is to be read, or empty.
func (r *Row) SpecLink() string {
	if r.Spec == "" {
		return ""
	}
	return specURL + r.Spec
}

// Checklist is every part of a request that is judged of another engine.
func Checklist() []Row { return checklist }

var checklist = []Row{
	{
		Field: "linux.namespaces[] without a path", Checks: []string{"namespaces.", "user_namespace.parent", "user_namespace.owner_uid", "process.pid_inside", "cgroup.v2", "cgroup.v1"}, Spec: "config-linux.md#namespaces",
		State:   "a namespace that is not the engine's caller's, owned by the new user namespace if one is asked for, else by the caller's; in a new pid namespace the program is process 1",
		Engines: "bwrap makes one more user namespace where the ids need it, and without --as-pid-1 runs the program as process 2",
	},
	{
		Field: "linux.namespaces[].path", Checks: []string{"namespaces."}, Spec: "config-linux.md#namespaces",
		State: "the very namespace of the file when the engine began",
	},
	{
		Field: "a namespace type that is not listed", Checks: []string{"namespaces."}, Spec: "config-linux.md#namespaces",
		State: "that of the engine, which is not that of whoever verifies", Engines: "bwrap and podman always make a mount namespace; firejail, systemd-nspawn and lxc-execute most of the others, too",
	},
	{
		Field: "linux.namespaces[] of one type twice", Checks: []string{"namespaces."}, Spec: "config-linux.md#namespaces",
		State: "the engine must refuse it", Engines: "crun accepts it", NotJudged: "holdshort refuses the request itself (exit status 64): there is nothing that could be held against it",
	},
	{
		Field: "linux.uidMappings, linux.gidMappings", Checks: []string{"user_namespace.uid_map", "user_namespace.gid_map", "user_namespace.setgroups"}, Spec: "config-linux.md#user-namespace-mappings",
		State: "exactly these extents, seen from the initial user namespace; setgroups as asked",
	},
	{
		Field: "linux.timeOffsets", Checks: []string{"time."}, Spec: "config-linux.md#offset-for-time-namespace",
		State: "the offsets of the time namespace, to the nanosecond", Engines: "runc 1.1.5 refuses the type time; crun 1.8.1 with a pid namespace dies",
	},
	{
		Field: "hostname, domainname", Checks: []string{"uts."}, Spec: "config.md#hostname",
		State: "the names of the uts namespace", Engines: "runc 1.1.5 ignores domainname and exits with 0",
	},
	{
		Field: "root.path, root.readonly", Checks: []string{"fs.root", "fs.root_is_mount_root", "fs.root_read_only", "mounts.unasked"}, Spec: "config.md#root",
		State: "the directory that was named, as the root of a mount and of the mount tree (pivoted, not only chrooted), read-only if asked; in it no mount but those that were asked for, those of the directory itself, and devices", Engines: "unshare --root uses chroot",
	},
	{
		Field: "mounts[]", Checks: []string{"mounts["}, Spec: "config.md#mounts",
		State:   "at each destination a mount that was not there before, of the type or the source, with the flags and data that were asked for, on top of what else is mounted there",
		Engines: "on cgroup version 1 runc and crun leave the tmpfs above the hierarchies writable although ro is asked for",
	},
	{
		Field: "mounts[].uidMappings, mounts[].gidMappings, options idmap and ridmap", Checks: []string{"mounts["}, Spec: "config.md#posix-platform-mounts",
		State: "the mount shifts the ids of its files as mapped", Engines: "runc 1.1.5 ignores it; crun applies it",
	},
	{
		Field: "linux.rootfsPropagation", Checks: []string{"linux.rootfsPropagation", "mounts.propagation", "fs.root_propagation"}, Spec: "config-linux.md#rootfs-mount-propagation",
		State: "the root mount is shared, slave, private or unbindable, as asked; without being asked no mount of the workload is shared with the host",
	},
	{
		Field: "linux.maskedPaths", Checks: []string{"linux.maskedPaths["}, Spec: "config-linux.md#masked-paths",
		State: "nothing of the file or directory can be read: a null device, an empty file or an empty read-only directory on top; a path that is not there is left alone", Engines: "runc binds its own null device, crun the host's",
	},
	{
		Field: "linux.readonlyPaths", Checks: []string{"linux.readonlyPaths["}, Spec: "config-linux.md#readonly-paths",
		State: "each mount at and below the path is read-only",
	},
	{
		Field: "linux.devices, default devices", Checks: []string{"linux.devices[", "linux.devices.default", "linux.devices.unasked"}, Spec: "config-linux.md#default-devices",
		State: "the node exists with type, number, mode and owner; null, zero, full, random, urandom, tty, ptmx and the links are there; console if there is a terminal; in a /dev that is asked for no device but these",
	},
	{
		Field: "linux.resources.devices", Checks: []string{"linux.resources.devices"}, Spec: "config-linux.md#allowed-device-list",
		State:   "every access that could differ is decided as the rules say, the last one that matches; what an engine documents to add (the default devices, the making of nodes) may be allowed beyond them",
		Engines: "runc 1.1.5 allows 10:200 (tun), crun the console",
	},
	{
		Field: "linux.cgroupsPath", Checks: []string{"cgroup.v2", "cgroup.v1"}, Spec: "config-linux.md#cgroups-path",
		State:   "the task is in that cgroup of each hierarchy that the engine joins; an absolute path is below the mount point; a relative one, or none, leaves the choice to the engine",
		Engines: "without a path runc nests below the caller's memory cgroup, crun begins at the root and leaves the caller's limit",
	},
	{
		Field:  "linux.resources.memory, cpu, pids, blockIO, hugepageLimits, network, rdma, unified",
		Checks: []string{"linux.resources.memory", "linux.resources.cpu", "linux.resources.pids", "linux.resources.blockIO", "linux.resources.hugepageLimits[", "linux.resources.network", "linux.resources.rdma", "linux.resources.unified.", "sched.affinity", "memory.mems_allowed"},
		Spec:   "config-linux.md#control-groups", State: "the files of the workload's cgroup hold the values, converted to its version, before the first instruction",
	},
	{
		Field: "ownership of the cgroup", Checks: []string{"holdshort.cgroup.delegate"}, Spec: "config-linux.md#cgroup-ownership",
		State: "the files of /sys/kernel/cgroup/delegate belong to the workload's user, nothing else does", NotJudged: "only if holdshort.cgroup.delegate asks for it",
	},
	{
		Field: "process.terminal, process.consoleSize", Checks: []string{"process.tty", "process.session", "process.session_leader", "process.process_group", "process.consoleSize"}, Spec: "config.md#process",
		State: "a pseudo-terminal that is not the caller's is the controlling terminal of a session that is not the caller's, of the size that was asked for",
	},
	{
		Field: "process.cwd", Checks: []string{"fs.cwd", "fs.cwd_under_root"}, Spec: "config.md#process",
		State: "the directory inside the root, reachable from it: not one that was left open outside", Engines: "CVE-2024-21626 (runc before 1.1.12)",
	},
	{
		Field: "process.args", Checks: []string{"exec.args", "exec.exe", "exec.exe_nlink", "exec.comm", "exec.secure", "exec.fork_no_exec"}, Spec: "config.md#posix-process",
		State: "these arguments, and the file that PATH finds inside the root; of a script, what execve makes of it",
	},
	{
		Field: "process.env", Checks: []string{"exec.env"}, Spec: "config.md#process",
		State: "exactly the list; an engine may add what it documents by name (HOME, PWD)", Engines: "unshare, firejail and bwrap without --clearenv pass on the caller's",
	},
	{
		Field: "process.user.uid, gid", Checks: []string{"ids.uid", "ids.euid", "ids.suid", "ids.fsuid", "ids.gid", "ids.egid", "ids.sgid", "ids.fsgid"}, Spec: "config.md#user",
		State: "real, effective, saved and file-system id, all four, as mapped to the host", Engines: "CVE-2026-30892 (crun exec), CVE-2024-40635 (containerd)",
	},
	{
		Field: "process.user.additionalGids", Checks: []string{"ids.groups"}, Spec: "config.md#user",
		State: "exactly this set: none of the caller's is left", Engines: "CVE-2022-2989 and its like; where setgroups is denied none can be dropped",
	},
	{
		Field: "process.user.umask", Checks: []string{"fs.umask"}, Spec: "config.md#user",
		State: "the mask; if unset it is not changed from the caller's", Engines: "runc and crun set 0022 if it is unset",
	},
	{
		Field: "process.capabilities.bounding, inheritable", Checks: []string{"capabilities.bounding", "capabilities.inheritable"}, Spec: "config.md#linux-process",
		State: "exactly these sets", Engines: "bwrap has no option for the bounding set; CVE-2022-29162 and its like: inheritable was not empty",
	},
	{
		Field: "process.capabilities.ambient", Checks: []string{"capabilities.ambient"}, Spec: "config.md#linux-process",
		State: "those of the list that are permitted and inheritable, too", Engines: "runc and crun drop the others without a word, as the kernel would",
	},
	{
		Field: "process.capabilities.permitted, effective", Checks: []string{"capabilities.permitted", "capabilities.effective"}, Spec: "config.md#linux-process",
		State: "what execve makes of the sets (capabilities(7)): for an ordinary user the ambient set, for root inheritable and bounding, within permitted if no_new_privs is set",
	},
	{
		Field: "process.capabilities left out", Checks: []string{"capabilities."}, Spec: "config.md#linux-process",
		State: "the spec does not say; not more than the caller's after execve", Engines: "runc and crun clear all five",
	},
	{
		Field: "securebits", Checks: []string{"privilege.securebits"},
		State: "the caller's; none, normally",
	},
	{
		Field: "process.noNewPrivileges", Checks: []string{"privilege.no_new_privs"}, Spec: "config.md#linux-process",
		State: "set, if asked for; else the caller's", Engines: "bwrap always sets it",
	},
	{
		Field: "linux.seccomp", Checks: []string{"seccomp."}, Spec: "config-linux.md#seccomp",
		State:   "one more filter than the caller has, which decides every call of every architecture, with every argument, as the policy says: the installed instructions are simulated",
		Engines: "runc and crun drop rules for calls that they do not know; runc answers ENOSYS to calls newer than the newest rule, whatever the policy says",
	},
	{
		Field: "linux.seccomp.flags", Checks: []string{"seccomp.filters", "privilege.spec_flags"}, Spec: "config-linux.md#seccomp",
		State: "the filter has the flags", Engines: "unset: crun and runc since 1.2 use SPEC_ALLOW",
	},
	{
		Field: "linux.seccomp.listenerPath", Checks: []string{"seccomp.filters"}, Spec: "config-linux.md#seccomp",
		State: "the filter has a listener", NotJudged: "what is sent to the socket",
	},
	{
		Field: "process.apparmorProfile, process.selinuxLabel", Checks: []string{"process.apparmorProfile", "process.selinuxLabel"}, Spec: "config.md#linux-process",
		State: "the label at the first instruction, not the one for the next execve",
	},
	{
		Field: "linux.mountLabel", Checks: []string{"linux.mountLabel"}, Spec: "config-linux.md#mount-label",
		State: "the context of the mounts", NotJudged: "there is no reader: asked for, it makes the verdict unknown",
	},
	{
		Field: "process.oomScoreAdj", Checks: []string{"oom."}, Spec: "config.md#linux-process",
		State: "the value; if unset the caller's", Engines: "podman sets 0",
	},
	{
		Field: "process.rlimits", Checks: []string{"rlimits."}, Spec: "config.md#posix-process",
		State: "soft and hard limit; those that are not listed are the caller's", Engines: "runc 1.1.12 and before: a race with the runtime of Go about RLIMIT_NOFILE",
	},
	{
		Field: "process.scheduler", Checks: []string{"sched.policy", "sched.nice", "sched.rt_priority", "sched.reset_on_fork", "sched.deadline_", "sched.uclamp_"}, Spec: "config.md#linux-process",
		State: "policy, nice value, priority, flags and deadline parameters", Engines: "runc 1.1.5 and crun 1.8.1 ignore it and exit with 0",
	},
	{
		Field: "process.ioPriority", Checks: []string{"sched.ioprio"}, Spec: "config.md#linux-process",
		State: "class and level", Engines: "runc 1.1.5 and crun 1.8.1 ignore it",
	},
	{
		Field: "process.execCPUAffinity", Checks: []string{"sched.affinity"}, Spec: "config.md#linux-process",
		State: "of a process that joins a container, at last the final mask", Engines: "without it Debian's engines pass on the caller's mask", NotJudged: "the mask before the process joins the cgroup",
	},
	{
		Field: "linux.personality", Checks: []string{"privilege.personality", "memory.randomized"}, Spec: "config-linux.md#personality",
		State: "the execution domain; the other bits are the caller's", Engines: "runc 1.1.5 ignores it; ADDR_NO_RANDOMIZE of the caller passes through all but firejail",
	},
	{
		Field: "linux.sysctl", Checks: []string{"linux.sysctl."}, Spec: "config-linux.md#sysctl",
		State: "the value, read in the workload's namespaces",
	},
	{
		Field: "linux.intelRdt", Checks: []string{"linux.intelRdt"}, Spec: "config-linux.md#intelrdt",
		State: "the task is in that group", NotJudged: "where there is no resctrl",
	},
	{
		Field: "linux.memoryPolicy", Checks: []string{"memory.policy", "memory.nodes"}, Spec: "config-linux.md#memory-policy",
		State: "mode and nodes of the default policy", Engines: "runc 1.1.5 and crun 1.8.1 ignore it",
	},
	{
		Field: "linux.netDevices", Checks: []string{"linux.netDevices."}, Spec: "config-linux.md#network-devices",
		State: "the device is in the workload's network namespace under its name, with its addresses, and no longer on the host",
	},
	{
		Field: "annotations", State: "no effect on the kernel", Engines: "crun's run.oci.* change what it does", NotJudged: "they are no part of the comparison",
	},
	{
		Field: "hooks", Checks: []string{"hooks"}, Spec: "config.md#posix-platform-hooks",
		State: "a hook is never taken for the workload", NotJudged: "number, order and namespaces of hooks: asked for, they make the verdict unknown",
	},
	{
		Field: "standard streams, descriptors", Checks: []string{"files"}, Spec: "runtime-linux.md#file-descriptors",
		State:     "0, 1 and 2, and those that were passed on purpose. 0, 1 and 2 are the files that the engine was started with, or a device for a device, as an engine opens its own null device; with a terminal all three are that one pseudo-terminal; pipes of the engine's own, if it documents to copy (or nothing is known of it). Never a directory and no other file of the engine's own",
		NotJudged: "which device it is that takes a device's place; the streams where the command that is verified is the workload itself",
		Engines:   "runc without a terminal and podman copy through pipes; bwrap, unshare, minijail and lxc-execute pass on all of the caller's; CVE-2024-21626",
	},
	{
		Field: "signals", Checks: []string{"signals."},
		State: "none ignored, none blocked, none pending that would be acted on", Engines: "runc 1.1.5 passes on a blocked SIGUSR2; bwrap, unshare, firejail, minijail and nsjail pass on all",
	},
	{
		Field:  "session, parent, tracer, threads",
		Checks: []string{"process.pid", "process.parent", "process.tracer", "process.session", "process.process_group", "process.session_leader", "process.threads", "process.child_subreaper", "process.syscall_user_dispatch", "process.shadow_stack", "process.io_uring", "process.io_uring_restricted", "process.mce_kill", "process.io_flusher", "sched.autogroup", "sched.autogroup_nice"},
		State:  "not traced, one thread; session and parent are the engine's choice",
	},
	{
		Field:  "what nobody asked for",
		Checks: []string{"keyrings.", "landlock.", "privilege.dumpable", "privilege.pdeathsig", "privilege.loginuid", "privilege.sessionid", "sched.timer_slack_ns", "sched.core_cookie", "memory.", "cgroup.frozen"},
		State:  "as in the engine's caller, or what execve makes of it; a session keyring of its own is allowed. What differs from a fresh process is listed as inherited, and is a finding with --clean", Engines: "nice value, affinity, coredump filter and THP setting pass through all engines that were tried",
	},
}
