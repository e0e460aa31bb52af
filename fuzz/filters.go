package fuzz

import (
	"runtime"
	"slices"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func hasSeccomp(is func(*specs.LinuxSeccomp) bool) func(*request.Request) bool {
	return func(r *request.Request) bool { s := r.Linux().Seccomp; return s != nil && is(s) }
}

var filters = []dimension{
	{
		name: "seccomp", can: root, draw: seccomp,
		has: hasSeccomp(func(*specs.LinuxSeccomp) bool { return true }),
	},
	{
		name: "seccomp, deny list", needs: []string{"seccomp"},
		has: hasSeccomp(func(s *specs.LinuxSeccomp) bool { return s.DefaultAction == specs.ActAllow }),
	},
	{
		name: "seccomp, allow list", needs: []string{"seccomp"},
		has: hasSeccomp(func(s *specs.LinuxSeccomp) bool { return s.DefaultAction != specs.ActAllow }),
	},
	{
		name: "seccomp, argument rules", needs: []string{"seccomp"},
		has: hasSeccomp(func(s *specs.LinuxSeccomp) bool {
			return slices.ContainsFunc(s.Syscalls, func(c specs.LinuxSyscall) bool { return len(c.Args) > 0 })
		}),
	},
	{
		name: "seccomp, flags", needs: []string{"seccomp"},
		has: hasSeccomp(func(s *specs.LinuxSeccomp) bool { return len(s.Flags) > 0 }),
	},
	{
		name: "seccomp, stacked", needs: []string{"seccomp"}, draw: stack,
		has: func(r *request.Request) bool { return len(r.Ext.Seccomp) > 0 },
	},
	{
		name: "seccomp, notify", needs: []string{"seccomp"}, draw: notification, has: Notifies,
		can: func(m *Machine) bool { return m.Listener != "" },
	},
}

// Calls that neither the launcher nor the workload makes once a filter is in
// force.
var others = []string{
	"acct", "add_key", "bpf", "chroot", "clock_settime", "clone", "connect", "delete_module", "fchmodat", "fork", "getpid", "init_module",
	"ioctl", "kexec_load", "keyctl", "kill", "mknodat", "mount", "move_pages", "open_by_handle_at", "openat", "perf_event_open",
	"personality", "pivot_root", "process_vm_readv", "ptrace", "quotactl", "read", "reboot", "request_key", "sendto", "setns", "socket",
	"swapon", "umount2", "unshare", "userfaultfd", "vmsplice", "write",
}

// Calls that are made under the filter: by the workload, and by the launcher
// where the filter must come before the change of ids.
var needed = []string{"execve", "execveat", "exit", "exit_group", "setgroups", "setresgid", "setresuid", "capset", "prctl"}

func seccomp(d *drawer) {
	d.r.Spec.Linux.Seccomp = d.filter(needed)
}

// filter draws one that lets the calls in allowed pass.
func (d *drawer) filter(allowed []string) *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{}
	switch runtime.GOARCH {
	case "amd64":
		s.Architectures = pick(d, nil, []specs.Arch{specs.ArchX86_64}, []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32})
	case "arm64":
		s.Architectures = pick(d, nil, []specs.Arch{specs.ArchAARCH64})
	}
	for _, f := range []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, "SECCOMP_FILTER_FLAG_TSYNC"} {
		if d.chance(30) {
			s.Flags = append(s.Flags, f)
		}
	}
	calls := slices.Clone(others)
	d.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	calls = calls[:d.in(1, len(calls))]
	refuse := []specs.LinuxSeccompAction{specs.ActErrno, specs.ActErrno, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActLog}
	if d.flip(60) {
		s.DefaultAction = specs.ActAllow
	} else {
		s.DefaultAction = pick(d, specs.ActErrno, specs.ActKillProcess, specs.ActTrap)
		if s.DefaultAction == specs.ActErrno && d.chance(50) {
			s.DefaultErrnoRet = new(uint(d.in(1, 133)))
		}
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: allowed, Action: specs.ActAllow})
	}
	for len(calls) > 0 {
		n := d.in(1, len(calls))
		c := specs.LinuxSyscall{Names: calls[:n], Action: specs.ActAllow}
		calls = calls[n:]
		if s.DefaultAction == specs.ActAllow {
			c.Action = pick(d, refuse...)
		}
		if c.Action == specs.ActErrno && d.chance(50) {
			c.ErrnoRet = new(uint(d.in(1, 133)))
		}
		if d.chance(35) {
			for _, i := range some(d, 20, []uint{0, 1, 2, 3, 4, 5}) {
				a := specs.LinuxSeccompArg{Index: i, Value: d.value(), Op: pick(d, specs.OpEqualTo, specs.OpNotEqual, specs.OpGreaterEqual,
					specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual)}
				if a.Op == specs.OpMaskedEqual {
					a.ValueTwo = a.Value & d.value()
				}
				c.Args = append(c.Args, a)
			}
		}
		s.Syscalls = append(s.Syscalls, c)
	}
	return s
}

// stack draws filters beneath that one.
func stack(d *drawer) {
	for range d.in(1, 3) {
		d.r.Ext.Seccomp = append(d.r.Ext.Seccomp, d.filter(append([]string{"seccomp"}, needed...)))
	}
}

// notification makes one filter notify, of calls that are made and of others.
func notification(d *drawer) {
	for _, l := range d.r.Process().Rlimits {
		if l.Type == "RLIMIT_NOFILE" && l.Soft < 128 {
			return // it may leave no number for the listener
		}
	}
	if s := d.r.Process().Scheduler; s != nil && (s.Priority > 0 || s.Policy == specs.SchedDeadline) {
		return // the child may have to compute until the listener is taken, which counts against its time
	}
	all := d.r.Ext.Seccomp
	if s := d.r.Spec.Linux.Seccomp; s != nil {
		all = append(slices.Clip(all), s)
	}
	s := all[d.IntN(len(all))]
	s.ListenerPath, s.ListenerMetadata = d.m.Listener, pick(d, "", "drawn")
	names := some(d, 30, others)
	if d.chance(60) {
		names = append(names, some(d, 40, []string{"execve", "execveat", "exit", "exit_group"})...)
	}
	// In front: the first rule that matches decides.
	s.Syscalls = append([]specs.LinuxSyscall{{Names: names, Action: specs.ActNotify}}, s.Syscalls...)
	if d.m.WaitKillable && d.chance(40) {
		s.Flags = append(s.Flags, specs.LinuxSeccompFlagWaitKillableRecv)
	}
}

// Notifies reports a filter with notifications among those of a request.
func Notifies(r *request.Request) bool {
	return slices.ContainsFunc(append(slices.Clip(r.Ext.Seccomp), r.Linux().Seccomp), func(s *specs.LinuxSeccomp) bool {
		return s != nil && slices.ContainsFunc(s.Syscalls, func(c specs.LinuxSyscall) bool { return c.Action == specs.ActNotify })
	})
}

// value is a number for an argument rule: small, or at an edge, or anything.
func (d *drawer) value() uint64 {
	return pick(d, uint64(d.in(0, 20)), 1<<31, 1<<32, 1<<32-1, d.Uint64())
}
