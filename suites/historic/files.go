package historic

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Descriptors that should have been closed, and what led out of the root.
func fileRows() []Row {
	leaked := Finds{"files": oracle.Leaked}
	const cgroups = "/sys/fs/cgroup"
	return []Row{
		{
			Number: 43, ID: "CVE-2024-21626", Where: "runc before 1.1.12", Title: "a directory of the host is left open, and the image's working directory leads there: the program is outside of its root",
			How:   "fchdir(2) to a directory of the host that was opened before pivot_root(2), and left open",
			Finds: Finds{"files": oracle.Leaked, "fs.cwd": oracle.Weaker, "fs.cwd_under_root": oracle.Weaker},
			Ask:   func(s *Scene) { s.Image(); s.Request.Spec.Process.Cwd = "/" },
			Do:    inside(func(e *Engine, _ string) error { return e.open(cgroups, unix.O_DIRECTORY, 7) }, outside),
		},
		{
			Number: 44, ID: "netblue30/firejail 4780, youki 2663, crun 1.14.1", Where: "firejail before 0.9.68, crun before 1.14.1, youki", Title: "the working directory is outside of the root",
			How:   "the same, with the descriptor closed at execve(2)",
			Finds: Finds{"fs.cwd": oracle.Weaker, "fs.cwd_under_root": oracle.Weaker},
			Ask:   func(s *Scene) { s.Image(); s.Request.Spec.Process.Cwd = "/" },
			Do: inside(func(_ *Engine, _ string) error {
				fd, err := unix.Open(cgroups, unix.O_DIRECTORY, 0)
				if err != nil {
					return err
				}
				return errors.Join(unix.Dup3(fd, 7, unix.O_CLOEXEC), unix.Close(fd))
			}, outside),
		},
		{
			Number: 45, ID: "opencontainers/runc 5474", Where: "runc, open in September 2026", Title: "fewer descriptors are passed than are announced, and the program has the engine's own in their place",
			How: "two are announced, the caller has one; number 4 is a directory of cgroups that the engine has open", Finds: Finds{"files": oracle.Weaker},
			Ask: func(s *Scene) {
				s.Request.Ext.PassFDs = 1
				if s.Wrong {
					s.Request.Ext.PassFDs = 2
				}
				f, err := os.Open(os.DevNull)
				if err != nil {
					s.Fatal(err)
				}
				s.Cleanup(func() { f.Close() })
				s.Command.ExtraFiles = []*os.File{f}
			},
			Do: func(e *Engine) error { return e.open(cgroups, unix.O_DIRECTORY, 4) },
		},
		{
			Number: 47, ID: "CVE-2019-5736", Where: "runc and lxc before February 2019", Title: "the image names the engine's own file as the program, which can be written to from the inside then",
			How: "the program is a link to /proc/self/exe, and the engine is executed from its own file", Frozen: true, Finds: Finds{"exec.exe": oracle.Leaked},
			Ask: func(s *Scene) {
				root := s.Image()
				s.procfs()
				s.static()
				s.Request.Spec.Process.Args = append(s.Request.Spec.Process.Args, "-test.list=^$") // it is this very test
				if s.Wrong {
					s.link("/proc/self/exe", filepath.Join(root, Program))
				}
			},
			Do: inside(mountProc, nil),
		},
		{
			Number: 48, ID: "CVE-2015-3627", Where: "libcontainer, docker before 1.6.1", Title: "a descriptor of the host's, opened before the root was changed, is the container's first process's",
			How: "a directory of the host that was opened before pivot_root(2) and is left open", Finds: leaked,
			Ask: func(s *Scene) { s.Image() },
			Do:  inside(func(e *Engine, _ string) error { return e.open("/", unix.O_PATH|unix.O_DIRECTORY, 5) }, nil),
		},
		{
			Number: 49, ID: "bubblewrap 27eb690, cfedbcd", Where: "bubblewrap before 0.2.0 and 0.2.1", Title: "descriptors of the set-up are the program's",
			How: "a memfd with arguments, left open", Finds: leaked,
			Ask: func(*Scene) {},
			Do: func(e *Engine) error {
				fd, err := unix.MemfdCreate("args", 0)
				if err != nil {
					return err
				}
				return e.leave(fd, 9)
			},
		},
		{
			Number: 50, ID: "flatpak 09020907, youki 83d87a28, singularity 589, lxc c5bac5066", Where: "flatpak before 1.17.6, youki before 0.5.0, singularity of 2017, lxc before 5.0", Title: "descriptors of images, of arguments, of a seccomp listener are the program's",
			How: "three descriptors of one file, and an eventfd, left open", Finds: leaked,
			Ask: func(*Scene) {},
			Do: func(e *Engine) error {
				for as := 9; as < 12; as++ {
					if err := e.open(Program, unix.O_RDONLY, as); err != nil {
						return err
					}
				}
				fd, err := unix.Eventfd(0, 0)
				if err != nil {
					return err
				}
				return e.leave(fd, 12)
			},
		},
	}
}

// outside goes where descriptor 7 is.
func outside(e *Engine) error {
	if !e.Wrong {
		return nil
	}
	return os.NewSyscallError("fchdir", unix.Fchdir(7))
}

// static skips a row whose engine is to run in a root without libraries.
func (s *Scene) static() {
	s.Helper()
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			s.Skip("needs a test that is linked statically")
		}
	}
}

