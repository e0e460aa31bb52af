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
		u32("landlock.layers", func(p *Posture) *Value[uint32] { return &p.Landlock.Layers }),

		plain("cgroup.v2", func(p *Posture) *Value[uint64] { return &p.Cgroup.V2 }, decimal[uint64]),
		list("cgroup.v1", func(p *Posture) *Value[[]CgroupV1] { return &p.Cgroup.V1 },
			func(c CgroupV1) string { return c.Controller + "=" + strconv.FormatUint(c.ID, 10) }),
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
		field("sched.affinity", func(p *Posture) *Value[[]uint64] { return &p.Sched.Affinity }, slices.Equal[[]uint64], formatCPUs),
		hex32("sched.ioprio", func(p *Posture) *Value[uint32] { return &p.Sched.IOPrio }),
		plain("sched.timer_slack_ns", func(p *Posture) *Value[uint64] { return &p.Sched.TimerSlack }, decimal[uint64]),
		plain("sched.core_cookie", func(p *Posture) *Value[uint64] { return &p.Sched.CoreCookie }, decimal[uint64]),

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

		plain("fs.umask", func(p *Posture) *Value[uint32] { return &p.FS.Umask }, func(v uint32) string { return fmt.Sprintf("%04o", v) }),
		inode("fs.root", func(p *Posture) *Value[Inode] { return &p.FS.Root }),
		inode("fs.cwd", func(p *Posture) *Value[Inode] { return &p.FS.Cwd }),
		boolean("fs.cwd_under_root", func(p *Posture) *Value[bool] { return &p.FS.CwdUnderRoot }),
		boolean("fs.root_is_mount_root", func(p *Posture) *Value[bool] { return &p.FS.RootIsMountRoot }),
		boolean("fs.root_read_only", func(p *Posture) *Value[bool] { return &p.FS.RootReadOnly }),
		field("files", func(p *Posture) *Value[Files] { return &p.Files }, equalFiles, formatFiles),

		plain("keyrings.session", func(p *Posture) *Value[int32] { return &p.Keyrings.Session }, decimal[int32]),
		plain("keyrings.process", func(p *Posture) *Value[int32] { return &p.Keyrings.Process }, decimal[int32]),
		plain("keyrings.thread", func(p *Posture) *Value[int32] { return &p.Keyrings.Thread }, decimal[int32]),

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

func formatCPUs(mask []uint64) string {
	var parts []string
	for i, w := range mask {
		if w != 0 {
			parts = append(parts, bitList(w, i*64))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ",")
}
