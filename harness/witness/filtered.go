package witness

import (
	"github.com/holdshort/holdshort/internal/cbpf"
	"golang.org/x/sys/unix"
)

// harmless are calls that the kernel refuses before they do anything, whoever
// makes them, with an error that is always the same. So it can be told whether
// a seccomp filter let them through.
var harmless = []struct {
	name string
	nr   uint32
	args [3]int64
	errs unix.Errno
}{
	{"read", unix.SYS_READ, [3]int64{-1}, unix.EBADF},
	{"write", unix.SYS_WRITE, [3]int64{-1}, unix.EBADF},
	{"lseek", unix.SYS_LSEEK, [3]int64{-1}, unix.EBADF},
	{"fstat", unix.SYS_FSTAT, [3]int64{-1}, unix.EBADF},
	{"ioctl", unix.SYS_IOCTL, [3]int64{-1}, unix.EBADF},
	{"fsync", unix.SYS_FSYNC, [3]int64{-1}, unix.EBADF},
	{"dup", unix.SYS_DUP, [3]int64{-1}, unix.EBADF},
	{"getdents64", unix.SYS_GETDENTS64, [3]int64{-1}, unix.EBADF},
	{"fchdir", unix.SYS_FCHDIR, [3]int64{-1}, unix.EBADF},
	{"fchmod", unix.SYS_FCHMOD, [3]int64{-1}, unix.EBADF},
	{"fchown", unix.SYS_FCHOWN, [3]int64{-1}, unix.EBADF},
	{"connect", unix.SYS_CONNECT, [3]int64{-1}, unix.EBADF},
	{"bind", unix.SYS_BIND, [3]int64{-1}, unix.EBADF},
	{"listen", unix.SYS_LISTEN, [3]int64{-1}, unix.EBADF},
	{"accept4", unix.SYS_ACCEPT4, [3]int64{-1}, unix.EBADF},
	{"shutdown", unix.SYS_SHUTDOWN, [3]int64{-1}, unix.EBADF},
	{"setns", unix.SYS_SETNS, [3]int64{-1}, unix.EBADF},
	{"socket", unix.SYS_SOCKET, [3]int64{-1}, unix.EAFNOSUPPORT},
	{"ptrace", unix.SYS_PTRACE, [3]int64{-1, 0x7fffffff}, unix.ESRCH},
	{"unshare", unix.SYS_UNSHARE, [3]int64{-1}, unix.EINVAL},
	{"umount2", unix.SYS_UMOUNT2, [3]int64{}, unix.EFAULT},
	{"keyctl", unix.SYS_KEYCTL, [3]int64{9999}, unix.EOPNOTSUPP},
	{"unlinkat", unix.SYS_UNLINKAT, [3]int64{-1}, unix.EFAULT},
	{"symlinkat", unix.SYS_SYMLINKAT, [3]int64{}, unix.EFAULT},
	{"memfd_create", unix.SYS_MEMFD_CREATE, [3]int64{}, unix.EFAULT},
	{"execve", unix.SYS_EXECVE, [3]int64{}, unix.EFAULT},
	{"pidfd_open", unix.SYS_PIDFD_OPEN, [3]int64{-1}, unix.EINVAL},
	{"prctl", unix.SYS_PRCTL, [3]int64{-1}, unix.EINVAL},
	{"clone3", unix.SYS_CLONE3, [3]int64{}, unix.EINVAL},
	{"openat2", unix.SYS_OPENAT2, [3]int64{}, unix.EINVAL},
}

// Filtered are questions about what seccomp filters do to a number of calls,
// each tried by a child, compared with a simulation of the filters that the
// posture has. Calls that a filter hands to somebody else, who may never
// answer, are not made: filters are those that were asked for, newest first.
func Filtered(filters [][]cbpf.Instruction) []Question {
	if len(filters) == 0 {
		return nil
	}
	var out []Question
	for _, h := range harmless {
		c := Call{NR: h.nr, Guarded: true}
		for _, a := range h.args {
			c.Args = append(c.Args, Number(a))
		}
		if a := decide(&c, filters).Action; a == cbpf.UserNotify || a == cbpf.Trace {
			continue
		}
		out = append(out, Question{"seccomp: " + h.name, []Call{c}, func(f *Facts, o []Outcome) Answer {
			list, known := f.filters()
			if !known {
				list = filters
			}
			if o[0].NoTry != 0 {
				return silent("%s", o[0].String())
			}
			switch d := decide(&c, list); d.Action {
			case cbpf.KillProcess, cbpf.KillThread, cbpf.Trap:
				return compare("killed by SIGSYS", o[0].String())
			case cbpf.Allow, cbpf.Log:
				return compare(unix.ErrnoName(h.errs), o[0].String())
			default:
				return silent("the filter's answer is %s", d)
			}
		}})
	}
	return out
}
