package harness

import (
	"os"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A terminal that was asked for and is not the workload's controlling one.
func TestSabotageTerminal(t *testing.T) {
	r := untouched(t)
	for name, c := range map[string]struct {
		tamper func(*checkpoint.Config, *checkpoint.Options)
		want   Verdict
	}{
		"control":         {nil, Constrained},
		"not controlling": {func(c *checkpoint.Config, o *checkpoint.Options) { o.Terminal = false; c.Session = true }, Violated},
		"no session":      {func(_ *checkpoint.Config, o *checkpoint.Options) { o.Terminal = false }, Violated},
	} {
		t.Run(name, func(t *testing.T) {
			master, slave, err := checkpoint.OpenPTY(24, 80)
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			defer slave.Close()
			q := request.New("/bin/true")
			q.Spec.Process.Terminal = true
			r.tamper = c.tamper
			res, err := r.Run(bg, q, &checkpoint.Options{Stdin: slave, Stdout: slave, Stderr: slave, Terminal: true})
			if err != nil {
				t.Fatal(err)
			}
			if res.Verdict != c.want {
				t.Errorf("verdict %s; want %s\n%s", res.Verdict, c.want, text(res))
			}
			if c.want != Violated {
				return
			}
			found := false
			for _, k := range res.Report().Checks {
				if k.Field == "process.tty" && k.Outcome.Finding() {
					found = true
					noteCaught(t, finds{k.Field: k.Outcome})
				}
			}
			if !found {
				t.Errorf("no finding on process.tty\n%s", text(res))
			}
		})
	}
}

// A terminal of another size than was asked for.
func TestSabotageConsoleSize(t *testing.T) {
	r := untouched(t)
	for _, size := range []specs.Box{{Height: 24, Width: 80}, {Height: 25, Width: 80}, {Height: 24, Width: 81}} {
		master, slave, err := checkpoint.OpenPTY(24, 80)
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		defer slave.Close()
		q := request.New("/bin/true")
		q.Spec.Process.Terminal, q.Spec.Process.ConsoleSize = true, &size
		res, err := r.Run(bg, q, &checkpoint.Options{Stdin: slave, Stdout: slave, Stderr: slave, Terminal: true})
		if err != nil {
			t.Fatal(err)
		}
		want, found := Constrained, false
		if size != (specs.Box{Height: 24, Width: 80}) {
			want = Violated
		}
		for _, k := range res.Report().Checks {
			if k.Field == "process.consoleSize" && k.Outcome.Finding() {
				found = true
				noteCaught(t, finds{k.Field: k.Outcome})
			}
		}
		if res.Verdict != want || found != (want == Violated) {
			t.Errorf("%v: verdict %s; want %s\n%s", size, res.Verdict, want, text(res))
		}
	}
}

// A unix socket as standard input is the workload's, by identity.
func TestSocketAsStdio(t *testing.T) {
	r := untouched(t)
	ours, theirs := socketPair(t)
	res, err := r.Run(bg, request.New("/bin/cat"), &checkpoint.Options{Stdin: theirs, Stdout: theirs})
	if err != nil || res.Verdict != Constrained || res.Launch.ExitCode != 0 {
		t.Fatalf("%v\n%s", err, text(res))
	}
	theirs.Close()
	b := make([]byte, 16)
	if n, _ := ours.Read(b); string(b[:n]) != "ping" {
		t.Errorf("got %q back; want ping", b[:n])
	}
}

// socketPair has "ping" waiting at its second end, and no more to come.
func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	if _, err := ours.WriteString("ping"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(fds[0], unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
