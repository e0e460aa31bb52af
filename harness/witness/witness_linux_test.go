package witness

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// run runs the witness by itself.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "witness")
	if err := os.WriteFile(path, ELF(), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, args...).Output()
	if err != nil {
		t.Logf("witness: %v", err)
	}
	return out
}

func TestWitness_TellsResults(t *testing.T) {
	calls := []Call{
		{NR: unix.SYS_GETPID},
		open("/proc/self/comm", unix.O_RDONLY),
		{NR: unix.SYS_READ, Args: []Arg{ResultOf(1), OutUpTo(64), Number(64)}},
		open("/nonexistent", unix.O_RDONLY),
		{NR: unix.SYS_EXIT_GROUP, Args: []Arg{Number(3)}, Guarded: true},
		{NR: unix.SYS_KILL, Args: []Arg{Number(0), Number(0)}, Guarded: true},
	}
	var args []string
	for i := range calls {
		args = append(args, calls[i].text(0))
	}
	o, end := parse(run(t, args...), len(calls))
	if !end {
		t.Fatal("no end")
	}
	if o[0].Result <= 1 || string(o[2].Outs[0]) != "witness\n" || o[3].Errno() != unix.ENOENT || o[4].Made || o[5].Result != 0 || !o[5].Made {
		t.Errorf("%+v", o)
	}
}

func TestWitness_SurvivesAKilledChild(t *testing.T) {
	// A write to address 8 of a process that reads its own memory: rt_sigreturn
	// with no frame ends with SIGSEGV.
	o, end := parse(run(t, "!"+itoa(unix.SYS_RT_SIGRETURN), itoa(unix.SYS_GETPPID)), 2)
	if !end || o[0].Signal != unix.SIGSEGV || !o[1].Made {
		t.Errorf("end %t %+v", end, o)
	}
}

func itoa(n int) string { c := Call{NR: uint32(n)}; return c.text(0) }

func TestWitness_RefusesMalformed(t *testing.T) {
	for _, arg := range []string{"", "x", "39:", "39:q", "39:1,", "39:$1", "39:x:0", "39:o:99999999", "39:1,2,3,4,5,6,7", "39;1", "39:s"} {
		out := run(t, "39", arg)
		if !bytes.Contains(out, []byte("malformed "+arg)) || bytes.Contains(out, []byte("end\n")) {
			t.Errorf("%q: %q", arg, out)
		}
	}
}

func TestParse_BelievesNothingAfterNonsense(t *testing.T) {
	for text, want := range map[string]int{
		"0=1\n1=2\nend\n": 2, "0=1\n1=2": 1, "0=1\nhello\n1=2\n": 1, "0=1\n9=1\n1=3\n": 1, "": 0, "0=1\n1=2 zz\nend\n": 1, "-1=2\n": 0, "0=\n": 0,
	} {
		o, end := parse([]byte(text), 2)
		got := 0
		for i := range o {
			if o[i].Made {
				got++
			}
		}
		if got != want || end != (text == "0=1\n1=2\nend\n") {
			t.Errorf("%q: %d made, end %t; want %d", text, got, end, want)
		}
	}
}

// What shall be read-only and is not is found, by asking alone.
func TestRequested_FindsWhatCanBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	q := request.New("/bin/true")
	q.Spec.Linux.ReadonlyPaths = []string{dir, file, "/nonexistent"}
	q.Spec.Linux.MaskedPaths = []string{file, dir, "/dev/null", "/nonexistent"}
	p, err := NewPlan(Requested(q), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []Standing
	answers, end := p.Judge(run(t, p.Args()...), &Facts{Posture: &posture.Posture{}})
	if !end {
		t.Error("the witness did not come to its end")
	}
	for _, a := range answers {
		got = append(got, a.Standing)
	}
	want := []Standing{Disagrees, Disagrees, Silent, Disagrees, Disagrees, Agrees, Silent}
	if !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
}

func TestJudge_TellsThatTheWitnessEndedEarly(t *testing.T) {
	p, err := NewPlan(Self(), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := run(t, p.Args()...)
	f := &Facts{Posture: &posture.Posture{}}
	if _, end := p.Judge(text, f); !end {
		t.Error("whole, and said to be cut")
	}
	if _, end := p.Judge(text[:len(text)/2], f); end {
		t.Error("cut, and said to be whole")
	}
}

func TestNewPlan_HasALimit(t *testing.T) {
	if _, err := NewPlan([]Question{{Name: "many", Calls: make([]Call, maxCalls+1)}}, nil); err == nil {
		t.Error("no error")
	}
}
