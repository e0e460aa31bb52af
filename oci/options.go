package oci

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
)

// runOptions are the files of one process of a container.
type runOptions struct {
	checkpoint.Options
	consoleSocket string
	master, slave *os.File
}

// processOptions gives a process our own standard descriptors, or a terminal.
func processOptions(p *specs.Process, consoleSocket string, preserve int) (*runOptions, error) {
	o := &runOptions{consoleSocket: consoleSocket}
	if preserve < 0 {
		return nil, fmt.Errorf("--preserve-fds: %d", preserve)
	}
	listen, env := listenFDs(p.Env)
	p.Env = env
	for n := 3; n < 3+preserve+listen; n++ {
		f, err := inherited(n)
		if err != nil {
			return nil, err
		}
		o.Files = append(o.Files, checkpoint.PassedFile{Number: n, File: f})
	}
	switch {
	case p.Terminal && consoleSocket == "":
		return nil, errors.New("cannot allocate a terminal without --console-socket: nobody would have the other end")
	case !p.Terminal && consoleSocket != "":
		return nil, errors.New("--console-socket without process.terminal")
	case !p.Terminal:
		o.Stdin, o.Stdout, o.Stderr = open(os.Stdin), open(os.Stdout), open(os.Stderr)
		return o, nil
	}
	return o, o.openTerminal(p)
}

func (o *runOptions) openTerminal(p *specs.Process) error {
	rows, cols := 0, 0
	if s := p.ConsoleSize; s != nil {
		rows, cols = int(s.Height), int(s.Width)
	}
	var err error
	if o.master, o.slave, err = checkpoint.OpenPTY(rows, cols); err != nil {
		return err
	}
	// Its owner is who uses it.
	if err := o.slave.Chown(int(p.User.UID), -1); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	o.Stdin, o.Stdout, o.Stderr, o.Terminal = o.slave, o.slave, o.slave, true
	return nil
}

// open is f, or nil if our caller has closed it.
func open(f *os.File) *os.File {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil {
		return nil
	}
	return f
}

// inherited is a descriptor that our caller has given us. One that we have
// opened ourselves is close-on-exec, and is not to be given away because the
// caller has counted wrong.
func inherited(n int) (*os.File, error) {
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return nil, fmt.Errorf("--preserve-fds: descriptor %d was not passed: %w", n, unix.EBADF)
	}
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "fd "+strconv.Itoa(n)), nil
}

// listenFDs is how many sockets were passed as sd_listen_fds(3) has it. They are
// for the container's process, which is 1.
func listenFDs(env []string) (int, []string) {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n <= 0 {
		return 0, env
	}
	env = append(append([]string{}, env...), "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID=1")
	if names := os.Getenv("LISTEN_FDNAMES"); names != "" {
		env = append(env, "LISTEN_FDNAMES="+names)
	}
	return n, env
}

// sendConsole hands the master over to who asked for it: one message with the
// descriptor and the name that it has.
func (o *runOptions) sendConsole() error {
	if o.master == nil || o.consoleSocket == "" {
		return nil
	}
	conn, err := net.Dial("unix", o.consoleSocket)
	if err != nil {
		return fmt.Errorf("--console-socket: %w", err)
	}
	defer conn.Close()
	rights := unix.UnixRights(int(o.master.Fd()))
	if _, _, err := conn.(*net.UnixConn).WriteMsgUnix([]byte(o.master.Name()), rights, nil); err != nil {
		return fmt.Errorf("--console-socket: %w", err)
	}
	return nil
}

func (o *runOptions) close() {
	for _, f := range []*os.File{o.master, o.slave} {
		if f != nil {
			f.Close()
		}
	}
	for _, f := range o.Files {
		f.File.Close()
	}
}
