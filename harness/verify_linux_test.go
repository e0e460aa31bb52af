package harness

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// One of each kind for all tests, as [theRunner]: to open one takes seconds.
var (
	theVerifier         = sync.OnceValues(func() (*Verifier, error) { return NewVerifier(bg, nil) })
	theFreezingVerifier = sync.OnceValues(func() (*Verifier, error) { return NewVerifier(bg, &VerifierOptions{Freeze: true}) })
)

func verifier(t *testing.T) *Verifier {
	t.Helper()
	return sharedVerifier(t, theVerifier)
}

func freezingVerifier(t *testing.T) *Verifier {
	t.Helper()
	return sharedVerifier(t, theFreezingVerifier)
}

func sharedVerifier(t *testing.T, open func() (*Verifier, error)) *Verifier {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	v, err := open()
	if err != nil {
		t.Skip("needs eBPF: " + err.Error())
	}
	return v
}

// command is an engine's command, with nothing but what it is told.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skip("needs " + args[0])
	}
	for fd := 3; fd < 1024; fd++ {
		unix.CloseOnExec(fd) // whoever started the tests may have left some open
	}
	c := exec.CommandContext(context.Background(), args[0], args[1:]...)
	c.Env = []string{}
	return c
}

// Small engines: each does what it is asked for, or not.
func TestVerify(t *testing.T) {
	v := verifier(t)
	nets := ns(specs.NetworkNamespace, specs.IPCNamespace)
	nofile := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 64, Hard: 64}}
	}
	for name, c := range map[string]struct {
		ask  func(*testing.T, *request.Request)
		cmd  []string
		want Verdict
		on   string
	}{
		"nothing":                {cmd: []string{"/usr/bin/env", "/bin/true"}, want: Constrained},
		"unshare":                {ask: nets, cmd: []string{"unshare", "--net", "--ipc", "/bin/true"}, want: Constrained},
		"unshare, one missing":   {ask: nets, cmd: []string{"unshare", "--net", "/bin/true"}, want: Violated, on: "namespaces.ipc"},
		"unshare, one too many":  {ask: nets, cmd: []string{"unshare", "--net", "--ipc", "--uts", "/bin/true"}, want: Violated, on: "namespaces.uts"},
		"prlimit":                {ask: nofile, cmd: []string{"prlimit", "--nofile=64:64", "/bin/true"}, want: Constrained},
		"prlimit, another limit": {ask: nofile, cmd: []string{"prlimit", "--nofile=65:65", "/bin/true"}, want: Violated, on: "rlimits.nofile"},
		"late":                   {ask: nofile, cmd: []string{"/bin/sh", "-c", "/bin/true & wait; prlimit --nofile=64:64 /bin/true"}, want: Violated, on: "rlimits.nofile"},
		"never":                  {cmd: []string{"/bin/false"}, want: Unknown},
		"a stream of its own":    {cmd: []string{"/bin/sh", "-c", "env -i /bin/true 2</etc/passwd; :"}, want: Violated, on: "files"},
		"a pipe of its own":      {cmd: []string{"/bin/sh", "-c", "env -i /bin/true | cat"}, want: Constrained},
		"a leaked descriptor":    {cmd: []string{"/bin/sh", "-c", "exec 9</dev/null; exec /bin/true"}, want: Violated, on: "files"},
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			if c.ask != nil {
				c.ask(t, q)
			}
			got, err := v.Verify(bg, q, command(t, c.cmd...))
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != c.want {
				t.Errorf("verdict %s; want %s\n%s", got.Verdict, c.want, text(got))
			}
			if _, ok := found(got)[c.on]; c.on != "" && !ok {
				t.Errorf("no finding on %s\n%s", c.on, text(got))
			}
			if name == "late" && got.Meta.Executions != 2 {
				t.Errorf("%d executions; want 2", got.Meta.Executions)
			}
		})
	}
}
