package report

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm/matrix"
)

// Schema is the version of the document's form as JSON. Fields may be added to
// a version, and are never renamed or removed.
const Schema = 1

// Verdict is what all results together come to.
type Verdict string

// The verdicts, each with the exit status of its own.
const (
	Clean       Verdict = "clean"       // 0: all that was judged held, and something was judged
	Found       Verdict = "findings"    // 1
	Flaky       Verdict = "flaky"       // 2: only findings that come and go
	Unsupported Verdict = "unsupported" // 3: something cannot be observed or applied there
	Fault       Verdict = "fault"       // 4: evidence was lost, or nothing was judged: no pass
)

// ExitCode is the command's exit status.
func (v Verdict) ExitCode() int {
	switch v {
	case Clean:
		return harness.ExitClean
	case Found:
		return harness.ExitFinding
	case Flaky:
		return harness.ExitFlaky
	case Unsupported:
		return harness.ExitUnsupported
	}
	return harness.ExitFault
}

// verdictOf is the verdict with an exit status.
func verdictOf(code int) Verdict {
	for _, v := range []Verdict{Clean, Found, Flaky, Unsupported} {
		if v.ExitCode() == code {
			return v
		}
	}
	return Fault
}

// Document is a [Set] in the order in which people want to read it. Equal sets
// have equal documents.
type Document struct {
	Schema    int     `json:"schema"`
	Verdict   Verdict `json:"verdict"`
	Judged    int     `json:"judged"`     // cases
	NotJudged int     `json:"not_judged"` // launched, and not judged
	Findings  int     `json:"findings"`
	Flaky     int     `json:"flaky"`

	Groups    []*Group         `json:"groups"`
	Campaigns []*Campaign      `json:"campaigns"`
	Unjudged  []*Tally         `json:"unjudged"` // why cases were not judged
	Engines   *Grid            `json:"engines,omitempty"`
	Specs     *Grid            `json:"specs,omitempty"`
	Features  *Grid            `json:"features,omitempty"` // of kernels
	Matrices  []*matrix.Report `json:"matrices,omitempty"`
	Cases     []*Case          `json:"cases,omitempty"`
	Timelines []*Timeline      `json:"timelines,omitempty"`
	Files     []File           `json:"files"`
	Problems  []Problem        `json:"problems"`
}

// File is one that was read.
type File struct {
	Name  string `json:"name"`
	Lines int    `json:"lines"` // that count
}

// Campaign is what is known of one campaign.
type Campaign struct {
	ID string `json:"id"`
	campaign.Info
	Judged    int       `json:"judged"`
	NotJudged int       `json:"not_judged"`
	Findings  int       `json:"findings"` // cases
	Flaky     int       `json:"flaky"`
	Cases     string    `json:"cases"` // that were judged, as ranges
	Verdict   Verdict   `json:"verdict"`
	Coverage  *Coverage `json:"coverage,omitempty"`
}

// Tally counts cases.
type Tally struct {
	Key   string `json:"key"`
	Cases int    `json:"cases"`
}

// Document computes the document.
func (s *Set) Document() *Document {
	s.make()
	d := &Document{
		Schema: Schema, Groups: []*Group{}, Campaigns: []*Campaign{}, Unjudged: []*Tally{}, Files: []File{},
		Problems: slices.SortedFunc(maps.Keys(s.problems), func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Why, b.Why))
		}),
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		d.Files = append(d.Files, File{name, s.files[name]})
	}
	f := &finder{set: s, of: map[string]*Finding{}}
	code := worst{}
	unjudged := map[string]int{}
	ids := slices.Sorted(maps.Keys(s.ids)) // the order of outcomes
	for i, o := range s.results.Outcomes() {
		c := d.campaign(ids[i], o, f)
		code.add(c.Verdict)
		for _, i := range o.Incidents(campaign.Unknown) {
			unjudged[i.Key]++
		}
	}
	d.single(s, f, &code, unjudged)
	for _, k := range slices.SortedFunc(maps.Keys(s.matrices), compareDigests) {
		m := s.matrices[k]
		d.Matrices = append(d.Matrices, m)
		v := Clean
		if !m.Good {
			v = Found
		}
		code.add(v)
	}
	if slices.ContainsFunc(d.Problems, func(p Problem) bool { return !p.Cut }) {
		code.add(Fault) // what could not be read may be a finding
	}
	for _, k := range slices.Sorted(maps.Keys(unjudged)) {
		d.Unjudged = append(d.Unjudged, &Tally{k, unjudged[k]})
	}
	d.Groups = f.groups()
	for _, g := range d.Groups {
		for _, x := range g.Findings {
			if x.Class == campaign.Flaky {
				d.Flaky++
			} else {
				d.Findings++
			}
		}
	}
	d.Verdict = code.verdict()
	d.Engines, d.Specs, d.Features = engines(d), specs(d.Matrices), features(d.Matrices)
	return d
}

// campaign adds one.
func (d *Document) campaign(id string, o *campaign.Outcome, f *finder) *Campaign {
	c := &Campaign{
		ID: id, Info: o.Info, Cases: ranges(o), Verdict: verdictOf(o.ExitCode()),
		Findings: len(o.Incidents(campaign.Finding)), Flaky: len(o.Incidents(campaign.Flaky)),
	}
	c.Judged, c.NotJudged = o.Counts()
	if c.Judged == 0 && c.Verdict == Clean {
		c.Verdict = Fault // that is no pass
	}
	c.Coverage = coverage(o)
	d.Campaigns = append(d.Campaigns, c)
	d.Judged, d.NotJudged = d.Judged+c.Judged, d.NotJudged+c.NotJudged
	f.campaign(c, o)
	d.Timelines = append(d.Timelines, timelines(c, o)...)
	return c
}

// ranges writes the cases that were judged: "0-63 128-191".
func ranges(o *campaign.Outcome) string {
	var b strings.Builder
	var from, to uint64
	some := false
	flush := func() {
		if some {
			fmt.Fprintf(&b, "%d-%d ", from, to)
		}
	}
	o.Judged(func(i uint64) {
		if !some || i != to+1 {
			flush()
			from, some = i, true
		}
		to = i
	})
	flush()
	return strings.TrimSpace(b.String())
}

// worst is what several verdicts come to: a finding counts before a flaky one,
// that before lost evidence, and that before what cannot be seen.
type worst struct{ have [5]bool }

func (w *worst) add(v Verdict) { w.have[v.ExitCode()] = true }

// severity orders the verdicts, the worst first.
var severity = []Verdict{Found, Flaky, Fault, Unsupported, Clean}

// Worst is the exit status of two runs together.
func Worst(a, b int) int {
	for _, v := range severity {
		if c := v.ExitCode(); c == a || c == b {
			return c
		}
	}
	return max(a, b) // one that is no verdict's
}

func (w *worst) verdict() Verdict {
	for _, v := range severity {
		if w.have[v.ExitCode()] {
			return v
		}
	}
	return Fault // nothing was read
}

func compareDigests(a, b digest) int { return bytes.Compare(a[:], b[:]) }
