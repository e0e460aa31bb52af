package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// everything is what a profile of AppArmor must have to restrain nothing.
const everything = "file, capability, network, mount, remount, umount, pivot_root, ptrace, signal, unix, dbus, change_profile,"

// loadProfile compiles a profile and gives it to the kernel, in place of one
// that has its name. It is removed at the end.
func loadProfile(t *testing.T, name, flags, rules string) {
	t.Helper()
	parser, err := exec.LookPath("apparmor_parser")
	if errors.Is(err, exec.ErrNotFound) {
		if parser = "/sbin/apparmor_parser"; !exists(parser) {
			t.Skip("needs apparmor_parser(8)")
		}
	}
	cmd := exec.Command(parser, "--replace", "--skip-cache", "--skip-read-cache", "--quiet")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("profile %s flags=(attach_disconnected%s) {\n%s\n}\n", name, flags, rules))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apparmor_parser: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = removeProfile(name) })
}

func removeProfile(name string) error {
	return os.WriteFile("/sys/kernel/security/apparmor/.remove", []byte(name), 0)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// frozenRunner has an agent of its own; before is done by the thread that
// starts it.
func frozenRunner(t *testing.T, before func() error) *Runner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and labels")
	}
	type made struct {
		r   *Runner
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: it ends with what was done to it
		if before != nil {
			if err := before(); err != nil {
				done <- made{nil, err}
				return
			}
		}
		r, err := NewRunner(bg, &RunnerOptions{Freeze: true})
		done <- made{r, err}
	}()
	m := <-done
	if m.err != nil {
		t.Fatal(m.err)
	}
	t.Cleanup(func() { m.r.Close() })
	if m.r.ProbesErr != nil {
		t.Skip("needs eBPF: " + m.r.ProbesErr.Error())
	}
	return m.r
}

func needAppArmor(t *testing.T) {
	t.Helper()
	if b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || strings.TrimSpace(string(b)) != "Y" {
		t.Skip("needs AppArmor")
	}
	if !exists("/sys/kernel/security/apparmor") {
		t.Skip("needs securityfs with AppArmor's files")
	}
	if b, _ := os.ReadFile("/proc/self/attr/apparmor/current"); strings.TrimSpace(string(b)) != "unconfined" {
		t.Skip("needs a test that AppArmor does not restrain")
	}
}

// writeLabel is what a thread does for itself, and nobody for another.
func writeLabel(pid int, file, text string) error {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/attr/%s", pid, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// labelled asks besides the label for what execve takes away when it changes
// one: the expectation knows, and says so.
func labelled(t *testing.T, r *Runner, ask func(*testing.T, *request.Request)) {
	t.Helper()
	const noRandomize = 0x40000
	q := request.New("/bin/true")
	ask(t, q)
	q.Ext.Pdeathsig, q.Ext.Personality = new(request.Signal(9)), new(uint32(noRandomize))
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Constrained {
		t.Errorf("%s\n%s", c.Verdict, text(c))
	}
	notes := map[string]string{}
	for i := range c.Checks {
		notes[c.Checks[i].Name()] = c.Checks[i].Note()
	}
	for field, want := range map[string]string{"privilege.pdeathsig": "execve clears the death signal", "privilege.personality": "execve clears bits"} {
		if !strings.HasPrefix(notes[field], want) {
			t.Errorf("%s: note %q; want %q", field, notes[field], want)
		}
	}
}

// A profile that is loaded and asked for restrains the workload, and each way
// in which it could be missing is found.
func TestSabotageAppArmor(t *testing.T) {
	needAppArmor(t)
	name := fmt.Sprintf("holdshort-test-%d", os.Getpid())
	other := name + "-other"
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	rules := everything + "\ndeny " + secret + " r,"
	load := func(t *testing.T) string {
		t.Helper()
		loadProfile(t, name, "", rules)
		return ""
	}
	loadProfile(t, other, "", everything)
	load(t)
	const field = "process.apparmorProfile"
	ask := func(_ *testing.T, q *request.Request) { q.Spec.Process.ApparmorProfile = name }
	skip := config(func(c *checkpoint.Config) { c.LSM.AppArmor = "" })
	weaker := finds{field: oracle.Weaker}
	r := frozenRunner(t, nil)
	t.Run("restrains", func(t *testing.T) {
		for _, label := range []string{"", name} {
			q := request.New("/bin/cat", secret)
			q.Spec.Process.ApparmorProfile = label
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Constrained || c.Launch.State != checkpoint.Exited || (c.Launch.ExitCode == 0) != (label == "") {
				t.Errorf("profile %q: %s, %s\n%s", label, c.Verdict, c.Launch.String(), text(c))
			}
		}
	})
	for _, when := range []string{"not loaded", "removed while parked"} {
		t.Run(when, func(t *testing.T) {
			load(t)
			gone := func(*checkpoint.Workload) {
				if err := removeProfile(name); err != nil {
					t.Error(err)
				}
			}
			defer func() { r.parked = nil }()
			if r.parked = gone; when == "not loaded" {
				gone(nil)
				r.parked = nil
			}
			q := request.New("/bin/true")
			ask(t, q)
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Unknown || c.Cause != CannotApply || !errors.Is(c.Launch.Err, unix.ENOENT) {
				t.Errorf("%s, %s: %v", c.Verdict, c.Cause, c.Launch.Err)
			}
		})
	}
	t.Run("execve with it", func(t *testing.T) {
		load(t)
		labelled(t, r, ask)
	})
	for _, row := range []sabotage{
		{name: "skipped", tamper: skip, want: weaker},
		{name: "another profile", tamper: config(func(c *checkpoint.Config) { c.LSM.AppArmor = other }), want: weaker},
		{name: "unconfined", tamper: config(func(c *checkpoint.Config) { c.LSM.AppArmor = "unconfined" }), want: weaker},
		{
			name: "complains only", want: weaker,
			parked: func(t *testing.T, _ *Runner, _ *checkpoint.Workload) {
				t.Helper()
				loadProfile(t, name, ", complain", rules)
			},
		},
		{
			name: "on the agent instead", tamper: skip, want: weaker,
			parked: func(t *testing.T, r *Runner, _ *checkpoint.Workload) {
				t.Helper()
				if err := writeLabel(r.launcher.AgentPID(), "apparmor/exec", "exec "+name); err == nil {
					t.Error("the kernel lets one process label another: this table must know about it")
				}
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			load(t)
			row.ask = ask
			row.run(t, r)
		})
	}
	confined := frozenRunner(t, func() error { return writeLabel(unix.Gettid(), "apparmor/exec", "exec "+other) })
	t.Run("the agent's", func(t *testing.T) {
		load(t)
		(&sabotage{ask: ask, tamper: skip, want: weaker}).run(t, confined)
		labelled(t, confined, ask)
	})
}