// Paths, masks, devices, settings that were something else than they seemed.
func pathRows() []Row {
	masked := Finds{"linux.maskedPaths[0]": oracle.Weaker}
	const secret = "/proc/keys"
	hide := func(s *Scene) string {
		root := s.Image()
		s.procfs()
		s.Request.Spec.Linux.MaskedPaths = []string{secret}
		return root
	}
	return []Row{
		{
			Number: 39, ID: "CVE-2019-19921, CVE-2023-27561, CVE-2023-28642", Where: "runc before 1.0.0-rc10 and 1.1.5", Title: "/proc is a link of the image's that changes under the engine's hands, so that masks are made elsewhere",
			How: "proc is mounted at /real and the mask below /proc, a link to /decoy; then the link leads to /real", Frozen: true,
			Finds: Finds{"linux.maskedPaths[0]": oracle.Weaker, "mounts.unasked": oracle.Leaked}, // the mask in the decoy
			Ask: func(s *Scene) {
				if root := hide(s); s.Wrong {
					for _, d := range []string{"real", "decoy"} {
						if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
							s.Fatal(err)
						}
					}
					if err := os.WriteFile(filepath.Join(root, "decoy/keys"), nil, 0o600); err != nil {
						s.Fatal(err)
					}
					s.link("decoy", filepath.Join(root, "proc"))
				}
			},
			Do: inside(func(e *Engine, root string) error {
				at := filepath.Join(root, "proc")
				if e.Wrong {
					at = filepath.Join(root, "real")
				}
				if err := unix.Mount("proc", at, "proc", 0, ""); err != nil {
					return os.NewSyscallError("mount proc", err)
				}
				return bind(os.DevNull, filepath.Join(root, secret))
			}, func(e *Engine) error {
				if !e.Wrong {
					return nil
				}
				return errors.Join(os.Remove("/proc"), os.Symlink("real", "/proc"))
			}),
		},
		{
			Number: 40, ID: "CVE-2025-52881", Where: "runc before 1.2.8, 1.3.3 and 1.4.0-rc.3", Title: "what is written to /proc goes to another file: no label, no sysctl",
			How: "a directory with a file of that name is mounted over /proc/sys/net/ipv4", Frozen: true, Finds: Finds{"linux.sysctl.net.ipv4.ip_forward": oracle.Weaker},
			Ask: func(s *Scene) {
				s.namespace(specs.NetworkNamespace)
				s.namespace(specs.MountNamespace)
				s.Request.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
				s.Engine.Vars["dummy"] = s.TempDir()
				if err := os.WriteFile(filepath.Join(s.Engine.Vars["dummy"], "ip_forward"), nil, 0o600); err != nil {
					s.Fatal(err)
				}
			},
			Do: func(e *Engine) error {
				const dir = "/proc/sys/net/ipv4"
				err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
				err = errors.Join(err, unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
				if e.Wrong {
					err = errors.Join(err, bind(e.Vars["dummy"], dir))
				}
				// In a thread's own network namespace.
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, "ip_forward"), []byte("1"), 0))
				if e.Wrong {
					err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
				}
				return err
			},
		},
		{
			Number: 41, ID: "CVE-2025-31133, CVE-2025-52565", Where: "runc before 1.2.8, 1.3.3 and 1.4.0-rc.3", Title: "the null device of the image is a link to a file of /proc, which is then mounted in place of a mask, and can be written",
			How: "the mask is a bind mount of /dev/null after pivot_root(2), and that a link to /proc/sys/kernel/core_pattern", Frozen: true, Finds: masked,
			Ask: func(s *Scene) {
				root := hide(s)
				if s.Wrong {
					s.link("/proc/sys/kernel/core_pattern", filepath.Join(root, "dev/null"))
				} else if err := unix.Mknod(filepath.Join(root, "dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
					s.Fatal(err)
				}
			},
			Do: inside(mountProc, func(*Engine) error { return bind("/dev/null", secret) }),
		},
		{
			Number: 42, ID: "CVE-2026-41579, CVE-2026-47766", Where: "runc before 1.3.6, 1.4.3 and 1.5.0-rc.3, crun before 1.28", Title: "/dev of the image is a link, and the devices are made outside of the root",
			How: "mknod(2) through a link to a directory of the host", Frozen: true, Finds: Finds{"linux.devices[0]": oracle.Weaker},
			Ask: func(s *Scene) {
				root := s.Image()
				s.Request.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}}
				if s.Wrong {
					s.link(s.TempDir(), filepath.Join(root, "dev"))
				}
			},
			Do: inside(func(_ *Engine, root string) error {
				unix.Umask(0)
				err := unix.Mknod(filepath.Join(root, "dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
				unix.Umask(0o022)
				return os.NewSyscallError("mknod", err)
			}, nil),
		},
		{
			Number: 68, ID: "CVE-2023-25809", Where: "runc before 1.1.5, without root", Title: "the cgroups of the host can be written to from the inside",
			How: "the bind mount is not made read-only", Frozen: true, Finds: Finds{"mounts[0]": oracle.Weaker},
			Ask: func(s *Scene) {
				root := s.Image()
				if err := os.MkdirAll(filepath.Join(root, "sys/fs/cgroup"), 0o755); err != nil {
					s.Fatal(err)
				}
				s.Request.Spec.Mounts = []specs.Mount{{Destination: "/sys/fs/cgroup", Type: "bind", Source: "/sys/fs/cgroup", Options: []string{"bind", "ro"}}}
			},
			Do: inside(func(e *Engine, root string) error {
				at := filepath.Join(root, "sys/fs/cgroup")
				if err := bind("/sys/fs/cgroup", at); err != nil || e.Wrong {
					return err
				}
				return os.NewSyscallError("mount", unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			}, nil),
		},
	}
}

func bind(from, to string) error {
	return os.NewSyscallError("mount "+to, unix.Mount(from, to, "", unix.MS_BIND, ""))
}
