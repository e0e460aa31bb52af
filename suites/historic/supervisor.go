package historic

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What an engine has of its own, or of its caller, and passed on: session and
// terminal, limits, scores, masks, signals, keys, environment.
func supervisorRows() []Row {
	return []Row{
		{
			Number: 51, ID: "CVE-2017-5226", Where: "bubblewrap before 0.1.6, and by default since 0.1.7", Title: "the program keeps the caller's terminal, into which it can type with TIOCSTI",
			How: "no setsid(2), in a child of a process that has a terminal",
			Finds: Finds{
				"process.session": oracle.Ignored, "process.process_group": oracle.Ignored, "process.session_leader": oracle.Weaker,
				"sched.autogroup": oracle.Inherited, "process.tty": oracle.Inherited,
			},
			Ask: func(s *Scene) { s.Request.Ext.Session = true; s.CallerTerminal() },
			Do:  session,
		},
		{
			Number: 52, ID: "crun 1.20", Where: "crun exec before 1.20", Title: "what is executed in a running container is in the session of the engine",
			How: "no setsid(2) after setns(2)",
			Finds: Finds{
				"process.session": oracle.Ignored, "process.process_group": oracle.Ignored, "process.session_leader": oracle.Ignored,
				"sched.autogroup": oracle.Inherited,
			},
			May: Finds{"sched.autogroup_nice": oracle.Inherited}, // if the caller's has one
			Ask: func(s *Scene) { s.Join(); s.Request.Ext.Session = true },
			Do:  session,
		},
		{
			Number: 53, ID: "opencontainers/runc 4195", Where: "runc before 1.1.13, built with Go 1.19 and later", Title: "the limit of descriptors is that with which the engine was started, one time in ten thousand",
			How:   "prlimit(2) on a Go program that has raised its limit at its start and puts it back at execve",
			Finds: Finds{"rlimits.nofile": oracle.Stronger},
			Ask: func(s *Scene) {
				s.Request.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 4096}}
			},
			Do: func(e *Engine) error {
				return e.limited(unix.Rlimit{Cur: 512, Max: 4096}, unix.Rlimit{Cur: 1024, Max: 4096})
			},
		},
		{
			Number: 54, ID: "nsjail dc5338c", Where: "podman before 2.0.3 and 5.4.0, nsjail before March 2026", Title: "the caller's limit of processes in place of the configured one",
			How: "no setrlimit(2)", Finds: Finds{"rlimits.nproc": oracle.Ignored},
			Ask: func(s *Scene) {
				s.Request.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NPROC", Soft: 2040, Hard: 2040}}
			},
			Do: unlessWrong(func() error { return unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 2040, Max: 2040}) }),
		},
		{
			Number: 55, ID: "containers/podman 4.2.0, crun 1.14", Where: "podman before 2.0.3, 4.2.0 and 4.7.0, crun before 1.14", Title: "the caller's umask in place of the configured one",
			How: "no umask(2)", Finds: Finds{"fs.umask": oracle.Ignored},
			Ask: func(s *Scene) { s.Request.Spec.Process.User.Umask = new(uint32(0o027)); s.Caller("umask 0007") },
			Do:  unlessWrong(func() error { unix.Umask(0o027); return nil }),
		},
		{
			Number: 56, ID: "crun 1.9, opencontainers/runc 69db69668", Where: "crun before 1.9, runc before 0.1.0 and 1.0.0, podman before 2.1.0, 4.1.0 and 4.7.0", Title: "a score of 0 for the OOM killer is taken for none, and the engine's own stays",
			How:   "0 is not written to /proc/self/oom_score_adj, and the caller has 300",
			Finds: Finds{"oom.score_adj": oracle.Ignored}, May: Finds{"oom.score_adj_min": oracle.Inherited},
			Ask: func(s *Scene) {
				s.Request.Spec.Process.OOMScoreAdj = new(0)
				s.Caller("echo 300 >/proc/$$/oom_score_adj")
			},
			Do: unlessWrong(func() error { return os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0) }),
		},
		{
			Number: 57, ID: "opencontainers/runc 121192ade", Where: "runc before 1.2.7 and 1.3.1, crun before 1.9.2", Title: "the engine's own CPUs stay the program's, whatever its cpuset allows",
			How: "no sched_setaffinity(2), and the caller is on one CPU; judged with --clean", Needs: "two CPUs",
			Finds: Finds{"sched.affinity": oracle.Inherited},
			Ask:   func(s *Scene) { s.Options.Clean = true; s.CallerCPU() },
			Do: unlessWrong(func() error {
				var all unix.CPUSet
				all.Fill()
				return unix.SchedSetaffinity(0, &all)
			}),
		},
		{
			Number: 58, ID: "opencontainers/runc 1.3.0-rc.1", Where: "runc exec before 1.3.0-rc.1", Title: "scheduler and I/O priority are ignored for what is executed in a running container",
			How:   "no sched_setattr(2) and no ioprio_set(2) after setns(2)",
			Finds: Finds{"sched.policy": oracle.Ignored, "sched.nice": oracle.Ignored, "sched.ioprio": oracle.Ignored},
			Ask: func(s *Scene) {
				s.Join()
				s.Request.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 11}
				s.Request.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 7}
			},
			Do: unlessWrong(func() error {
				const batch, whoProcess, bestEffort = 3, 1, 2 << 13
				if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: batch, Nice: 11}, 0); err != nil {
					return err
				}
				_, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, whoProcess, 0, bestEffort|7)
				return nonzero(e)
			}),
		},
		{
			Number: 60, ID: "opencontainers/runc 488", Where: "runc and docker before 2016", Title: "all containers share the session keyring of the engine",
			How: "no KEYCTL_JOIN_SESSION_KEYRING", Finds: Finds{"keyrings.session": oracle.Ignored},
			Ask: func(s *Scene) { s.Request.Ext.NewKeyring = true },
			Do: unlessWrong(func() error {
				_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) // one without a name
				return err
			}),
		},
		{
			Number: 62, ID: "containers/crun 2058, bubblewrap 0.11.1", Where: "crun after 1.26 and before 1.27, bubblewrap before 0.11.1", Title: "the engine ignores SIGPIPE and SIGCHLD, and so does the program",
			How: "SIG_IGN is not taken back before execve(2)", Finds: Finds{"signals.ignored": oracle.Leaked},
			Ask: func(*Scene) {},
			Do: func(e *Engine) error {
				if signal.Ignore(unix.SIGPIPE, unix.SIGCHLD); !e.Wrong {
					signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE, unix.SIGCHLD) // what is caught is the default after execve
				}
				return nil
			},
		},
		{
			Number: 63, ID: "nsjail d10c9fb", Where: "nsjail before 2.9", Title: "a bit by which capabilities survive setuid(2) is left set",
			How: "SECBIT_NO_SETUID_FIXUP is not cleared", Finds: Finds{"privilege.securebits": oracle.Leaked},
			Ask: func(s *Scene) { box(user).ask(s) },
			Do: func(e *Engine) error {
				bits := uintptr(0)
				if e.Wrong {
					bits = oracle.SecureNoSetUIDFixup
				}
				return errors.Join(unix.Prctl(unix.PR_SET_SECUREBITS, bits, 0, 0, 0), box(user).become())
			},
		},
		{
			Number: 64, ID: "lxc e5cc7a6be", Where: "lxc before 7.0.0", Title: "the first process of the container is not dumpable, so its own user cannot look at it",
			How: "the engine has given up what execve(2) gives root back: that is a change of credentials", Finds: Finds{"privilege.dumpable": oracle.Leaked},
			Ask: confined(0, false),
			Do: func(e *Engine) error {
				i := box(0)
				if e.Wrong {
					i.Permitted = nil
				}
				return i.become()
			},
		},
		{
			Number: 65, ID: "CVE-2021-3602", Where: "buildah before 1.21.3, runc before 1.3.0-rc.2", Title: "the environment of the host is the program's",
			How: "execve(2) with the engine's own environment as well", Finds: Finds{"exec.env": oracle.Inherited},
			Ask: func(s *Scene) { s.Request.Spec.Process.Env = []string{"HOME=/"} },
			Do: func(e *Engine) error {
				if e.Wrong {
					e.Env = append(e.Env, os.Environ()...)
				}
				return nil
			},
		},
	}
}

