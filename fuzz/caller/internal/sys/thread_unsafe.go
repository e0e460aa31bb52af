// Package sys has system calls of one thread that golang.org/x/sys/unix makes on
// all threads, or has not.
package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Setgroups sets the supplementary groups of the calling thread alone; list is
// not empty.
func Setgroups(list []uint32) error {
	_, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(list)), uintptr(unsafe.Pointer(&list[0])), 0)
	return of(e)
}

// AllowAll installs a seccomp filter that allows every call on the calling
// thread. It takes CAP_SYS_ADMIN or no_new_privs.
func AllowAll() error {
	code := [1]unix.SockFilter{{Code: unix.BPF_RET, K: 0x7fff0000}} // SECCOMP_RET_ALLOW
	prog := unix.SockFprog{Len: 1, Filter: &code[0]}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	return of(e)
}

// IOPrio sets the I/O priority of the calling thread.
func IOPrio(v int) error {
	const who = 1 // IOPRIO_WHO_PROCESS
	_, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, who, 0, uintptr(v))
	return of(e)
}

// Personality sets the execution domain of the calling thread.
func Personality(v uint32) error {
	_, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, uintptr(v), 0, 0)
	return of(e)
}

func of(e unix.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
