package checkpoint

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	"golang.org/x/sys/unix"
)

// needLandlock skips a test where the kernel has not got the ABI.
func needLandlock(t *testing.T, abi int) {
	t.Helper()
	if have := LandlockABI(); have < abi {
		t.Skipf("needs Landlock ABI %d (since Linux %s); this kernel has %d", abi, landlock.Since(abi), have)
	}
}

// TestHelperTries is no test: it is what the workloads of the tests below do.
// It tries one thing and prints how that went.
func TestHelperTries(t *testing.T) {
	what, arg, ok := strings.Cut(os.Getenv("HOLDSHORT_TRY"), ":")
	if !ok {
		t.Skip("is a workload of other tests")
	}
	var err error
	switch what {
	case "read":
		_, err = os.ReadFile(arg)
	case "write":
		var f *os.File
		if f, err = os.OpenFile(arg, os.O_WRONLY, 0); err == nil {
			f.Close()
		}
	case "create":
		var f *os.File
		if f, err = os.OpenFile(arg, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600); err == nil {
			f.Close()
		}
	case "mkdir":
		err = os.Mkdir(arg, 0o700)
	case "truncate":
		err = os.Truncate(arg, 0)
	case "list":
		_, err = os.ReadDir(arg)
	case "rename":
		from, to, _ := strings.Cut(arg, ",")
		err = os.Rename(from, to)
	case "connect", "bind":
		port, _ := strconv.Atoi(arg)
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			break
		}
		to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
		if what == "bind" {
			err = unix.Bind(fd, to)
		} else {
			err = unix.Connect(fd, to)
		}
	case "abstract":
		var fd int
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + arg})
		}
	case "signal":
		pid, _ := strconv.Atoi(arg)
		err = unix.Kill(pid, 0)
	}
	errno := unix.Errno(0)
	errors.As(err, &errno)
	fmt.Printf("<%s>", unix.ErrnoName(errno))
}

// try starts the helper under a policy and returns the name of the errno that it
// got, or empty.
func try(t *testing.T, l *Launcher, cfg Config, what string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Args = []string{exe, "-test.run=^TestHelperTries$"}
	cfg.Env = append(cfg.Env, "HOLDSHORT_TRY="+what)
	res, err := l.Run(bg, &cfg, &Options{Stdout: w, Stderr: w})
	w.Close()
	out, _ := io.ReadAll(r)
	if err != nil || res.State != Exited || res.ExitCode != 0 {
		t.Fatalf("%s: %v %v\n%s", what, err, res, out)
	}
	_, rest, ok := strings.Cut(string(out), "<")
	name, _, ok2 := strings.Cut(rest, ">")
	if !ok || !ok2 {
		t.Fatalf("%s: %q", what, out)
	}
	return name
}

// needStatic skips a test whose policy names the helper's file alone.
func needStatic(t *testing.T) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Section(".interp") != nil {
		t.Skip("needs a static test binary: CGO_ENABLED=0")
	}
}

var allFS = func() []landlock.Right { return landlock.Rights(landlock.FS, min(LandlockABI(), landlock.Newest)) }

// readOnly allows the helper itself, and reading of everything.
func readOnly(extra ...landlock.PathBeneath) landlock.Ruleset {
	return landlock.Ruleset{
		HandledAccessFS: allFS(),
		PathBeneath:     append([]landlock.PathBeneath{{Path: "/", AllowedAccess: []landlock.Right{"execute", "read_file", "read_dir"}}}, extra...),
	}
}

