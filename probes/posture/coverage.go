package posture

// Source says where the kernel keeps what a field shows. All fields are read at
// each snapshot: at exec, at its return, at the first instruction, and, as far
// as the task still has it, at its end.
type Source struct {
	Field string // a path of [Fields]; "rlimits." stands for all sixteen
	// Kernel is the way from struct task_struct, in the names of the newest
	// layout; older ones are known too (see probes/bpf/kernel.h).
	Kernel string
	// Since is the version of Linux that has it; empty if older than 5.10.
	Since string
	// Needs is the option that the kernel must be built with, if it can be
	// built without.
	Needs string
}

// Sources has one entry for each field, in their order.
func Sources() []Source { return sources }

var sources = []Source{
	{Field: "namespaces.user", Kernel: "cred->user_ns->{ns.inum,level}"},
	{Field: "namespaces.mnt", Kernel: "nsproxy->mnt_ns->ns.inum"},
	{Field: "namespaces.pid", Kernel: "thread_pid->numbers[level].ns->ns.inum"},
	{Field: "namespaces.pid_for_children", Kernel: "nsproxy->pid_ns_for_children->ns.inum"},
	{Field: "namespaces.net", Kernel: "nsproxy->net_ns->ns.inum"},
	{Field: "namespaces.uts", Kernel: "nsproxy->uts_ns->ns.inum"},
	{Field: "namespaces.ipc", Kernel: "nsproxy->ipc_ns->ns.inum"},
	{Field: "namespaces.cgroup", Kernel: "nsproxy->cgroup_ns->ns.inum"},
	{Field: "namespaces.time", Kernel: "nsproxy->time_ns->ns.inum", Needs: "CONFIG_TIME_NS"},
	{Field: "namespaces.time_for_children", Kernel: "nsproxy->time_ns_for_children->ns.inum", Needs: "CONFIG_TIME_NS"},
	{Field: "user_namespace.parent", Kernel: "cred->user_ns->parent->ns.inum"},
	{Field: "user_namespace.uid_map", Kernel: "cred->user_ns->uid_map: all of its up to 340 lines"},
	{Field: "user_namespace.gid_map", Kernel: "cred->user_ns->gid_map"},
	{Field: "user_namespace.setgroups", Kernel: "cred->user_ns->flags: USERNS_SETGROUPS_ALLOWED"},
	{Field: "user_namespace.owner_uid", Kernel: "cred->user_ns->owner"},
	{Field: "uts.hostname", Kernel: "nsproxy->uts_ns->name.nodename"},
	{Field: "uts.domainname", Kernel: "nsproxy->uts_ns->name.domainname"},
	{Field: "time.monotonic_ns", Kernel: "nsproxy->time_ns->offsets.monotonic", Needs: "CONFIG_TIME_NS"},
	{Field: "time.boottime_ns", Kernel: "nsproxy->time_ns->offsets.boottime", Needs: "CONFIG_TIME_NS"},
	{Field: "ids.uid", Kernel: "cred->uid"},
	{Field: "ids.euid", Kernel: "cred->euid"},
	{Field: "ids.suid", Kernel: "cred->suid"},
	{Field: "ids.fsuid", Kernel: "cred->fsuid"},
	{Field: "ids.gid", Kernel: "cred->gid"},
	{Field: "ids.egid", Kernel: "cred->egid"},
	{Field: "ids.sgid", Kernel: "cred->sgid"},
	{Field: "ids.fsgid", Kernel: "cred->fsgid"},
	{Field: "ids.groups", Kernel: "cred->group_info: the first 1024"},
	{Field: "capabilities.bounding", Kernel: "cred->cap_bset"},
	{Field: "capabilities.permitted", Kernel: "cred->cap_permitted"},
	{Field: "capabilities.effective", Kernel: "cred->cap_effective"},
	{Field: "capabilities.inheritable", Kernel: "cred->cap_inheritable"},
	{Field: "capabilities.ambient", Kernel: "cred->cap_ambient"},
	{Field: "privilege.no_new_privs", Kernel: "atomic_flags: PFA_NO_NEW_PRIVS"},
	{Field: "privilege.securebits", Kernel: "cred->securebits"},
	{Field: "privilege.dumpable", Kernel: "exec_state->dumpable; before 7.2 mm->flags"},
	{Field: "privilege.pdeathsig", Kernel: "pdeath_signal"},
	{Field: "privilege.personality", Kernel: "personality"},
	{Field: "privilege.loginuid", Kernel: "loginuid", Needs: "CONFIG_AUDIT"},
	{Field: "privilege.sessionid", Kernel: "sessionid", Needs: "CONFIG_AUDIT"},
	{Field: "privilege.spec_flags", Kernel: "atomic_flags: PFA_SPEC_…"},
	{Field: "seccomp.mode", Kernel: "seccomp.mode"},
	{Field: "seccomp.filter_count", Kernel: "seccomp.filter_count"},
	{Field: "seccomp.filters", Kernel: "seccomp.filter, →prev: log, wait_killable_recv, notif, prog->orig_prog", Needs: "CONFIG_CHECKPOINT_RESTORE, for the instructions"},
	{Field: "seccomp.armed", Kernel: "thread_info.syscall_work: SECCOMP; else thread_info.flags: TIF_SECCOMP"},
	{Field: "landlock.layers", Kernel: "cred->security, at an offset that is found by trial: landlock_domain.num_layers", Since: "5.13", Needs: "CONFIG_SECURITY_LANDLOCK"},
	{Field: "landlock.handled", Kernel: "… handled_masks[]; but not from 6.7 to 6.10, where they have no type", Since: "5.13", Needs: "CONFIG_SECURITY_LANDLOCK"},
	{Field: "landlock.rules", Kernel: "… rules.num_rules", Since: "5.13", Needs: "CONFIG_SECURITY_LANDLOCK"},
	{Field: "landlock.rule_list", Kernel: "… rules.{root_inode,root_net_port}: up to 64 rules; but not from 6.7 to 6.10, as landlock.handled", Since: "5.13", Needs: "CONFIG_SECURITY_LANDLOCK"},
	{Field: "cgroup.v2", Kernel: "cgroups->dfl_cgrp->kn->id"},
	{Field: "cgroup.v1", Kernel: "cgroups->subsys[]->cgroup->kn->id"},
	{Field: "cgroup.frozen", Kernel: "cgroups->dfl_cgrp->freezer.e_freeze"},
	{Field: "rlimits.", Kernel: "signal->rlim[]"},
	{Field: "oom.score_adj", Kernel: "signal->oom_score_adj"},
	{Field: "oom.score_adj_min", Kernel: "signal->oom_score_adj_min"},
	{Field: "sched.policy", Kernel: "policy"},
	{Field: "sched.nice", Kernel: "static_prio"},
	{Field: "sched.rt_priority", Kernel: "rt_priority"},
	{Field: "sched.reset_on_fork", Kernel: "sched_reset_on_fork"},
	{Field: "sched.affinity", Kernel: "cpus_mask: the first 1024 CPUs"},
	{Field: "sched.ioprio", Kernel: "io_context->ioprio", Needs: "CONFIG_BLOCK"},
	{Field: "sched.timer_slack_ns", Kernel: "timer_slack_ns"},
	{Field: "sched.core_cookie", Kernel: "core_cookie", Since: "5.14", Needs: "CONFIG_SCHED_CORE"},
	{Field: "sched.deadline_runtime_ns", Kernel: "dl.dl_runtime"},
	{Field: "sched.deadline_ns", Kernel: "dl.dl_deadline"},
	{Field: "sched.deadline_period_ns", Kernel: "dl.dl_period"},
	{Field: "sched.uclamp_min", Kernel: "uclamp_req[UCLAMP_MIN]", Needs: "CONFIG_UCLAMP_TASK"},
	{Field: "sched.uclamp_max", Kernel: "uclamp_req[UCLAMP_MAX]", Needs: "CONFIG_UCLAMP_TASK"},
	{Field: "sched.autogroup", Kernel: "signal->autogroup->id", Needs: "CONFIG_SCHED_AUTOGROUP"},
	{Field: "sched.autogroup_nice", Kernel: "signal->autogroup->nice", Needs: "CONFIG_SCHED_AUTOGROUP"},
	{Field: "memory.policy", Kernel: "mempolicy->{mode,flags}", Needs: "CONFIG_NUMA"},
	{Field: "memory.nodes", Kernel: "mempolicy->nodes: the first 256", Needs: "CONFIG_NUMA"},
	{Field: "memory.mems_allowed", Kernel: "mems_allowed: the first 256 nodes", Needs: "CONFIG_CPUSETS"},
	{Field: "memory.mdwe", Kernel: "mm->flags: MMF_HAS_MDWE, MMF_HAS_MDWE_NO_INHERIT", Since: "6.3"},
	{Field: "memory.thp_disabled", Kernel: "mm->flags: MMF_DISABLE_THP_COMPLETELY, …_EXCEPT_ADVISED"},
	{Field: "memory.merge_any", Kernel: "mm->flags: MMF_VM_MERGE_ANY", Since: "6.4"},
	{Field: "memory.coredump_filter", Kernel: "mm->flags: MMF_DUMP_FILTER_MASK"},
	{Field: "memory.randomized", Kernel: "flags: PF_RANDOMIZE"},
	{Field: "signals.blocked", Kernel: "blocked"},
	{Field: "signals.ignored", Kernel: "sighand->action[].sa.sa_handler"},
	{Field: "signals.pending", Kernel: "pending, signal->shared_pending"},
	{Field: "process.pid", Kernel: "tgid"},
	{Field: "process.pid_inside", Kernel: "signal->pids[PIDTYPE_TGID]->numbers[level].nr"},
	{Field: "process.parent", Kernel: "real_parent->tgid"},
	{Field: "process.tracer", Kernel: "ptrace, parent->tgid"},
	{Field: "process.session", Kernel: "signal->pids[PIDTYPE_SID]"},
	{Field: "process.process_group", Kernel: "signal->pids[PIDTYPE_PGID]"},
	{Field: "process.session_leader", Kernel: "signal->leader"},
	{Field: "process.tty", Kernel: "signal->tty->{driver,index}"},
	{Field: "process.child_subreaper", Kernel: "signal->is_child_subreaper"},
	{Field: "process.threads", Kernel: "signal->nr_threads"},
	{Field: "process.syscall_user_dispatch", Kernel: "thread_info.syscall_work: SYSCALL_USER_DISPATCH", Since: "5.11"},
	{Field: "process.shadow_stack", Kernel: "thread.features; arm64: thread.gcs_el0_mode", Since: "6.6; arm64: 6.13", Needs: "CONFIG_X86_USER_SHADOW_STACK, CONFIG_ARM64_GCS"},
	{Field: "process.io_uring", Kernel: "io_uring", Needs: "CONFIG_IO_URING"},
	{Field: "process.io_uring_restricted", Kernel: "io_uring_restrict", Since: "7.1 or before", Needs: "CONFIG_IO_URING"},
	{Field: "process.mce_kill", Kernel: "flags: PF_MCE_PROCESS, PF_MCE_EARLY"},
	{Field: "process.io_flusher", Kernel: "flags: PF_MEMALLOC_NOIO, PF_LOCAL_THROTTLE"},
	{Field: "fs.umask", Kernel: "fs->umask"},
	{Field: "fs.root", Kernel: "fs->root.dentry->d_inode"},
	{Field: "fs.cwd", Kernel: "fs->pwd.dentry->d_inode"},
	{Field: "fs.cwd_under_root", Kernel: "fs->pwd, walked up to fs->root over at most 96 steps"},
	{Field: "fs.root_is_mount_root", Kernel: "fs->root, nsproxy->mnt_ns->root"},
	{Field: "fs.root_read_only", Kernel: "fs->root.mnt->{mnt_flags,mnt_sb->s_flags}"},
	{Field: "fs.root_propagation", Kernel: "fs->root.mnt: mnt_t_flags, before 6.18 mnt_flags; mnt_master"},
	{Field: "files", Kernel: "files->fdt: the first 1024; before 5.17 the first 128"},
	{Field: "keyrings.session", Kernel: "cred->session_keyring->serial", Needs: "CONFIG_KEYS"},
	{Field: "keyrings.process", Kernel: "cred->process_keyring->serial", Needs: "CONFIG_KEYS"},
	{Field: "keyrings.thread", Kernel: "cred->thread_keyring->serial", Needs: "CONFIG_KEYS"},
	{Field: "keyrings.session_owner", Kernel: "cred->session_keyring->uid", Needs: "CONFIG_KEYS"},
	{Field: "exec.exe", Kernel: "mm->exe_file->f_inode"},
	{Field: "exec.exe_nlink", Kernel: "mm->exe_file->f_inode->i_nlink"},
	{Field: "exec.comm", Kernel: "comm"},
	{Field: "exec.args", Kernel: "mm->{arg_start,arg_end}: up to 16 KiB"},
	{Field: "exec.env", Kernel: "mm->{env_start,env_end}: up to 16 KiB"},
	{Field: "exec.secure", Kernel: "mm->saved_auxv: AT_SECURE"},
	{Field: "exec.fork_no_exec", Kernel: "flags: PF_FORKNOEXEC"},
}

