package harness

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withMountBelow is a directory of the host with a mount in it.
func withMountBelow(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(below, unix.MNT_DETACH) })
	if err := unix.Mount("", below, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asks is a request with a root and namespaces of its own.
func asks(root string, change func(*specs.Spec)) func(*testing.T, *request.Request) {
	return func(t *testing.T, q *request.Request) {
		t.Helper()
		ns(specs.MountNamespace, specs.PIDNamespace)(t, q)
		q.Spec.Root = &specs.Root{Path: root}
		change(q.Spec)
	}
}

func dropOption(i int, o string) func(*checkpoint.Config, *checkpoint.Options) {
	return config(func(c *checkpoint.Config) {
		c.Mounts[i].Options = slices.DeleteFunc(slices.Clone(c.Mounts[i].Options), func(x string) bool { return x == o })
	})
}

func needSetattr(*testing.T, *Runner) string {
	if errors.Is(unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: 1}), unix.ENOSYS) {
		return "mount_setattr (since Linux 5.12)"
	}
	return ""
}

func TestSabotageMountOptions(t *testing.T) {
	root, source, elsewhere := rootfs(t), withMountBelow(t), t.TempDir()
	mounts := func(m ...specs.Mount) func(*testing.T, *request.Request) {
		return asks(root, func(s *specs.Spec) { s.Mounts = m })
	}
	rec := func(o ...string) func(*testing.T, *request.Request) {
		return mounts(specs.Mount{Destination: "/mnt", Source: source, Options: append([]string{"rbind"}, o...)})
	}
	proc := mounts(specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "hidepid=invisible", "subset=pid"}})
	tmpfs := func(o ...string) func(*testing.T, *request.Request) {
		return mounts(specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: o})
	}
	pts := mounts(
		specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
	)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	weaker := finds{"mounts[0]": oracle.Weaker}
	replace := func(from, to string) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) {
			c.Mounts[0].Options = slices.Clone(c.Mounts[0].Options)
			c.Mounts[0].Options[slices.Index(c.Mounts[0].Options, from)] = to
		})
	}
	rows := []sabotage{
		{name: "proc/hidepid missing", ask: proc, tamper: dropOption(0, "hidepid=invisible"), want: weaker},
		{name: "proc/hidepid weaker", ask: proc, tamper: replace("hidepid=invisible", "hidepid=noaccess"), want: weaker},
		{name: "proc/subset missing", ask: proc, tamper: dropOption(0, "subset=pid"), want: weaker},
		{name: "devpts/the host's", ask: pts, tamper: config(func(c *checkpoint.Config) {
			c.Mounts[0] = checkpoint.Mount{Source: "/dev/pts", Target: "/dev/pts", Options: []string{"bind"}}
		}), want: weaker},
		{
			name: "proc/that of another pid namespace",
			ask:  mounts(specs.Mount{Destination: "/mnt", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}}),
			tamper: config(func(c *checkpoint.Config) {
				c.Mounts[0] = checkpoint.Mount{Source: "/proc", Target: "/mnt", Options: []string{"bind", "nosuid", "nodev", "noexec"}}
			}), want: weaker,
		},
		{
			name: "devpts/one that was there, with the same options",
			ask:  mounts(specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec"}}),
			tamper: config(func(c *checkpoint.Config) {
				c.Mounts[0] = checkpoint.Mount{Source: "/dev/pts", Target: "/dev/pts", Options: []string{"bind", "nosuid", "noexec"}}
			}), want: weaker,
		},
		{name: "devpts/ptmxmode", ask: pts, tamper: dropOption(0, "ptmxmode=0666"), want: weaker},
		{name: "devpts/gid", ask: pts, tamper: dropOption(0, "gid=5"), want: weaker},
		{name: "tmpfs/nosymfollow", ask: tmpfs("nosymfollow"), tamper: dropOption(0, "nosymfollow"), want: weaker},
		{name: "tmpfs/strictatime", ask: tmpfs("strictatime"), tamper: dropOption(0, "strictatime"), want: weaker},
		{name: "tmpfs/sync", ask: tmpfs("sync"), tamper: dropOption(0, "sync"), want: weaker},
		{name: "tmpfs/tmpcopyup", ask: mounts(specs.Mount{Destination: "/bin", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}}), tamper: config(func(c *checkpoint.Config) {
			c.Mounts[0] = checkpoint.Mount{Source: "tmpfs", Target: "/bin", Type: "tmpfs", Options: []string{"mode=1777"}}
			c.Mounts = append(c.Mounts, checkpoint.Mount{Source: root + "/bin/true", Target: "/bin/true", Options: []string{"bind"}})
		}), want: weaker, also: []string{"exec.exe", "mounts.unasked"}},
		{name: "bind of a file/another", ask: mounts(specs.Mount{Destination: "/mnt/f", Source: file, Options: []string{"bind", "ro"}}), tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Source = "/etc/passwd" }), want: weaker, also: []string{"mounts.unasked"}},
		{name: "bind/a shared one", ask: rec(), tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Options = []string{"rbind", "rshared"} }), want: weaker, also: []string{"mounts.propagation"}},
		{name: "bind/private instead of shared", need: needSetattr, ask: rec("rshared"), tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Options = []string{"rbind", "rprivate"} }), want: weaker},
		{name: "bind/another directory", ask: rec("ro"), tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Source = elsewhere }), want: weaker},
		{name: "bind/not recursive", ask: rec("ro"), tamper: replace("rbind", "bind"), want: weaker},
		{
			name: "bind/recursive", ask: mounts(specs.Mount{Destination: "/mnt", Source: source, Options: []string{"bind"}}),
			tamper: replace("bind", "rbind"), want: weaker, also: []string{"mounts.unasked"},
		},
	}
	for _, o := range []string{"rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rnosymfollow"} {
		rows = append(rows,
			sabotage{name: o + "/skipped", need: needSetattr, ask: rec(o), tamper: dropOption(0, o), want: weaker},
			sabotage{name: o + "/at the top only", need: needSetattr, ask: rec(o), tamper: replace(o, strings.TrimPrefix(o, "r")), want: weaker})
	}
	table(t, rows)
}

