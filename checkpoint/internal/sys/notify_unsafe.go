// Package sys holds the requests of seccomp_unotify(2), which the x/sys package
// has no wrapper for.
//
// Invariants: each pointer that is passed is to a variable of the caller, is
// not kept by the kernel after the call, and has the size that is encoded in
// the number of the request; a test compares the sizes.
package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Notif is struct seccomp_notif.
type Notif struct {
	ID    uint64
	PID   uint32
	Flags uint32
	NR    int32
	Arch  uint32
	IP    uint64
	Args  [6]uint64
}

// Resp is struct seccomp_notif_resp.
type Resp struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

// AddFD is struct seccomp_notif_addfd.
type AddFD struct {
	ID    uint64
	Flags uint32
	SrcFD uint32
	NewFD uint32
	Mode  uint32 // O_CLOEXEC or 0
}

// NotifRecv is SECCOMP_IOCTL_NOTIF_RECV; n must be zero.
func NotifRecv(fd int, n *Notif) error {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
}

// NotifSend is SECCOMP_IOCTL_NOTIF_SEND.
func NotifSend(fd int, r *Resp) error {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(r))
}

// NotifIDValid is SECCOMP_IOCTL_NOTIF_ID_VALID.
func NotifIDValid(fd int, id uint64) error {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id))
}

// NotifAddFD is SECCOMP_IOCTL_NOTIF_ADDFD; it returns the number that the
// descriptor has in the target.
func NotifAddFD(fd int, a *AddFD) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_ADDFD, uintptr(unsafe.Pointer(a)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

func ioctl(fd int, req uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
