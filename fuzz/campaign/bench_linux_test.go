package campaign

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
)

func bench(t *testing.T) *Bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	b, err := Open(t.Context(), "", false, "devices")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs eBPF: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestSabotageOfThreeSettings: a launcher that forgets one constraint when two
// others are asked for as well is found, and exactly these three are named.
func TestSabotageOfThreeSettings(t *testing.T) {
	b := bench(t)
	md := b.Model
	b.Sabotage = func(a fuzz.Assignment, asked *request.Request) *request.Request {
		w := md.Words(a)
		if w["no new privileges"] == "" || w["umask"] != "077" || w["ns uts"] == "" {
			return nil
		}
		l := *asked
		spec := *asked.Spec
		process := *asked.Spec.Process
		process.User.Umask = new(uint32(0o26)) // no caller's, which would be another finding: ignored
		spec.Process, l.Spec = &process, &spec
		return &l
	}
	c := &Campaign{
		Info: Info{Model: md.Hash(), Seed: 11, Strength: 2, Kernel: b.Kernel, Engine: "native"}, Model: md,
		N: 192, Parallel: 2, Launch: b.Launch, Dir: b.Dir, MaxFindings: 3,
	}
	o := run(t, c).Of(c.Info)
	found := false
	for _, m := range o.Findings() {
		t.Logf("case %d: %s: %v, %d executions", m.Index, m.Key, m.Values, m.Executions)
		want := map[string]string{"no new privileges": "on", "umask": "077", "ns uts": "on"}
		if fmt.Sprint(m.Values) == fmt.Sprint(want) {
			found = true
		} else {
			t.Errorf("another finding: %s: %v", m.Key, m.Values)
		}
	}
	if !found {
		judged, others := o.Counts()
		t.Errorf("not found in %d cases (%d not judged)", judged, others)
	}
}
