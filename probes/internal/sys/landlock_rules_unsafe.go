package sys

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Invariants of this file: every pointer is to memory that lives until the call
// returns, and every size is that of what is pointed to.

// LandlockRule allows rights beneath a path or, if that is empty, on a port.
type LandlockRule struct {
	Path   string
	Port   uint16
	Access uint64
}

// LandlockRestrict puts the calling thread, for the rest of its life, into a
// domain that handles the given rights on files and ports, with rules. The caller
// must be locked to its thread and must let it end.
func LandlockRestrict(fs, net uint64, rules []LandlockRule) error {
	attr := [2]uint64{fs, net}
	size := unsafe.Sizeof(attr)
	if net == 0 {
		size = 8
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return errno
	}
	defer func() { _ = unix.Close(int(fd)) }()
	for _, r := range rules {
		if err := landlockRule(fd, r); err != nil {
			return err
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

func landlockRule(ruleset uintptr, r LandlockRule) error {
	const beneath, port = 1, 2 // LANDLOCK_RULE_
	if r.Path == "" {
		attr := [2]uint64{r.Access, uint64(r.Port)}
		if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, port, uintptr(unsafe.Pointer(&attr)), 0, 0, 0); errno != 0 {
			return errno
		}
		return nil
	}
	fd, err := unix.Open(r.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	attr := struct { // packed: twelve bytes are read
		allowed uint64
		fd      int32
	}{r.Access, int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, beneath, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if err := unix.Close(fd); errno != 0 || err != nil {
		return errors.Join(errno, err)
	}
	return nil
}