func TestSabotageIDMappedMounts(t *testing.T) {
	root, source := rootfs(t), t.TempDir()
	file := filepath.Join(source, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ids := func(host, size uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{HostID: host, Size: size}}
	}
	ask := asks(root, func(s *specs.Spec) {
		s.Mounts = []specs.Mount{{Destination: "/mnt", Source: source, Options: []string{"bind", "idmap"}, UIDMappings: ids(1000, 1), GIDMappings: ids(2000, 1)}}
	})
	wide := asks(root, func(s *specs.Spec) {
		s.Mounts = []specs.Mount{{Destination: "/mnt", Source: source, Options: []string{"bind", "idmap"}, UIDMappings: ids(1000, 10), GIDMappings: ids(2000, 10)}}
	})
	has := func(wholeMap bool) func(*testing.T, *Runner) string {
		return func(t *testing.T, r *Runner) string {
			t.Helper()
			if what := needSetattr(t, r); what != "" {
				return what
			}
			q := request.New("/bin/true")
			wide(t, q)
			r.tamper, r.parked = nil, nil
			c, err := r.Run(bg, q, nil)
			switch {
			case err != nil:
				return "id-mapped mounts of the temporary directory's file system: " + err.Error()
			case c.Launch.Err != nil:
				return "id-mapped mounts of the temporary directory's file system"
			case wholeMap && c.Verdict == Unknown:
				return "statmount with id maps (since Linux 6.15)"
			}
			return ""
		}
	}
	weaker := finds{"mounts[0]": oracle.Weaker}
	plain := asks(root, func(s *specs.Spec) {
		s.Mounts = []specs.Mount{{Destination: "/mnt", Source: source, Options: []string{"bind"}}}
	})
	table(t, []sabotage{
		{name: "skipped", need: has(false), ask: ask, tamper: config(func(c *checkpoint.Config) {
			c.Mounts[0].Options, c.Mounts[0].UIDMap, c.Mounts[0].GIDMap = []string{"bind"}, nil, nil
		}), want: weaker},
		{name: "another user", need: has(false), ask: ask, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].UIDMap[0].Outside = 1001 }), want: weaker},
		{name: "another group", need: has(false), ask: ask, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].GIDMap[0].Outside = 2001 }), want: weaker},
		{name: "one id more", need: has(true), ask: wide, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].UIDMap[0].Count = 11 }), want: weaker},
		{name: "unasked", need: has(false), ask: plain, tamper: config(func(c *checkpoint.Config) {
			c.Mounts[0].Options = []string{"bind", "idmap"}
			c.Mounts[0].UIDMap = []checkpoint.IDMap{{Outside: 1000, Count: 1}}
			c.Mounts[0].GIDMap = c.Mounts[0].UIDMap
		}), want: weaker},
	})
}

