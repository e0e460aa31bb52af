package agent

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send passes one message, with descriptors, to the agent. Messages on a
// SOCK_SEQPACKET socket are atomic, so no lock is needed.
func (a *Agent) send(q *request, fds []int) error {
	var oob [unix.SizeofCmsghdr + 4*MaxFDs]byte
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(q))}
	iov.SetLen(int(unsafe.Sizeof(*q)))
	msg := unix.Msghdr{Iov: &iov, Iovlen: 1}
	if len(fds) > 0 {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
		h.SetLen(unix.CmsgLen(4 * len(fds)))
		for i, fd := range fds {
			*(*int32)(unsafe.Pointer(&oob[unix.SizeofCmsghdr+4*i])) = int32(fd)
		}
		msg.Control = &oob[0]
		msg.SetControllen(unix.CmsgSpace(4 * len(fds)))
	}
	var errno unix.Errno
	try := func(fd uintptr) bool {
		for {
			_, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)),
				unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	}
	if err := a.raw.Write(try); err != nil {
		return os.ErrClosed
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// receiver takes events off the socket.
type receiver struct {
	ev  Event
	oob [32]byte
}

// next takes one event that is there already, and the descriptor that came with
// it, or -1. It answers EAGAIN if there is none, errAgentGone after the last.
func (r *receiver) next(sock uintptr) (int, error) {
	for {
		iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(&r.ev))}
		iov.SetLen(int(unsafe.Sizeof(r.ev)))
		msg := unix.Msghdr{Iov: &iov, Iovlen: 1, Control: &r.oob[0]}
		msg.SetControllen(len(r.oob))
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, sock, uintptr(unsafe.Pointer(&msg)),
			unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return -1, errno
		case n == 0:
			return -1, errAgentGone
		}
		fd := -1
		if msg.Controllen >= unix.SizeofCmsghdr+4 {
			h := (*unix.Cmsghdr)(unsafe.Pointer(&r.oob[0]))
			if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS {
				fd = int(*(*int32)(unsafe.Pointer(&r.oob[unix.SizeofCmsghdr])))
			}
		}
		if n == unsafe.Sizeof(r.ev) {
			return fd, nil
		}
		// Not one of ours: a workload has no way to reach the socket, so this is a
		// broken agent; what can still be understood is more useful than a stop.
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

var errAgentGone = errors.New("agent closed its socket")
