package sys

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Invariants of this file: every pointer is to memory that lives until the call
// returns, and every size is that of what is pointed to.

// LandlockEnter puts the calling thread, for the rest of its life, into a
// domain that handles the given rights, and grants those on files beneath each
// of the paths. The caller must be locked to its thread and must let it end.
func LandlockEnter(fs, net, scope uint64, paths []string) error {
	attr := [3]uint64{fs, net, scope}
	size := unsafe.Sizeof(attr) // a shorter one is all that kernels before 6.12 and 6.7 know
	for size > 8 && attr[size/8-1] == 0 {
		size -= 8
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return errno
	}
	defer func() { _ = unix.Close(int(fd)) }()
	for _, path := range paths {
		dir, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		rule := struct { // packed: twelve bytes are read
			allowed uint64
			fd      int32
		}{fs, int32(dir)}
		const beneath = 1 // LANDLOCK_RULE_PATH_BENEATH
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, fd, beneath, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		if err := unix.Close(dir); errno != 0 || err != nil {
			return errors.Join(errno, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// SetMempolicy sets the calling thread's memory policy. mask is a bit mask of
// nodes.
func SetMempolicy(mode int, mask uint64) error {
	if _, _, errno := unix.Syscall(unix.SYS_SET_MEMPOLICY, uintptr(mode), uintptr(unsafe.Pointer(&mask)), 64); errno != 0 {
		return errno
	}
	return nil
}
