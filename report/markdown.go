package report

import (
	"fmt"
	"io"
	"strings"
)

// maxMarkdown is how many findings a summary has: CI limits its size.
const maxMarkdown = 50

// Markdown writes a summary for CI.
func (d *Document) Markdown(w io.Writer) error {
	var b strings.Builder
	sign := map[Verdict]string{Clean: "✅", Found: "❌", Flaky: "⚠️", Unsupported: "⏭️", Fault: "❌"}[d.Verdict]
	fmt.Fprintf(&b, "## %s holdshort: %s\n\n%s.\n", sign, d.Verdict, d.Summary())
	if d.Findings+d.Flaky > 0 {
		b.WriteString("\n| | finding | cases | settings that matter | repeat |\n|---|---|---:|---|---|\n")
	}
	n := 0
	for _, g := range d.Groups {
		for _, f := range g.Findings {
			if n++; n > maxMarkdown {
				continue
			}
			settings := f.Settings()
			if !f.Small {
				settings = "not made small"
			}
			fmt.Fprintf(&b, "| %s | %s | %d | %s | %s |\n", f.Class, code(f.Title()), f.Cases, code(settings), code(f.Repeat))
		}
	}
	if n > maxMarkdown {
		fmt.Fprintf(&b, "\n… and %d more.\n", n-maxMarkdown)
	}
	if len(d.Campaigns) > 0 {
		b.WriteString("\n| engine | kernel | seed | judged | not | findings | flaky | pairs | triples | states |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	}
	for i, c := range d.Campaigns {
		if i == maxMarkdown {
			fmt.Fprintf(&b, "\n… and %d more.\n", len(d.Campaigns)-i)
			break
		}
		pairs, triples := "?", "?"
		if c.Coverage.Why == "" {
			pairs, triples = percent(c.Coverage.Pairs, c.Coverage.AllPairs), percent(c.Coverage.Triples, c.Coverage.AllTriples)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %s | %s | %d |\n", code(engineName(c.Engine)), code(c.Kernel), c.Seed,
			c.Judged, c.NotJudged, c.Findings, c.Flaky, pairs, triples, c.Coverage.States)
	}
	d.grid(&b, "package", d.Specs)
	if len(d.Unjudged) > 0 {
		b.WriteString("\nNot judged:\n")
		for _, t := range d.Unjudged {
			fmt.Fprintf(&b, "- %s: %s\n", count(t.Cases, "time"), code(t.Key))
		}
	}
	if len(d.Problems) > 0 {
		b.WriteString("\nNot read:\n")
		for i, p := range d.Problems {
			if i == maxMarkdown {
				fmt.Fprintf(&b, "- … and %d more\n", len(d.Problems)-i)
				break
			}
			fmt.Fprintf(&b, "- %s\n", code(p.String()))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Document) grid(b *strings.Builder, what string, g *Grid) {
	if g == nil {
		return
	}
	fmt.Fprintf(b, "\n| %s |", what)
	for _, c := range g.Columns {
		fmt.Fprintf(b, " %s |", code(c))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(g.Columns)) + "\n")
	for _, r := range g.Rows {
		fmt.Fprintf(b, "| %s |", code(r.Name))
		for _, c := range r.Cells {
			fmt.Fprintf(b, " %s |", c)
		}
		b.WriteString("\n")
	}
}

// String is short: "12 passed, 1 failed".
func (c *Cell) String() string {
	if c == nil {
		return "–"
	}
	if c.Text != "" {
		return c.Text
	}
	s := []string{fmt.Sprintf("%d ok", c.Good)}
	for _, x := range []struct {
		n    int
		what string
	}{{c.Bad, "bad"}, {c.Flaky, "flaky"}, {c.NotJudged, "not judged"}} {
		if x.n > 0 {
			s = append(s, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return strings.Join(s, ", ")
}

// code is text in which nothing is markup, inside a table too.
func code(s string) string {
	s = strings.ReplaceAll(plain(s), "|", "\\|")
	if s == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}
