package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// parked brings a workload to the checkpoint and hands over what it finds
// there: its mounts, each as its line of mountinfo, topmost last, and the path
// by which the host reaches into its root.
func parked(t *testing.T, l *Launcher, cfg Config, opts *Options, look func(mounts map[string]string, root string)) {
	t.Helper()
	cfg.Args = []string{"/nothing"}
	if _, ok := cfg.find(Mnt); !ok {
		cfg.Namespaces = append(cfg.Namespaces, Namespace{Kind: Mnt})
	}
	w, err := l.Spawn(context.Background(), &cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	proc := "/proc/" + strconv.Itoa(w.HostPID())
	b, err := os.ReadFile(proc + "/mountinfo")
	if err != nil {
		t.Error(err)
	}
	mounts := map[string]string{}
	for line := range strings.Lines(string(b)) {
		mounts[strings.Fields(line)[4]] = strings.TrimSpace(line)
	}
	look(mounts, proc+"/root")
	if err := w.Abort(context.Background()); err != nil {
		t.Error(err)
	}
}

// bothWays runs a test with mount_setattr(2) and as on a kernel without it.
func bothWays(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if !haveSetattr() {
		t.Log("no mount_setattr (since Linux 5.12)")
	} else {
		t.Run("setattr", f)
	}
	t.Run("remount", func(t *testing.T) {
		withoutSetattr = true
		defer func() { withoutSetattr = false }()
		f(t)
	})
}

func options(line string) []string {
	f := strings.Fields(line)
	if len(f) < 6 {
		return nil
	}
	return strings.Split(f[5], ",")
}

func TestMountAttributes(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	bothWays(t, func(t *testing.T) {
		t.Helper()
		dir, source := t.TempDir(), t.TempDir()
		bind := filepath.Join(dir, "b")
		if err := os.WriteFile(filepath.Join(source, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := Config{Mounts: []Mount{
			{Target: filepath.Join(dir, "t"), Type: "tmpfs", Options: []string{"ro", "nosuid", "nodev", "noexec", "nosymfollow", "size=1m", "mode=0700", "sync"}},
			{Target: filepath.Join(dir, "n"), Type: "tmpfs", Options: []string{"noatime", "nodiratime"}},
			{Target: filepath.Join(dir, "s"), Type: "tmpfs", Options: []string{"strictatime", "lazytime"}},
			{Source: source, Target: bind, Options: []string{"bind", "ro", "nosuid"}},
			{Source: source + "/file", Target: filepath.Join(dir, "f/i/le"), Options: []string{"bind", "nodev"}},
			{Source: source, Target: filepath.Join(dir, "r"), Options: []string{"rbind"}},
			{Target: filepath.Join(dir, "r"), Options: []string{"remount", "bind", "ro", "noexec"}},
			{Target: filepath.Join(dir, "n"), Options: []string{"remount", "ro", "size=2m"}},
		}}
		parked(t, l, cfg, nil, func(mounts map[string]string, _ string) {
			for at, want := range map[string][]string{
				"t": {"ro", "nosuid", "nodev", "noexec", "nosymfollow", "relatime"}, "n": {"ro", "noatime", "nodiratime"}, "s": {"rw"},
				"b": {"ro", "nosuid"}, "f/i/le": {"nodev"}, "r": {"ro", "noexec"},
			} {
				line := mounts[filepath.Join(dir, at)]
				for _, o := range want {
					if !slices.Contains(options(line), o) {
						t.Errorf("%s has no %s: %s", at, o, line)
					}
				}
			}
			for at, want := range map[string][]string{"t": {"size=1024k", "mode=700", "ro"}, "n": {"size=2048k", "ro"}} {
				f := strings.Fields(mounts[filepath.Join(dir, at)])
				for _, o := range want {
					if !slices.Contains(strings.Split(f[len(f)-1], ","), o) {
						t.Errorf("%s has no %s: %v", at, o, f)
					}
				}
			}
			if slices.Contains(options(mounts[filepath.Join(dir, "s")]), "relatime") {
				t.Errorf("relatime instead of strictatime: %s", mounts[filepath.Join(dir, "s")])
			}
		})
	})
}

// submounts makes a directory with a mount in it, on the host.
func submounts(t *testing.T) (dir, below string) {
	t.Helper()
	dir = t.TempDir()
	below = filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(below, unix.MNT_DETACH) })
	return dir, below
}

func TestMountAttributesOfTheMountsBelow(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	if !haveSetattr() {
		t.Skip("needs mount_setattr (since Linux 5.12)")
	}
	source, _ := submounts(t)
	at := t.TempDir()
	for word, want := range map[string]string{
		"rro": "ro", "rnosuid": "nosuid", "rnodev": "nodev", "rnoexec": "noexec", "rnosymfollow": "nosymfollow",
		"rnoatime": "noatime", "rnodiratime": "nodiratime", "ro": "",
	} {
		parked(t, l, Config{Mounts: []Mount{{Source: source, Target: at, Options: []string{"rbind", word}}}}, nil, func(mounts map[string]string, _ string) {
			if top := options(mounts[at]); !slices.Contains(top, want) && !slices.Contains(top, word) {
				t.Errorf("%s: the mount itself has %v", word, top)
			}
			below := options(mounts[at+"/below"])
			if len(below) == 0 || slices.Contains(below, want) != (want != "") || want == "" && slices.Contains(below, "ro") {
				t.Errorf("%s: the mount below has %v", word, below)
			}
		})
	}
	parked(t, l, Config{Mounts: []Mount{{Source: source, Target: at, Options: []string{"rbind", "rro", "rw"}}}}, nil, func(mounts map[string]string, _ string) {
		if slices.Contains(options(mounts[at]), "ro") || !slices.Contains(options(mounts[at+"/below"]), "ro") {
			t.Errorf("rro and rw: %v, below %v", options(mounts[at]), options(mounts[at+"/below"]))
		}
	})
	withoutSetattr = true
	defer func() { withoutSetattr = false }()
	_, err := l.Spawn(context.Background(), &Config{
		Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: Mnt}},
		Mounts: []Mount{{Source: source, Target: at, Options: []string{"rbind", "rro"}}},
	}, nil)
	if !errors.Is(err, unix.ENOSYS) {
		t.Errorf("without mount_setattr: %v; want ENOSYS", err)
	}
}

