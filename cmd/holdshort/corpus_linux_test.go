package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
)

// TestCorpus: what a campaign has seen becomes a corpus, which another one is
// derived from and gone on with, and which is replayed; one of another kernel, in
// which a state was another, is told.
func TestCorpus(t *testing.T) {
	dir := t.TempDir()
	first, corpus, next := filepath.Join(dir, "first.jsonl"), filepath.Join(dir, "corpus.jsonl"), filepath.Join(dir, "next.jsonl")
	for _, args := range [][]string{
		{"fuzz", "-n", "30", "--strength", "1", "--seed", "5", "--out", first, "--oracles", "none", "-q"},
		{"corpus", first, "--requests", "--out", corpus},
		{"fuzz", "-n", "16", "--strength", "1", "--seed", "6", "--corpus", corpus, "--out", next, "--oracles", "none", "-q"},
		{"fuzz", "-n", "24", "--resume", next, "-q"},
		{"fuzz", "-n", "32", "--resume", next, "--corpus", corpus, "-q"},
	} {
		if code, out, errs := fuzzing(t, args...); code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	if code, _, errs := fuzzing(t, "fuzz", "-n", "40", "--resume", next, "--corpus", "none", "-q"); code != harness.ExitUsage || !strings.Contains(errs, "another corpus") {
		t.Errorf("with another corpus: exit %d: %s", code, errs)
	}
	code, out, errs := fuzzing(t, "replay", corpus, "--times", "5")
	if code != 0 || !strings.Contains(out, " 0 constrained in another state, 0 not possible here, 0 not constrained\n") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}

	// The same of another machine: one state was another there, and one has a
	// parameter that is not known here.
	b, err := os.ReadFile(corpus)
	if err != nil {
		t.Fatal(err)
	}
	r := &campaign.Results{}
	if err := r.Read(strings.NewReader(string(b))); err != nil {
		t.Fatal(err)
	}
	list := r.Examples()
	if len(list) < 2 {
		t.Fatalf("%d states", len(list))
	}
	other := &campaign.Results{}
	changed := *list[0]
	changed.Kernel = "0.1"
	changed.State = map[string]string{"seccomp": "perhaps"}
	changed.ID = "cd3c5fb9e9a1e1c1"
	if err := other.Add(&campaign.Line{Schema: 1, Example: &changed}); err == nil {
		t.Error("an example that is not of the state that it says it is")
	}
	changed.ID = campaign.StateID(changed.State)
	unknown := *list[1]
	unknown.Request, unknown.Values = nil, map[string]string{"teleport": "on"}
	for _, e := range []*campaign.Example{&changed, &unknown} {
		if err := other.Add(&campaign.Line{Schema: 1, Example: e}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "other.jsonl")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.WriteExamples(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	code, out, errs = fuzzing(t, "replay", file, "--times", "5")
	for _, want := range []string{
		"in another state than on Linux 0.1: ", `seccomp: "perhaps" there, `, "not possible here: ", `no parameter "teleport"`,
		"2 examples: 0 as they were, 1 constrained in another state, 1 not possible here, 0 not constrained\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, _, _ = fuzzing(t, "corpus", filepath.Join(dir, "none.jsonl")); code != harness.ExitUsage {
		t.Errorf("no file: exit %d", code)
	}
}
