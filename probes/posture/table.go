package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fields returns the table of all fields, in the order of the JSON form. The
// limits are one field each ("rlimits.nofile"), though JSON has them in one
// list. Callers must not change it.
func Fields() []Field { return fields }

var fields = table()

func table() []Field {
	f := []Field{
		namespace("namespaces.user", func(p *Posture) *Value[Namespace] { return &p.Namespaces.User }),
		namespace("namespaces.mnt", func(p *Posture) *Value[Namespace] { return &p.Namespaces.Mount }),
		namespace("namespaces.pid", func(p *Posture) *Value[Namespace] { return &p.Namespaces.PID }),
		namespace("namespaces.pid_for_children", func(p *Posture) *Value[Namespace] { return &p.Namespaces.PIDForChildren }),
		namespace("namespaces.net", func(p *Posture) *Value[Namespace] { return &p.Namespaces.Net }),
		namespace("namespaces.uts", func(p *Posture) *Value[Namespace] { return &p.Namespaces.UTS }),
		namespace("namespaces.ipc", func(p *Posture) *Value[Namespace] { return &p.Namespaces.IPC }),
		namespace("namespaces.cgroup", func(p *Posture) *Value[Namespace] { return &p.Namespaces.Cgroup }),
		namespace("namespaces.time", func(p *Posture) *Value[Namespace] { return &p.Namespaces.Time }),
		namespace("namespaces.time_for_children", func(p *Posture) *Value[Namespace] { return &p.Namespaces.TimeForChildren }),

		u32("user_namespace.parent", func(p *Posture) *Value[uint32] { return &p.UserNS.Parent }),
		list("user_namespace.uid_map", func(p *Posture) *Value[[]IDExtent] { return &p.UserNS.UIDMap }, IDExtent.String),
		list("user_namespace.gid_map", func(p *Posture) *Value[[]IDExtent] { return &p.UserNS.GIDMap }, IDExtent.String),
		boolean("user_namespace.setgroups", func(p *Posture) *Value[bool] { return &p.UserNS.Setgroups }),
		u32("user_namespace.owner_uid", func(p *Posture) *Value[uint32] { return &p.UserNS.OwnerUID }),

		text("uts.hostname", func(p *Posture) *Value[string] { return &p.UTS.Hostname }),
		text("uts.domainname", func(p *Posture) *Value[string] { return &p.UTS.Domainname }),
		plain("time.monotonic_ns", func(p *Posture) *Value[int64] { return &p.Time.Monotonic }, decimal[int64]),
		plain("time.boottime_ns", func(p *Posture) *Value[int64] { return &p.Time.Boottime }, decimal[int64]),

		u32("ids.uid", func(p *Posture) *Value[uint32] { return &p.IDs.UID }),
		u32("ids.euid", func(p *Posture) *Value[uint32] { return &p.IDs.EUID }),
		u32("ids.suid", func(p *Posture) *Value[uint32] { return &p.IDs.SUID }),
		u32("ids.fsuid", func(p *Posture) *Value[uint32] { return &p.IDs.FSUID }),
		u32("ids.gid", func(p *Posture) *Value[uint32] { return &p.IDs.GID }),
		u32("ids.egid", func(p *Posture) *Value[uint32] { return &p.IDs.EGID }),
		u32("ids.sgid", func(p *Posture) *Value[uint32] { return &p.IDs.SGID }),
		u32("ids.fsgid", func(p *Posture) *Value[uint32] { return &p.IDs.FSGID }),
		list("ids.groups", func(p *Posture) *Value[[]uint32] { return &p.IDs.Groups }, decimal[uint32]),

		caps("capabilities.bounding", func(p *Posture) *Value[CapSet] { return &p.Capabilities.Bounding }),
		caps("capabilities.permitted", func(p *Posture) *Value[CapSet] { return &p.Capabilities.Permitted }),
		caps("capabilities.effective", func(p *Posture) *Value[CapSet] { return &p.Capabilities.Effective }),
		caps("capabilities.inheritable", func(p *Posture) *Value[CapSet] { return &p.Capabilities.Inheritable }),
		caps("capabilities.ambient", func(p *Posture) *Value[CapSet] { return &p.Capabilities.Ambient }),

		boolean("privilege.no_new_privs", func(p *Posture) *Value[bool] { return &p.Privilege.NoNewPrivs }),
		hex32("privilege.securebits", func(p *Posture) *Value[uint32] { return &p.Privilege.Securebits }),
		u32("privilege.dumpable", func(p *Posture) *Value[uint32] { return &p.Privilege.Dumpable }),
		u32("privilege.pdeathsig", func(p *Posture) *Value[uint32] { return &p.Privilege.Pdeathsig }),
		hex32("privilege.personality", func(p *Posture) *Value[uint32] { return &p.Privilege.Personality }),
		u32("privilege.loginuid", func(p *Posture) *Value[uint32] { return &p.Privilege.LoginUID }),
		u32("privilege.sessionid", func(p *Posture) *Value[uint32] { return &p.Privilege.SessionID }),
		hex32("privilege.spec_flags", func(p *Posture) *Value[uint32] { return &p.Privilege.SpecFlags }),

		u32("seccomp.mode", func(p *Posture) *Value[uint32] { return &p.Seccomp.Mode }),
		u32("seccomp.filter_count", func(p *Posture) *Value[uint32] { return &p.Seccomp.Count }),
		field("seccomp.filters", func(p *Posture) *Value[[]Filter] { return &p.Seccomp.Filters },
			func(a, b []Filter) bool { return slices.EqualFunc(a, b, equalFilter) }, formatFilters),
		boolean("seccomp.armed", func(p *Posture) *Value[bool] { return &p.Seccomp.Armed }),
		u32("landlock.layers", func(p *Posture) *Value[uint32] { return &p.Landlock.Layers }),
		list("landlock.handled", func(p *Posture) *Value[[]LandlockLayer] { return &p.Landlock.Handled }, LandlockLayer.String),
		u32("landlock.rules", func(p *Posture) *Value[uint32] { return &p.Landlock.Rules }),
		list("landlock.rule_list", func(p *Posture) *Value[[]LandlockRule] { return &p.Landlock.RuleList }, LandlockRule.String),

		plain("cgroup.v2", func(p *Posture) *Value[uint64] { return &p.Cgroup.V2 }, decimal[uint64]),
		list("cgroup.v1", func(p *Posture) *Value[[]CgroupV1] { return &p.Cgroup.V1 },
			func(c CgroupV1) string { return c.Controller + "=" + strconv.FormatUint(c.ID, 10) }),
		boolean("cgroup.frozen", func(p *Posture) *Value[bool] { return &p.Cgroup.Frozen }),
	}
	for i := range RlimitNames {
		f = append(f, rlimit(i))
	}
	return append(f,
		plain("oom.score_adj", func(p *Posture) *Value[int32] { return &p.OOM.ScoreAdj }, decimal[int32]),
		plain("oom.score_adj_min", func(p *Posture) *Value[int32] { return &p.OOM.ScoreAdjMin }, decimal[int32]),

		u32("sched.policy", func(p *Posture) *Value[uint32] { return &p.Sched.Policy }),
		plain("sched.nice", func(p *Posture) *Value[int32] { return &p.Sched.Nice }, decimal[int32]),
		u32("sched.rt_priority", func(p *Posture) *Value[uint32] { return &p.Sched.RTPriority }),
		boolean("sched.reset_on_fork", func(p *Posture) *Value[bool] { return &p.Sched.ResetOnFork }),
		mask("sched.affinity", func(p *Posture) *Value[[]uint64] { return &p.Sched.Affinity }),
		hex32("sched.ioprio", func(p *Posture) *Value[uint32] { return &p.Sched.IOPrio }),
		plain("sched.timer_slack_ns", func(p *Posture) *Value[uint64] { return &p.Sched.TimerSlack }, decimal[uint64]),
		plain("sched.core_cookie", func(p *Posture) *Value[uint64] { return &p.Sched.CoreCookie }, decimal[uint64]),
		plain("sched.deadline_runtime_ns", func(p *Posture) *Value[uint64] { return &p.Sched.DeadlineRuntime }, decimal[uint64]),
		plain("sched.deadline_ns", func(p *Posture) *Value[uint64] { return &p.Sched.Deadline }, decimal[uint64]),
		plain("sched.deadline_period_ns", func(p *Posture) *Value[uint64] { return &p.Sched.DeadlinePeriod }, decimal[uint64]),
		plain("sched.uclamp_min", func(p *Posture) *Value[Uclamp] { return &p.Sched.UclampMin }, Uclamp.String),
		plain("sched.uclamp_max", func(p *Posture) *Value[Uclamp] { return &p.Sched.UclampMax }, Uclamp.String),
		plain("sched.autogroup", func(p *Posture) *Value[uint64] { return &p.Sched.Autogroup }, decimal[uint64]),
		plain("sched.autogroup_nice", func(p *Posture) *Value[int32] { return &p.Sched.AutogroupNice }, decimal[int32]),

		hex32("memory.policy", func(p *Posture) *Value[uint32] { return &p.Memory.Policy }),
		mask("memory.nodes", func(p *Posture) *Value[[]uint64] { return &p.Memory.Nodes }),
		mask("memory.mems_allowed", func(p *Posture) *Value[[]uint64] { return &p.Memory.MemsAllowed }),
		u32("memory.mdwe", func(p *Posture) *Value[uint32] { return &p.Memory.MDWE }),
		u32("memory.thp_disabled", func(p *Posture) *Value[uint32] { return &p.Memory.THPDisabled }),
		boolean("memory.merge_any", func(p *Posture) *Value[bool] { return &p.Memory.MergeAny }),
		hex32("memory.coredump_filter", func(p *Posture) *Value[uint32] { return &p.Memory.CoredumpFilter }),
		boolean("memory.randomized", func(p *Posture) *Value[bool] { return &p.Memory.Randomized }),

		signals("signals.blocked", func(p *Posture) *Value[uint64] { return &p.Signals.Blocked }),
		signals("signals.ignored", func(p *Posture) *Value[uint64] { return &p.Signals.Ignored }),
		signals("signals.pending", func(p *Posture) *Value[uint64] { return &p.Signals.Pending }),

		u32("process.pid", func(p *Posture) *Value[uint32] { return &p.Process.PID }),
		u32("process.pid_inside", func(p *Posture) *Value[uint32] { return &p.Process.PIDInside }),
		u32("process.parent", func(p *Posture) *Value[uint32] { return &p.Process.Parent }),
		u32("process.tracer", func(p *Posture) *Value[uint32] { return &p.Process.Tracer }),
		u32("process.session", func(p *Posture) *Value[uint32] { return &p.Process.Session }),
		u32("process.process_group", func(p *Posture) *Value[uint32] { return &p.Process.Group }),
		boolean("process.session_leader", func(p *Posture) *Value[bool] { return &p.Process.SessionLeader }),
		plain("process.tty", func(p *Posture) *Value[TTY] { return &p.Process.TTY }, formatTTY),
		boolean("process.child_subreaper", func(p *Posture) *Value[bool] { return &p.Process.Subreaper }),
		u32("process.threads", func(p *Posture) *Value[uint32] { return &p.Process.Threads }),
		boolean("process.syscall_user_dispatch", func(p *Posture) *Value[bool] { return &p.Process.SyscallDispatch }),
		plain("process.shadow_stack", func(p *Posture) *Value[uint64] { return &p.Process.ShadowStack }, decimal[uint64]),
		boolean("process.io_uring", func(p *Posture) *Value[bool] { return &p.Process.IOUring }),
		boolean("process.io_uring_restricted", func(p *Posture) *Value[bool] { return &p.Process.IOUringRestricted }),
		word("process.mce_kill", func(p *Posture) *Value[MCEKill] { return &p.Process.MCEKill }),
		boolean("process.io_flusher", func(p *Posture) *Value[bool] { return &p.Process.IOFlusher }),

		plain("fs.umask", func(p *Posture) *Value[uint32] { return &p.FS.Umask }, func(v uint32) string { return fmt.Sprintf("%04o", v) }),
		inode("fs.root", func(p *Posture) *Value[Inode] { return &p.FS.Root }),
		inode("fs.cwd", func(p *Posture) *Value[Inode] { return &p.FS.Cwd }),
		boolean("fs.cwd_under_root", func(p *Posture) *Value[bool] { return &p.FS.CwdUnderRoot }),
		boolean("fs.root_is_mount_root", func(p *Posture) *Value[bool] { return &p.FS.RootIsMountRoot }),
		boolean("fs.root_read_only", func(p *Posture) *Value[bool] { return &p.FS.RootReadOnly }),
		word("fs.root_propagation", func(p *Posture) *Value[Propagation] { return &p.FS.RootPropagation }),
		field("files", func(p *Posture) *Value[Files] { return &p.Files }, equalFiles, formatFiles),

		plain("keyrings.session", func(p *Posture) *Value[int32] { return &p.Keyrings.Session }, decimal[int32]),
		plain("keyrings.process", func(p *Posture) *Value[int32] { return &p.Keyrings.Process }, decimal[int32]),
		plain("keyrings.thread", func(p *Posture) *Value[int32] { return &p.Keyrings.Thread }, decimal[int32]),
		u32("keyrings.session_owner", func(p *Posture) *Value[uint32] { return &p.Keyrings.SessionOwner }),

		inode("exec.exe", func(p *Posture) *Value[Inode] { return &p.Exec.Exe }),
		u32("exec.exe_nlink", func(p *Posture) *Value[uint32] { return &p.Exec.ExeNlink }),
		text("exec.comm", func(p *Posture) *Value[string] { return &p.Exec.Comm }),
		list("exec.args", func(p *Posture) *Value[[]string] { return &p.Exec.Args }, strconv.Quote),
		list("exec.env", func(p *Posture) *Value[[]string] { return &p.Exec.Env }, strconv.Quote),
		boolean("exec.secure", func(p *Posture) *Value[bool] { return &p.Exec.Secure }),
		boolean("exec.fork_no_exec", func(p *Posture) *Value[bool] { return &p.Exec.ForkNoExec }),
	)
}

func equalFiles(a, b Files) bool {
	return a.Truncated == b.Truncated && slices.Equal(a.Open, b.Open)
}

func formatFiles(f Files) string {
	parts := make([]string, 0, len(f.Open)+1)
	for _, o := range f.Open {
		parts = append(parts, o.String())
	}
	if f.Truncated > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", f.Truncated))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " ")
}

func formatTTY(t TTY) string {
	if t == (TTY{}) {
		return "none"
	}
	return fmt.Sprintf("%d:%d", t.Major, t.Minor)
}