func TestMountPropagation(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	bothWays(t, func(t *testing.T) {
		t.Helper()
		source, below := submounts(t)
		if err := unix.Mount("", below, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		at := t.TempDir()
		group := func(line, word string) bool { return strings.Contains(line, " "+word+":") }
		for word, want := range map[string]struct{ shared, slave bool }{
			"":         {false, false},
			"rprivate": {false, false},
			"rslave":   {false, true},
			"rshared":  {true, false},
		} {
			o := []string{"rbind"}
			if word != "" {
				o = append(o, word)
			}
			parked(t, l, Config{Mounts: []Mount{{Source: source, Target: at, Options: o}}}, nil, func(mounts map[string]string, _ string) {
				line := mounts[at+"/below"]
				if withoutSetattr && word == "rslave" {
					return // slave of what was made private before
				}
				if line == "" || group(line, "shared") != want.shared || group(line, "master") != want.slave {
					t.Errorf("%q: %s", word, line)
				}
			})
		}
		root := t.TempDir()
		for word, want := range map[string]string{"": "", "private": "", "shared": " shared:", "unbindable": " unbindable", "rshared": " shared:", "runbindable": " unbindable", "slave": ""} {
			parked(t, l, Config{Propagation: word, Root: Root{Path: root}, Mounts: []Mount{{Target: "/a", Type: "tmpfs"}}}, nil, func(mounts map[string]string, _ string) {
				if line := mounts["/"]; !strings.Contains(line, want) || want == "" && strings.Contains(line, " shared:") {
					t.Errorf("root %q: %s", word, line)
				}
				if has := strings.Contains(mounts["/a"], want); has != (want == "" || word[0] == 'r') {
					t.Errorf("root %q, mount in it: %s", word, mounts["/a"])
				}
			})
		}
	})
}

func TestMaskedAndReadOnlyPaths(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	bothWays(t, func(t *testing.T) {
		t.Helper()
		root := t.TempDir()
		for _, d := range []string{"proc", "dir/sub", "dir2", "sys"} {
			if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{"file", "file2", "dir/sub/x", "dir2/x"} {
			if err := os.WriteFile(filepath.Join(root, f), []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("/file2", filepath.Join(root, "link")); err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Namespaces: []Namespace{{Kind: PID}, {Kind: Mnt}}, Root: Root{Path: root},
			Mounts:        []Mount{{Target: "/proc", Type: "proc", Options: []string{"nosuid", "nodev", "noexec"}}},
			MaskedPaths:   []string{"/file", "/dir", "/dir2", "/absent", "/link", "/proc/filesystems"},
			ReadOnlyPaths: []string{"/proc/sys", "/absent", "/proc/irq", "/sys"},
		}
		parked(t, l, cfg, nil, func(mounts map[string]string, in string) {
			for _, f := range []string{"/file", "/file2", "/proc/filesystems"} {
				var st unix.Stat_t
				if err := unix.Stat(in+f, &st); err != nil || st.Rdev != unix.Mkdev(1, 3) || st.Mode&unix.S_IFMT != unix.S_IFCHR {
					t.Errorf("%s is %d:%d (%v), not the null device", f, unix.Major(st.Rdev), unix.Minor(st.Rdev), err)
				}
			}
			for _, d := range []string{"/dir", "/dir2"} {
				if list, err := os.ReadDir(in + d); err != nil || len(list) > 0 {
					t.Errorf("%s: %v, %v", d, list, err)
				}
				if err := os.Mkdir(in+d+"/new", 0o755); !errors.Is(err, unix.EROFS) {
					t.Errorf("%s is writable: %v", d, err)
				}
			}
			for _, p := range []string{"/proc/sys", "/proc/irq", "/sys"} {
				if !slices.Contains(options(mounts[p]), "ro") {
					t.Errorf("%s: %q", p, mounts[p])
				}
			}
			if o := options(mounts["/proc/sys"]); !slices.Contains(o, "nosuid") || !slices.Contains(o, "noexec") {
				t.Errorf("/proc/sys lost the attributes of /proc: %v", o)
			}
			if _, there := mounts["/absent"]; there {
				t.Error("something was made for what is not there")
			}
		})
	})
}

func TestDevices(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	devices := []Device{
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, Mode: 0o666},
		{Path: "/dev/deep/er/zero", Type: "u", Major: 1, Minor: 5, Mode: 0o640, UID: 7, GID: 8},
		{Path: "/dev/loop", Type: "b", Major: 7, Minor: 1, Mode: 0o600},
		{Path: "/dev/fifo", Type: "p", Mode: 0o622},
	}
	stat := func(t *testing.T, path string) unix.Stat_t {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Error(err)
		}
		return st
	}
	dev := Mount{Target: "/dev", Type: "tmpfs", Options: []string{"ro", "mode=0755"}}
	old := unix.Umask(0o77)
	defer unix.Umask(old)
	t.Run("made", func(t *testing.T) {
		cfg := Config{Root: Root{Path: t.TempDir()}, Mounts: []Mount{dev}, Devices: devices, Symlinks: []Symlink{{Path: "/dev/fd", Target: "/proc/self/fd"}}}
		parked(t, l, cfg, nil, func(mounts map[string]string, in string) {
			for _, d := range devices {
				st := stat(t, in+d.Path)
				if st.Mode != deviceTypes[d.Type]|d.Mode || unix.Major(st.Rdev) != d.Major || unix.Minor(st.Rdev) != d.Minor || st.Uid != d.UID || st.Gid != d.GID {
					t.Errorf("%+v is %#o %d:%d of %d:%d", d, st.Mode, unix.Major(st.Rdev), unix.Minor(st.Rdev), st.Uid, st.Gid)
				}
			}
			if to, err := os.Readlink(in + "/dev/fd"); to != "/proc/self/fd" {
				t.Errorf("link to %q, %v", to, err)
			}
			if !slices.Contains(options(mounts["/dev"]), "ro") {
				t.Errorf("/dev: %s", mounts["/dev"])
			}
		})
	})
	t.Run("there already", func(t *testing.T) {
		root := t.TempDir()
		if err := os.Mkdir(root+"/dev", 0o755); err != nil {
			t.Fatal(err)
		}
		unix.Umask(0)
		if err := unix.Mknod(root+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		cfg := Config{Root: Root{Path: root}, Devices: devices[:1]}
		parked(t, l, cfg, nil, func(map[string]string, string) {})
		for _, wrong := range []Device{
			{Path: "/dev/null", Type: "c", Major: 1, Minor: 5, Mode: 0o666},
			{Path: "/dev/null", Type: "b", Major: 1, Minor: 3, Mode: 0o666},
			{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, Mode: 0o600},
		} {
			cfg := Config{Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: Mnt}}, Root: Root{Path: root}, Devices: []Device{wrong}}
			_, err := l.Spawn(context.Background(), &cfg, nil)
			var e *Error
			if !errors.As(err, &e) || e.Stage != StageDevices || !errors.Is(err, unix.EEXIST) || e.Hint == "" {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
	})
	t.Run("in a user namespace", func(t *testing.T) {
		ids := []IDMap{{Outside: 100000, Count: 65536}}
		root := t.TempDir()
		if err := os.MkdirAll(root+"/dev", 0o755); err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Namespaces: []Namespace{{Kind: User}, {Kind: Mnt}}, UIDMap: ids, GIDMap: ids,
			Root: Root{Path: openToAll(t, root)}, Mounts: []Mount{dev}, Devices: []Device{devices[0], devices[3]},
		}
		parked(t, l, cfg, nil, func(_ map[string]string, in string) {
			if st := stat(t, in+"/dev/null"); st.Rdev != unix.Mkdev(1, 3) || st.Mode&unix.S_IFMT != unix.S_IFCHR {
				t.Errorf("/dev/null is %#o %#x", st.Mode, st.Rdev)
			}
			if st := stat(t, in+"/dev/fifo"); st.Mode != unix.S_IFIFO|0o622 || st.Uid != 100000 {
				t.Errorf("/dev/fifo is %#o of %d", st.Mode, st.Uid)
			}
		})
	})
}

// openToAll lets every user pass to a directory of the test.
func openToAll(t *testing.T, dir string) string {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestConsole(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	_, tty, err := OpenPTY(24, 80)
	if err != nil {
		t.Skip(err)
	}
	defer tty.Close()
	cfg := Config{Root: Root{Path: t.TempDir()}, Mounts: []Mount{{Target: "/dev", Type: "tmpfs", Options: []string{"mode=0755"}}}, Console: true}
	var want unix.Stat_t
	if err := unix.Fstat(int(tty.Fd()), &want); err != nil {
		t.Fatal(err)
	}
	parked(t, l, cfg, &Options{Stdin: tty, Terminal: true}, func(_ map[string]string, in string) {
		var st unix.Stat_t
		if err := unix.Stat(in+"/dev/console", &st); err != nil || st.Rdev != want.Rdev || st.Ino != want.Ino {
			t.Errorf("%v, %#x", err, st.Rdev)
		}
	})
}

func TestTmpcopyup(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(root+"/etc/conf.d/deep", 0o750))
	must(os.WriteFile(root+"/etc/conf.d/deep/file", []byte("text"), 0o640))
	must(os.Chown(root+"/etc/conf.d/deep/file", 5, 6))
	must(os.Symlink("/etc/shadow", root+"/etc/link"))
	must(unix.Mkfifo(root+"/etc/fifo", 0o600))
	for _, o := range [][]string{{"tmpcopyup"}, {"tmpcopyup", "ro", "nosuid"}} {
		cfg := Config{Root: Root{Path: root}, Mounts: []Mount{{Target: "/etc", Type: "tmpfs", Options: o}}}
		parked(t, l, cfg, nil, func(mounts map[string]string, in string) {
			var st unix.Stat_t
			b, err := os.ReadFile(in + "/etc/conf.d/deep/file")
			if err != nil || string(b) != "text" {
				t.Errorf("%q, %v", b, err)
			}
			if err := unix.Stat(in+"/etc/conf.d/deep/file", &st); err != nil || st.Mode != unix.S_IFREG|0o640 || st.Uid != 5 || st.Gid != 6 {
				t.Errorf("%v, %+v", err, st)
			}
			if to, err := os.Readlink(in + "/etc/link"); to != "/etc/shadow" {
				t.Errorf("%q, %v", to, err)
			}
			if len(o) > 1 && !slices.Contains(options(mounts["/etc"]), "ro") {
				t.Errorf("writable: %s", mounts["/etc"])
			}
		})
	}
}

func TestIDMappedMounts(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	source := openToAll(t, t.TempDir())
	if err := os.WriteFile(source+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(source+"/file", 3, 4); err != nil {
		t.Fatal(err)
	}
	root := openToAll(t, t.TempDir())
	if err := os.Mkdir(root+"/b", 0o755); err != nil {
		t.Fatal(err)
	}
	m := Mount{
		Source: source, Target: "/b", Options: []string{"bind", "idmap", "ro"},
		UIDMap: []IDMap{{Inside: 0, Outside: 1000, Count: 10}}, GIDMap: []IDMap{{Inside: 0, Outside: 2000, Count: 10}},
	}
	ids := []IDMap{{Outside: 100000, Count: 65536}}
	own := m
	own.UIDMap, own.GIDMap = nil, nil
	for name, c := range map[string]struct {
		cfg      Config
		uid, gid uint32
	}{
		"as the caller":          {Config{Root: Root{Path: root}, Mounts: []Mount{m}}, 1003, 2004},
		"in a user namespace":    {Config{Namespaces: []Namespace{{Kind: User}}, UIDMap: ids, GIDMap: ids, Root: Root{Path: root}, Mounts: []Mount{m}}, 1003, 2004},
		"with the workload's":    {Config{Namespaces: []Namespace{{Kind: User}}, UIDMap: ids, GIDMap: ids, Root: Root{Path: root}, Mounts: []Mount{own}}, 100003, 100004},
		"in no change of root":   {Config{Mounts: []Mount{{Source: source, Target: root + "/b", Options: m.Options, UIDMap: m.UIDMap, GIDMap: m.GIDMap}}}, 1003, 2004},
		"recursive, of an rbind": {Config{Root: Root{Path: root}, Mounts: []Mount{{Source: source, Target: "/b", Options: []string{"rbind", "ridmap", "rro"}, UIDMap: m.UIDMap, GIDMap: m.GIDMap}}}, 1003, 2004},
	} {
		t.Run(name, func(t *testing.T) {
			at := c.cfg.Mounts[0].Target
			cfg := c.cfg
			cfg.Args, cfg.Namespaces = []string{"/nothing"}, append(cfg.Namespaces, Namespace{Kind: Mnt})
			if _, err := l.idTrees(&cfg); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
				t.Skip("needs id-mapped mounts of the file system of the temporary directory:", err)
			}
			parked(t, l, c.cfg, nil, func(mounts map[string]string, in string) {
				var st unix.Stat_t
				if err := unix.Stat(in+at+"/file", &st); err != nil || st.Uid != c.uid || st.Gid != c.gid {
					t.Errorf("owner %d:%d, %v; want %d:%d", st.Uid, st.Gid, err, c.uid, c.gid)
				}
				if o := options(mounts[at]); !slices.Contains(o, "ro") || !slices.Contains(o, "idmapped") {
					t.Errorf("%v", o)
				}
			})
		})
	}
}

// TestMountTakesLongData has an overlay whose layers do not fit into one value
// of fsconfig(2).
func TestMountTakesLongData(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	dir := t.TempDir()
	lower := []string{}
	for i := range 40 {
		d := filepath.Join(dir, "layer"+strconv.Itoa(i))
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		lower = append(lower, d)
	}
	if err := os.WriteFile(lower[39]+"/last", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"short": 2, "long": 40} {
		list := lower[40-n:]
		if n == 2 {
			list = []string{"/etc", lower[39]}
		}
		m := Mount{Target: dir + "/merged", Type: "overlay", Options: []string{"ro", "nosuid", "lowerdir=" + strings.Join(list, ":")}}
		cfg := Config{Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: Mnt}}, Mounts: []Mount{m}}
		if w, err := l.Spawn(context.Background(), &cfg, nil); errors.Is(err, unix.ENODEV) {
			t.Skip("needs overlayfs")
		} else if err == nil {
			_ = w.Abort(context.Background())
		}
		parked(t, l, cfg, nil, func(mounts map[string]string, in string) {
			if _, err := os.Stat(in + dir + "/merged/last"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if o := options(mounts[dir+"/merged"]); !slices.Contains(o, "ro") || !slices.Contains(o, "nosuid") {
				t.Errorf("%s: %v", name, o)
			}
		})
	}
}

