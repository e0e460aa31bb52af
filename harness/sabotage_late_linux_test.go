package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// outside is a constraint that can be put on another process.
type outside struct {
	name  string
	ask   func(q *request.Request)
	skip  func(c *checkpoint.Config)
	apply func(pid int) error
	field string
	also  []string
}

func outsides(t *testing.T, r *Runner) []outside {
	t.Helper()
	limit := unix.Rlimit{Cur: 50, Max: 60}
	var old unix.Rlimit
	list := []outside{
		{
			name: "rlimit", field: "rlimits.nofile",
			ask: func(q *request.Request) {
				q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 60}}
			},
			skip:  func(c *checkpoint.Config) { c.Rlimits = nil },
			apply: func(pid int) error { return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, &old) },
		},
		{
			name: "nice", field: "sched.nice",
			ask:   func(q *request.Request) { q.Ext.Nice = new(7) },
			skip:  func(c *checkpoint.Config) { c.Nice = none[int]() },
			apply: func(pid int) error { return unix.Setpriority(unix.PRIO_PROCESS, pid, 7) },
		},
		{
			name: "oom_score_adj", field: "oom.score_adj", also: []string{"oom.score_adj_min"},
			ask:   func(q *request.Request) { q.Spec.Process.OOMScoreAdj = new(600) },
			skip:  func(c *checkpoint.Config) { c.OOMScoreAdj = none[int]() },
			apply: func(pid int) error { return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("600"), 0) },
		},
		{
			name: "ioprio", field: "sched.ioprio",
			ask: func(q *request.Request) {
				q.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 7}
			},
			skip: func(c *checkpoint.Config) { c.IOPrio = none[checkpoint.IOPrio]() },
			apply: func(pid int) error {
				if _, _, e := unix.Syscall(unix.SYS_IOPRIO_SET, 1, uintptr(pid), 3<<13|7); e != 0 {
					return e
				}
				return nil
			},
		},
	}
	if len(r.machine.cpus) > 0 && r.machine.cpus[0]&3 == 3 {
		var set unix.CPUSet
		set.Set(0)
		list = append(list, outside{
			name: "affinity", field: "sched.affinity",
			ask:   func(q *request.Request) { q.Ext.Affinity = []int{0} },
			skip:  func(c *checkpoint.Config) { c.Affinity = nil },
			apply: func(pid int) error { return unix.SchedSetaffinity(pid, &set) },
		})
	}
	if top := r.machine.host.CgroupV2; top != "" {
		dir := cgroupDir(t, top, "late")
		list = append(list, outside{
			name: "cgroup v2", field: "cgroup.v2",
			ask:   func(q *request.Request) { q.Ext.Cgroup.V2 = dir },
			skip:  func(c *checkpoint.Config) { c.Cgroup.V2 = "" },
			apply: func(pid int) error { return os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, pid), 0) },
		})
	}
	if top := r.machine.host.CgroupV1["pids"]; top != "" {
		dir := cgroupDir(t, top, "late")
		list = append(list, outside{
			name: "cgroup v1", field: "cgroup.v1",
			ask:   func(q *request.Request) { q.Ext.Cgroup.V1 = map[string]string{"pids": dir} },
			skip:  func(c *checkpoint.Config) { c.Cgroup.V1 = nil },
			apply: func(pid int) error { return os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, pid), 0) },
		})
	}
	return list
}

// sleeps waits until a process has exec'd sleep(1) and is in the system call
// that it is for. Its name is no sign: execve changes that well before the
// first instruction, and what is put on in between is in time.
func sleeps(pid int) bool {
	for range 2000 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if err != nil {
			return false
		}
		nr, _, _ := strings.Cut(string(b), " ")
		if nr == strconv.Itoa(unix.SYS_NANOSLEEP) || nr == strconv.Itoa(unix.SYS_CLOCK_NANOSLEEP) {
			return true
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // a test's poll of /proc
	}
	return false
}

