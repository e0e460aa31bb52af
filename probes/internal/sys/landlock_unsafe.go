// Package sys holds the system calls of the observer that the x/sys package has
// no wrapper for.
//
// Invariants: each pointer that is passed is to a local variable, is not kept
// by the kernel after the call, and has the size that is passed beside it.
package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// LandlockABI returns the version of Landlock. It fails with ENOSYS where the
// kernel has none, and with EOPNOTSUPP where it is not among the active LSMs.
func LandlockABI() (int, error) {
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// LandlockSelf puts the calling thread, for the rest of its life, into a domain
// that forbids executing programs. The caller must be locked to its thread and
// must let the thread end.
func LandlockSelf() error {
	const execute = 1 // LANDLOCK_ACCESS_FS_EXECUTE
	attr := struct{ handledAccessFS uint64 }{execute}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return errno
	}
	defer func() { _ = unix.Close(int(fd)) }()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
