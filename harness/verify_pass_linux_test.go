package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A namespace that another process is in is not a new one, whoever joins it.
func TestVerify_NotNew(t *testing.T) {
	for name, v := range map[string]*Verifier{"": verifier(t), "frozen": freezingVerifier(t)} {
		t.Run(name, func(t *testing.T) {
			other := command(t, "unshare", "--net", "/bin/sleep", "1000")
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
			inNewNet(t, other.Process.Pid)
			q := request.New("/bin/true")
			ns(specs.NetworkNamespace)(t, q)
			got, err := v.Verify(bg, q, command(t, "nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", other.Process.Pid), "/bin/true"))
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != Violated || !strings.Contains(text(got), "it is not new") {
				t.Errorf("verdict %s\n%s", got.Verdict, text(got))
			}
			if got, err = v.Verify(bg, q, command(t, "unshare", "--net", "/bin/true")); err != nil || got.Verdict != Constrained {
				t.Errorf("a new one: %v, %s", err, text(got))
			}
		})
	}
}

// inNewNet waits until a process has left our network namespace.
func inNewNet(t *testing.T, pid int) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 60000 {
		if n, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || n != own {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // a test's poll of /proc
	}
	t.Fatal("it makes no network namespace")
}

// That an execution is fine says nothing of those that were not seen.
func TestVerify_LostElsewhere(t *testing.T) {
	q := request.New("/bin/true")
	ns(specs.NetworkNamespace)(t, q)
	script := "sleep 1 & env -i /bin/true; wait; env -i unshare --net /bin/true; :"
	verdict := func(watches int) *Case {
		v, err := NewVerifier(bg, &VerifierOptions{Probes: &probes.Options{MaxWatches: watches}})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		c, err := v.Verify(bg, q, command(t, "/bin/sh", "-c", script))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	verifier(t) // or it is skipped
	if c := verdict(0); c.Verdict != Violated || c.Meta.Executions != 2 {
		t.Errorf("with room for all: %d executions, %s", c.Meta.Executions, text(c))
	}
	if c := verdict(2); c.Verdict == Constrained {
		t.Errorf("with room for two: %s", text(c))
	}
}

// Without the caller's posture nothing that nobody asked for can be judged.
func TestVerify_CallerNotSeen(t *testing.T) {
	v := verifier(t)
	q := request.New("/bin/true")
	e := v.engineRun(q, nil)
	w, end, err := v.start(bg, command(t, "/bin/sh", "-c", "umask 7; env -i /bin/true; :"))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if _, err := w.Final(bg); err != nil {
		t.Fatal(err)
	}
	if err := e.collect(bg, w); err != nil {
		t.Fatal(err)
	}
	if c := e.judge("sh"); c.Verdict != Violated {
		t.Fatalf("with its caller: %s", text(c))
	}
	r := *e.records[0].rec
	r.Snapshots, r.Caller = nil, nil
	e.records[0].rec = &r
	if c := e.judge("sh"); c.Verdict != Unknown || c.Cause != EvidenceLost {
		t.Errorf("without: %s", text(c))
	}
}

// The caller is who started the engine, also where the workload is the engine's
// own file.
func TestVerify_WorkloadIsTheEngine(t *testing.T) {
	v := verifier(t)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare")
	}
	q := request.New(unshare, "--version")
	got, err := v.VerifyWith(bg, q, command(t, "/bin/sh", "-c", "umask 7; env -i "+unshare+" --version; :"), &VerifyOptions{Binary: unshare})
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict != Violated || !strings.Contains(text(got), "fs.umask") {
		t.Errorf("verdict %s\n%s", got.Verdict, text(got))
	}
}

// A relative cgroup path is below what the engine chooses, and not nowhere.
func TestVerify_RelativeCgroup(t *testing.T) {
	q := request.New("/bin/true")
	q.Spec.Linux = &specs.Linux{CgroupsPath: "some/where"}
	if got, err := verifier(t).Verify(bg, q, command(t, "/bin/true")); err != nil || got.Verdict != Unknown {
		t.Errorf("not looked at: %v, %s", err, text(got))
	}
	got, err := freezingVerifier(t).Verify(bg, q, command(t, "/bin/true"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict != Violated || !strings.Contains(text(got), "linux.cgroupsPath") {
		t.Errorf("ignored: %s", text(got))
	}
}

func TestCgroupsPath(t *testing.T) {
	own, err := cgroupsOf("self")
	if err != nil {
		t.Skip("needs cgroups: ", err)
	}
	h := &held{pid: os.Getpid()}
	for _, at := range own {
		if at == "/" {
			continue
		}
		if _, holds, why, err := h.cgroupsPath(filepath.Base(at)); err != nil || !holds {
			t.Errorf("%s: %s %v", at, why, err)
		}
	}
	if _, holds, _, err := h.cgroupsPath("no/such/thing"); err != nil || holds {
		t.Errorf("holds, %v", err)
	}
	if _, holds, why, _ := h.cgroupsPath("system.slice:runc:x"); holds || !strings.HasSuffix(why, "/runc-x.scope") {
		t.Errorf("%v, %s", holds, why)
	}
}

// What the engine has no words for is not held, and not called so.
func TestVerify_NotExpressedIsNotHeld(t *testing.T) {
	e, err := engine.ByName("bwrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("bwrap"); err != nil {
		t.Skip("needs bwrap")
	}
	q := request.New("/bin/true")
	q.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
	cmd, err := e.Command(q, true)
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Close()
	x := command(t, cmd.Args...)
	x.Env, x.ExtraFiles = cmd.Env, cmd.Files
	got, err := verifier(t).VerifyWith(bg, cmd.Request, x, &VerifyOptions{Engine: e.Name, Profile: e.Profile, PID: cmd.PID, Below: cmd.Below})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Checks {
		if c := &got.Checks[i]; c.Name() == "capabilities.bounding" && c.Class().String() == "requested" {
			t.Errorf("capabilities.bounding is told as %s, asked for by %s", c.Outcome, c.Source())
		}
	}
}

// What is started by a program in Go has the limit of open files that this had at
// its own start, and nothing else of another.
func TestVerify_CallersOpenFiles(t *testing.T) {
	own, theirs := *sample.Caller(), *sample.Caller()
	limits, _ := own.Rlimits.Get()
	limits[unix.RLIMIT_NOFILE] = posture.Rlimit{Soft: 4096, Hard: 4096}
	own.Rlimits = posture.Known(limits)
	limits[unix.RLIMIT_NOFILE] = posture.Rlimit{Soft: 1024, Hard: 4096}
	limits[unix.RLIMIT_CORE].Soft++
	theirs.Rlimits = posture.Known(limits)
	got, _ := asStarted(&own, &theirs).Rlimits.Get()
	was, _ := own.Rlimits.Get()
	if got[unix.RLIMIT_NOFILE] != limits[unix.RLIMIT_NOFILE] || got[unix.RLIMIT_CORE] != was[unix.RLIMIT_CORE] || was[unix.RLIMIT_NOFILE].Soft != 4096 {
		t.Errorf("%v of %v", got, was)
	}
	limits[unix.RLIMIT_NOFILE].Hard = 5000 // nobody's doing of ours
	theirs.Rlimits = posture.Known(limits)
	if p := asStarted(&own, &theirs); p != &own || asStarted(&own, nil) != &own {
		t.Errorf("%+v", p)
	}
}
