//go:build mutants

package mutants

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

// outside is a constraint that a process can put on another one.
type outside struct {
	name, when, field string
	skip              func(c *config)
	apply             func(c *config, pid int) error
	perThread         bool // it is a thread's own
}

var outsides = []outside{
	{
		name: "nice", when: "nice", field: "sched.nice", perThread: true,
		skip:  func(c *config) { c.Nice = none[int]() },
		apply: func(c *config, pid int) error { return unix.Setpriority(unix.PRIO_PROCESS, pid, c.Nice.Value) },
	},
	{
		name: "ioprio", when: "ioprio", field: "sched.ioprio", perThread: true,
		skip: func(c *config) { c.IOPrio = none[checkpoint.IOPrio]() },
		apply: func(c *config, pid int) error {
			if _, _, e := unix.Syscall(unix.SYS_IOPRIO_SET, 1, uintptr(pid), uintptr(c.IOPrio.Value.Class<<13|c.IOPrio.Value.Level)); e != 0 {
				return e
			}
			return nil
		},
	},
	{
		name: "affinity", when: "affinity", field: "sched.affinity", perThread: true,
		skip: func(c *config) { c.Affinity = nil },
		apply: func(c *config, pid int) error {
			var set unix.CPUSet
			for _, n := range c.Affinity {
				set.Set(n)
			}
			return unix.SchedSetaffinity(pid, &set)
		},
	},
	{
		name: "oom_score_adj", when: "oom_score_adj", field: "oom.score_adj",
		skip: func(c *config) { c.OOMScoreAdj = none[int]() },
		apply: func(c *config, pid int) error {
			return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), strconv.AppendInt(nil, int64(c.OOMScoreAdj.Value), 10), 0)
		},
	},
	{
		name: "RLIMIT_MEMLOCK", when: "RLIMIT_MEMLOCK", field: "rlimits.memlock",
		skip: dropRlimit("RLIMIT_MEMLOCK"),
		apply: func(c *config, pid int) error {
			for _, l := range c.Rlimits {
				if l.Resource == "RLIMIT_MEMLOCK" {
					return unix.Prlimit(pid, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil)
				}
			}
			return nil
		},
	},
}

// hosts are faults of a launcher whose host does what the child should.
func hosts() []Fault {
	var all []Fault
	add := func(o *outside, kind, how string, when func(asked *config, pid int, s *Scene)) {
		all = append(all, Fault{
			Name: o.name + "/" + how, Where: Launcher, Kind: kind, When: o.when, Want: []string{o.field},
			Plant: func(s *Scene) *harness.Fault {
				asked := &config{}
				return &harness.Fault{
					Config: func(c *config, _ *checkpoint.Options) { *asked = *c; o.skip(c) },
					Parked: func(w *checkpoint.Workload) { when(asked, w.HostPID(), s) },
				}
			},
		})
	}
	for i := range outsides {
		o := &outsides[i]
		add(o, Process, "of another process", func(c *config, _ int, s *Scene) { _ = o.apply(c, s.Sibling) })
		add(o, Late, "after execve", func(c *config, pid int, _ *Scene) { atExec(pid, func() { _ = o.apply(c, pid) }) })
		all[len(all)-1].Want = []string{o.field + ": late"}
		if o.perThread {
			add(o, OneThread, "of one thread of the host", func(c *config, _ int, _ *Scene) {
				onThread(func() { _ = o.apply(c, unix.Gettid()) })
			})
		}
	}
	for _, t := range []struct {
		name, when, want string
		skip             func(c *config)
		do               func(c *config)
	}{
		{"no new privileges", "no new privileges", "privilege.no_new_privs, refused", func(c *config) { c.NoNewPrivs = false }, func(*config) { _ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
		{"keyring", "keyring", "keyrings.session", func(c *config) { c.NewKeyring = false }, func(*config) { _, _ = unix.KeyctlJoinSessionKeyring("") }},
		{"timer slack", "timer slack", "sched.timer_slack_ns", func(c *config) { c.TimerSlack = none[uint64]() }, func(c *config) {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.TimerSlack.Value), 0, 0, 0)
		}},
		{"umask", "umask", "fs.umask", func(c *config) { c.Umask = none[uint32]() }, func(c *config) {
			if unix.Unshare(unix.CLONE_FS) == nil {
				unix.Umask(int(c.Umask.Value))
			}
		}},
	} {
		all = append(all, Fault{
			Name: t.name + "/of one thread of the host", Where: Launcher, Kind: OneThread, When: t.when, Want: splitList(t.want),
			Plant: func(*Scene) *harness.Fault {
				return &harness.Fault{Config: func(c *config, _ *checkpoint.Options) {
					asked := *c
					t.skip(c)
					onThread(func() { t.do(&asked) })
				}}
			},
		})
	}
	return append(all, moved()...)
}

