package historic

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/suites/internal/sys"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Filters of system calls that were not there, or let something through; and
// no_new_privs.
func filterRows() []Row {
	none := Finds{"seccomp.mode": oracle.Ignored, "seccomp.filter_count": oracle.Ignored, "seccomp.filters": oracle.Ignored}
	noNewPrivs := Finds{"privilege.no_new_privs": oracle.Ignored}
	weaker := Finds{"seccomp.filters": oracle.Weaker}
	base := denied("mount", "umount2", "ptrace", "keyctl")
	newCalls := denied("mount", "umount2", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr")
	terminals := []specs.LinuxSeccompArg{{Index: 1, Value: 1<<32 - 1, ValueTwo: unix.TIOCSTI, Op: specs.OpMaskedEqual}}
	return []Row{
		{
			Number: 25, ID: "CVE-2023-2431", Where: "kubelet before 1.24.14, 1.25.10, 1.26.5 and 1.27.2", Title: "a profile with an empty name is no profile, and there is no filter",
			How: "no seccomp(2)", Finds: none,
			Ask: filtered(base, false), Do: load(base, nil),
		},
		{
			Number: 26, ID: "canonical/lxd 1370", Where: "lxc and lxd of 2015", Title: "what is executed in a running container has no filter",
			How: "no seccomp(2) after setns(2)", Finds: none,
			Ask: filtered(base, true), Do: load(base, nil),
		},
		{
			Number: 27, ID: "containers/podman 3.2.0", Where: "podman before 1.9.0, 3.0.0 and 3.2.0", Title: "the configured profile is ignored, and another one applied",
			How: "a filter that denies less", Finds: weaker,
			Ask: filtered(base, false), Do: load(base, denied("ptrace", "keyctl")),
		},
		{
			Number: 28, ID: "CVE-2019-12589", Where: "firejail before 0.9.60", Title: "the file with the filter can be written from the inside, so who joins later has no filter",
			How: "the filter is read from a file that the container has emptied", Finds: none,
			Ask: func(s *Scene) {
				s.Join()
				filtered(base, false)(s)
				program, err := engine.CompileSeccomp(base)
				if err != nil {
					s.Fatal(err)
				}
				if s.Wrong {
					program = nil
				}
				s.Engine.Vars["filter"] = filepath.Join(s.TempDir(), "filter")
				if err := os.WriteFile(s.Engine.Vars["filter"], program, 0o600); err != nil {
					s.Fatal(err)
				}
			},
			Do: func(e *Engine) error {
				program, err := os.ReadFile(e.Vars["filter"])
				if err != nil || len(program) == 0 {
					return err
				}
				_, err = sys.Filter(program, 0)
				return err
			},
		},
		{
			Number: 29, ID: "CVE-2019-10063", Where: "flatpak before 1.3.1", Title: "the filter compares 64 bits of an argument of which the kernel takes 32, and TIOCSTI passes with a bit set above them",
			How: "ioctl(2) is denied if its whole second argument is TIOCSTI", Finds: weaker,
			Ask: filtered(deniedIf("ioctl", terminals), false),
			Do:  load(deniedIf("ioctl", terminals), deniedIf("ioctl", []specs.LinuxSeccompArg{{Index: 1, Value: unix.TIOCSTI, Op: specs.OpEqualTo}})),
		},
		{
			Number: 30, ID: "CVE-2021-41133", Where: "flatpak before 1.12.0", Title: "the filter does not know the newer system calls to mount",
			How: "a filter without open_tree(2) and what came with it", Finds: weaker,
			Ask: filtered(newCalls, false), Do: load(newCalls, denied("mount", "umount2")),
		},
		{
			Number: 31, ID: "opencontainers/runc 4900, e18de6310", Where: "runc before 1.0.0 and 1.4.0-rc.2", Title: "the filter is loaded before system calls of the engine itself, and stops them",
			How: "personality(2) after a filter that answers it with 0", Finds: Finds{"privilege.personality": oracle.Ignored},
			Ask: func(s *Scene) {
				filtered(quiet("personality"), false)(s)
				s.Request.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
			},
			Do: inOrder(quiet("personality"), func(*Engine) error {
				const linux32 = 8 // include/uapi/linux/personality.h
				_, _, err := unix.RawSyscall(unix.SYS_PERSONALITY, linux32, 0, 0)
				return nonzero(err)
			}),
		},
		{
			Number: 32, ID: "youki 39c93dbd", Where: "youki before 0.0.3", Title: "the filter stops the engine from closing its descriptors",
			How: "close_range(2) after a filter that denies it; the error is not looked at", Finds: Finds{"files": oracle.Leaked},
			Ask: filtered(denied("close_range"), false),
			Do: func(e *Engine) error {
				if err := unix.Dup3(0, 9, 0); err != nil {
					return err
				}
				return inOrder(denied("close_range"), func(e *Engine) error {
					if err := unix.CloseRange(9, 9, 0); !e.Wrong {
						return err
					}
					return nil
				})(e)
			},
		},
		{
			Number: 33, ID: "moby/moby 37667, 36641", Where: "docker exec of 17.12 to 18.x", Title: "what is executed in a running container lacks no_new_privs, so setuid programs work",
			How: "no PR_SET_NO_NEW_PRIVS after setns(2)", Finds: noNewPrivs,
			Ask: privileged(user), Do: unprivileged(user),
		},
		{
			Number: 34, ID: "kubernetes/kubernetes 73275", Where: "kubectl exec with dockershim", Title: "what is executed in a running container lacks no_new_privs, so setuid programs work",
			How: "the same for user 0, in a container that has it", Finds: noNewPrivs,
			Ask: privileged(0), Do: unprivileged(0),
		},
	}
}

func nonzero(e unix.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

var archs = map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}

func denied(names ...string) *specs.LinuxSeccomp {
	return policy(specs.LinuxSyscall{Names: names, Action: specs.ActErrno})
}

func deniedIf(name string, args []specs.LinuxSeccompArg) *specs.LinuxSeccomp {
	return policy(specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, Args: args})
}

