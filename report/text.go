package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
)

// JSON writes the whole document.
func (d *Document) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(d)
}

// Text tells it on a terminal: what failed last, where it is seen.
func (d *Document) Text(w io.Writer) error {
	var b strings.Builder
	for _, p := range d.Problems {
		fmt.Fprintf(&b, "not read: %s\n", p)
	}
	for _, c := range d.Campaigns {
		fmt.Fprintf(&b, "%s on Linux %s, seed %d, strength %d, model %s: %d cases judged, %d not: %s\n",
			engineName(c.Engine), plain(c.Kernel), c.Seed, c.Strength, plain(c.Model), c.Judged, c.NotJudged, c.Verdict)
		if s := c.Coverage.String(); s != "" {
			fmt.Fprintf(&b, "  %s\n", s)
		}
	}
	for _, m := range d.Matrices {
		fmt.Fprintf(&b, "matrix of %d kernels: %s\n", len(m.Rows), goodness(m.Good))
	}
	for _, t := range d.Unjudged {
		fmt.Fprintf(&b, "not judged, %d times: %s\n", t.Cases, plain(t.Key))
	}
	for _, g := range d.Groups {
		fmt.Fprintf(&b, "%s\n", plain(g.Field))
		for _, f := range g.Findings {
			fmt.Fprintf(&b, "  %s: %s, %s: %s\n", f.Class, plain(f.Key), count(f.Cases, "case"), plain(f.Settings()))
			if f.Repeat != "" {
				fmt.Fprintf(&b, "    %s\n", plain(f.Repeat))
			}
		}
	}
	fmt.Fprintf(&b, "%s: %s\n", d.Verdict, d.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// Summary is one line of numbers.
func (d *Document) Summary() string {
	s := fmt.Sprintf("%s judged, %d not; %s, %d flaky", count(d.Judged, "case"), d.NotJudged, count(d.Findings, "finding"), d.Flaky)
	if len(d.Problems) > 0 {
		s += "; " + count(len(d.Problems), "broken place") + " in the files"
	}
	return s
}

// String is one line; empty if nothing is known.
func (c *Coverage) String() string {
	switch {
	case c == nil:
		return ""
	case c.Why != "":
		return "coverage is not known: " + plain(c.Why)
	}
	s := fmt.Sprintf("%s of %d pairs, %s of %d triples of %d parameters", percent(c.Pairs, c.AllPairs), c.AllPairs,
		percent(c.Triples, c.AllTriples), c.AllTriples, c.Parameters)
	if c.AllQuads > 0 {
		s += fmt.Sprintf("; %s of %d fours", percent(c.Quads, c.AllQuads), c.AllQuads)
	}
	var more []string
	for _, e := range c.Estimates {
		more = append(more, e.String())
	}
	if more != nil {
		s += "; with 95 % confidence " + strings.Join(more, ", ")
	}
	if c.States > 0 {
		s += "; " + count(c.States, "state")
	}
	return s
}

// percent is rounded down: only all of them are 100 %.
func percent(n, all int64) string {
	if all == 0 {
		return "0 %"
	}
	if n == all {
		return "100 %"
	}
	return fmt.Sprintf("%.2f %%", float64(int64(float64(n)/float64(all)*10000))/100)
}

// Settings is the minimal configuration on one line.
func (f *Finding) Settings() string {
	switch {
	case f.Small:
		return fuzz.Words(f.Values)
	case len(f.Values) == 0:
		return "the whole request"
	}
	return "not made small: " + fuzz.Words(f.Values)
}

// Title says what it is on one line.
func (f *Finding) Title() string {
	s := f.Key
	if f.Oracle != "" && !strings.HasPrefix(s, f.Oracle+": ") {
		s += " (" + f.Oracle + ")"
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func goodness(good bool) string {
	if good {
		return "good"
	}
	return "NOT good"
}

// plain leaves nothing in a text that a terminal could act upon.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return visible(r)
	}, s)
}

// visible is the rune, unless it would be seen by what it does to others: control
// characters, and those that turn the direction of writing around.
func visible(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return 0xfffd
	}
	return r
}
