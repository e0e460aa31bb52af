package witness

import (
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Powers are questions about what the effective capabilities are good for: each
// tries something harmless that the kernel allows to one capability, and the
// posture says whether it must.
func Powers() []Question {
	const (
		setgid, setuid, setpcap, netRaw, sysChroot, sysAdmin, sysBoot, sysNice = 6, 7, 8, 13, 18, 21, 22, 23
	)
	return []Question{
		// ns_capable(current_user_ns(), CAP_SYS_CHROOT), fs/open.c. A child's
		// root is its own.
		power("chroot(2)", sysChroot, own, unix.EPERM, nil, Call{NR: unix.SYS_CHROOT, Args: []Arg{Text("/")}, Guarded: true}),
		power("prctl(PR_CAPBSET_DROP)", setpcap, own, unix.EPERM, nil, Call{NR: unix.SYS_PRCTL, Args: []Arg{Number(unix.PR_CAPBSET_DROP), Number(0), Number(0), Number(0), Number(0)}, Guarded: true}),
		// The namespace must allow it, too: /proc/PID/setgroups.
		power("setgroups(2)", setgid, setgroupsAllowed, unix.EPERM, nil, Call{NR: unix.SYS_SETGROUPS, Args: []Arg{Number(0), Number(0)}, Guarded: true}),
		// EINVAL, if the namespace does not have the id, comes before the capability is looked at.
		power("setresuid(2)", setuid, own, unix.EPERM, nil, Call{NR: unix.SYS_SETRESUID, Args: []Arg{Number(54321), Number(54321), Number(54321)}, Guarded: true}),
		power("socket(AF_INET, SOCK_RAW)", netRaw, ownerOf(func(n *posture.Namespaces) posture.Value[posture.Namespace] { return n.Net }), unix.EPERM,
			[]unix.Errno{unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT}, Call{NR: unix.SYS_SOCKET, Args: []Arg{Number(unix.AF_INET), Number(unix.SOCK_RAW), Number(unix.IPPROTO_ICMP)}, Guarded: true}),
		// The capability is looked at before the length (kernel/sys.c).
		power("sethostname(2) of a bad length", sysAdmin, ownerOf(func(n *posture.Namespaces) posture.Value[posture.Namespace] { return n.UTS }), unix.EPERM,
			[]unix.Errno{unix.EINVAL}, Call{NR: unix.SYS_SETHOSTNAME, Args: []Arg{Number(0), Number(-1)}}),
		// And before the magic numbers (kernel/reboot.c).
		power("reboot(2) with bad magic", sysBoot, ownerOf(func(n *posture.Namespaces) posture.Value[posture.Namespace] { return n.PID }), unix.EPERM,
			[]unix.Errno{unix.EINVAL}, Call{NR: unix.SYS_REBOOT, Args: []Arg{Number(0), Number(0), Number(0), Number(0)}}),
		power("setpriority(2) below", sysNice, niceTold, unix.EACCES, nil, Call{NR: unix.SYS_SETPRIORITY, Args: []Arg{Number(unix.PRIO_PROCESS), Number(0), Number(-20)}, Guarded: true}),
	}
}

// power is allowed if the capability is effective and otherwise refused with
// errno. Errors in mayBe are those of somebody who may. applies says whether
// the capability of the task's own user namespace decides.
func power(name string, c int, applies func(*posture.Posture) string, refused unix.Errno, mayBe []unix.Errno, call Call) Question {
	return Question{name, []Call{call}, func(f *Facts, o []Outcome) Answer {
		effective, ok := f.Posture.Capabilities.Effective.Get()
		if !ok {
			return silent("not in the posture: %s", f.Posture.Capabilities.Effective.Why())
		}
		if why := applies(f.Posture); why != "" {
			return silent("%s", why)
		}
		if !o[0].Made {
			return silent("%s", o[0].String())
		}
		may := o[0].Errno() == 0
		for _, e := range mayBe {
			may = may || o[0].Errno() == e
		}
		if !may && o[0].Errno() != refused {
			return silent("the kernel answers %s", o[0].String())
		}
		want := effective>>c&1 != 0
		if want && !may && f.MAC {
			return silent("refused, perhaps by a security module")
		}
		return compare(allowed(want), allowed(may))
	}}
}

func allowed(b bool) string {
	if b {
		return "allowed"
	}
	return "refused"
}

func own(*posture.Posture) string { return "" }

func setgroupsAllowed(p *posture.Posture) string {
	if v, ok := p.UserNS.Setgroups.Get(); !ok || !v {
		return "setgroups is denied in this user namespace"
	}
	return ""
}

// ownerOf applies if the namespace is owned by the task's own user namespace.
func ownerOf(at func(*posture.Namespaces) posture.Value[posture.Namespace]) func(*posture.Posture) string {
	return func(p *posture.Posture) string {
		n, ok := at(&p.Namespaces).Get()
		u, known := p.Namespaces.User.Get()
		if !ok || !known || n.Owner != u.Inode {
			return "the namespace belongs to another user namespace"
		}
		return ""
	}
}

// niceTold: capable(CAP_SYS_NICE) looks at the initial user namespace, and
// RLIMIT_NICE may allow it as well.
func niceTold(p *posture.Posture) string {
	parent, ok := p.UserNS.Parent.Get()
	nice, known := p.Sched.Nice.Get()
	limits, read := p.Rlimits.Get()
	if !ok || parent != 0 || !known || nice == -20 || !read || limits[unix.RLIMIT_NICE].Soft != 0 {
		return "not in the initial user namespace, or allowed by RLIMIT_NICE"
	}
	return ""
}
