package compare

import (
	"golang.org/x/sys/unix"
)

// archShadowStackStatus is ARCH_SHSTK_STATUS (arch/x86/include/uapi/asm/prctl.h).
const archShadowStackStatus = 0x5005

// shadowStacks tells how the kernel answers a question about them; one that
// knows nothing of them takes the question for none.
func shadowStacks() string {
	_, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archShadowStackStatus, 0, 0)
	return yes(e != unix.EINVAL)
}
