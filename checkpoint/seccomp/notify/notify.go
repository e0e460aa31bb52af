// Package notify answers the notifications of a seccomp filter: the host's end
// of seccomp_unotify(2).
//
//	l := notify.New(file) // the file that checkpoint.Options.Notify was given
//	defer l.Close()
//	for {
//		n, err := l.Receive()
//		if err != nil {
//			return err // io.EOF: nobody is left under the filter
//		}
//		if n.Call == "getpid" {
//			_ = l.Return(n, 42)
//		} else {
//			_ = l.Continue(n)
//		}
//	}
//
// The caller of a notified call sleeps in the kernel until it is answered. What
// its arguments point to is in its memory and may be changed by another of its
// threads while it is looked at: so a supervisor may do something in the
// caller's stead, but a decision to let a call run ([Listener.Continue]) must
// not rest on what an argument points to.
package notify

import (
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint/internal/sys"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

// Listener is the descriptor that a filter's notifications come from. Its
// methods may be called from several goroutines.
type Listener struct{ file *os.File }

// New takes a listener over; Close closes it.
func New(file *os.File) *Listener { return &Listener{file} }

// Close gives the listener up: from then on, notified calls fail with ENOSYS.
// It must not be called while another goroutine is in a method.
func (l *Listener) Close() error { return l.file.Close() }

// Notification is one system call that waits for an answer.
type Notification struct {
	ID   uint64
	PID  int    // of the calling thread, in the pid namespace of the host; 0 if it is not visible there
	NR   int    // number of the call
	Call string // its name on this machine's own ABI; empty if it is of another, or has none
	Arch uint32 // AUDIT_ARCH word of the ABI
	IP   uint64
	Args [6]uint64
}

// Receive waits for the next call. It returns io.EOF when no task is left that
// the filter could notify of (since Linux 5.9; before, it waits for ever).
func (l *Listener) Receive() (*Notification, error) {
	for {
		poll := []unix.PollFd{{Fd: int32(l.file.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return nil, err
		}
		switch {
		case poll[0].Revents&unix.POLLIN != 0:
		case poll[0].Revents&unix.POLLHUP != 0:
			return nil, io.EOF
		default:
			return nil, os.ErrClosed
		}
		var n sys.Notif
		err := sys.NotifRecv(int(l.file.Fd()), &n)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue // a signal took the caller out of the call meanwhile
		}
		if err != nil {
			return nil, err
		}
		out := &Notification{ID: n.ID, PID: int(n.PID), NR: int(n.NR), Arch: n.Arch, IP: n.IP, Args: n.Args}
		if native := seccomp.NativeArch(); n.Arch == native.Audit() {
			out.Call = seccomp.CallName(native, uint32(n.NR))
		}
		return out, nil
	}
}

// ErrGone is the answer to a call that has ended: by a signal, or with its
// caller.
var ErrGone = errors.New("the call has ended meanwhile")

func (l *Listener) send(r *sys.Resp) error {
	err := sys.NotifSend(int(l.file.Fd()), r)
	if errors.Is(err, unix.ENOENT) {
		return ErrGone
	}
	return err
}

// Return answers with a result.
func (l *Listener) Return(n *Notification, result int64) error {
	return l.send(&sys.Resp{ID: n.ID, Val: result})
}

// Fail answers with an errno.
func (l *Listener) Fail(n *Notification, errno unix.Errno) error {
	return l.send(&sys.Resp{ID: n.ID, Error: -int32(errno)})
}

// Continue lets the kernel run the call (since Linux 5.5). It is no means of
// control: see the package comment.
func (l *Listener) Continue(n *Notification) error {
	const flagContinue = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
	return l.send(&sys.Resp{ID: n.ID, Flags: flagContinue})
}

// AddFile puts a copy of an open file into the caller, close-on-exec, and
// returns the number that it has there (since Linux 5.9). The caller's own call
// is still to be answered, for instance with that number.
func (l *Listener) AddFile(n *Notification, f *os.File) (int, error) {
	fd, err := sys.NotifAddFD(int(l.file.Fd()), &sys.AddFD{ID: n.ID, SrcFD: uint32(f.Fd()), Mode: unix.O_CLOEXEC})
	if errors.Is(err, unix.ENOENT) {
		return -1, ErrGone
	}
	return fd, err
}

// Valid fails with [ErrGone] if the call has ended, in which case n.PID may be
// another process by now. It must be asked after anything was opened or read by
// that pid, and before it is made use of.
func (l *Listener) Valid(n *Notification) error {
	err := sys.NotifIDValid(int(l.file.Fd()), n.ID)
	if errors.Is(err, unix.ENOENT) {
		return ErrGone
	}
	return err
}

// String reads a NUL-terminated string of at most 4095 bytes from the caller's
// memory. It needs the privilege to attach to it, as ptrace(2) does.
func (l *Listener) String(n *Notification, address uint64) (string, error) {
	mem, err := os.Open("/proc/" + strconv.Itoa(n.PID) + "/mem")
	if err != nil {
		return "", err
	}
	defer mem.Close()
	if err := l.Valid(n); err != nil {
		return "", err
	}
	var b []byte
	page := uint64(os.Getpagesize())
	for len(b) < unix.PathMax {
		// Up to the end of the page: the next one may not be there.
		chunk := make([]byte, min(page-(address+uint64(len(b)))%page, uint64(unix.PathMax-len(b))))
		got, err := mem.ReadAt(chunk, int64(address)+int64(len(b)))
		for i, c := range chunk[:got] {
			if c == 0 {
				return string(append(b, chunk[:i]...)), l.Valid(n)
			}
		}
		b = append(b, chunk[:got]...)
		if err != nil {
			return "", err
		}
	}
	return "", unix.ENAMETOOLONG
}
