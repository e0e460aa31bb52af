package harness

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/internal/exitzero"
)

var theConfirmer = sync.OnceValues(func() (*Runner, error) { return NewRunner(bg, &RunnerOptions{Confirm: true}) })

// confirmer is a runner with the optional hooks that are live here; without any
// the test is skipped, with the reasons.
func confirmer(t testing.TB) *Runner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	r, err := theConfirmer()
	if err != nil {
		t.Fatal(err)
	}
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: " + r.ProbesErr.Error())
	}
	if len(liveOptional(r)) == 0 {
		var why []string
		for _, h := range r.Hooks() {
			if h.Optional {
				why = append(why, h.Name+": "+h.Err.Error())
			}
		}
		t.Skip("needs one of the optional hooks: " + strings.Join(why, "; "))
	}
	return r
}

func liveOptional(r *Runner) (names []string) {
	for _, h := range r.Hooks() {
		if h.Optional && h.Live {
			names = append(names, h.Name)
		}
	}
	return names
}

// exitsAtOnce is a request for a program whose first instruction is at a known
// address.
func exitsAtOnce(t *testing.T) *request.Request {
	t.Helper()
	path := t.TempDir() + "/exit"
	if err := os.WriteFile(path, exitzero.ELF(), 0o755); err != nil {
		t.Fatal(err)
	}
	return request.New(path)
}

func TestConfirm_EveryLiveHookSpeaks(t *testing.T) {
	r := confirmer(t)
	c, err := r.Run(bg, exitsAtOnce(t), nil)
	if err != nil || c.Verdict != Constrained {
		t.Fatalf("%v\n%s", err, text(c))
	}
	for _, name := range liveOptional(r) {
		if !slices.Contains(c.ConfirmedBy, name) || !strings.Contains(text(c), name) {
			t.Errorf("not confirmed by %s\n%s", name, text(c))
		}
	}
	if got := c.Report().ConfirmedBy; !slices.Equal(got, c.ConfirmedBy) {
		t.Errorf("the report says %v", got)
	}
}

// What an optional hook contradicts is not taken for true, nor is anybody accused
// for it: not of what it says, nor of what the snapshots say.
func TestConfirm_ContradictionIsUnknown(t *testing.T) {
	r := confirmer(t)
	c, err := r.Run(bg, exitsAtOnce(t), nil)
	if err != nil || c.Verdict != Constrained {
		t.Fatalf("control: %v\n%s", err, text(c))
	}
	said := c.rec.Confirmations
	if len(said) == 0 {
		t.Fatal("nothing was confirmed")
	}
	for i := range said {
		for fact, value := range said[i].Facts {
			said[i].Facts[fact] = value ^ 1
			for _, alsoWrong := range []bool{false, true} {
				snaps, lost := (&launch{r: r}).snapshots(c.rec)
				if alsoWrong { // and the snapshots show what was not asked for
					if fact == "seccomp.mode" {
						continue // by which seccomp.armed is judged, too
					}
					for j := range snaps {
						if snaps[j].At != AtExit {
							snaps[j].Posture = bend(t, snaps[j].Posture, fact)
						}
					}
				}
				res := Judge(c.exp, snaps, nil, lost)
				got := (&Case{Result: res}).check(fact)
				if got.Outcome != oracle.Disagreement || !strings.Contains(got.Why, said[i].By+" says") {
					t.Errorf("%s of %s: %s (%s)", fact, said[i].By, got.Outcome, got.Why)
				}
				if res.Verdict != Unknown || res.Cause != Contradiction || res.ExitCode() != ExitFault {
					t.Errorf("%s of %s: verdict %s, cause %s %q", fact, said[i].By, res.Verdict, res.Cause, res.Reasons)
				}
			}
			said[i].Facts[fact] = value
		}
		if ip := said[i].IP; ip != 0 {
			said[i].IP++
			snaps, lost := (&launch{r: r}).snapshots(c.rec)
			if res := Judge(c.exp, snaps, nil, lost); res.Verdict != Unknown || res.Cause != Contradiction {
				t.Errorf("instruction pointer of %s: verdict %s, cause %s", said[i].By, res.Verdict, res.Cause)
			}
			said[i].IP = ip
		}
	}
	snaps, lost := (&launch{r: r}).snapshots(c.rec)
	if res := Judge(c.exp, snaps, nil, lost); res.Verdict != Constrained {
		t.Errorf("control after all: %s %q", res.Verdict, res.Reasons)
	}
}

// A finding about something else is a finding all the same.
func TestConfirm_OtherFindingsStand(t *testing.T) {
	r := confirmer(t)
	c, err := r.Run(bg, exitsAtOnce(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	snaps, lost := (&launch{r: r}).snapshots(c.rec)
	for i := range snaps {
		snaps[i].Posture = bend(t, snaps[i].Posture, "ids.suid")
	}
	snaps[0].Disputed = map[string]string{"ids.euid": "somebody says otherwise"}
	if res := Judge(c.exp, snaps, nil, lost); res.Verdict != Violated || res.Disagreements != 1 {
		t.Errorf("verdict %s, %d findings, %d disagreements", res.Verdict, res.Findings, res.Disagreements)
	}
}

// A program that is linked by an interpreter is somewhere else each time.
func TestEntryOf(t *testing.T) {
	f, err := os.Open(exitsAtOnce(t).Process().Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := entryOf(int(f.Fd())); got != exitzero.Entry {
		t.Errorf("entry %#x", got)
	}
	sh, err := os.Open("/bin/sh")
	if err != nil {
		t.Skip("needs /bin/sh")
	}
	defer sh.Close()
	if got := entryOf(int(sh.Fd())); got != 0 {
		t.Errorf("/bin/sh: entry %#x", got)
	}
}