func TestLandlockFiles(t *testing.T) {
	needLandlock(t, 3)
	needStatic(t)
	l := newLauncher(t)
	dir := t.TempDir()
	for _, d := range []string{"rw", "ro", "closed"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, d, "f"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := func(s string) string { return filepath.Join(dir, s) }
	exe, _ := os.Executable()
	only := landlock.Ruleset{
		HandledAccessFS: allFS(),
		PathBeneath: []landlock.PathBeneath{
			{Path: exe, AllowedAccess: []landlock.Right{"execute", "read_file"}},
			{Path: p("ro"), AllowedAccess: []landlock.Right{"read_file", "read_dir"}},
			{Path: p("rw"), AllowedAccess: allFS()},
		},
	}
	one := Config{NoNewPrivs: true, Landlock: &landlock.Policy{Layers: []landlock.Ruleset{only}}}
	two := one // a second layer takes writing away again
	two.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{only, readOnly()}}
	file := one // one file only, to be truncated but not written
	file.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{readOnly(landlock.PathBeneath{Path: p("ro/f"), AllowedAccess: []landlock.Right{"truncate"}})}}
	some := one // what is not handled is left alone
	some.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{"make_dir"}}}}
	for _, tt := range []struct {
		name string
		cfg  Config
		what string
		want string
	}{
		{"none/read", Config{}, "read:" + p("closed/f"), ""},
		{"none/write", Config{}, "write:" + p("ro/f"), ""},
		{"read allowed", one, "read:" + p("ro/f"), ""},
		{"list allowed", one, "list:" + p("ro"), ""},
		{"write refused", one, "write:" + p("ro/f"), "EACCES"},
		{"read refused", one, "read:" + p("closed/f"), "EACCES"},
		{"list refused", one, "list:" + p("closed"), "EACCES"},
		{"write allowed", one, "write:" + p("rw/f"), ""},
		{"create allowed", one, "create:" + p("rw/new"), ""},
		{"create refused", one, "create:" + p("ro/new"), "EACCES"},
		{"mkdir refused", one, "mkdir:" + p("ro/d"), "EACCES"},
		{"rename between", one, "rename:" + p("rw/f") + "," + p("ro/g"), "EACCES"},
		{"second layer/write", two, "write:" + p("rw/f"), "EACCES"},
		{"second layer/read", two, "read:" + p("rw/f"), ""},
		{"second layer/first still there", two, "read:" + p("closed/f"), "EACCES"},
		{"file/truncate", file, "truncate:" + p("ro/f"), ""},
		{"file/not another", file, "truncate:" + p("rw/f"), "EACCES"},
		{"file/not write", file, "write:" + p("ro/f"), "EACCES"},
		{"not handled", some, "write:" + p("ro/f"), ""},
		{"handled", some, "mkdir:" + p("ro/d"), "EACCES"},
		{"refer is always denied", some, "rename:" + p("rw/f") + "," + p("ro/g"), "EXDEV"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := try(t, l, tt.cfg, tt.what); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
		})
	}
}

// TestLandlockNewRoot: paths are those of the workload's root, and a symbolic
// link in it does not lead out.
func TestLandlockNewRoot(t *testing.T) {
	needRoot(t)
	needLandlock(t, 1)
	needStatic(t)
	l := newLauncher(t)
	root := t.TempDir()
	exe, _ := os.Executable()
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"data", "other", filepath.Dir(exe)} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, exe), b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"data/f", "other/f"} {
		if err := os.WriteFile(filepath.Join(root, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/data", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	read := []landlock.Right{"execute", "read_file"}
	cfg := Config{
		Namespaces: []Namespace{{Kind: Mnt}}, Root: Root{Path: root}, NoNewPrivs: true,
		Landlock: &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: read, PathBeneath: []landlock.PathBeneath{
			{Path: exe, AllowedAccess: read}, {Path: "/link", AllowedAccess: read[1:]},
		}}}},
	}
	if got := try(t, l, cfg, "read:/data/f"); got != "" {
		t.Errorf("allowed by the link's target: %q", got)
	}
	if got := try(t, l, cfg, "read:/other/f"); got != "EACCES" {
		t.Errorf("not allowed: %q", got)
	}
	cfg.Landlock.Layers[0].PathBeneath[1].Path = "/nowhere"
	cfg.Args = []string{exe}
	_, err = l.Start(bg, &cfg, nil)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageLandlock || e.Index != 0 || e.Object != "/nowhere" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v; want stage landlock, layer 0, the path and ENOENT", err)
	}
}

func TestLandlockPorts(t *testing.T) {
	needLandlock(t, 4)
	l := newLauncher(t)
	listen := func() int {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln.Addr().(*net.TCPAddr).Port
	}
	open, closed := listen(), listen()
	cfg := Config{NoNewPrivs: true, Landlock: &landlock.Policy{Layers: []landlock.Ruleset{{
		HandledAccessNet: []landlock.Right{"bind_tcp", "connect_tcp"},
		NetPort:          []landlock.NetPort{{Port: uint16(open), AllowedAccess: []landlock.Right{"connect_tcp"}}, {Port: 0, AllowedAccess: []landlock.Right{"bind_tcp"}}},
	}}}}
	for what, want := range map[string]string{
		"connect:" + strconv.Itoa(open): "", "connect:" + strconv.Itoa(closed): "EACCES", "bind:0": "", "bind:" + strconv.Itoa(open): "EACCES",
	} {
		if got := try(t, l, cfg, what); got != want {
			t.Errorf("%s: %q; want %q", what, got, want)
		}
	}
	if got := try(t, l, Config{}, "connect:"+strconv.Itoa(closed)); got != "" {
		t.Errorf("without a policy: %q", got)
	}
}

