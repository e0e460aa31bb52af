package campaign

import (
	"context"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// say reads what launches came to: c is clean, l is lost, a and b are findings, A is
// A and a at once, and B A and b.
func say(runs string) func(i int) *Verdict {
	return func(i int) *Verdict {
		if i >= len(runs) {
			return &Verdict{Judged: true, Keys: []string{"one run too many"}}
		}
		switch k := runs[i]; k {
		case 'c':
			return &Verdict{Judged: true}
		case 'l':
			return &Verdict{Keys: []string{"unknown: evidence-lost"}}
		case 'A':
			return &Verdict{Judged: true, Keys: []string{"A", "a"}}
		case 'B':
			return &Verdict{Judged: true, Keys: []string{"A", "b"}}
		default:
			return &Verdict{Judged: true, Keys: []string{string(k)}}
		}
	}
}

// Of up to five runs three decide, and evidence that was lost decides for
// nothing but that the case was not judged.
func TestThreeOfFive(t *testing.T) {
	for runs, want := range map[string]string{
		"c":     "judged",
		"lccc":  "judged",
		"llccc": "judged",
		"lll":   "not judged: unknown: unknown: evidence-lost",
		"llcl":  "not judged: unknown: unknown: evidence-lost",
		"lclcl": "not judged: unknown: unknown: evidence-lost",
		"aaa":   "judged: finding: a",
		"laaa":  "judged: finding: a",
		"llaaa": "judged: finding: a",
		"lall":  "judged: flaky: a",
		"accc":  "judged: flaky: a",
		"acaca": "judged: finding: a",
		"ababa": "judged: finding: a: flaky: b",
		"abcca": "judged: flaky: a: flaky: b",
		"aaba":  "judged: finding: a: flaky: b",
		"baaa":  "judged: finding: a: flaky: b",
		"AAA":   "judged: finding: A: finding: a",
		"AaBaA": "judged: finding: A: finding: a: flaky: b",
		"Aaac":  "judged: finding: a: flaky: A",
		"AABA":  "judged: finding: A: finding: a: flaky: b",
	} {
		md := small(t)
		n := 0
		c := &Campaign{Info: Info{Model: md.Hash(), Seed: 1, Strength: 1}, Model: md, N: 1, Launch: func(context.Context, fuzz.Assignment, *request.Request) *Verdict {
			v := say(runs)(n)
			n++
			return v
		}}
		r, err := c.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		o := r.Outcomes()[0]
		got := "not judged"
		if o.Done(0) {
			got = "judged"
		}
		for _, class := range []Class{Finding, Flaky, Unknown} {
			for _, i := range o.Incidents(class) {
				got += ": " + string(class) + ": " + i.Key
			}
		}
		if got != want || n != len(runs) {
			t.Errorf("%s: %s after %d runs; want %s", runs, got, n, want)
		}
	}
}

// A case whose evidence was lost at first is one like any other once it was seen:
// its state counts and oracles look at it, or two runs of a campaign would differ.
func TestCleanAtLast(t *testing.T) {
	md := small(t)
	for _, runs := range []string{"c", "lccc"} {
		n := 0
		c := &Campaign{
			Info: Info{Model: md.Hash(), Seed: 1, Strength: 1, Oracles: "test/1"}, Model: md, N: 1,
			Launch: func(context.Context, fuzz.Assignment, *request.Request) *Verdict {
				v := say(runs)(n)
				v.Seen = &posture.Posture{}
				n++
				return v
			},
			Signature: func(*posture.Posture) map[string]string { return map[string]string{"state": "one"} },
			Oracles:   []Oracle{{Name: "test", Share: 1, Check: func(context.Context, *request.Request, uint64, *Verdict) ([]string, bool) { return nil, true }}},
		}
		o := run(t, c).Outcomes()[0]
		if len(o.Signatures()) != 1 || o.Checked("test") != 1 {
			t.Errorf("%s: %d states, %d cases checked", runs, len(o.Signatures()), o.Checked("test"))
		}
	}
}

// What an oracle has no evidence of is told, and what it has nothing to try on
// is not.
func TestOracleWithoutEvidence(t *testing.T) {
	md := small(t)
	for name, tt := range map[string]struct {
		keys []string
		ok   bool
		want Class
		code int
	}{
		"nothing to try": {nil, false, "", 0},
		"agrees":         {nil, true, "", 0},
		"evidence lost":  {[]string{"unknown: evidence-lost"}, false, Unknown, 4},
		"not observable": {[]string{"unknown: cannot-observe"}, false, Unknown, 3},
		"differs":        {[]string{"ids.uid"}, true, Finding, 1},
		"spared":         {[]string{"spared: it is Sunday"}, false, "", 0},
	} {
		c := &Campaign{
			Info: Info{Model: md.Hash(), Seed: 1, Strength: 1, Oracles: "test/1"}, Model: md, N: 1, Launch: faults(md, nil),
			Oracles: []Oracle{{Name: "test", Share: 1, Check: func(context.Context, *request.Request, uint64, *Verdict) ([]string, bool) { return tt.keys, tt.ok }}},
		}
		o := run(t, c).Outcomes()[0]
		if n := len(o.Incidents(tt.want)); tt.want != "" && n != 1 || o.ExitCode() != tt.code || (o.Checked("test") == 1) != tt.ok {
			t.Errorf("%s: %d incidents, checked %d, exit status %d", name, n, o.Checked("test"), o.ExitCode())
		}
		if n := o.Spared()["test: it is Sunday"]; (n == 1) != (name == "spared") || len(o.Spared()) > 1 {
			t.Errorf("%s: spared %v", name, o.Spared())
		}
	}
}

// Of two runs of a case the one that found something counts, in any order.
func TestAFindingOutranksLostEvidence(t *testing.T) {
	find := &Incident{Index: 3, Class: Finding, Key: "a: weaker", Hits: 3, Runs: 3}
	lost := &Incident{Index: 3, Class: Unknown, Key: "unknown: evidence-lost", Hits: 5, Runs: 5}
	for _, list := range [][]*Incident{{find, lost}, {lost, find}} {
		var r Results
		info := Info{Seed: 1}
		o := r.Of(info)
		for _, i := range list {
			if err := r.Add(&Line{Schema: Schema, Campaign: info.ID(), Incident: i}); err != nil {
				t.Fatal(err)
			}
		}
		if len(o.Incidents(Finding)) != 1 || o.ExitCode() != 1 {
			t.Errorf("findings %v, exit status %d", o.Incidents(Finding), o.ExitCode())
		}
	}
}

// What was seen together with a finding is in the text.
func TestTextTellsWhatElseWasSeen(t *testing.T) {
	var r Results
	info := Info{Seed: 1}
	o := r.Of(info)
	_ = r.Add(&Line{Schema: Schema, Campaign: info.ID(), Incident: &Incident{Index: 3, Class: Finding, Key: "fs.umask: ignored", Also: []string{"capabilities.bounding: weaker"}, Hits: 3, Runs: 3}})
	var b strings.Builder
	if err := o.Text(&b); err != nil || !strings.Contains(b.String(), "  seen with it in case 3: capabilities.bounding: weaker\n") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
