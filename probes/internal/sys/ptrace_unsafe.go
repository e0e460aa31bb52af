package sys

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of ptrace(2) that the x/sys package has no name for.
const (
	ptraceGetSigmask       = 0x420a
	ptraceSetSigmask       = 0x420b
	ptraceSeccompGetFilter = 0x420c
	ptraceGetMetadata      = 0x420d
	ptraceGetDispatch      = 0x4211
	ntPRStatus             = 1
)

func ptrace(request, pid int, addr uintptr, data unsafe.Pointer) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, uintptr(data), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Seize attaches the calling thread to a process without stopping it. All
// further requests must come from the same thread.
func Seize(pid int) error {
	_, err := ptrace(unix.PTRACE_SEIZE, pid, 0, nil)
	return err
}

// Detach lets a tracee that is in a stop go, without a signal.
func Detach(pid int) error {
	_, err := ptrace(unix.PTRACE_DETACH, pid, 0, nil)
	return err
}

// Cont makes a tracee that is in a stop go on, without a signal.
func Cont(pid int) error { return ContWith(pid, 0) }

// ContWith makes a tracee that is about to get a signal get this one.
func ContWith(pid, sig int) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_CONT, uintptr(pid), 0, uintptr(sig), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// InstructionPointer reads the saved user instruction pointer of a tracee in a
// stop: member rip of x86's user_regs_struct, member pc of arm64's
// user_pt_regs. A 32-bit tracee has another layout and is refused.
func InstructionPointer(pid int) (uint64, error) {
	var regs [34]uint64 // the larger one, arm64's
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(&regs))}
	iov.SetLen(int(unsafe.Sizeof(regs)))
	_, err := ptrace(unix.PTRACE_GETREGSET, pid, ntPRStatus, unsafe.Pointer(&iov))
	runtime.KeepAlive(&regs)
	size, at := 27, 16
	if runtime.GOARCH == "arm64" {
		size, at = 34, 32
	}
	if err == nil && iov.Len != uint64(size*8) {
		err = unix.ENOEXEC
	}
	return regs[at], err
}

// Sigmask reads the blocked signals of a tracee in a stop.
func Sigmask(pid int) (mask uint64, err error) {
	_, err = ptrace(ptraceGetSigmask, pid, unsafe.Sizeof(mask), unsafe.Pointer(&mask))
	return mask, err
}

// SetSigmask changes the blocked signals of a tracee in a stop.
func SetSigmask(pid int, mask uint64) error {
	_, err := ptrace(ptraceSetSigmask, pid, unsafe.Sizeof(mask), unsafe.Pointer(&mask))
	return err
}

// SeccompFilter reads the instructions of one installed filter of a tracee in a
// stop. It fails with ENOENT if there is none with this number, with EACCES
// without CAP_SYS_ADMIN in the initial user namespace or for a caller that is
// confined itself, with EMEDIUMTYPE if the filter has no original program, and
// with EIO on kernels without checkpoint/restore.
func SeccompFilter(pid, index int) ([]unix.SockFilter, error) {
	n, err := ptrace(ptraceSeccompGetFilter, pid, uintptr(index), nil)
	if err != nil || n == 0 {
		return nil, err
	}
	list := make([]unix.SockFilter, n)
	_, err = ptrace(ptraceSeccompGetFilter, pid, uintptr(index), unsafe.Pointer(&list[0]))
	return list, err
}

// SeccompFlags reads the SECCOMP_FILTER_FLAG_ values of a filter, of which the
// kernel shows only the one for logging. Since Linux 4.16.
func SeccompFlags(pid, index int) (uint64, error) {
	meta := struct{ filter, flags uint64 }{filter: uint64(index)}
	_, err := ptrace(ptraceGetMetadata, pid, unsafe.Sizeof(meta), unsafe.Pointer(&meta))
	return meta.flags, err
}

// SyscallDispatch tells whether a tracee in a stop has system calls go to a
// handler of its own (PR_SET_SYSCALL_USER_DISPATCH). Since Linux 6.4.
func SyscallDispatch(pid int) (bool, error) {
	var config struct{ mode, selector, offset, len uint64 }
	_, err := ptrace(ptraceGetDispatch, pid, unsafe.Sizeof(config), unsafe.Pointer(&config))
	return config.mode != 0, err
}

// CoreCookie asks for the core scheduling cookie of a process's main thread:
// zero, or a number that stands for it and is not the kernel's own. Since Linux
// 5.14; it fails with ENODEV where no core has several threads.
func CoreCookie(pid int) (cookie uint64, err error) {
	const schedCore, get, thread = 62, 0, 0 // PR_SCHED_CORE, PR_SCHED_CORE_GET, PIDTYPE_PID
	_, _, errno := unix.Syscall6(unix.SYS_PRCTL, schedCore, get, uintptr(pid), thread, uintptr(unsafe.Pointer(&cookie)), 0)
	if errno != 0 {
		err = errno
	}
	return cookie, err
}
