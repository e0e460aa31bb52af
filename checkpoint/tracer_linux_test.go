package checkpoint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const tracedPID = "HOLDSHORT_TEST_TRACED"

// TestTracer needs Yama with ptrace_scope 1: there a process that is no
// ancestor may not trace without the exception
// (Documentation/admin-guide/LSM/Yama.rst).
func TestTracer(t *testing.T) {
	l := newLauncher(t)
	w, err := l.Start(context.Background(), &Config{Args: []string{"/bin/true"}, PTracer: Some(AnyTracer)}, nil)
	unlessRefused(t, err, StageTracer, unix.EINVAL)
	_, _ = w.Wait(context.Background())
	const file = "/proc/sys/kernel/yama/ptrace_scope"
	scope, err := os.ReadFile(file)
	if err != nil {
		t.Skip("needs Yama: " + err.Error())
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: a tracer and a workload that are another user")
	}
	switch strings.TrimSpace(string(scope)) {
	case "0":
		if err := os.WriteFile(file, []byte("1"), 0); err != nil {
			t.Skip("needs kernel.yama.ptrace_scope 1: " + err.Error())
		}
		defer func() { _ = os.WriteFile(file, scope, 0) }()
	case "1":
	default:
		t.Skip("needs kernel.yama.ptrace_scope 1, this is " + strings.TrimSpace(string(scope)))
	}
	const nobody = 65534
	for name, tt := range map[string]struct {
		tracer Option[int]
		errno  syscall.Errno
	}{
		"anybody":  {Some(AnyTracer), 0},
		"nobody":   {Option[int]{}, unix.EPERM},
		"somebody": {Some(os.Getpid()), 0},           // and its children
		"an agent": {Some(l.AgentPID()), unix.EPERM}, // which is no ancestor of the tracer
	} {
		t.Run(name, func(t *testing.T) {
			w, err := l.Start(context.Background(), &Config{Args: []string{"/bin/sleep", "100"}, UID: Some(uint32(nobody)), GID: Some(uint32(nobody)), PTracer: tt.tracer}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Kill(); _, _ = w.Wait(context.Background()) }()
			cmd := exec.Command("/proc/self/exe", "-test.run", "^TestTracerHelper$")
			cmd.Dir, cmd.Env = "/", []string{tracedPID + "=" + strconv.Itoa(w.HostPID())}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) || len(out) > 0 {
				t.Fatalf("%v: %s", err, out)
			}
			if got := syscall.Errno(cmd.ProcessState.ExitCode()); got != tt.errno {
				t.Errorf("trace: %v; want %v", got, tt.errno)
			}
		})
	}
}

// TestTracerHelper is the tracer, in a process of its own; its exit status is
// the error of PTRACE_SEIZE.
func TestTracerHelper(t *testing.T) {
	text := os.Getenv(tracedPID)
	if text == "" {
		t.Skip("is run by another test")
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	_ = errors.As(unix.PtraceSeize(pid), &errno)
	os.Exit(int(errno))
}
