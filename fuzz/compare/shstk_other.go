//go:build !amd64

package compare

import "golang.org/x/sys/unix"

// shadowStacks tells whether the kernel knows of them.
func shadowStacks() string {
	const getStatus = 74 // PR_GET_SHADOW_STACK_STATUS (include/uapi/linux/prctl.h)
	_, _, e := unix.RawSyscall6(unix.SYS_PRCTL, getStatus, 0, 0, 0, 0, 0)
	return yes(e != unix.EINVAL)
}