func TestSabotagePaths(t *testing.T) {
	root := rootfs(t)
	if err := os.MkdirAll(filepath.Join(root, "secret/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"secret/file", "secret/dir/x"} {
		if err := os.WriteFile(filepath.Join(root, f), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	proc := specs.Mount{Destination: "/proc", Type: "proc", Source: "proc"}
	mask := asks(root, func(s *specs.Spec) {
		s.Mounts = []specs.Mount{proc}
		s.Linux.MaskedPaths = []string{"/secret/file", "/secret/dir", "/proc/filesystems", "/absent"}
	})
	ro := asks(root, func(s *specs.Spec) {
		s.Mounts = []specs.Mount{proc, {Destination: "/secret/dir/below", Type: "tmpfs", Source: "tmpfs"}}
		s.Linux.ReadonlyPaths = []string{"/proc/sys", "/secret/dir", "/absent"}
	})
	unmask := func(i int) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { c.MaskedPaths = slices.Delete(slices.Clone(c.MaskedPaths), i, i+1) })
	}
	masked := func(i string) finds { return finds{"linux.maskedPaths[" + i + "]": oracle.Weaker} }
	table(t, []sabotage{
		{name: "masked file/skipped", ask: mask, tamper: unmask(0), want: masked("0")},
		{name: "masked directory/skipped", ask: mask, tamper: unmask(1), want: masked("1")},
		{name: "masked in proc/skipped", ask: mask, tamper: unmask(2), want: masked("2")},
		{name: "masked/all skipped", ask: mask, tamper: config(func(c *checkpoint.Config) { c.MaskedPaths = nil }), want: finds{
			"linux.maskedPaths[0]": oracle.Weaker, "linux.maskedPaths[1]": oracle.Weaker, "linux.maskedPaths[2]": oracle.Weaker,
		}},
		{name: "masked file/by another", ask: mask, tamper: config(func(c *checkpoint.Config) {
			c.MaskedPaths = slices.Delete(slices.Clone(c.MaskedPaths), 0, 1)
			c.Mounts = append(c.Mounts, checkpoint.Mount{Source: "/dev/zero", Target: "/secret/file", Options: []string{"bind"}})
		}), want: masked("0")},
		{name: "masked directory/writable", ask: mask, tamper: config(func(c *checkpoint.Config) {
			c.MaskedPaths = slices.Delete(slices.Clone(c.MaskedPaths), 1, 2)
			c.Mounts = append(c.Mounts, checkpoint.Mount{Source: "tmpfs", Type: "tmpfs", Target: "/secret/dir"})
		}), want: masked("1")},
		{name: "masked directory/read-only, with content", ask: mask, tamper: config(func(c *checkpoint.Config) {
			c.MaskedPaths = slices.Delete(slices.Clone(c.MaskedPaths), 1, 2)
			c.ReadOnlyPaths = []string{"/secret/dir"}
		}), want: masked("1")},
		{name: "read-only/skipped", ask: ro, tamper: config(func(c *checkpoint.Config) { c.ReadOnlyPaths = c.ReadOnlyPaths[1:] }), want: finds{"linux.readonlyPaths[0]": oracle.Weaker}},
		{name: "read-only/with a mount below it", need: needSetattr, ask: ro, tamper: config(func(c *checkpoint.Config) {
			c.ReadOnlyPaths = slices.Clone(c.ReadOnlyPaths)
			c.ReadOnlyPaths[1] = "/absent"
			c.Mounts = append(slices.Clone(c.Mounts), checkpoint.Mount{Source: root + "/secret/dir", Target: "/secret/dir", Options: []string{"bind", "ro"}},
				checkpoint.Mount{Source: "tmpfs", Type: "tmpfs", Target: "/secret/dir/below"})
		}), want: finds{"linux.readonlyPaths[1]": oracle.Weaker}},
	})
}

func TestSabotageDevices(t *testing.T) {
	root := rootfs(t)
	dev := specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}}
	ask := asks(root, func(s *specs.Spec) {
		s.Mounts = []specs.Mount{dev}
		s.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/mine", Type: "c", Major: 1, Minor: 5, FileMode: new(os.FileMode(0o640)), UID: new(uint32(7)), GID: new(uint32(8))},
			{Path: "/dev/block/loop", Type: "b", Major: 7, Minor: 3},
			{Path: "/dev/fifo", Type: "p"},
		}
	})
	find := func(c *checkpoint.Config, path string) *checkpoint.Device {
		for i := range c.Devices {
			if c.Devices[i].Path == path {
				return &c.Devices[i]
			}
		}
		return &checkpoint.Device{}
	}
	change := func(path string, f func(d *checkpoint.Device)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { f(find(c, path)) })
	}
	drop := func(path string) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) {
			c.Devices = slices.DeleteFunc(c.Devices, func(d checkpoint.Device) bool { return d.Path == path })
			c.Symlinks = slices.DeleteFunc(c.Symlinks, func(l checkpoint.Symlink) bool { return l.Path == path })
		})
	}
	mine, defaults := finds{"linux.devices[0]": oracle.Weaker}, finds{"linux.devices.default": oracle.Weaker}
	rows := []sabotage{
		{name: "missing", ask: ask, tamper: drop("/dev/mine"), want: mine},
		{name: "another minor", ask: ask, tamper: change("/dev/mine", func(d *checkpoint.Device) { d.Minor = 3 }), want: mine},
		{name: "another major", ask: ask, tamper: change("/dev/mine", func(d *checkpoint.Device) { d.Major = 5 }), want: mine},
		{name: "another type", ask: ask, tamper: change("/dev/mine", func(d *checkpoint.Device) { d.Type = "b" }), want: mine},
		{name: "another mode", ask: ask, tamper: change("/dev/mine", func(d *checkpoint.Device) { d.Mode = 0o666 }), want: mine},
		{name: "another owner", ask: ask, tamper: change("/dev/mine", func(d *checkpoint.Device) { d.UID = 0 }), want: mine},
		{name: "another group", ask: ask, tamper: change("/dev/mine", func(d *checkpoint.Device) { d.GID = 0 }), want: mine},
		{name: "block/missing", ask: ask, tamper: drop("/dev/block/loop"), want: finds{"linux.devices[1]": oracle.Weaker}},
		{name: "fifo/missing", ask: ask, tamper: drop("/dev/fifo"), want: finds{"linux.devices[2]": oracle.Weaker}},
		{name: "unusable", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Mounts[0].Options = append(slices.Clone(c.Mounts[0].Options), "nodev") }), want: finds{
			"linux.devices[0]": oracle.Weaker, "linux.devices[1]": oracle.Weaker, "linux.devices.default": oracle.Weaker,
		}},
		{name: "unasked/in /dev", ask: ask, tamper: config(func(c *checkpoint.Config) {
			c.Devices = append(c.Devices, checkpoint.Device{Path: "/dev/mem", Type: "c", Major: 1, Minor: 1, Mode: 0o666})
		}), want: finds{"linux.devices.unasked": oracle.Leaked}},
		{name: "unasked/deeper", ask: ask, tamper: config(func(c *checkpoint.Config) {
			c.Devices = append(c.Devices, checkpoint.Device{Path: "/dev/block/disk", Type: "b", Major: 7, Minor: 1, Mode: 0o600})
		}), want: finds{"linux.devices.unasked": oracle.Leaked}},
		{name: "default/writable by one", ask: ask, tamper: change("/dev/null", func(d *checkpoint.Device) { d.Mode = 0o600 }), want: defaults},
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx"} {
		rows = append(rows, sabotage{name: "default/no " + d, ask: ask, tamper: drop("/dev/" + d), want: defaults})
	}
	table(t, rows)
}

