// Package sys is what testreport needs of the kernel and Go's libraries lack.
package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultSignal has a signal do again what it does by default, as sigaction(2)
// with SIG_DFL. Package os/signal cannot, of a signal that was ignored when the
// program began.
func DefaultSignal(n int) error {
	var act [4]uint64 // the kernel's struct sigaction; SIG_DFL and no flags are zero
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