// TestAppliedLate puts the constraint on once the program runs. It holds when
// the workload ends, and did not when it began.
func TestAppliedLate(t *testing.T) {
	r := shared(t)
	for _, o := range outsides(t, r) {
		t.Run(o.name, func(t *testing.T) {
			defer func() { r.tamper, r.parked = nil, nil }()
			q := request.New("/bin/sleep", "1000")
			o.ask(q)
			r.tamper = config(o.skip)
			done := make(chan error, 1)
			r.parked = func(w *checkpoint.Workload) {
				go func() {
					if !sleeps(w.HostPID()) {
						done <- errors.New("it does not run")
					} else {
						done <- o.apply(w.HostPID())
					}
					_ = w.Kill()
				}()
			}
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			(&sabotage{want: finds{o.field: oracle.Ignored}, also: o.also}).judge(t, c)
			end := c.snaps[len(c.snaps)-1]
			f, _ := oracle.FieldByName(o.field)
			if out, _ := c.exp.Compare(f, end.Posture); end.At != AtExit || out != oracle.Equal {
				t.Errorf("at %s the field is %s: the constraint was never applied, this test shows nothing", end.At, out)
			}
		})
	}
}

// TestAppliedToAnother puts the constraint on another process: a sibling of the
// workload, child of the same agent.
func TestAppliedToAnother(t *testing.T) {
	r := shared(t)
	sibling, err := r.launcher.Start(bg, &checkpoint.Config{Args: []string{"/bin/sleep", "1000"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sibling.Kill(); _, _ = sibling.Wait(bg) }()
	for _, o := range outsides(t, r) {
		t.Run(o.name, func(t *testing.T) {
			defer func() { r.tamper, r.parked = nil, nil }()
			q := request.New("/bin/true")
			o.ask(q)
			r.tamper = config(o.skip)
			r.parked = func(*checkpoint.Workload) {
				if err := o.apply(sibling.HostPID()); err != nil {
					t.Error(err)
				}
			}
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			(&sabotage{want: finds{o.field: oracle.Ignored}, also: o.also}).judge(t, c)
		})
	}
	_ = sibling.Kill()
	_, _ = sibling.Wait(bg)
}

// TestAppliedToAgent puts it on the agent after the workload was born: the
// caller's posture at the birth is what counts. The agent is one of its own,
// since it does not get rid of it.
func TestAppliedToAgent(t *testing.T) {
	shared(t)
	names := []string{"rlimit", "oom_score_adj", "nice", "ioprio"}
	if testing.Short() { // each has a runner of its own
		names = names[:2]
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			r := runner(t)
			for _, o := range outsides(t, r) {
				if o.name != name {
					continue
				}
				q := request.New("/bin/true")
				o.ask(q)
				r.tamper = config(o.skip)
				r.parked = func(*checkpoint.Workload) {
					if err := o.apply(r.launcher.AgentPID()); err != nil {
						t.Error(err)
					}
				}
				c, err := r.Run(bg, q, nil)
				if err != nil {
					t.Fatal(err)
				}
				(&sabotage{want: finds{o.field: oracle.Ignored}, also: o.also}).judge(t, c)
				// The next one is born with it, so then there is nothing to be found.
				r.parked, r.tamper = nil, nil
				if c, err = r.Run(bg, request.New("/bin/true"), nil); err != nil {
					t.Fatal(err)
				}
				if c.Verdict != Constrained {
					t.Errorf("with a constrained agent: %s\n%s", c.Verdict, text(c))
				}
			}
		})
	}
}

// TestChangedWhileParked changes the parked child from outside, where nothing
// was asked for and after what was asked for was put on.
func TestChangedWhileParked(t *testing.T) {
	r := shared(t)
	for _, o := range outsides(t, r) {
		t.Run(o.name, func(t *testing.T) {
			(&sabotage{
				parked: func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
					t.Helper()
					if err := o.apply(w.HostPID()); err != nil {
						t.Error(err)
					}
				},
				want: finds{o.field: oracle.Leaked}, also: o.also,
			}).run(t, r)
		})
	}
	t.Run("nice taken back", func(t *testing.T) {
		(&sabotage{
			ask: func(_ *testing.T, q *request.Request) { q.Ext.Nice = new(9) },
			parked: func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
				t.Helper()
				if err := unix.Setpriority(unix.PRIO_PROCESS, w.HostPID(), 8); err != nil {
					t.Error(err)
				}
			},
			want: finds{"sched.nice": oracle.Weaker},
		}).run(t, r)
	})
}