// terminal is the workload's end of a new one, for the length of a test.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, slave, err := checkpoint.OpenPTY(24, 80)
	if err != nil {
		t.Skip("needs a pseudo-terminal: " + err.Error())
	}
	t.Cleanup(func() { slave.Close(); master.Close() })
	return slave
}

func TestSabotageConsole(t *testing.T) {
	root := rootfs(t)
	tty, other := terminal(t), terminal(t)
	ask := func(t *testing.T, q *request.Request) {
		t.Helper()
		asks(root, func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}}}
			s.Process.Terminal = true
		})(t, q)
	}
	opts := func(*testing.T) *checkpoint.Options {
		return &checkpoint.Options{Stdin: tty, Stdout: tty, Stderr: tty, Terminal: true}
	}
	defaults := finds{"linux.devices.default": oracle.Weaker}
	table(t, []sabotage{
		{name: "missing", ask: ask, opts: opts, tamper: config(func(c *checkpoint.Config) { c.Console = false }), want: defaults},
		{name: "another terminal", ask: ask, opts: opts, tamper: config(func(c *checkpoint.Config) {
			c.Console = false
			c.Mounts = append(slices.Clone(c.Mounts), checkpoint.Mount{Source: other.Name(), Target: "/dev/console", Options: []string{"bind"}})
		}), want: defaults},
	})
}