// moved are faults of a host that takes the parked workload elsewhere, and one
// that joins a namespace of another process instead of making one.
func moved() []Fault {
	away := func(c *config, controller string, pid int) error {
		dir := c.Cgroup.V2
		if controller != "" {
			dir = c.Cgroup.V1[controller]
		}
		if dir == "" {
			return errors.New("not placed")
		}
		return os.WriteFile(filepath.Join(filepath.Dir(dir), "cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0)
	}
	var all []Fault
	for _, g := range []struct{ when, controller, field string }{{"cgroup v2", "", "cgroup.v2"}, {"cgroup v1 memory", "memory", "cgroup.v1"}} {
		for _, late := range []bool{false, true} {
			f := Fault{Name: g.when + "/taken out while parked", Where: Launcher, Kind: Value, When: g.when, Want: []string{g.field}}
			if late {
				f.Name, f.Kind, f.Want = g.when+"/taken out after execve", Late, []string{g.field + ": late"}
			}
			f.Plant = func(*Scene) *harness.Fault {
				asked := &config{}
				return &harness.Fault{
					Config: func(c *config, _ *checkpoint.Options) { *asked = *c },
					Parked: func(w *checkpoint.Workload) {
						pid := w.HostPID()
						if late {
							atExec(pid, func() { _ = away(asked, g.controller, pid) })
							return
						}
						_ = away(asked, g.controller, pid)
					},
				}
			}
			all = append(all, f)
		}
	}
	join := func(name, when, want string, kind checkpoint.NamespaceKind, who func(*Scene) int) {
		all = append(all, Fault{
			Name: name, Where: Launcher, Kind: Process, When: when, Want: splitList(want),
			Plant: func(s *Scene) *harness.Fault {
				return &harness.Fault{Config: func(c *config, _ *checkpoint.Options) {
					for i := range c.Namespaces {
						if c.Namespaces[i].Kind == kind {
							c.Namespaces[i].PID, c.Namespaces[i].Path = who(s), ""
						}
					}
				}}
			},
		})
	}
	for _, n := range []struct {
		when, field string
		kind        checkpoint.NamespaceKind
	}{
		{"ns net=fresh", "namespaces.net", checkpoint.Net},
		{"ns uts", "namespaces.uts", checkpoint.UTS},
		{"ns ipc", "namespaces.ipc", checkpoint.IPC},
		{"ns cgroup", "namespaces.cgroup", checkpoint.Cgroups},
	} {
		join(n.when+"/another process's", n.when+"; ns user", n.field+", refused: namespaces", n.kind, func(s *Scene) int { return s.Sibling })
		join(n.when+"/another process's of the same owner", n.when+"; ns user=off", n.field, n.kind, func(s *Scene) int { return s.Sibling })
	}
	all = append(all, Fault{
		Name: "ns uts/of another user namespace", Where: Launcher, Kind: Process, When: "ns uts; ns user=off", Want: []string{"namespaces.uts"},
		Plant: func(s *Scene) *harness.Fault {
			return &harness.Fault{Config: func(c *config, _ *checkpoint.Options) {
				for i := range c.Namespaces {
					if c.Namespaces[i].Kind == checkpoint.UTS {
						c.Namespaces[i].Path = s.Kept
					}
				}
			}}
		},
	})
	return all
}

// onThread runs f on a thread that ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		f()
	}()
	<-done
}

// atExec runs f while a tracer holds the process in its stop for execve: after
// all that execve does, and before the first instruction.
func atExec(pid int, f func()) {
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const optTraceExec = 0x10
		_, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, optTraceExec, 0, 0)
		close(ready)
		if e != 0 {
			return
		}
		for {
			var st unix.WaitStatus
			if _, err := unix.Wait4(pid, &st, unix.WALL, nil); err != nil && err != unix.EINTR || st.Exited() || st.Signaled() {
				return
			}
			if st.Stopped() && st.TrapCause() == unix.PTRACE_EVENT_EXEC {
				f()
				_, _, _ = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, 0, 0, 0)
				return
			}
			_, _, _ = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_CONT, uintptr(pid), 0, 0, 0, 0)
		}
	}()
	<-ready
}
