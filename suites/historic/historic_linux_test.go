package historic

import (
	"bytes"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	EngineMain()
	code := m.Run()
	if code == 0 || *tell {
		code = max(code, keep())
	}
	os.Exit(code)
}

// Each row's engine is constrained as it should be, and with the fault the row's
// findings are raised, and nothing else.
func TestHistoric(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	clean()
	v, err := harness.NewVerifier(t.Context(), nil)
	if err != nil {
		t.Skip("needs eBPF: ", err)
	}
	defer v.Close()
	frozen, err := harness.NewVerifier(t.Context(), &harness.VerifierOptions{Freeze: true})
	if err != nil {
		t.Skip("needs eBPF: ", err)
	}
	defer frozen.Close()
	// What is started while a frozen engine begins would be stopped, too, so
	// nothing runs beside those.
	for _, r := range slices.Concat(Rows(), more()) {
		t.Run(strconv.Itoa(r.Number), func(t *testing.T) {
			if r.Frozen {
				testRow(t, frozen, &r)
			} else {
				testRow(t, v, &r)
			}
		})
	}
}

// clean takes from the engines what whoever started the tests has left.
func clean() {
	for fd := 3; fd < 1024; fd++ {
		unix.CloseOnExec(fd)
	}
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // what is caught is the default after execve
		}
	}
}

func testRow(t *testing.T, v *harness.Verifier, r *Row) {
	t.Helper()
	if r.Unseen != "" {
		t.Skip("cannot be seen: " + r.Unseen)
	}
	judged := 0 // and not skipped
	t.Run("as it should be", func(t *testing.T) {
		if c := play(t, v, r, false); c.Verdict != harness.Constrained {
			t.Errorf("verdict %s; want constrained\n%s", c.Verdict, text(c))
		}
		judged++
	})
	t.Run("wrong", func(t *testing.T) {
		c := play(t, v, r, true)
		got := Finds{}
		for i := range c.Checks {
			if k := &c.Checks[i]; k.Outcome.Finding() && r.May[k.Name()] != k.Outcome {
				got[k.Name()] = k.Outcome
			}
		}
		if c.Verdict != harness.Violated || !maps.Equal(got, r.Finds) || len(r.Finds) == 0 {
			t.Errorf("verdict %s, found %v; want %v\n%s", c.Verdict, got, r.Finds, text(c))
		}
		judged++
	})
	if !t.Failed() && judged == 2 && r.Number <= total {
		note(r)
	}
}

func play(t *testing.T, v *harness.Verifier, r *Row, wrong bool) *harness.Case {
	t.Helper()
	s := NewScene(t, r, wrong)
	if err := s.Request.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := v.VerifyWith(t.Context(), s.Request, s.Command, &s.Options)
	for _, f := range s.after {
		f()
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.Meta.Workload.ExitCode != 0 {
		t.Fatalf("the engine ended with %d\n%s", c.Meta.Workload.ExitCode, text(c))
	}
	return c
}

func text(c *harness.Case) string {
	var b bytes.Buffer
	_ = c.Report().Text(&b, harness.Style{})
	return b.String()
}

// The engine's own file is told from one of the image's also where nothing is
// held, and so nothing is looked up in the workload's root.
func TestEnginesOwnFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	v, err := harness.NewVerifier(t.Context(), nil)
	if err != nil {
		t.Skip("needs eBPF: ", err)
	}
	defer v.Close()
	clean()
	if c := play(t, v, row(47), true); c.Verdict != harness.Violated {
		t.Errorf("verdict %s\n%s", c.Verdict, text(c))
	}
}
