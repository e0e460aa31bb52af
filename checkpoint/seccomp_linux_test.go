package checkpoint

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

func TestSeccomp(t *testing.T) {
	l := newLauncher(t)
	deny := &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: []string{"getppid"}, Action: seccomp.ActKillProcess}}}
	cfg := Config{Args: []string{"/bin/sh", "-c", "exit 3"}, NoNewPrivs: true, Seccomp: deny}
	// dash asks for its parent's id when it starts
	r, err := l.Run(bg, &cfg, nil)
	if err != nil || r.State != Signaled || r.Signal != unix.SIGSYS || !r.Ran {
		t.Errorf("%+v %v; want killed by SIGSYS while running", r, err)
	}
	cfg.Seccomp = &seccomp.Policy{DefaultAction: seccomp.ActAllow}
	if r, err := l.Run(bg, &cfg, nil); err != nil || r.ExitCode != 3 {
		t.Errorf("%+v %v; want exit 3", r, err)
	}
}

// An allow list that forgets execve is refused before anything is started, with
// the name of the call.
func TestSeccompPreflight(t *testing.T) {
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Seccomp: &seccomp.Policy{
		DefaultAction: seccomp.ActKillProcess, Syscalls: []seccomp.Rule{{Names: []string{"read", "exit_group"}, Action: seccomp.ActAllow}},
	}}
	_, err := l.Spawn(bg, &cfg, nil)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageSeccomp || !strings.Contains(err.Error(), "execve") {
		t.Errorf("%v; want a refusal that names execve", err)
	}
}

// Without no_new_privs the filter comes before the capabilities go, and is
// checked against the calls that take them.
func TestSeccompBeforeCapabilities(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	none := Some(CapSet(0))
	cfg := Config{
		Args: []string{"/bin/true"}, UID: Some[uint32](1000), Capabilities: Capabilities{Permitted: none, Effective: none, Inheritable: none},
		Seccomp: &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: []string{"getppid"}, Action: seccomp.ActErrno}}},
	}
	if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Exited || r.ExitCode != 0 {
		t.Errorf("%+v %v", r, err)
	}
	cfg.Seccomp.Syscalls[0].Names = []string{"capset"}
	_, err := l.Spawn(bg, &cfg, nil)
	if err == nil || !strings.Contains(err.Error(), "capset") {
		t.Errorf("%v; want a refusal that names capset", err)
	}
}
