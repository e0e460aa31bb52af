package harness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Which execution is the workload's: each engine here executes several things.
func TestVerify_WhichExecution(t *testing.T) {
	t.Run("observed", func(t *testing.T) { whichExecution(t, verifier(t)) })
	t.Run("frozen", func(t *testing.T) { whichExecution(t, freezingVerifier(t)) })
}

func whichExecution(t *testing.T, v *Verifier) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh -e\n:\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := rootfs(t)
	inRoot := func(q *request.Request) {
		q.Spec.Root = &specs.Root{Path: root}
		ns(specs.MountNamespace)(t, q)
	}
	const python = "import os,threading,signal\n%s"
	for name, c := range map[string]struct {
		args []string
		ask  func(*request.Request)
		cmd  []string
		want Verdict
		n    int
	}{
		"a script":              {args: []string{script, "x"}, cmd: []string{"/usr/bin/env", script, "x"}, want: Constrained, n: 1},
		"a thread executes it":  {cmd: []string{"/usr/bin/python3", "-c", strings.ReplaceAll(python, "%s", "signal.signal(13,signal.SIG_DFL);signal.signal(25,signal.SIG_DFL);t=threading.Thread(target=lambda: os.execve('/bin/true',['/bin/true'],{}));t.start();t.join()")}, want: Constrained, n: 1},
		"from a memfd":          {cmd: []string{"/usr/bin/python3", "-c", strings.ReplaceAll(python, "%s", "m=os.memfd_create('x');os.write(m,open('/bin/true','rb').read());os.execve(m,['/bin/true'],{})")}, want: Violated, n: 1},
		"process 2 of its own":  {ask: func(q *request.Request) { ns(specs.PIDNamespace)(t, q); q.Ext.Init = true }, cmd: []string{"unshare", "--pid", "--fork", "/bin/sh", "-c", "env -i /bin/true; :"}, want: Constrained, n: 1},
		"process 1":             {ask: func(q *request.Request) { ns(specs.PIDNamespace)(t, q) }, cmd: []string{"unshare", "--pid", "--fork", "/bin/true"}, want: Constrained, n: 1},
		"the engine itself":     {cmd: []string{"/bin/true"}, want: Constrained, n: 1},
		"executes itself first": {cmd: []string{"/bin/sh", "-c", "exec /bin/sh -c 'exec /bin/sh -c \"exec env -i /bin/true\"'"}, want: Constrained, n: 1},
		"twice":                 {cmd: []string{"/bin/sh", "-c", "env -i /bin/true; exec env -i /bin/true"}, want: Constrained, n: 2},
		"twice, once with more": {cmd: []string{"/bin/sh", "-c", "env -i /bin/true 5</dev/null; exec env -i /bin/true"}, want: Violated, n: 2},
		"another argument":      {args: []string{"/bin/true", "x"}, cmd: []string{"/usr/bin/env", "/bin/true", "y"}, want: Violated, n: 1},
		"another program":       {cmd: []string{"/usr/bin/env", "/bin/echo", "-n"}, want: Unknown, n: 0},
		"only a hook, outside":  {ask: inRoot, cmd: []string{"unshare", "--mount", "/bin/sh", "-c", "/bin/true; exec /bin/false"}, want: Violated, n: 1},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if args == nil {
				args = []string{"/bin/true"}
			}
			q := request.New(args...)
			if c.ask != nil {
				c.ask(q)
			}
			got, err := v.Verify(bg, q, command(t, c.cmd...))
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != c.want || got.Meta.Executions != c.n {
				t.Errorf("verdict %s of %d executions; want %s of %d\n%s", got.Verdict, got.Meta.Executions, c.want, c.n, text(got))
			}
		})
	}
}