func TestLandlockScopes(t *testing.T) {
	needLandlock(t, 6)
	l := newLauncher(t)
	name := "holdshort-test-" + strconv.Itoa(os.Getpid())
	ln, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	us := strconv.Itoa(os.Getpid())
	scoped := func(r ...landlock.Right) Config {
		return Config{NoNewPrivs: true, Landlock: &landlock.Policy{Layers: []landlock.Ruleset{{Scoped: r}}}}
	}
	for _, tt := range []struct {
		cfg        Config
		what, want string
	}{
		{Config{}, "abstract:" + name, ""},
		{Config{}, "signal:" + us, ""},
		{scoped("abstract_unix_socket"), "abstract:" + name, "EPERM"},
		{scoped("abstract_unix_socket"), "signal:" + us, ""},
		{scoped("signal"), "signal:" + us, "EPERM"},
		{scoped("signal"), "abstract:" + name, ""},
	} {
		if got := try(t, l, tt.cfg, tt.what); got != tt.want {
			t.Errorf("%v %s: %q; want %q", tt.cfg.Landlock, tt.what, got, tt.want)
		}
	}
}

// TestLandlockWithPassedFiles: a passed descriptor may have the number that a
// ruleset would get, and a limit on descriptors may leave none for one.
func TestLandlockWithPassedFiles(t *testing.T) {
	needLandlock(t, 1)
	l := newLauncher(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var files []PassedFile
	for n := 3; n < 15; n++ {
		files = append(files, PassedFile{Number: n, File: null})
	}
	layers := make([]landlock.Ruleset, 6)
	for i := range layers {
		layers[i] = readOnly()
	}
	cfg := Config{
		Args: []string{"/bin/true"}, NoNewPrivs: true, Landlock: &landlock.Policy{Layers: layers},
		Rlimits: []Rlimit{{Resource: "RLIMIT_NOFILE", Soft: 16, Hard: 16}},
	}
	if r, err := l.Run(bg, &cfg, &Options{Files: files}); err != nil || r.State != Exited || r.ExitCode != 0 {
		t.Errorf("%v %v", r, err)
	}
}

// TestLandlockLayerLimit: the kernel's answer to one layer too many is the
// launch's.
func TestLandlockLayerLimit(t *testing.T) {
	needLandlock(t, 1)
	l := newLauncher(t)
	layers := make([]landlock.Ruleset, landlock.MaxLayers)
	for i := range layers {
		layers[i] = landlock.Ruleset{HandledAccessFS: []landlock.Right{"make_dir"}}
	}
	cfg := Config{Args: []string{"/bin/true"}, NoNewPrivs: true, Landlock: &landlock.Policy{Layers: layers}}
	if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Exited {
		t.Errorf("16 layers: %v %v", r, err)
	}
	cfg.Landlock = &landlock.Policy{Layers: append(layers, layers[0])}
	if _, err := l.Run(bg, &cfg, nil); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "17 layers") {
		t.Errorf("%v; want a refusal of 17 layers", err)
	}
}

