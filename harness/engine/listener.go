package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/harness/request"
)

// notifies is the filter of a request that has a listener, or nil.
func notifies(req *request.Request) *specs.LinuxSeccomp {
	all := req.Ext.Seccomp
	if s := req.Linux().Seccomp; s != nil {
		all = append(slices.Clip(all), s)
	}
	for _, s := range all {
		if p, err := seccompPolicy(s); err == nil && p.Listens() {
			return s
		}
	}
	return nil
}

// ListenerPath is the socket that the listener of a request's filter goes to,
// or empty.
func ListenerPath(req *request.Request) string {
	if s := notifies(req); s != nil {
		return s.ListenerPath
	}
	return ""
}

// sendTimeout bounds how long the receiver of a listener may take.
const sendTimeout = 10 * time.Second

// SendListener hands the listener of a seccomp filter to who listens on the
// request's listenerPath, as the runtime-spec says (config-linux.md, seccomp):
// the container process state as JSON, with the descriptor, on a connection of
// its own that is then closed. It takes the file over. The state's id is
// "holdshort-" and pid.
func SendListener(req *request.Request, pid int, listener *os.File) error {
	state := specs.State{
		Version: specs.Version, ID: "holdshort-" + strconv.Itoa(pid), Status: specs.StateCreated, Pid: pid, Bundle: req.Dir,
		Annotations: req.Spec.Annotations,
	}
	return SendListenerOf(req, &state, pid, listener)
}

// SendListenerOf is [SendListener] of a process of a container with this state.
func SendListenerOf(req *request.Request, state *specs.State, pid int, listener *os.File) error {
	defer listener.Close()
	s := notifies(req)
	if s == nil || s.ListenerPath == "" {
		return errors.New("linux.seccomp.listenerPath: is empty: nobody would answer the notifications")
	}
	text, err := json.Marshal(&specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: s.ListenerMetadata, State: *state,
	})
	if err == nil {
		err = sendWith(s.ListenerPath, text, listener)
	}
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath %q: %w", s.ListenerPath, err)
	}
	return nil
}

// sendWith sends text and a descriptor on a stream socket.
func sendWith(path string, text []byte, f *os.File) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	// The descriptor goes with the first byte.
	oob := unix.UnixRights(int(f.Fd()))
	for len(text) > 0 {
		n, err := unix.SendmsgN(fd, text, oob, nil, unix.MSG_NOSIGNAL)
		if err != nil {
			return err
		}
		text, oob = text[n:], nil
	}
	return nil
}