// Unread is a part of the kernel's state of a task that a posture leaves out.
type Unread struct {
	What   string // in words
	Kernel string // where it is
	Why    string // why it is not read there
}

// NotRead lists what constrains or describes a task, is known to be there, and
// is not in a posture.
func NotRead() []Unread { return notRead }

var notRead = []Unread{
	{"label of AppArmor, SELinux or Smack", "cred->security", "its structures change from version to version; /proc/PID/attr says it of a workload that is held"},
	{"state of BPF LSM, Yama and lockdown", "global", "not of a task"},
	{"limits of the cgroup", "cgroups->subsys[]", "its structures change from version to version; the files of the cgroup say them of a workload that is held"},
	{"device rules of the cgroup", "cgroups->dfl_cgrp->bpf", "programs of their own; BPF_PROG_QUERY lists them"},
	{"level of the cgroup", "cgroups->dfl_cgrp->level", "its number says more"},
	{"mount table", "nsproxy->mnt_ns", "not bounded; /proc/PID/mountinfo says it of a workload that is held"},
	{"seccomp's cache of allowed calls", "seccomp.filter->cache", "the programs are read and simulated, which says more"},
	{"what a Landlock domain logs", "cred->security: landlock_hierarchy", "no constraint"},
	{"affinity as it was asked for", "user_cpus_ptr", "what is enforced is cpus_mask; the wish counts only when a cpuset changes"},
	{"share of the CPUs of a SCHED_DEADLINE task that was used", "dl.{runtime,deadline}", "changes while it runs"},
	{"time slice of a fair task", "se.slice", "a hint for the scheduler that grants nothing"},
	{"keyring of just-in-time requests", "cred->jit_keyring", "where keys that others make are put; grants nothing"},
	{"handlers of caught signals", "sighand->action[]", "execve makes all of them default; ignored ones are read"},
	{"alternative signal stack", "sas_ss_sp", "execve drops it"},
	{"robust futexes, rseq, clear_child_tid", "robust_list, rseq, clear_child_tid", "execve drops them; the C library sets them again"},
	{"CPU's protection keys, LDT, I/O permissions", "thread", "execve resets them"},
	{"time stamp counter and CPUID faulting", "thread_info.flags: TIF_NOTSC, TIF_NOCPUID", "flags of one architecture, whose numbers change"},
	{"perf events and hardware breakpoints", "perf_event_ctxp", "no constraint"},
	{"accounting and statistics", "acct_…, ioac, stats", "no constraint"},
	{"vDSO of the time namespace", "mm: vvar", "the offsets are read; the page is made of them"},
	{"labels of network and IPC objects", "security fields of sockets", "not of a task"},
}
