package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const program = "/bin/true"

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	for fd := 3; fd < 1024; fd++ {
		unix.CloseOnExec(fd) // whoever started the tests may have left some open
	}
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // what is caught is the default after execve
		}
	}
}

var common = sync.OnceValues(func() (*harness.Verifier, error) { return harness.NewVerifier(bg, nil) })

// verifier is one for all tests, and ends with the process.
func verifier(t testing.TB) *harness.Verifier {
	t.Helper()
	needRoot(t)
	v, err := common()
	if err != nil {
		t.Skip("needs eBPF: ", err)
	}
	return v
}

// small is a verifier with an observer that is easily overwhelmed.
func small(t testing.TB, opts probes.Options) *harness.Verifier {
	t.Helper()
	needRoot(t)
	v, err := harness.NewVerifier(bg, &harness.VerifierOptions{Probes: &opts})
	if err != nil {
		t.Skip("needs eBPF: ", err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func text(c *harness.Case) string {
	var b bytes.Buffer
	_ = c.Report().Text(&b, harness.Style{})
	return b.String()[:min(b.Len(), 4000)]
}

func outcome(c *harness.Case, field string) oracle.Outcome {
	for i := range c.Checks {
		if c.Checks[i].Name() == field {
			return c.Checks[i].Outcome
		}
	}
	return ""
}

// act is one hostile engine, without and with the fault that it hides.
type act struct {
	play play
	ask  func(q *request.Request)
	// fair is the verdict on the engine that does what was asked for; empty if
	// it may be unknown, too.
	fair harness.Verdict
	// field is found with the fault; empty if it need only not be constrained.
	field string
	v     func(t testing.TB) *harness.Verifier
}

func args(q *request.Request, n int) {
	q.Spec.Process.Args = append(q.Spec.Process.Args, long(n, false)...)
}

// Whatever crowds the observer, or hides in what is too long for it, the verdict
// on the program that has what it should not is not constrained.
func TestCrowds(t *testing.T) {
	groups := func(n int) func(*request.Request) {
		return func(q *request.Request) {
			q.Ext.KeepIDs = false
			for i := range n {
				q.Spec.Process.User.AdditionalGids = append(q.Spec.Process.User.AdditionalGids, uint32(1000+i))
			}
		}
	}
	filters := func(q *request.Request) {
		for range 31 {
			q.Ext.Seccomp = append(q.Ext.Seccomp, denied("keyctl"))
		}
		q.Spec.Linux.Seccomp = denied("keyctl")
	}
	few := func(t testing.TB) *harness.Verifier { t.Helper(); return small(t, probes.Options{MaxWatches: 16}) }
	little := func(t testing.TB) *harness.Verifier {
		t.Helper()
		return small(t, probes.Options{RingBufferBytes: os.Getpagesize()})
	}
	for name, a := range map[string]act{
		"a fork bomb":                           {play: play{Act: "bomb", N: 500}, fair: harness.Constrained, field: "files"},
		"a fork bomb, room for 16":              {play: play{Act: "bomb", N: 200}, v: few},
		"an exec storm":                         {play: play{Act: "storm", N: 100}, fair: harness.Constrained, field: "files"},
		"an exec storm, room for a few records": {play: play{Act: "storm", N: 50}, v: little},
		"1 MB of arguments":                     {play: play{Act: "arguments", N: 8}, ask: func(q *request.Request) { args(q, 8) }},
		"1 MB of environment":                   {play: play{Act: "environment", N: 9000}, ask: func(q *request.Request) { q.Spec.Process.Env = variables(9000) }},
		"65,536 groups":                         {play: play{Act: "groups", N: 65536}, ask: groups(65536)},
		"100 groups":                            {play: play{Act: "groups", N: 100}, ask: groups(100)},
		"32 filters":                            {play: play{Act: "filters", N: 32}, ask: filters},
	} {
		t.Run(name, func(t *testing.T) {
			if a.v == nil {
				a.v = verifier
			}
			v := a.v(t)
			for _, wrong := range []bool{false, true} {
				q := request.New(program)
				if a.ask != nil {
					a.ask(q)
				}
				p := a.play
				p.Wrong = wrong
				c, err := v.Verify(t.Context(), q, p.command(t, program))
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("wrong %v: %s, lost %d, %d executions, %q", wrong, c.Verdict, c.Lost, c.Meta.Executions, c.Reasons)
				switch {
				case c.Meta.Workload.ExitCode != 0:
					t.Fatalf("the engine ended with %d", c.Meta.Workload.ExitCode)
				case !wrong && (c.Verdict == harness.Violated || a.fair != "" && c.Verdict != a.fair):
					t.Errorf("as was asked for: %s", text(c))
				case wrong && c.Verdict == harness.Constrained:
					t.Errorf("a wrong pass: %s", text(c))
				case wrong && a.field != "" && !outcome(c, a.field).Finding():
					t.Errorf("%s is %s: %s", a.field, outcome(c, a.field), text(c))
				}
			}
		})
	}
}

// 10,000 descriptors are too many to be read, and leaked all the same.
func TestDescriptors(t *testing.T) {
	v := verifier(t)
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Max < 10100 {
		t.Skip("needs a limit of more than 10,100 descriptors")
	}
	for _, n := range []int{60, 70, 300, 10000} {
		c, err := v.Verify(t.Context(), request.New(program), (&play{Act: "descriptors", N: n}).command(t, program))
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != harness.Violated || !outcome(c, "files").Finding() {
			t.Errorf("%d: %s", n, text(c))
		}
	}
}

// Namespaces that are deeper than asked for are told from those that are not.
func TestDeepNamespaces(t *testing.T) {
	v := verifier(t)
	for n, want := range map[int]harness.Verdict{1: harness.Constrained, 2: harness.Violated, 20: harness.Violated, 31: harness.Violated} {
		q := request.New(program)
		q.Ext.KeepIDs = false
		q.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace}}
		q.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 65536}}
		q.Spec.Linux.GIDMappings = q.Spec.Linux.UIDMappings
		c, err := v.Verify(t.Context(), q, (&play{Act: "deep", N: n}).command(t, program))
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != want || want == harness.Violated && !outcome(c, "namespaces.user").Finding() {
			t.Errorf("%d: %s, want %s\n%s", n, c.Verdict, want, text(c))
		}
	}
}

