package historic

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Who traces the program, in which cgroups and in which time it is, and what
// its terminal is.
func processRows() []Row {
	return []Row{
		{
			Number: 46, ID: "CVE-2016-9962", Where: "runc, docker before 1.12.6", Title: "who is in the container can trace the process that enters it, and so the program, and reach the engine's descriptors",
			How: "no PR_SET_DUMPABLE, and a process with the same ids and capabilities calls PTRACE_SEIZE before execve(2)", Finds: Finds{"process.tracer": oracle.Leaked},
			Needs: "a kernel without Yama, or with kernel.yama.ptrace_scope 0",
			Ask: func(s *Scene) {
				if b, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && strings.TrimSpace(string(b)) != "0" {
					s.Skip("needs kernel.yama.ptrace_scope 0")
				}
				box(0).ask(s)
			},
			Do: attacked,
		},
		{
			Number: 59, ID: "opencontainers/runc 1.2.6, 1.3.0", Where: "runc exec and restore before 1.2.6 and 1.3.0", Title: "what is executed in a running container is not in its time namespace",
			How: "no setns(2) to a time namespace, in which the container is", Needs: "time namespaces",
			Finds: Finds{"namespaces.time": oracle.Ignored, "namespaces.time_for_children": oracle.Inherited},
			Ask: func(s *Scene) {
				s.JoinTime()
			},
			Do: func(e *Engine) error {
				if e.Wrong {
					return nil
				}
				// A process with several threads cannot join one, so nsenter(1) does.
				e.Path = e.Vars["nsenter"]
				e.Args = slices.Concat([]string{"nsenter", "--time=" + e.Vars["time"]}, e.Args)
				return nil
			},
		},
		{
			Number: 61, ID: "docker-archive/libcontainer 336, opencontainers/runc 1586", Where: "libcontainer, docker exec before 1.5.0", Title: "what is executed in a running container is only in some of its cgroups",
			How: "the process is written to the cgroup.procs of one hierarchy, not to that of the next", Needs: "version 1 of cgroups",
			Finds: Finds{"cgroup.v1": oracle.Weaker},
			Ask: func(s *Scene) {
				s.Request.Ext.Cgroup.V1 = map[string]string{}
				for _, c := range []string{"pids", "memory"} {
					s.Request.Ext.Cgroup.V1[c] = s.cgroup(c)
					s.Engine.Vars[c] = s.Request.Ext.Cgroup.V1[c]
				}
			},
			Do: func(e *Engine) error {
				// The number of a thread, of which none has a cgroup of its own.
				pid := []byte(strconv.Itoa(os.Getpid()))
				err := os.WriteFile(filepath.Join(e.Vars["pids"], "cgroup.procs"), pid, 0)
				if !e.Wrong {
					err = errors.Join(err, os.WriteFile(filepath.Join(e.Vars["memory"], "cgroup.procs"), pid, 0))
				}
				return err
			},
		},
		{
			Number: 69, ID: "CVE-2023-28100", Where: "flatpak before 1.15.4", Title: "started on a virtual console, the program can paste into it with TIOCLINUX",
			How: "no setsid(2), in a child of a process whose terminal is one", Needs: "a virtual console",
			Finds: Finds{
				"process.session": oracle.Ignored, "process.process_group": oracle.Ignored, "process.session_leader": oracle.Weaker,
				"sched.autogroup": oracle.Inherited, "process.tty": oracle.Inherited,
			},
			Ask: func(s *Scene) {
				s.Request.Ext.Session = true
				tty, err := os.OpenFile("/dev/tty"+strconv.Itoa(20+os.Getpid()%44), os.O_RDWR|unix.O_NOCTTY, 0)
				if err != nil {
					s.Skip("needs a virtual console: ", err)
				}
				s.Cleanup(func() { tty.Close() })
				s.Command.Stdin = tty
				s.attributes().Setsid, s.attributes().Setctty = true, true
			},
			Do: session,
		},
	}
}

