package historic

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Program is what the engines execute.
const Program = "/bin/true"

// Scene is one run of a row's engine in the making.
type Scene struct {
	testing.TB
	Wrong   bool
	Request *request.Request
	Engine  *Engine
	Command *exec.Cmd // executes the engine; its environment is set last
	Options harness.VerifyOptions
	after   []func()
}

// NewScene prepares a run of a row: as it should be, or with the fault.
func NewScene(t testing.TB, r *Row, wrong bool) *Scene {
	t.Helper()
	s := &Scene{
		TB: t, Wrong: wrong, Request: request.New(Program),
		Engine:  &Engine{Row: r.Number, Wrong: wrong, Vars: map[string]string{}},
		Command: exec.CommandContext(t.Context(), "/proc/self/exe"),
	}
	s.Command.Stderr = os.Stderr
	s.CallerGroups() // none
	if r.Ask != nil {
		r.Ask(s)
	}
	s.Engine.Args, s.Engine.Env, s.Engine.Path = s.Request.Spec.Process.Args, s.Request.Spec.Process.Env, s.Request.Ext.Path
	if err := s.Engine.tell(s.Command); err != nil {
		t.Fatal(err)
	}
	return s
}

// Join makes the workload one that enters a running container, as "exec" of a
// runtime does: its network, host name and IPC.
func (s *Scene) Join() {
	s.Helper()
	s.JoinWith(nil)
}

// JoinWith is Join for a container whose process has these ids.
func (s *Scene) JoinWith(ids *syscall.Credential) {
	s.Helper()
	pid := s.hold(&Engine{}, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC, Credential: ids})
	s.Engine.Container = pid
	for kind, name := range map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.UTSNamespace: "uts", specs.IPCNamespace: "ipc"} {
		s.Request.Spec.Linux.Namespaces = append(s.Request.Spec.Linux.Namespaces, specs.LinuxNamespace{
			Type: kind, Path: "/proc/" + strconv.Itoa(pid) + "/ns/" + name,
		})
	}
}

// hold starts a container that does nothing until the end.
func (s *Scene) hold(e *Engine, how *syscall.SysProcAttr) (pid int) {
	s.Helper()
	c := exec.CommandContext(s.Context(), "/proc/self/exe")
	if err := e.tell(c); err != nil {
		s.Fatal(err)
	}
	c.SysProcAttr = how
	in, err := c.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := c.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.Fatal("the container does not begin: ", err)
	}
	return c.Process.Pid
}

// After has something done once the engine has ended.
func (s *Scene) After(f func()) { s.after = append(s.after, f) }

// CallerInherits starts the engine with an inheritable (and ambient) set.
func (s *Scene) CallerInherits(names []string) {
	caps := mask(names)
	for c := range 64 {
		if caps>>c&1 != 0 {
			a := s.attributes()
			a.AmbientCaps = append(a.AmbientCaps, uintptr(c))
		}
	}
}

func (s *Scene) attributes() *syscall.SysProcAttr {
	if s.Command.SysProcAttr == nil {
		s.Command.SysProcAttr = &syscall.SysProcAttr{}
	}
	return s.Command.SysProcAttr
}
