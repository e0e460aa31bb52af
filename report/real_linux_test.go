package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness/request"
)

// sabotage launches another request than the case's: faults of one, two and three
// settings.
func sabotage(t *testing.T, md *fuzz.Model) func(fuzz.Assignment, *request.Request) *request.Request {
	t.Helper()
	return func(a fuzz.Assignment, asked *request.Request) *request.Request {
		words := md.Words(a)
		on := func(name string) bool { return words[name] != "" }
		b, err := json.Marshal(asked)
		if err != nil {
			t.Error(err)
			return nil
		}
		r, err := request.Parse(b, true)
		if err != nil {
			t.Error(err)
			return nil
		}
		r.Dir = asked.Dir
		p := r.Spec.Process
		changed := false
		if words["umask"] == "022" {
			p.User.Umask, changed = nil, true
		}
		if on("no new privileges") && on("session") {
			p.NoNewPrivileges, changed = false, true
		}
		if on("env") && on("nice") && on("session") {
			p.Env, changed = append(p.Env, "PLANTED=1"), true
		}
		if !changed {
			return nil
		}
		return r
	}
}

// TestPageOfARealCampaign runs a campaign with planted faults and makes every
// kind of report of it. HOLDSHORT_REPORT_DIR keeps them.
func TestPageOfARealCampaign(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	b, err := campaign.Open(context.Background(), "", false)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs eBPF: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Sabotage = sabotage(t, b.Model)
	var out bytes.Buffer
	parents := b.Model.Fitting(fuzz.Parents{{}, {"umask": "077"}})
	c := &campaign.Campaign{
		Info:  campaign.Info{Model: b.Model.Hash(), Seed: 11, Strength: 2, Kernel: b.Kernel, Engine: "native", Corpus: parents.ID()},
		Model: b.Model, Parents: parents, N: 64, Parallel: 4, MaxFindings: 12, Launch: b.Launch, Trace: b.Trace, Dir: b.Dir, Out: &out, Signature: b.Signature,
	}
	if _, err = c.Run(t.Context()); err == nil {
		err = c.Shrink(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	var s Set
	if err := s.Read("results.jsonl", &out); err != nil {
		t.Fatal(err)
	}
	d := s.Document()
	if len(d.Problems) > 0 || d.Verdict != Found || d.Findings == 0 || d.Campaigns[0].Coverage.Pairs == 0 {
		t.Errorf("%s: %s; problems %v", d.Verdict, d.Summary(), d.Problems)
	}
	for _, want := range []string{"clone", "exec", "first", "exit"} {
		if len(d.Timelines) == 0 || !slices.ContainsFunc(d.Timelines[0].Events, func(m campaign.Moment) bool { return strings.HasPrefix(m.What, want) }) {
			t.Errorf("no %s in the timelines %+v", want, d.Timelines)
		}
	}
	dir := os.Getenv("HOLDSHORT_REPORT_DIR")
	if dir == "" {
		return
	}
	var lines bytes.Buffer
	if err := s.WriteLines(&lines); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "results.jsonl"), lines.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
