package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Policy is what is done about a container.
type Policy struct {
	Reports string `json:"reports"` // directory
	Freeze  bool   `json:"freeze"`  // read at the entry point, too
	Enforce bool   `json:"enforce"` // kill before the first instruction what is not seen to hold
	Closed  bool   `json:"closed"`  // if the verifier fails: kill, or do not start, instead of letting go
}

// Runtime is what does the work.
type Runtime struct {
	Path   string // a name in PATH, or a file
	Arg0   string // what it is called as; empty is Path
	Engine string // which one it is: runc, crun, …
}

// message is what the front asks of the keeper.
type message struct {
	Args    []string `json:"args"` // of the runtime
	Runtime string   `json:"runtime"`
	Arg0    string   `json:"arg0"`
	Engine  string   `json:"engine"`
	Dir     string   `json:"dir"`
	Policy  Policy   `json:"policy"`
}

type reply struct {
	Error string `json:"error,omitempty"`
}

// StateDir is where the keeper of this user listens: HOLDSHORT_SHIM_STATE in the
// environment, for who wants more than one.
func StateDir() string {
	if dir := os.Getenv("HOLDSHORT_SHIM_STATE"); dir != "" {
		return dir
	}
	return fmt.Sprintf("/run/holdshort-shim-%d", os.Geteuid())
}

// Front has the call watched and becomes the runtime. It returns only if that
// is not possible, or if the policy forbids to go on unwatched.
//
// keeper is the command that becomes the keeper ([Keep]) if none listens yet.
func Front(runtime Runtime, args []string, policy Policy, keeper []string) error {
	path, err := find(runtime.Path)
	if err != nil {
		return err
	}
	if runtime.Arg0 == "" {
		runtime.Arg0 = runtime.Path
	}
	if ParseCall(args).Verified() {
		dir, _ := os.Getwd()
		err := ask(&message{Args: args, Runtime: path, Arg0: runtime.Arg0, Engine: runtime.Engine, Dir: dir, Policy: policy}, keeper)
		if err != nil && policy.Closed {
			return fmt.Errorf("shim: not started, since it cannot be verified (--fail-closed): %w", err)
		}
		if err != nil {
			note(policy.Reports, args, err)
		}
	}
	return fmt.Errorf("shim: execute %s: %w", path, syscall.Exec(path, append([]string{runtime.Arg0}, args...), os.Environ()))
}

// find looks a runtime up. podman and conmon call it without any environment now
// and then, so without PATH.
func find(runtime string) (string, error) {
	path, err := exec.LookPath(runtime)
	if err == nil || strings.Contains(runtime, "/") || os.Getenv("PATH") != "" {
		return path, err
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if p, e := exec.LookPath(filepath.Join(dir, runtime)); e == nil {
			return p, nil
		}
	}
	return "", err
}

// ask waits until the keeper watches us.
func ask(m *message, keeper []string) error {
	c, err := dial()
	if err != nil {
		if err = startKeeper(keeper); err != nil {
			return err
		}
		if c, err = dial(); err != nil {
			return err
		}
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if err := json.NewEncoder(c).Encode(m); err != nil {
		return err
	}
	var r reply
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return fmt.Errorf("the keeper did not answer: %w", err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return nil
}

func dial() (net.Conn, error) {
	c, err := net.Dial("unix", filepath.Join(StateDir(), "socket"))
	if err != nil {
		return nil, err
	}
	if who, err := peer(c); err != nil || who.Uid != uint32(os.Geteuid()) {
		c.Close()
		return nil, fmt.Errorf("the keeper is of user %d: %w", who.Uid, unix.EPERM)
	}
	return c, nil
}

// peer is who is at the other end.
func peer(c net.Conn) (unix.Ucred, error) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return unix.Ucred{}, err
	}
	var u *unix.Ucred
	var e error
	if err := raw.Control(func(fd uintptr) { u, e = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return unix.Ucred{}, err
	}
	if e != nil {
		return unix.Ucred{}, e
	}
	return *u, nil
}

// startKeeper starts one that has nothing of ours: no descriptor, since a
// caller waits for the end of its pipes, no session, no directory.
func startKeeper(command []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	restore := keepFilesBack()
	r, w, err := os.Pipe()
	if err != nil {
		restore()
		return err
	}
	defer r.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	restore()
	w.Close()
	if err != nil {
		return err
	}
	_ = r.SetReadDeadline(deadline(ctx))
	b := make([]byte, 512)
	n, err := r.Read(b)
	if n == 0 {
		return fmt.Errorf("the keeper did not get ready: %w", err)
	}
	if s := string(b[:n]); s != "ready" {
		return errors.New("the keeper: " + s)
	}
	return cmd.Process.Release()
}

func deadline(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}

// keepFilesBack marks every open descriptor close-on-exec until restore.
func keepFilesBack() (restore func()) {
	var marked []int
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		if f, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && f&unix.FD_CLOEXEC == 0 {
			unix.CloseOnExec(fd)
			marked = append(marked, fd)
		}
	}
	return func() {
		for _, fd := range marked {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		}
	}
}