func TestLandlockRefusals(t *testing.T) {
	needLandlock(t, 1)
	l := newLauncher(t)
	base := Config{Args: []string{"/bin/true"}, NoNewPrivs: true}
	start := func(p landlock.Policy) error {
		cfg := base
		cfg.Landlock = &p
		w, err := l.Start(bg, &cfg, nil)
		if err == nil {
			_, _ = w.Wait(bg)
		}
		return err
	}
	var e *Error
	// Nothing could be executed: refused before anything is started.
	err := start(landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{"execute"}}}})
	if !errors.As(err, &e) || e.Stage != StageLandlock || e.Child || !strings.Contains(err.Error(), `layers[0] handles "execute"`) {
		t.Errorf("%v; want a refusal in advance that names the right", err)
	}
	// The wrong file may be executed: the kernel's answer, with a hint.
	err = start(landlock.Policy{Layers: []landlock.Ruleset{{
		HandledAccessFS: []landlock.Right{"execute"},
		PathBeneath:     []landlock.PathBeneath{{Path: "/etc", AllowedAccess: []landlock.Right{"execute"}}},
	}}})
	if !errors.As(err, &e) || e.Stage != StageExec || !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "Landlock forbids it") {
		t.Errorf("%v; want EACCES of execve with a hint", err)
	}
	// A right of directories for a file.
	err = start(landlock.Policy{Layers: []landlock.Ruleset{{
		HandledAccessFS: []landlock.Right{"make_dir"},
		PathBeneath:     []landlock.PathBeneath{{Path: "/etc/passwd", AllowedAccess: []landlock.Right{"make_dir"}}},
	}}})
	if !errors.As(err, &e) || e.Stage != StageLandlock || e.Object != "/etc/passwd" || !strings.Contains(err.Error(), "other than a directory") {
		t.Errorf("%v; want the path and a hint", err)
	}
	if os.Geteuid() == 0 {
		base.NoNewPrivs = false
		cfg := base
		cfg.Capabilities = Capabilities{Permitted: Some[CapSet](1), Effective: Some[CapSet](1), Inheritable: Some[CapSet](0)}
		cfg.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{"make_dir"}}}}
		if got := try(t, l, cfg, "mkdir:/tmp/x"); got != "EACCES" {
			t.Errorf("without no_new_privs, before the capabilities go: %q", got)
		}
	}
}

// TestLandlockOlderABI pretends that the kernel were older than it is.
func TestLandlockOlderABI(t *testing.T) {
	needLandlock(t, 6)
	l := newLauncher(t)
	env := *l.env
	env.landlock = 3
	l.env = &env
	cfg := Config{NoNewPrivs: true, Args: []string{"/bin/true"}, Landlock: &landlock.Policy{Layers: []landlock.Ruleset{
		{Scoped: []landlock.Right{"signal"}},
		{HandledAccessFS: []landlock.Right{"make_dir"}, HandledAccessNet: []landlock.Right{"bind_tcp"}},
	}}}
	_, err := l.Start(bg, &cfg, nil)
	var n *landlock.NotSupported
	if !errors.Is(err, ErrNotSupported) || !errors.As(err, &n) || n.ABI != 6 || !strings.Contains(err.Error(), "since Linux 6.12") || !strings.Contains(err.Error(), "has ABI 3") {
		t.Errorf("%v; want the right, its ABI and Linux version, and the kernel's", err)
	}
	cfg.Landlock.BestEffort = true
	w, err := l.Spawn(bg, &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.Info().Dropped, []string{"landlock.layers[0].scoped: signal", "landlock.layers[1].handledAccessNet: bind_tcp"}; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("dropped %v; want %v", got, want)
	}
	_ = w.Abort(bg)
	if got := try(t, l, cfg, "signal:"+strconv.Itoa(os.Getpid())); got != "" {
		t.Errorf("the dropped scope holds: %q", got)
	}
	if got := try(t, l, cfg, "mkdir:/tmp/x"); got != "EACCES" {
		t.Errorf("the rest does not hold: %q", got)
	}
	if got := try(t, l, cfg, "bind:0"); got != "" {
		t.Errorf("the dropped right holds: %q", got)
	}
	env.landlock = 0
	if r, err := l.Run(bg, &cfg, nil); err != nil || r.ExitCode != 0 {
		t.Errorf("without Landlock: %v %v", r, err)
	}
}

// TestLandlockApply: a policy may come while the workload is parked, and
// another in its place.
func TestLandlockApply(t *testing.T) {
	needLandlock(t, 1)
	l := newLauncher(t)
	w, err := l.Spawn(bg, &Config{Args: []string{"/bin/sh", "-c", "mkdir /tmp/holdshort-never 2>/dev/null && exit 1; exit 3"}, NoNewPrivs: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []landlock.Right{"make_sym", "make_dir"} {
		if err := w.Apply(bg, &Config{Landlock: &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{r}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Proceed(bg); err != nil {
		t.Fatal(err)
	}
	if r, err := w.Wait(bg); err != nil || r.ExitCode != 3 {
		t.Errorf("%v %v; want exit 3", r, err)
	}
}