// An engine that forges its word on which process the workload is.
func TestForgedWord(t *testing.T) {
	v := verifier(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	other := exec.CommandContext(t.Context(), "/bin/cat")
	other.Stdin = in
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	defer func() { out.Close(); _ = other.Wait() }()
	for name, pid := range map[string]func() (int, error){
		"a process that is not its own": func() (int, error) { return other.Process.Pid, nil },
		"who judges":                    func() (int, error) { return os.Getpid(), nil },
		"the first process":             func() (int, error) { return 1, nil },
		"none that there can be":        func() (int, error) { return -7, nil },
		"nothing":                       func() (int, error) { return 0, errors.New("nothing is said") },
	} {
		for _, wrong := range []bool{false, true} {
			c, err := v.VerifyWith(t.Context(), request.New(program), (&play{Act: "harm", Wrong: wrong}).command(t, program), &harness.VerifyOptions{PID: pid})
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict == harness.Constrained && (wrong || name != "nothing") {
				t.Errorf("%s, wrong %v: %s", name, wrong, text(c))
			}
		}
	}
}

// An engine of an ordinary user reaches nothing of the observer, and what it
// says of itself changes nothing.
func TestForgedRecords(t *testing.T) {
	v := verifier(t)
	q := request.New(program)
	q.Ext.KeepIDs = false
	q.Spec.Process.User = specs.User{UID: nobody, GID: nobody}
	q.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
	c, err := v.Verify(t.Context(), q, (&play{Act: "forge", N: os.Getpid()}).command(t, program))
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != harness.Constrained || c.Meta.Workload.ExitCode != 0 {
		t.Errorf("exit status %d: %s", c.Meta.Workload.ExitCode, text(c))
	}
}

// By root it is not denied: what the two tests try does reach something.
func TestForgeryByRoot(t *testing.T) {
	needRoot(t)
	victim := exec.CommandContext(t.Context(), "/bin/sleep", "1000")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()
	c := (&play{Act: "forge", N: victim.Process.Pid, Wrong: true}).command(t, program)
	c.Stderr = nil
	out, err := c.CombinedOutput()
	if err == nil {
		t.Error("all of it is denied")
	}
	for _, what := range []string{"to see descriptors", "to signal", "to trace", "/mem"} {
		if !bytes.Contains(out, []byte(what)) {
			t.Errorf("%q is denied: %s", what, out)
		}
	}
}

// A workload of our own launcher reaches neither its host nor its agent.
func TestControlChannel(t *testing.T) {
	needRoot(t)
	r, err := harness.NewRunner(bg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	q := request.New(readable(t))
	q.Ext.KeepIDs = false
	q.Spec.Process.User = specs.User{UID: nobody, GID: nobody}
	q.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
	q.Spec.Process.NoNewPrivileges = true
	q.Spec.Process.Env = []string{(&play{Act: "reach", N: os.Getpid(), Args: []string{program}}).text()}
	var said bytes.Buffer
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c, err := r.Run(bg, q, &checkpoint.Options{Stderr: write})
	write.Close()
	_, _ = io.Copy(&said, read)
	if err != nil {
		t.Fatal(err)
	}
	if c.Launch.ExitCode != 0 || c.Launch.State != checkpoint.Exited {
		t.Errorf("%s: %s", c.Launch.String(), said.String())
	}
	if r.ProbesErr == nil && c.Verdict != harness.Constrained {
		t.Error(text(c))
	}
}

// readable is a copy of this program that everybody may execute.
func readable(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "hostile")
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

const many = 200

// Of many engines at once, each report is about its own.
func TestManyEngines(t *testing.T) {
	v := verifier(t)
	each(t, func(i int) error {
		q := request.New(program, fmt.Sprint("number ", i))
		q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: uint64(1000 + i), Hard: 4096}}
		p, want := play{Act: "limit", N: 1000 + i}, harness.Constrained
		if i%7 == 0 {
			p.N, want = 2000+i, harness.Violated
		}
		c, err := v.Verify(t.Context(), q, p.command(t, q.Spec.Process.Args...))
		if err != nil {
			return err
		}
		return own(c, want, i, uint64(p.N))
	})
}