// quiet answers a call with 0, and does nothing.
func quiet(name string) *specs.LinuxSeccomp {
	return policy(specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: new(uint)})
}

func policy(s specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{archs[runtime.GOARCH]}, Syscalls: []specs.LinuxSyscall{s}}
}

func filtered(p *specs.LinuxSeccomp, exec bool) func(*Scene) {
	return func(s *Scene) {
		s.Helper()
		if exec {
			s.Join()
		}
		s.Request.Spec.Linux.Seccomp = p
	}
}

func filter(p *specs.LinuxSeccomp) error {
	program, err := engine.CompileSeccomp(p)
	if err == nil {
		_, err = sys.Filter(program, 0)
	}
	return err
}

// load is an engine that loads a filter, or a wrong one, which may be none.
func load(right, wrong *specs.LinuxSeccomp) func(*Engine) error {
	return func(e *Engine) error {
		switch {
		case !e.Wrong:
			return filter(right)
		case wrong == nil:
			return nil
		}
		return filter(wrong)
	}
}

// inOrder is an engine that does something and loads a filter, or the other way
// around.
func inOrder(p *specs.LinuxSeccomp, do func(*Engine) error) func(*Engine) error {
	return func(e *Engine) error {
		if e.Wrong {
			return errors.Join(filter(p), do(e))
		}
		return errors.Join(do(e), filter(p))
	}
}

func privileged(uid uint32) func(*Scene) {
	return func(s *Scene) {
		s.Helper()
		s.Join()
		i := box(uid)
		i.NoNewPrivs = true
		i.ask(s)
	}
}

func unprivileged(uid uint32) func(*Engine) error {
	return func(e *Engine) error {
		i := box(uid)
		i.NoNewPrivs = !e.Wrong
		return i.become()
	}
}