// cgroup makes a cgroup of a hierarchy of version 1, which is removed at the end.
func (s *Scene) cgroup(controller string) string {
	s.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		s.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		f := strings.Fields(l)
		if len(f) < 4 || f[2] != "cgroup" || !slices.Contains(strings.Split(f[3], ","), controller) {
			continue
		}
		dir := filepath.Join(f[1], fmt.Sprintf("holdshort-historic-%d-%v", os.Getpid(), s.Wrong))
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.Skip("needs a cgroup that can be made: ", err)
		}
		s.After(func() {
			// A process that has ended leaves its cgroup a moment later.
			for range 10000 {
				if err = os.Remove(dir); err == nil {
					return
				}
			}
			s.Errorf("it is left: %v", err)
		})
		return dir
	}
	s.Skip("needs version 1 of cgroups: " + controller)
	return ""
}

// JoinTime makes the workload one that enters the time namespace of a container.
func (s *Scene) JoinTime() {
	s.Helper()
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		s.Skip("needs nsenter(1)")
	}
	s.Engine.Vars["nsenter"] = nsenter
	pid := s.hold(&Engine{Vars: map[string]string{"time": "monotonic 1000 0"}}, nil)
	s.Engine.Vars["time"] = fmt.Sprintf("/proc/%d/ns/time_for_children", pid)
	if _, err := os.Stat(s.Engine.Vars["time"]); err != nil {
		s.Skip("needs time namespaces: ", err)
	}
	s.Request.Spec.Linux.Namespaces = append(s.Request.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace, Path: s.Engine.Vars["time"]})
}

// attacked is an engine with three parts: a parent, a process that is to execute
// the program, and one that tries to trace that before it does.
func attacked(e *Engine) error {
	switch e.Stage {
	case 0:
		return e.fight()
	case 1:
		if err := box(0).become(); err != nil {
			return err
		}
		if !e.Wrong {
			if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
				return err
			}
		}
		// What the program's standard output is, nobody looks at.
		if _, err := os.Stdout.WriteString("ready\n"); err != nil {
			return err
		}
		_, err := io.ReadAll(os.Stdin)
		return err
	}
	e.over = true
	if err := box(0).become(); err != nil {
		return err
	}
	pid, err := strconv.Atoi(e.Vars["victim"])
	if err != nil {
		return err
	}
	if err := unix.PtraceSeize(pid); (err == nil) != e.Wrong {
		return fmt.Errorf("ptrace PTRACE_SEIZE: %w", err)
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	if !e.Wrong {
		return nil
	}
	// Who traces a process is told of its end first, and before of each signal.
	for {
		var ws unix.WaitStatus
		switch _, err := unix.Wait4(pid, &ws, unix.WALL, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil || !ws.Stopped():
			return os.NewSyscallError("wait4", err)
		default:
			if err := unix.PtraceCont(pid, int(ws.StopSignal())); err != nil {
				return os.NewSyscallError("ptrace PTRACE_CONT", err)
			}
		}
	}
}

// part is a child that says on its standard output that it is ready, and waits
// for the end of its standard input.
func (e *Engine) part(stage int) (*exec.Cmd, io.Closer, error) {
	next := *e
	next.Stage = stage - 1
	c, err := next.child(0)
	if err != nil {
		return nil, nil, err
	}
	c.Stdin, c.Stdout = nil, nil
	in, err := c.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, nil, errors.Join(err, in.Close(), c.Wait())
	}
	return c, in, nil
}

func (e *Engine) fight() error {
	victim, goOn, err := e.part(1)
	if err != nil {
		return err
	}
	e.Vars["victim"] = strconv.Itoa(victim.Process.Pid)
	attacker, end, err := e.part(2)
	if err != nil {
		return errors.Join(err, goOn.Close(), victim.Wait())
	}
	return errors.Join(goOn.Close(), e.wait(victim), end.Close(), attacker.Wait())
}