func TestSabotageCgroupMount(t *testing.T) {
	r := shared(t)
	root := rootfs(t)
	if err := os.MkdirAll(filepath.Join(root, "sys/fs/cgroup"), 0o755); err != nil {
		t.Fatal(err)
	}
	ask := func(t *testing.T, q *request.Request) {
		t.Helper()
		asks(root, func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}}
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
		})(t, q)
	}
	weaker := finds{"mounts[0]": oracle.Weaker}
	last := func(c *checkpoint.Config) *checkpoint.Mount { return &c.Mounts[len(c.Mounts)-1] }
	rows := []sabotage{
		{name: "missing", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Mounts = nil }), want: weaker},
		{name: "one hierarchy missing", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Mounts = c.Mounts[:len(c.Mounts)-1] }), want: weaker},
		{name: "writable", ask: ask, tamper: config(func(c *checkpoint.Config) {
			last(c).Options = slices.DeleteFunc(slices.Clone(last(c).Options), func(o string) bool { return o == "ro" })
		}), want: weaker},
		{name: "another kind", ask: ask, tamper: config(func(c *checkpoint.Config) {
			*last(c) = checkpoint.Mount{Source: "tmpfs", Type: "tmpfs", Target: last(c).Target, Options: []string{"ro", "nosuid", "nodev", "noexec"}}
		}), want: weaker},
	}
	if len(r.machine.host.CgroupV1) > 0 && r.machine.host.CgroupV1["pids"] != "" {
		dir := cgroupDir(t, r.machine.host.CgroupV1["pids"], "shown")
		below := func(t *testing.T, q *request.Request) {
			t.Helper()
			ask(t, q)
			q.Ext.Cgroup.V1 = map[string]string{"pids": dir}
		}
		rows = append(rows, sabotage{name: "the whole tree instead of the own", ask: below, tamper: config(func(c *checkpoint.Config) {
			for i := range c.Mounts {
				if slices.Contains(c.Mounts[i].Options, "pids") {
					c.Mounts[i] = checkpoint.Mount{Source: r.machine.host.CgroupV1["pids"], Target: c.Mounts[i].Target, Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}}
				}
			}
		}), want: weaker})
	}
	table(t, rows)
}
