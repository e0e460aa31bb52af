package sys

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The size of what a request takes is in its number, ioctl(2).
func TestSizes(t *testing.T) {
	for name, tt := range map[string]struct{ req, size uintptr }{
		"recv":  {unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Sizeof(Notif{})},
		"send":  {unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Sizeof(Resp{})},
		"valid": {unix.SECCOMP_IOCTL_NOTIF_ID_VALID, 8},
		"addfd": {unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Sizeof(AddFD{})},
	} {
		if got := tt.req >> 16 & 0x3fff; got != tt.size {
			t.Errorf("%s takes %d bytes; the struct has %d", name, got, tt.size)
		}
	}
}