// The same for our own launcher.
func TestManyLaunches(t *testing.T) {
	needRoot(t)
	r, err := harness.NewRunner(bg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: ", r.ProbesErr)
	}
	each(t, func(i int) error {
		q := request.New(program, fmt.Sprint("number ", i))
		q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: uint64(1000 + i), Hard: 4096}}
		c, err := r.Run(bg, q, nil)
		if err != nil {
			return err
		}
		return own(c, harness.Constrained, i, uint64(1000+i))
	})
}

func each(t *testing.T, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, many)
	for i := range many {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// own checks that a case is that of launch i, which had this limit.
func own(c *harness.Case, want harness.Verdict, i int, limit uint64) error {
	if c.Verdict != want || c.Meta.Executions > 1 {
		return fmt.Errorf("%s, want %s: %s", c.Verdict, want, text(c))
	}
	for k := range c.Checks {
		x := &c.Checks[k]
		switch x.Name() {
		case "rlimits.nofile":
			if got, _ := x.Got().(posture.Rlimit); got.Soft != limit {
				return fmt.Errorf("its limit is %v, want %d", x.Got(), limit)
			}
		case "exec.args":
			if got, _ := x.Got().([]string); len(got) != 2 || got[1] != fmt.Sprint("number ", i) {
				return fmt.Errorf("its arguments are %q", x.Got())
			}
		default:
			if x.Outcome.Finding() {
				return fmt.Errorf("%s is %s: %s", x.Name(), x.Outcome, text(c))
			}
		}
	}
	return nil
}
