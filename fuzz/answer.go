package fuzz

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/holdshort/holdshort/checkpoint/seccomp/notify"
	"golang.org/x/sys/unix"
)

// Answerer takes the listeners of requests with seccomp notifications, as an
// agent at listenerPath does, and lets every notified call go on.
type Answerer struct {
	fd   int
	path string
	wg   sync.WaitGroup
}

// Answer starts an [Answerer] for the machine, which is needed to draw requests
// that notify.
func (m *Machine) Answer() (*Answerer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("fuzz: socket: %w", err)
	}
	a := &Answerer{fd: fd, path: filepath.Join(m.Dir, "listener")}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: a.path})
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("fuzz: %s: %w", a.path, err)
	}
	m.Listener = a.path
	a.wg.Go(a.accept)
	return a, nil
}

// Close ends it, once every workload that it answers has ended.
func (a *Answerer) Close() error {
	err := unix.Shutdown(a.fd, unix.SHUT_RDWR)
	a.wg.Wait()
	return errors.Join(err, unix.Close(a.fd), os.Remove(a.path))
}

func (a *Answerer) accept() {
	for {
		c, _, err := unix.Accept4(a.fd, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return
		}
		if f := receive(c); f != nil {
			a.wg.Go(func() { goOn(notify.New(f)) })
		}
		unix.Close(c)
	}
}

// receive takes one listener; the state that comes with it tells nothing that
// is needed here.
func receive(conn int) *os.File {
	state, oob := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(conn, state, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "listener")
}

// goOn lets every call run until nobody is left to call.
func goOn(l *notify.Listener) {
	defer l.Close()
	for {
		n, err := l.Receive()
		if err != nil {
			return
		}
		_ = l.Continue(n) // that it has ended meanwhile is fine too
	}
}
