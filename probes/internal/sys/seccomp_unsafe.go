package sys

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SeccompSelf installs a filter on the calling thread, for tests of this module.
func SeccompSelf(filter []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}
