package historic

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// order is the environment variable by which a process is told to be an engine.
const order = "HOLDSHORT_HISTORIC_ENGINE"

// Engine is what the engine of a row is told.
type Engine struct {
	Row   int
	Wrong bool
	// Stage is 1 in a process that the engine has made of itself.
	Stage int
	// Args and Env are the program's, and Path its file if it is not Args[0].
	Args, Env []string
	Path      string
	// Container is a process whose namespaces are to be joined, or 0.
	Container int
	// Vars is what the row's Ask has to say.
	Vars map[string]string

	over bool // the program was executed in another process
}

// The first thread of a process is its thread group's leader, and what is done
// to a thread by system calls is not done to the others.
func init() {
	if os.Getenv(order) != "" {
		runtime.LockOSThread()
	}
}

// EngineMain makes the process an engine, if that is what it was started for,
// and does not return then. TestMain calls it first.
func EngineMain() {
	text := os.Getenv(order)
	if text == "" {
		return
	}
	var e Engine
	err := json.Unmarshal([]byte(text), &e)
	if err == nil {
		err = e.main()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "engine of row %d: %v\n", e.Row, err)
		os.Exit(70)
	}
	os.Exit(0)
}

func (e *Engine) main() error {
	if e.Row == 0 {
		return e.hold()
	}
	if e.Container != 0 && e.Stage == 0 {
		if err := join(e.Container); err != nil {
			return err
		}
	}
	if err := row(e.Row).Do(e); err != nil || e.over {
		return err
	}
	path := e.Path
	if path == "" {
		path = e.Args[0]
	}
	return os.NewSyscallError("execve", unix.Exec(path, e.Args, e.Env))
}

// child is the engine once more, in new namespaces.
func (e *Engine) child(flags uintptr) (*exec.Cmd, error) {
	next := *e
	next.Stage++
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	err := next.tell(c)
	return c, err
}

func (e *Engine) wait(c *exec.Cmd) error {
	e.over = true
	err := c.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	return err
}

// tell gives an engine its order.
func (e *Engine) tell(c *exec.Cmd) error {
	text, err := json.Marshal(e)
	c.Env = []string{order + "=" + string(text)}
	return err
}

// hold is a container, which does nothing until its standard input is closed.
func (e *Engine) hold() error {
	if offsets := e.Vars["time"]; offsets != "" {
		if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := os.WriteFile("/proc/self/timens_offsets", []byte(offsets), 0); err != nil {
			return err
		}
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	var b [1]byte
	_, _ = os.Stdin.Read(b[:])
	return nil
}

// joined are the namespaces that are a container's own here.
var joined = []string{"net", "uts", "ipc"}

func join(pid int) error {
	for _, ns := range joined {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, ns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("open "+ns, err)
		}
		err = unix.Setns(fd, 0)
		unix.Close(fd)
		if err != nil {
			return os.NewSyscallError("setns "+ns, err)
		}
	}
	return nil
}