// A hook of the same name outside of the root is not the workload; without the
// one inside it would be.
func TestVerify_HookOfTheSameName(t *testing.T) {
	v := verifier(t)
	root := rootfs(t)
	q := request.New("/bin/true")
	q.Spec.Root = &specs.Root{Path: root}
	ns(specs.MountNamespace, specs.UTSNamespace)(t, q)
	host, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	// Another file of the same name, on another file system or not.
	if err := os.WriteFile(filepath.Join(t.TempDir(), "true"), host, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "/bin/sh", "-c", "/bin/true; exec bwrap --clearenv --unshare-uts --bind "+root+" / /bin/true")
	if _, err := exec.LookPath("bwrap"); err != nil {
		t.Skip("needs bwrap")
	}
	got, err := v.VerifyWith(bg, q, cmd, &VerifyOptions{Profile: profileOf(t, "bwrap")})
	if err != nil {
		t.Fatal(err)
	}
	same := sameFileAsHost(t, root)
	want := 1
	if same {
		want = 2
	}
	if got.Meta.Executions != want || !same && got.Verdict != Constrained {
		t.Errorf("verdict %s of %d executions, want %d\n%s", got.Verdict, got.Meta.Executions, want, text(got))
	}
}

func sameFileAsHost(t *testing.T, root string) bool {
	t.Helper()
	a, err1 := os.Stat("/bin/true")
	b, err2 := os.Stat(filepath.Join(root, "bin/true"))
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// An engine that leaves its workload behind: nothing was seen to end, and what
// was seen is judged.
func TestVerify_OutlivesItsEngine(t *testing.T) {
	v := verifier(t)
	q := request.New("/bin/sleep", "7")
	cmd := command(t, "/bin/sh", "-c", "/bin/sleep 7 </dev/null >/dev/null 2>&1 &")
	ctx, cancel := context.WithTimeout(bg, 60*time.Second)
	defer cancel()
	got, err := v.Verify(ctx, q, cmd)
	if err != nil {
		t.Fatal(err)
	}
	if got.Meta.Executions > 1 {
		t.Errorf("%d executions\n%s", got.Meta.Executions, text(got))
	}
	for i := range got.Checks { // a shell's job in the background ignores SIGINT and SIGQUIT, and it exports PWD
		c := &got.Checks[i]
		if c.Outcome.Finding() && c.Name() != "signals.ignored" && c.Name() != "exec.env" {
			t.Errorf("%s: %s\n%s", c.Name(), c.Outcome, text(got))
		}
	}
}

// Killed before its first instruction: what it would have made is not there.
func TestVerify_Decide(t *testing.T) {
	v := freezingVerifier(t)
	for name, c := range map[string]struct {
		cmd  []string
		runs bool
	}{
		"what holds goes on":       {[]string{"unshare", "--net", "/bin/touch"}, true},
		"what does not, never ran": {[]string{"unshare", "--ipc", "/bin/touch"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "made")
			q := request.New("/bin/touch", file)
			ns(specs.NetworkNamespace)(t, q)
			asked := 0
			got, err := v.VerifyWith(bg, q, command(t, append(c.cmd, file)...), &VerifyOptions{Decide: func(cs *Case) bool {
				asked++
				return cs.Verdict == Constrained
			}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = os.Stat(file)
			if ran := err == nil; ran != c.runs || asked != 1 || (got.Verdict == Constrained) != c.runs {
				t.Errorf("ran: %v, want %v; asked %d times; verdict %s\n%s", ran, c.runs, asked, got.Verdict, text(got))
			}
		})
	}
}

// What a dirty caller has is told apart from what was asked for.
func TestVerify_Inherited(t *testing.T) {
	v := verifier(t)
	dirty := []string{"/bin/sh", "-c", "umask 7; exec nice -n 5 env -i /bin/true"}
	cmd := func() *exec.Cmd { return command(t, dirty...) }
	env, err := exec.LookPath("env")
	if err != nil {
		t.Skip("needs env")
	}
	got, err := v.VerifyWith(bg, request.New("/bin/true"), cmd(), &VerifyOptions{Binary: env})
	if err != nil {
		t.Fatal(err)
	}
	if in := strings.Join(got.Inherited(), " "); got.Verdict != Constrained || in != "sched.nice fs.umask" {
		t.Errorf("verdict %s, inherited %q\n%s", got.Verdict, in, text(got))
	}
	got, err = v.VerifyWith(bg, request.New("/bin/true"), cmd(), &VerifyOptions{Binary: env, Clean: true})
	if err != nil {
		t.Fatal(err)
	}
	if f := found(got); f["sched.nice"] != "inherited" || f["fs.umask"] != "inherited" || len(f) != 2 {
		t.Errorf("findings %v\n%s", f, text(got))
	}
}

func profileOf(t *testing.T, name string) *oracle.Profile {
	t.Helper()
	e, err := engine.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return e.Profile
}