// TestUnmappedChildCannotMakeTargets: the error says why.
func TestUnmappedChildCannotMakeTargets(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	dir := openToAll(t, t.TempDir())
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	ids := []IDMap{{Inside: 1000, Outside: 100000, Count: 1}}
	cfg := Config{
		Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: User}, {Kind: Mnt}}, UIDMap: ids, GIDMap: ids,
		Mounts: []Mount{{Target: dir, Type: "tmpfs"}, {Target: dir + "/missing", Type: "tmpfs"}},
	}
	_, err := l.Spawn(context.Background(), &cfg, nil)
	if !errors.Is(err, unix.EOVERFLOW) || !strings.Contains(err.Error(), "no id that a file could belong to") {
		t.Errorf("%v", err)
	}
}

func TestMountOptionsAreUnderstood(t *testing.T) {
	for list, want := range map[string]mountSpec{
		"ro,rw":                {top: attrs{0, unix.MOUNT_ATTR_RDONLY}},
		"rw,ro":                {top: attrs{unix.MOUNT_ATTR_RDONLY, 0}},
		"noatime,strictatime":  {top: attrs{unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME}},
		"rrelatime,rnoexec":    {below: attrs{unix.MOUNT_ATTR_NOEXEC, unix.MOUNT_ATTR__ATIME}},
		"rbind,rslave":         {bind: true, rec: true, sharing: []sharing{{unix.MS_SLAVE, true}}},
		"ridmap":               {idmap: true, idmapRec: true},
		"defaults,remount":     {remount: true},
		"iversion,noacl":       {old: unix.MS_I_VERSION, viaMount2: true},
		"size=1m,newinstance":  {fs: []string{"size=1m", "newinstance"}},
		"relatime,rw,rdirsync": {top: attrs{0, unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_RDONLY}, fs: []string{"rdirsync"}},
	} {
		got := (&Mount{Options: strings.Split(list, ",")}).parse()
		if a, b := show(got), show(&want); a != b {
			t.Errorf("%s\n got %s\nwant %s", list, a, b)
		}
	}
}

func show(s *mountSpec) string { return fmt.Sprintf("%+v", *s) }
