package historic

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/internal/exitzero"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Image makes the program one in a root of its own, which is returned.
func (s *Scene) Image() string {
	s.Helper()
	program := exitzero.ELF()
	if program == nil {
		s.Skip("needs a program for this architecture")
	}
	root := s.TempDir()
	for _, d := range []string{"bin", "dev", "proc", "sys", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, Program), program, 0o755); err != nil {
		s.Fatal(err)
	}
	s.Request.Spec.Root = &specs.Root{Path: root}
	s.namespace(specs.MountNamespace)
	s.Engine.Vars["root"] = root
	return root
}

func (s *Scene) namespace(kind specs.LinuxNamespaceType) {
	l := s.Request.Spec.Linux
	l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind})
}

// procfs asks for a proc file system.
func (s *Scene) procfs() {
	s.Request.Spec.Mounts = append(s.Request.Spec.Mounts, specs.Mount{Destination: "/proc", Type: "proc", Source: "proc"})
}

// link puts a symbolic link into the image, in place of what is there.
func (s *Scene) link(target, name string) {
	s.Helper()
	if err := errors.Join(os.RemoveAll(name), os.Symlink(target, name)); err != nil {
		s.Fatal(err)
	}
}

// enter begins a mount namespace in which the image is mounted, and returns its
// directory. Others see nothing of it.
func (e *Engine) enter() (string, error) {
	root := e.Vars["root"]
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return "", os.NewSyscallError("mount", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", os.NewSyscallError("mount", err)
	}
	return root, nil
}

// pivot makes a directory that is a mount the root, and leaves nothing else.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount2", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

// inside is an engine that mounts the image, does something while it is not the
// root yet, makes it that, and does something more.
func inside(before func(e *Engine, root string) error, after func(e *Engine) error) func(*Engine) error {
	return func(e *Engine) error {
		root, err := e.enter()
		if err != nil {
			return err
		}
		if before != nil {
			if err := before(e, root); err != nil {
				return err
			}
		}
		if err := pivot(root); err != nil || after == nil {
			return err
		}
		return after(e)
	}
}

// open opens something that stays open in the program, or not.
func (e *Engine) open(path string, flags int, as int) error {
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return err
	}
	return e.leave(fd, as)
}

// leave gives a descriptor a number and, if the engine is wrong, to the program.
func (e *Engine) leave(fd, as int) error {
	flags := unix.O_CLOEXEC
	if e.Wrong {
		flags = 0
	}
	if fd == as {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags&unix.O_CLOEXEC/unix.O_CLOEXEC*unix.FD_CLOEXEC)
		return err
	}
	if err := unix.Dup3(fd, as, flags); err != nil {
		return os.NewSyscallError("dup3", err)
	}
	return unix.Close(fd)
}

func mountProc(_ *Engine, root string) error {
	return os.NewSyscallError("mount proc", unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""))
}

// more are wrong states that are not among the bugs of the past.
func more() []Row {
	return []Row{{
		Number: 1001, ID: "none", Where: "nowhere yet", Title: "the root of the host is left mounted below the new one",
		How: "no umount2(2) after pivot_root(2)", Frozen: true, Finds: Finds{"mounts.unasked": oracle.Leaked},
		Ask: func(s *Scene) {
			root := s.Image()
			if err := os.Mkdir(filepath.Join(root, "old"), 0o755); err != nil {
				s.Fatal(err)
			}
		},
		Do: func(e *Engine) error {
			root, err := e.enter()
			if err != nil {
				return err
			}
			if err := unix.PivotRoot(root, filepath.Join(root, "old")); err != nil {
				return os.NewSyscallError("pivot_root", err)
			}
			if err := unix.Chdir("/"); err != nil || e.Wrong {
				return err
			}
			return os.NewSyscallError("umount2", unix.Unmount("/old", unix.MNT_DETACH))
		},
	}}
}