// TestChangedAtExec has a tracer change a limit in the exec stop, which is after
// the exec snapshot and before the first instruction.
func TestChangedAtExec(t *testing.T) {
	r := shared(t)
	limit := unix.Rlimit{Cur: 40, Max: 60}
	(&sabotage{
		ask: func(_ *testing.T, q *request.Request) {
			q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 60}}
		},
		parked: func(t *testing.T, _ *Runner, w *checkpoint.Workload) {
			t.Helper()
			ready := make(chan error, 1)
			go trace(w.HostPID(), ready, func() error { return unix.Prlimit(w.HostPID(), unix.RLIMIT_NOFILE, &limit, nil) })
			if err := <-ready; err != nil {
				t.Skip("needs ptrace: " + err.Error())
			}
		},
		want: finds{"rlimits.nofile": oracle.Late},
		also: []string{"process.tracer"},
	}).run(t, r)
}

// trace seizes a process, runs f in its exec stop, and lets go of it.
func trace(pid int, ready chan<- error, f func() error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const optTraceExec = 0x10
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, optTraceExec, 0, 0); e != 0 {
		ready <- e
		return
	}
	ready <- nil
	for {
		var st unix.WaitStatus
		if _, err := unix.Wait4(pid, &st, unix.WALL, nil); err != nil && err != unix.EINTR || st.Exited() || st.Signaled() {
			return
		}
		if st.Stopped() && st.TrapCause() == unix.PTRACE_EVENT_EXEC {
			_ = f()
			_, _, _ = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, 0, 0, 0)
			return
		}
		_, _, _ = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_CONT, uintptr(pid), 0, 0, 0, 0)
	}
}

// TestRacedAtExec changes a limit in a loop on other threads while workloads
// exec. Whatever the timing, a workload that did not begin as asked is not
// constrained.
func TestRacedAtExec(t *testing.T) {
	r := shared(t)
	defer func() { r.tamper, r.parked = nil, nil }()
	field, _ := oracle.FieldByName("rlimits.nofile")
	seen := map[Verdict]int{}
	late := 0
	for i := range 150 {
		if testing.Short() && i > 20 && seen[Violated] > 0 {
			break
		}
		q := request.New("/bin/true")
		q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 60}}
		var stop atomic.Bool
		var wg sync.WaitGroup
		r.parked = func(w *checkpoint.Workload) {
			fd, err := unix.PidfdOpen(w.HostPID(), 0)
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
				defer unix.Close(fd)
				for i := uint64(0); !stop.Load(); i++ {
					if unix.PidfdSendSignal(fd, 0, nil, 0) != nil {
						return
					}
					if unix.Prlimit(w.HostPID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 50 + i%3, Max: 60}, nil) != nil {
						return
					}
				}
			})
		}
		c, err := r.Run(bg, q, nil)
		stop.Store(true)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		seen[c.Verdict]++
		for i := range c.snaps {
			s := &c.snaps[i]
			if s.At == AtExit {
				continue
			}
			if out, _ := c.exp.Compare(field, s.Posture); out != oracle.Equal && c.Verdict == Constrained {
				t.Errorf("constrained, but at %s:\n%s", s.At, text(c))
			}
		}
		got := found(c)
		if got["rlimits.nofile"] == oracle.Late {
			late++
		}
		for f := range got {
			if f != "rlimits.nofile" {
				t.Errorf("unrelated finding %s\n%s", f, text(c))
			}
		}
	}
	t.Logf("verdicts %v, %d late", seen, late)
	if seen[Violated] == 0 {
		t.Error("the race was never lost: this test shows nothing")
	}
}

