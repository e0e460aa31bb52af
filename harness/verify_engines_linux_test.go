package harness

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// rootOf makes a root file system of one static program.
func rootOf(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs a static busybox")
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "root") //nolint:usetesting // lxc-execute wants every directory above to be open to all
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"bin", "proc", "dev", "sys", "tmp", "etc", "usr", "root", "mnt"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "bin", "true"), text, 0o755),
		os.WriteFile(filepath.Join(dir, "etc", "os-release"), []byte("ID=test\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asked is what all engines can be asked for in one way or another.
func asked(root string) *request.Request {
	q := request.New("/bin/true")
	q.Spec.Process.Env, q.Spec.Process.Cwd = []string{"PATH=/bin", "HOME=/", "A=b"}, "/"
	q.Ext = request.Extension{KeepIDs: true}
	q.Spec.Root = &specs.Root{Path: root}
	q.Spec.Hostname = "verified"
	q.Spec.Linux = &specs.Linux{}
	for _, k := range []specs.LinuxNamespaceType{specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.NetworkNamespace, specs.CgroupNamespace} {
		q.Spec.Linux.Namespaces = append(q.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: k})
	}
	return q
}

// translated has a request judged through an engine's own words, of which
// change may take some away.
func translated(t *testing.T, v *Verifier, e *engine.Foreign, q *request.Request, change func([]string) []string) *Case {
	t.Helper()
	if _, err := exec.LookPath(e.Binary); err != nil {
		t.Skip("needs " + e.Binary)
	}
	cmd, err := e.Command(q, true)
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Close()
	args := cmd.Args
	if change != nil {
		if args = change(slices.Clone(args)); slices.Equal(args, cmd.Args) {
			t.Fatalf("nothing to change in %q", args)
		}
	}
	x := command(t, args...)
	x.Env, x.ExtraFiles = cmd.Env, cmd.Files
	var said strings.Builder
	x.Stdout, x.Stderr = &said, &said
	if x.Env == nil {
		conf := filepath.Join(t.TempDir(), "containers.conf")
		if err := os.WriteFile(conf, []byte("[engine]\nruntime = \"runc\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		x.Env = []string{"PATH=" + os.Getenv("PATH"), "CONTAINERS_CONF=" + conf}
	}
	got, err := v.VerifyWith(bg, cmd.Request, x, &VerifyOptions{Engine: e.Name, Profile: e.Profile, PID: cmd.PID, Below: cmd.Below})
	if err != nil {
		t.Fatal(err)
	}
	if got.Meta.Executions == 0 {
		t.Skipf("%s does not start anything here: %s", e.Name, said.String())
	}
	return got
}

// Each engine that is installed holds what it is asked for, in its own words;
// what is taken from them is found; and what it has no words for is named.
func TestVerify_Adapters(t *testing.T) {
	v := verifier(t)
	root := rootOf(t)
	caps := func(names []string, inheritable, ambient bool) *specs.LinuxCapabilities {
		c := &specs.LinuxCapabilities{Bounding: names, Permitted: names, Effective: names}
		if inheritable {
			c.Inheritable = names
		}
		if ambient {
			c.Ambient = names
		}
		return c
	}
	without := func(word string, also int) func([]string) []string {
		return func(args []string) []string {
			i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, word) })
			if i < 0 {
				return args
			}
			return slices.Delete(args, i, i+1+also)
		}
	}
	two := []string{"CAP_CHOWN", "CAP_KILL"}
	for name, c := range map[string]struct {
		caps        *specs.LinuxCapabilities
		noRoot      bool
		limit       bool
		known       []string // deviations of its own
		change      func([]string) []string
		finds       string
		unexpressed string
	}{
		"firejail":       {caps: caps(two, false, false), noRoot: true, limit: true, change: without("--net=none", 0), finds: "namespaces.net", unexpressed: "process.ioPriority"},
		"systemd-nspawn": {caps: caps(two, true, false), limit: true, change: without("--drop-capability", 0), finds: "capabilities.bounding", unexpressed: "process.ioPriority"},
		"lxc-execute":    {caps: caps(two, false, false), limit: true, change: noLine("cap.keep"), finds: "capabilities.bounding", unexpressed: "process.ioPriority"},
		"minijail":       {caps: caps(two, true, true), limit: true, change: without("-e", 0), finds: "namespaces.net", unexpressed: "process.ioPriority"},
		"nsjail":         {caps: caps(two, true, true), change: without("--hostname", 1), finds: "uts.hostname", unexpressed: "process.rlimits"},
		"podman":         {caps: caps(two, false, false), limit: true, known: []string{"ids.groups"}, change: without("--cap-drop", 0), finds: "capabilities.bounding", unexpressed: "process.ioPriority"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := engine.ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			ask := func() *request.Request {
				q := asked(root)
				if c.noRoot {
					q.Spec.Root = nil
				}
				q.Spec.Process.Capabilities, q.Spec.Process.NoNewPrivileges = c.caps, true
				if c.limit {
					q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 100}}
				}
				return q
			}
			got := translated(t, v, e, ask(), nil)
			for field := range found(got) {
				if !slices.Contains(c.known, field) {
					t.Errorf("found %s\n%s", field, text(got))
				}
			}
			if got.Verdict == Unknown || got.Verdict == Violated && len(c.known) == 0 {
				t.Errorf("verdict %s\n%s", got.Verdict, text(got))
			}
			if got = translated(t, v, e, ask(), c.change); got.Verdict != Violated {
				t.Errorf("planted: verdict %s\n%s", got.Verdict, text(got))
			}
			if _, ok := found(got)[c.finds]; !ok {
				t.Errorf("planted: nothing on %s\n%s", c.finds, text(got))
			}
			q := ask()
			q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 100}}
			q.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 7}
			if _, err := e.Command(q, false); !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), c.unexpressed) {
				t.Errorf("%v; want %s to be named", err, c.unexpressed)
			}
		})
	}
}

