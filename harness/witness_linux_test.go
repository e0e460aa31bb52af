package harness

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/harness/witness"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The witness says what the observer says, on every question that it answers,
// and answers nearly all.
func TestWitness_AgreesWithThePosture(t *testing.T) {
	r := untouched(t)
	for name, req := range map[string]*request.Request{"nothing": request.New("/bin/true"), "namespaces": every()} {
		t.Run(name, func(t *testing.T) {
			c, err := r.Witness(bg, req, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Constrained {
				t.Errorf("%s\n%s", c.Verdict, text(c))
			}
			agrees := 0
			for _, a := range c.Answers {
				switch a.Standing {
				case witness.Agrees:
					agrees++
				default:
					t.Logf("%+v", a)
				}
			}
			t.Logf("%d of %d agree", agrees, len(c.Answers))
			if agrees < len(c.Answers)*3/4 {
				t.Errorf("only %d of %d agree", agrees, len(c.Answers))
			}
		})
	}
}

// Under filters the answers are those of the filters: errnos, and deaths.
func TestWitness_UnderFilters(t *testing.T) {
	r := untouched(t)
	for name, ask := range map[string]func(*testing.T, *request.Request){"deny list": filtered, "allow list": func(t *testing.T, q *request.Request) {
		t.Helper()
		allowList(t, q)
		s := q.Spec.Linux.Seccomp
		s.Syscalls[0].Names = append(s.Syscalls[0].Names, "clone", "wait4", "getpid")
	}} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			ask(t, q)
			c, err := r.Witness(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Constrained {
				t.Errorf("%s\n%s", c.Verdict, text(c))
			}
			filter := 0
			for _, a := range c.Answers {
				if strings.HasPrefix(a.Question, "seccomp: ") && a.Standing == witness.Agrees {
					filter++
				}
				if a.Standing == witness.Disagrees {
					t.Errorf("%+v", a)
				}
			}
			if filter < 20 {
				t.Errorf("only %d answers about the filter", filter)
			}
		})
	}
}

// The witness needs nothing in the workload's root.
func TestWitness_InARootOfItsOwn(t *testing.T) {
	r := untouched(t)
	q := every()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir, dir + "/data"} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	q.Spec.Root = &specs.Root{Path: dir, Readonly: true}
	q.Spec.Mounts = []specs.Mount{{Destination: "/data", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro"}}}
	c, err := r.Witness(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Constrained {
		t.Errorf("%s\n%s", c.Verdict, text(c))
	}
	for _, name := range []string{"write /", "write /data", "fs.root"} {
		if !slices.ContainsFunc(c.Answers, func(a witness.Answer) bool { return a.Question == name && a.Standing == witness.Agrees }) {
			t.Errorf("%q: no answer that agrees\n%s", name, text(c))
		}
	}
}

// A flaw that no posture shows: a path that is to be read-only lies under a
// mount of its own which is not. Posture and mount table are as asked for.
func TestWitness_FindsWhatPostureCannotShow(t *testing.T) {
	r := untouched(t)
	defer func() { r.parked = nil }()
	q := request.New("/bin/true")
	ns(specs.MountNamespace)(t, q)
	q.Spec.Mounts = []specs.Mount{{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro"}}}
	control, err := r.Witness(bg, q, nil)
	if err != nil || control.Verdict != Constrained {
		t.Fatalf("control: %v\n%s", err, text(control))
	}
	r.parked = func(w *checkpoint.Workload) {
		inMountNamespace(t, w.HostPID(), func() error {
			return unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "")
		})
	}
	plain, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Witness(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := slices.ContainsFunc(c.Answers, func(a witness.Answer) bool {
		return a.Question == "write /mnt" && a.Standing == witness.Disagrees
	})
	if c.Verdict != Violated || !found {
		t.Errorf("%s: %+v", c.Verdict, c.Answers)
	}
	if plain.Verdict != Constrained {
		t.Logf("the posture shows it as well, so this test shows little:\n%s", text(plain))
	}
}

// A Landlock rule for too much: layers and handled rights are as asked for. The
// witness finds by trying what the rule allows; the posture, where it can be
// read, shows the same rule, by the inode of its file.
func TestWitness_FindsALandlockRuleForTooMuch(t *testing.T) {
	if checkpoint.LandlockABI() < 1 {
		t.Skip("needs Landlock")
	}
	r := untouched(t)
	defer func() { r.tamper = nil }()
	q := request.New("/bin/true")
	q.Spec.Process.NoNewPrivileges = true
	q.Ext.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{
		HandledAccessFS: []landlock.Right{"read_file", "write_file", "read_dir"},
		PathBeneath:     []landlock.PathBeneath{{Path: "/usr", AllowedAccess: []landlock.Right{"read_file", "read_dir"}}},
	}}}
	if checkpoint.LandlockABI() >= 4 {
		l := &q.Ext.Landlock.Layers[0]
		l.HandledAccessNet, l.NetPort = []landlock.Right{"bind_tcp"}, []landlock.NetPort{{Port: 8080, AllowedAccess: []landlock.Right{"bind_tcp"}}}
	}
	disagreeing := func(c *Case) []string {
		var out []string
		for _, a := range c.Answers {
			if a.Standing == witness.Disagrees {
				out = append(out, a.Question)
			}
		}
		return out
	}
	control, err := r.Witness(bg, q, nil)
	if err != nil || len(disagreeing(control)) > 0 {
		t.Fatalf("control: %v %+v\n%s", err, disagreeing(control), text(control))
	}
	r.tamper = config(func(c *checkpoint.Config) {
		layer := c.Landlock.Layers[0] // the request's own, which must stay as it is
		layer.PathBeneath = []landlock.PathBeneath{{Path: "/", AllowedAccess: layer.PathBeneath[0].AllowedAccess}}
		c.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{layer}}
	})
	c, err := r.Witness(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := disagreeing(c); c.Verdict != Violated || !slices.Contains(got, "landlock: list /") || !slices.Contains(got, "landlock: open for reading /etc/passwd") {
		t.Errorf("%s %v\n%s", c.Verdict, got, text(c))
	}
	if lacks := needRules(1)(t, r); lacks == "" && found(c)["landlock.rule_list"] != oracle.Weaker {
		t.Errorf("the posture shows no rule for too much: %v\n%s", found(c), text(c))
	}
}

// inMountNamespace runs f in the mount namespace of a process, on a thread that
// ends with it.
func inMountNamespace(t *testing.T, pid int, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- err
			return
		}
		fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			err = unix.Setns(fd, unix.CLONE_NEWNS)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