// TestFloodedRing gives the kernel one page for its records, and launches more
// than fit.
func TestFloodedRing(t *testing.T) {
	shared(t)
	r, err := NewRunner(bg, &RunnerOptions{Probes: &probes.Options{RingBufferBytes: 4096}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.ProbesErr != nil {
		t.Skip("needs an observer with a buffer of one page: " + r.ProbesErr.Error())
	}
	var mu sync.Mutex
	seen := map[Verdict]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 12 {
				q := request.New("/bin/true")
				q.Ext.Nice = new(3)
				c, err := r.Run(bg, q, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[c.Verdict]++
				switch {
				case c.Verdict == Violated:
					t.Errorf("a false alarm:\n%s", text(c))
				case c.Verdict == Constrained && (len(c.snaps) < 2 || c.Lost > 0):
					t.Errorf("constrained with %d snapshots, %d lost", len(c.snaps), c.Lost)
				case c.Verdict == Unknown && c.Cause != EvidenceLost:
					t.Errorf("unknown because of %s:\n%s", c.Cause, text(c))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("verdicts %v, lost %+v", seen, r.observer.Lost())
	if seen[Unknown] == 0 {
		t.Error("nothing was lost: this test shows nothing")
	}
}

// TestEvidenceRemoved takes the observer away while a workload is parked.
func TestEvidenceRemoved(t *testing.T) {
	for name, remove := range map[string]func(r *Runner){
		"observer closed":    func(r *Runner) { r.observer.Close() },
		"children unwatched": func(r *Runner) { r.children.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := runner(t)
			for _, violate := range []bool{false, true} {
				q := request.New("/bin/true")
				q.Ext.Nice = new(3)
				if violate {
					r.tamper = config(func(c *checkpoint.Config) { c.Nice = none[int]() })
				}
				r.parked = func(*checkpoint.Workload) { remove(r) }
				c, err := r.Run(bg, q, nil)
				if err != nil {
					t.Fatal(err)
				}
				if c.Verdict != Unknown || c.Cause != EvidenceLost || c.ExitCode() != ExitFault {
					t.Errorf("verdict %s, cause %s; want unknown, evidence lost\n%s", c.Verdict, c.Cause, text(c))
				}
				if len(c.Reasons) == 0 {
					t.Error("no reason is given")
				}
			}
		})
	}
}

func TestAgentKilledMidway(t *testing.T) {
	r := runner(t)
	for _, when := range []string{"parked", "running"} {
		t.Run(when, func(t *testing.T) {
			r := r
			if when == "running" {
				r = runner(t)
			}
			pid := 0
			r.parked = func(w *checkpoint.Workload) {
				pid = w.HostPID()
				kill := func() { _ = unix.Kill(r.launcher.AgentPID(), unix.SIGKILL) }
				if when == "parked" {
					kill()
					return
				}
				go func() {
					if sleeps(w.HostPID()) {
						kill()
					}
				}()
			}
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			c, err := r.Run(ctx, request.New("/bin/sleep", "1000"), nil)
			if !errors.Is(err, checkpoint.ErrAgentDied) || c != nil {
				t.Errorf("case %+v, error %v; want agent died", c, err)
			}
			if err := unix.Kill(pid, 0); err == nil {
				if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); !strings.Contains(string(b), ") Z") {
					t.Errorf("the workload outlived its agent: %s", b)
				}
			}
		})
	}
}

func TestKilledWhileParkedIsToldSo(t *testing.T) {
	r := shared(t)
	defer func() { r.parked = nil }()
	r.parked = func(w *checkpoint.Workload) { _ = unix.Kill(w.HostPID(), unix.SIGKILL) }
	c, err := r.Run(bg, request.New("/bin/true"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Unknown {
		t.Errorf("verdict %s; want unknown", c.Verdict)
	}
	if c.Launch.Ran || c.Launch.State != checkpoint.Signaled || c.Launch.Signal != unix.SIGKILL {
		t.Errorf("launch %+v", c.Launch)
	}
	if c.Report().Workload.Signal != int(unix.SIGKILL) {
		t.Errorf("workload %+v", c.Report().Workload)
	}
	if s := text(c); !strings.Contains(s, "killed by SIGKILL while ") || !strings.Contains(s, "before its program ran") {
		t.Errorf("the report does not say so:\n%s", text(c))
	}
}