// noLine takes a line out of the file that lxc-execute is given.
func noLine(key string) func([]string) []string {
	return func(args []string) []string {
		i := slices.Index(args, "--rcfile")
		b, err := os.ReadFile(args[i+1])
		if err != nil {
			return args
		}
		lines := slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return strings.HasPrefix(l, "lxc."+key+" ") })
		other := args[i+1] + ".planted"
		if os.WriteFile(other, []byte(strings.Join(lines, "\n")), 0o600) != nil {
			return args
		}
		args[i+1] = other
		return args
	}
}

// What masks a path may be an empty file, if nobody can write to it.
func TestVerify_MaskedByAFile(t *testing.T) {
	v := freezingVerifier(t)
	dir := t.TempDir()
	empty, full := filepath.Join(dir, "empty"), filepath.Join(dir, "full")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), os.WriteFile(full, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		words []string
		holds bool
	}{
		"empty":             {[]string{"--ro-bind", empty, "/etc/passwd"}, true},
		"empty, writable":   {[]string{"--bind", empty, "/etc/passwd"}, false},
		"not empty":         {[]string{"--ro-bind", full, "/etc/passwd"}, false},
		"a file of proc":    {[]string{"--ro-bind", "/proc/uptime", "/etc/passwd"}, false},
		"the null device":   {[]string{"--dev-bind", "/dev/null", "/etc/passwd"}, true},
		"nothing, but a /x": {[]string{"--ro-bind", empty, "/etc/group"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			q.Spec.Linux = &specs.Linux{MaskedPaths: []string{"/etc/passwd"}, Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}}}
			got, err := v.Verify(bg, q, command(t, slices.Concat([]string{"bwrap", "--dev-bind", "/", "/"}, c.words, []string{"/bin/true"})...))
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(got.Checks, func(c Check) bool { return c.Name() == "linux.maskedPaths[0]" })
			if i < 0 {
				t.Fatalf("not judged\n%s", text(got))
			}
			if o := got.Checks[i].Outcome; (o == oracle.Equal) != c.holds || !c.holds && o != oracle.Weaker {
				t.Errorf("%s: %s", o, got.Checks[i].Why)
			}
		})
	}
}
