package checkpoint

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

// memoryCgroup is a cgroup of the test's own with a limit, or the test is skipped.
func memoryCgroup(t *testing.T, limit string) Cgroup {
	t.Helper()
	needRoot(t)
	name := "holdshort-oom-" + strconv.Itoa(os.Getpid())
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil {
		return Cgroup{
			V1: map[string]string{"memory": filepath.Join("/sys/fs/cgroup/memory", name)}, Create: true,
			Limits: []CgroupLimit{{"memory", "memory.limit_in_bytes", limit}},
		}
	}
	if b, _ := os.ReadFile("/sys/fs/cgroup/cgroup.subtree_control"); strings.Contains(string(b), "memory") {
		return Cgroup{
			V2: filepath.Join("/sys/fs/cgroup", name), Create: true,
			Limits: []CgroupLimit{{File: "memory.max", Value: limit}, {File: "memory.swap.max", Value: "0"}},
		}
	}
	t.Skip("needs a memory controller")
	return Cgroup{}
}

func TestResult_OOM(t *testing.T) {
	l := newLauncher(t)
	cg := memoryCgroup(t, "8388608")
	r, err := l.Run(bg, &Config{Args: []string{"/bin/sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' x)"}, Env: []string{"PATH=/usr/bin:/bin"}, Cgroup: cg}, nil)
	if err != nil || r.OOM != Some(true) {
		t.Errorf("%+v %v; want out of memory", r, err)
	}
	r, err = l.Run(bg, &Config{Args: []string{"/bin/sh", "-c", "kill -9 $$"}, Cgroup: cg}, nil)
	if err != nil || r.OOM != Some(false) || strings.Contains(r.String(), "memory") {
		t.Errorf("%+v %v; want no lack of memory", r, err)
	}
	if r, err = l.Run(bg, &Config{Args: []string{"/bin/true"}}, nil); err != nil || r.OOM.Set {
		t.Errorf("%+v %v; want nothing known without a cgroup", r, err)
	}
	if s := (Result{State: Signaled, Signal: unix.SIGKILL, Ran: true, OOM: Some(true)}).String(); s != "killed by SIGKILL: its cgroup was out of memory" {
		t.Error(s)
	}
}

func TestResult_Seccomp(t *testing.T) {
	l := newLauncher(t)
	p := &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: []string{"getppid"}, Action: seccomp.ActKillProcess}}}
	r, err := l.Run(bg, &Config{Args: []string{"/bin/sh", "-c", "exit 0"}, NoNewPrivs: true, Seccomp: p}, nil)
	if err != nil || r.State != Signaled || r.Signal != unix.SIGSYS || !r.Ran || !strings.Contains(r.String(), "seccomp") {
		t.Errorf("%s %v; want killed by SIGSYS once it ran", r, err)
	}
}
