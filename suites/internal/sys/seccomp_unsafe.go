// Package sys has the system calls of the engines in the suites that
// golang.org/x/sys/unix lacks. Invariants: every pointer given to the kernel is
// to memory that the same function keeps alive until the call has returned.
package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Filter loads a filter for the calling thread, with flags as of seccomp(2). The
// program is the bytes of its struct sock_filter; it has at least one. The
// result is the listener with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0.
func Filter(program []byte, flags int) (int, error) {
	f := unix.SockFprog{Len: uint16(len(program) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))}
	n, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&f)))
	runtime.KeepAlive(program)
	if e != 0 {
		return 0, os.NewSyscallError("seccomp", e)
	}
	return int(n), nil
}
