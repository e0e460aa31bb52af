package harness

import (
	"os"
	"runtime"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestSabotageUnasked plants what nobody can ask for.
func TestSabotageUnasked(t *testing.T) {
	blocked := func(_ *testing.T, q *request.Request) {
		q.Ext.BlockSignals = []request.Signal{request.Signal(unix.SIGUSR1)}
	}
	table(t, []sabotage{
		{
			name: "signal/pending", ask: blocked,
			parked: func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
				t.Helper()
				// Blocked in the parked child already, so that it stays pending.
				fd, err := w.PIDFD()
				if err != nil {
					t.Fatal(err)
				}
				defer fd.Close()
				if err := unix.PidfdSendSignal(int(fd.Fd()), unix.SIGCHLD, nil, 0); err != nil {
					t.Fatal(err)
				}
			},
			tamper: config(func(c *checkpoint.Config) { c.BlockSignals = append(c.BlockSignals, int(unix.SIGCHLD)) }),
			want:   finds{"signals.pending": oracle.Leaked, "signals.blocked": oracle.Weaker},
		},
		{
			name: "tracer",
			parked: func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
				t.Helper()
				ready := make(chan error, 1)
				go attach(w.HostPID(), ready)
				if err := <-ready; err != nil {
					t.Skip("needs ptrace: " + err.Error())
				}
			},
			want: finds{"process.tracer": oracle.Leaked},
		},
		{
			name: "pid namespace missing", ask: ns(specs.PIDNamespace), tamper: without(checkpoint.PID),
			want: finds{"namespaces.pid": oracle.Ignored, "namespaces.pid_for_children": oracle.Inherited, "process.pid_inside": oracle.Weaker},
			also: []string{"process.session", "process.process_group"},
		},
		{
			name:   "program without a name",
			opts:   func(t *testing.T) *checkpoint.Options { t.Helper(); return passed(t) },
			ask:    func(_ *testing.T, q *request.Request) { q.Ext.PassFDs = 1 },
			tamper: config(func(c *checkpoint.Config) { c.Path = "/proc/self/fd/3" }),
			want:   finds{"exec.exe": oracle.Leaked, "exec.exe_nlink": oracle.Inherited},
			also:   []string{"exec.comm"},
		},
	})
}

// attach seizes a process and stays its tracer until it has ended.
func attach(pid int, ready chan<- error) {
	runtime.LockOSThread() // and never unlocked: the thread ends, and with it the trace
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0); e != 0 {
		ready <- e
		return
	}
	ready <- nil
	for {
		var st unix.WaitStatus
		if _, err := unix.Wait4(pid, &st, unix.WALL, nil); err != nil && err != unix.EINTR || st.Exited() || st.Signaled() {
			return
		}
		_, _, _ = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_CONT, uintptr(pid), 0, 0, 0, 0)
	}
}

// passed passes a copy of /bin/true in memory.
func passed(t *testing.T) *checkpoint.Options {
	t.Helper()
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("true", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	return &checkpoint.Options{Files: []checkpoint.PassedFile{{Number: 3, File: f}}}
}
