package sample

import "github.com/holdshort/holdshort/probes/posture"

// Mutations has, for every field, a change that makes a met expectation
// unmet. A field without one would never be seen to fail.
var Mutations = map[string]func(p *posture.Posture){}

func init() {
	ns := func(at func(*posture.Posture) *posture.Value[posture.Namespace]) func(*posture.Posture) {
		caller := Caller()
		return func(p *posture.Posture) {
			now, _ := at(p).Get()
			before, _ := at(caller).Get()
			if now == before {
				before.Inode += 77
			}
			*at(p) = posture.Known(before)
		}
	}
	u := func(at func(*posture.Posture) *posture.Value[uint32]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v ^ 64) }
	}
	i := func(at func(*posture.Posture) *posture.Value[int32]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v + 3) }
	}
	l := func(at func(*posture.Posture) *posture.Value[uint64]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v ^ 1<<7) }
	}
	b := func(at func(*posture.Posture) *posture.Value[bool]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(!v) }
	}
	c := func(at func(*posture.Posture) *posture.Value[posture.CapSet]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v ^ 1<<12) }
	}
	s := func(at func(*posture.Posture) *posture.Value[string]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v + "!") }
	}
	n := func(at func(*posture.Posture) *posture.Value[posture.Inode]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); v.Ino++; *at(p) = posture.Known(v) }
	}
	m := func(at func(*posture.Posture) *posture.Value[[]posture.IDExtent]) func(*posture.Posture) {
		return func(p *posture.Posture) {
			v, _ := at(p).Get()
			*at(p) = posture.Known(append([]posture.IDExtent{{Inside: 1 << 31, Host: 3, Count: 1}}, v...))
		}
	}
	type P = posture.Posture
	Mutations = map[string]func(*P){
		"namespaces.user":              ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.User }),
		"namespaces.mnt":               ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Mount }),
		"namespaces.pid":               ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.PID }),
		"namespaces.net":               ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Net }),
		"namespaces.uts":               ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.UTS }),
		"namespaces.ipc":               ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.IPC }),
		"namespaces.cgroup":            ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Cgroup }),
		"namespaces.time":              ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Time }),
		"namespaces.pid_for_children":  ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.PIDForChildren }),
		"namespaces.time_for_children": ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.TimeForChildren }),
		"user_namespace.parent":        u(func(p *P) *posture.Value[uint32] { return &p.UserNS.Parent }),
		"user_namespace.uid_map":       m(func(p *P) *posture.Value[[]posture.IDExtent] { return &p.UserNS.UIDMap }),
		"user_namespace.gid_map":       m(func(p *P) *posture.Value[[]posture.IDExtent] { return &p.UserNS.GIDMap }),
		"user_namespace.setgroups":     b(func(p *P) *posture.Value[bool] { return &p.UserNS.Setgroups }),
		"user_namespace.owner_uid":     u(func(p *P) *posture.Value[uint32] { return &p.UserNS.OwnerUID }),
		"uts.hostname":                 s(func(p *P) *posture.Value[string] { return &p.UTS.Hostname }),
		"uts.domainname":               s(func(p *P) *posture.Value[string] { return &p.UTS.Domainname }),
		"time.monotonic_ns":            func(p *P) { v, _ := p.Time.Monotonic.Get(); p.Time.Monotonic = posture.Known(v + 1) },
		"time.boottime_ns":             func(p *P) { v, _ := p.Time.Boottime.Get(); p.Time.Boottime = posture.Known(v + 1) },
		"ids.uid":                      u(func(p *P) *posture.Value[uint32] { return &p.IDs.UID }),
		"ids.euid":                     u(func(p *P) *posture.Value[uint32] { return &p.IDs.EUID }),
		"ids.suid":                     u(func(p *P) *posture.Value[uint32] { return &p.IDs.SUID }),
		"ids.fsuid":                    u(func(p *P) *posture.Value[uint32] { return &p.IDs.FSUID }),
		"ids.gid":                      u(func(p *P) *posture.Value[uint32] { return &p.IDs.GID }),
		"ids.egid":                     u(func(p *P) *posture.Value[uint32] { return &p.IDs.EGID }),
		"ids.sgid":                     u(func(p *P) *posture.Value[uint32] { return &p.IDs.SGID }),
		"ids.fsgid":                    u(func(p *P) *posture.Value[uint32] { return &p.IDs.FSGID }),
		"ids.groups": func(p *P) {
			v, _ := p.IDs.Groups.Get()
			p.IDs.Groups = posture.Known(append([]uint32{1}, v...))
		},
		"capabilities.bounding":    c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Bounding }),
		"capabilities.permitted":   c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Permitted }),
		"capabilities.effective":   c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Effective }),
		"capabilities.inheritable": c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Inheritable }),
		"capabilities.ambient":     c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Ambient }),
		"privilege.no_new_privs":   b(func(p *P) *posture.Value[bool] { return &p.Privilege.NoNewPrivs }),
		"privilege.securebits":     u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Securebits }),
		"privilege.dumpable":       u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Dumpable }),
		"privilege.pdeathsig":      u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Pdeathsig }),
		"privilege.personality":    u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Personality }),
		"privilege.loginuid":       u(func(p *P) *posture.Value[uint32] { return &p.Privilege.LoginUID }),
		"privilege.sessionid":      u(func(p *P) *posture.Value[uint32] { return &p.Privilege.SessionID }),
		"privilege.spec_flags":     u(func(p *P) *posture.Value[uint32] { return &p.Privilege.SpecFlags }),
		"seccomp.mode": func(p *P) {
			v, _ := p.Seccomp.Mode.Get()
			p.Seccomp.Mode, p.Seccomp.Armed = posture.Known(v^64), posture.Known(v^64 != 0)
		},
		"seccomp.filter_count": u(func(p *P) *posture.Value[uint32] { return &p.Seccomp.Count }),
		"seccomp.filters": func(p *P) {
			v, _ := p.Seccomp.Filters.Get()
			p.Seccomp.Filters = posture.Known(append([]posture.Filter{{Log: true, Instructions: []posture.Instruction{{Code: 6}}}}, v...))
		},
		"landlock.layers": u(func(p *P) *posture.Value[uint32] { return &p.Landlock.Layers }),
		"cgroup.v2":       l(func(p *P) *posture.Value[uint64] { return &p.Cgroup.V2 }),
		"cgroup.v1": func(p *P) {
			v, _ := p.Cgroup.V1.Get()
			w := append([]posture.CgroupV1(nil), v...)
			w[0].ID++
			p.Cgroup.V1 = posture.Known(w)
		},
		"oom.score_adj":       i(func(p *P) *posture.Value[int32] { return &p.OOM.ScoreAdj }),
		"oom.score_adj_min":   i(func(p *P) *posture.Value[int32] { return &p.OOM.ScoreAdjMin }),
		"sched.policy":        u(func(p *P) *posture.Value[uint32] { return &p.Sched.Policy }),
		"sched.nice":          i(func(p *P) *posture.Value[int32] { return &p.Sched.Nice }),
		"sched.rt_priority":   u(func(p *P) *posture.Value[uint32] { return &p.Sched.RTPriority }),
		"sched.reset_on_fork": b(func(p *P) *posture.Value[bool] { return &p.Sched.ResetOnFork }),
		"sched.affinity": func(p *P) {
			v, _ := p.Sched.Affinity.Get()
			p.Sched.Affinity = posture.Known([]uint64{v[0] | 1<<9})
		},
		"sched.ioprio":           u(func(p *P) *posture.Value[uint32] { return &p.Sched.IOPrio }),
		"sched.timer_slack_ns":   l(func(p *P) *posture.Value[uint64] { return &p.Sched.TimerSlack }),
		"sched.core_cookie":      l(func(p *P) *posture.Value[uint64] { return &p.Sched.CoreCookie }),
		"signals.blocked":        l(func(p *P) *posture.Value[uint64] { return &p.Signals.Blocked }),
		"signals.ignored":        l(func(p *P) *posture.Value[uint64] { return &p.Signals.Ignored }),
		"signals.pending":        l(func(p *P) *posture.Value[uint64] { return &p.Signals.Pending }),
		"process.pid":            u(func(p *P) *posture.Value[uint32] { return &p.Process.PID }),
		"process.pid_inside":     u(func(p *P) *posture.Value[uint32] { return &p.Process.PIDInside }),
		"process.parent":         u(func(p *P) *posture.Value[uint32] { return &p.Process.Parent }),
		"process.tracer":         u(func(p *P) *posture.Value[uint32] { return &p.Process.Tracer }),
		"process.session":        u(func(p *P) *posture.Value[uint32] { return &p.Process.Session }),
		"process.process_group":  u(func(p *P) *posture.Value[uint32] { return &p.Process.Group }),
		"process.session_leader": b(func(p *P) *posture.Value[bool] { return &p.Process.SessionLeader }),
		"process.tty": func(p *P) {
			v, _ := p.Process.TTY.Get()
			v.Minor++
			p.Process.TTY = posture.Known(v)
		},
		"process.child_subreaper": b(func(p *P) *posture.Value[bool] { return &p.Process.Subreaper }),
		"process.threads":         u(func(p *P) *posture.Value[uint32] { return &p.Process.Threads }),
		"fs.umask":                u(func(p *P) *posture.Value[uint32] { return &p.FS.Umask }),
		"fs.root":                 n(func(p *P) *posture.Value[posture.Inode] { return &p.FS.Root }),
		"fs.cwd":                  n(func(p *P) *posture.Value[posture.Inode] { return &p.FS.Cwd }),
		"fs.cwd_under_root":       b(func(p *P) *posture.Value[bool] { return &p.FS.CwdUnderRoot }),
		"fs.root_is_mount_root":   b(func(p *P) *posture.Value[bool] { return &p.FS.RootIsMountRoot }),
		"fs.root_read_only":       b(func(p *P) *posture.Value[bool] { return &p.FS.RootReadOnly }),
		"files": func(p *P) {
			v, _ := p.Files.Get()
			p.Files = posture.Known(posture.Files{Open: append(append([]posture.File(nil), v.Open...), posture.File{FD: 99})})
		},
		"keyrings.session": func(p *P) {
			v, _ := p.Keyrings.Session.Get()
			if before, _ := Caller().Keyrings.Session.Get(); v == before {
				before++
				p.Keyrings.Session = posture.Known(before)
			} else {
				p.Keyrings.Session = posture.Known(before)
			}
		},
		"keyrings.process": i(func(p *P) *posture.Value[int32] { return &p.Keyrings.Process }),
		"keyrings.thread":  i(func(p *P) *posture.Value[int32] { return &p.Keyrings.Thread }),
		"exec.exe":         n(func(p *P) *posture.Value[posture.Inode] { return &p.Exec.Exe }),
		"exec.exe_nlink":   u(func(p *P) *posture.Value[uint32] { return &p.Exec.ExeNlink }),
		"exec.comm":        s(func(p *P) *posture.Value[string] { return &p.Exec.Comm }),
		"exec.args": func(p *P) {
			v, _ := p.Exec.Args.Get()
			p.Exec.Args = posture.Known(append(append([]string(nil), v...), ""))
		},
		"exec.env": func(p *P) {
			v, _ := p.Exec.Env.Get()
			p.Exec.Env = posture.Known(append(append([]string(nil), v...), "SECRET=1"))
		},
		"exec.secure":       b(func(p *P) *posture.Value[bool] { return &p.Exec.Secure }),
		"exec.fork_no_exec": b(func(p *P) *posture.Value[bool] { return &p.Exec.ForkNoExec }),
	}
	more(b, u, i, l)
	for r, name := range [...]string{"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"} {
		Mutations["rlimits."+name] = func(p *P) {
			v, _ := p.Rlimits.Get()
			v[r].Soft++
			p.Rlimits = posture.Known(v)
		}
	}
}