// unlessWrong is an engine that leaves something out.
func unlessWrong(do func() error) func(*Engine) error {
	return func(e *Engine) error {
		if e.Wrong {
			return nil
		}
		return do()
	}
}

// Caller changes, in words of sh(1), the process that is to be the engine, before
// it is.
func (s *Scene) Caller(words string) {
	s.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	c := exec.CommandContext(s.Context(), "/bin/sh", "-c", words+` && exec "$0"`, exe)
	c.Stderr, c.SysProcAttr = s.Command.Stderr, s.Command.SysProcAttr
	s.Command, s.Options.Binary = c, exe
}

// CallerCPU starts the engine on one CPU of several.
func (s *Scene) CallerCPU() {
	s.Helper()
	const zero = 20 // as getpriority(2) has it
	if nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || nice != zero {
		s.Skip("needs to run with a nice value of 0: the caller is to be a fresh process but for its CPU")
	}
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		s.Fatal(err)
	}
	for cpu := range 1024 {
		if may.Count() > 1 && may.IsSet(cpu) {
			s.Caller("taskset -p -c " + strconv.Itoa(cpu) + " $$ >/dev/null")
			return
		}
	}
	s.Skip("needs two CPUs")
}

// CallerTerminal starts the engine as the leader of a session with a terminal.
func (s *Scene) CallerTerminal() {
	s.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.Skip("needs a pseudo-terminal: ", err)
	}
	s.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		s.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		s.Fatal(err)
	}
	tty, err := os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { tty.Close() })
	s.Command.Stdin = tty
	s.attributes().Setsid, s.attributes().Setctty = true, true
}

// session is an engine whose child makes a session.
func session(e *Engine) error {
	if e.Stage == 0 {
		c, err := e.child(0)
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		return e.wait(c)
	}
	if e.Wrong {
		return nil
	}
	_, err := unix.Setsid()
	return err
}

// limited is an engine whose parent sets the limit of its child.
func (e *Engine) limited(before, want unix.Rlimit) error {
	if e.Stage > 0 {
		// The end of the standard input says that the limit is set.
		if _, err := io.ReadAll(os.Stdin); err != nil {
			return err
		}
		if e.Wrong {
			want = before
		}
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, (*syscall.Rlimit)(&want))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, (*syscall.Rlimit)(&before)); err != nil {
		return err
	}
	c, err := e.child(0)
	if err != nil {
		return err
	}
	c.Stdin = nil
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	err = unix.Prlimit(c.Process.Pid, unix.RLIMIT_NOFILE, &want, nil)
	return errors.Join(err, in.Close(), e.wait(c))
}
