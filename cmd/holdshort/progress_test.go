package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/fuzz/cover"
)

func TestProgress(t *testing.T) {
	begun := time.Unix(1000, 0)
	is := campaign.Progress{Begun: begun, Run: 500, Findings: 2, Flaky: 1, Unknown: 3, Pairs: 9999, AllPairs: 10000, Triples: 1, AllTriples: 2}
	for name, c := range map[string]struct {
		line progressLine
		want string
	}{
		"pipe":        {progressLine{total: 2000}, "500 of 2000 cases, 50/s, 2 findings, 30s left, 99.99 % of pairs, 50.00 % of triples, 1 flaky, 3 not judged\n"},
		"time limit":  {progressLine{limit: 14 * time.Second}, "500 cases, 50/s, 2 findings, 4s left, 99.99 % of pairs, 50.00 % of triples, 1 flaky, 3 not judged\n"},
		"both":        {progressLine{total: 2000, limit: time.Hour}, "500 of 2000 cases, 50/s, 2 findings, 30s left, 99.99 % of pairs, 50.00 % of triples, 1 flaky, 3 not judged\n"},
		"no end":      {progressLine{}, "500 cases, 50/s, 2 findings, 99.99 % of pairs, 50.00 % of triples, 1 flaky, 3 not judged\n"},
		"small":       {progressLine{total: 2000, width: 40}, "\r\x1b[K500 of 2000 cases, 50/s, 2 findings"},
		"very small":  {progressLine{total: 2000, width: 3}, "\r\x1b[K500 of 2000 cases"},
		"quiet":       {progressLine{quiet: true, width: 80}, ""},
		"past it all": {progressLine{total: 400, limit: time.Second}, "500 of 400 cases, 50/s, 2 findings, 99.99 % of pairs, 50.00 % of triples, 1 flaky, 3 not judged\n"},
	} {
		var b bytes.Buffer
		p := c.line
		p.w, p.now = &b, func() time.Time { return begun.Add(10 * time.Second) }
		p.tell(&is)
		p.tell(&is) // at the same time: nothing more
		if b.String() != c.want {
			t.Errorf("%s: %q, want %q", name, b.String(), c.want)
		}
	}
}

// TestProgress_More: of more than three values there is a count or an estimate.
func TestProgress_More(t *testing.T) {
	p := progressLine{is: campaign.Progress{
		Pairs: 1, AllPairs: 1, Triples: 1, AllTriples: 1, Quads: 999_999, AllQuads: 1_000_000, Signatures: 4,
		Estimates: []cover.Estimate{{Strength: 5, Covered: 7372, Sampled: 10000, Low: 0.72848, High: 0.74575}, {Strength: 6, Low: 0, High: 1}},
	}}
	const want = "100.00 % of pairs, 100.00 % of triples, 99.99 % of fours, 5-way 72.8-74.6 %, 6-way 0.0-100.0 %, 4 states"
	if got := p.coverage(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestProgress_Lines: a log is not filled with them.
func TestProgress_Lines(t *testing.T) {
	var b bytes.Buffer
	at := time.Unix(0, 0)
	p := progressLine{w: &b, now: func() time.Time { return at }}
	for range 3600 * 10 {
		at = at.Add(100 * time.Millisecond)
		p.tell(&campaign.Progress{Begun: time.Unix(0, 0), Run: 1})
	}
	if n := strings.Count(b.String(), "\n"); n < 30 || n > 50 {
		t.Errorf("%d lines in an hour", n)
	}
}

func TestPartLeft(t *testing.T) {
	info := campaign.Info{Model: "m"}
	for _, n := range []uint64{1, 63, 64, 65, 1000, 6400, 6401} {
		for _, of := range []int{1, 3, 16} {
			var all uint64
			for i := range of {
				all += part{index: i, of: of}.left(&campaign.Campaign{N: n, Info: info})
			}
			if all != n {
				t.Errorf("%d parts of %d have %d cases", of, n, all)
			}
		}
	}
	r := &campaign.Results{}
	for _, first := range []uint64{0, 64} {
		if err := r.Add(&campaign.Line{Schema: 1, Campaign: info.ID(), Block: &campaign.Block{First: first, Judged: 7}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := (part{index: 1, of: 2}).left(&campaign.Campaign{N: 256, Info: info, Before: r}); got != 128-3 {
		t.Errorf("%d left, 3 of 128 are done", got)
	}
}
