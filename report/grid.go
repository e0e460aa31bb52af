package report

import (
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm/matrix"
)

// Grid is a table of outcomes.
type Grid struct {
	Columns []string   `json:"columns"`
	Rows    []*GridRow `json:"rows"`
}

// GridRow is one row of a [Grid].
type GridRow struct {
	Name  string  `json:"name"`
	Cells []*Cell `json:"cells"` // nil: never run there
}

// Cell is what one of a row came to in one column.
type Cell struct {
	Verdict   Verdict  `json:"verdict"`
	Good      int      `json:"good"`
	Bad       int      `json:"bad"`
	Flaky     int      `json:"flaky,omitempty"`
	NotJudged int      `json:"not_judged,omitempty"` // or skipped
	What      []string `json:"what,omitempty"`       // of the bad ones
	Text      string   `json:"text,omitempty"`       // instead of the numbers
}

func (g *Grid) column(name string) int {
	if i := slices.Index(g.Columns, name); i >= 0 {
		return i
	}
	g.Columns = append(g.Columns, name)
	for _, r := range g.Rows {
		r.Cells = append(r.Cells, nil)
	}
	return len(g.Columns) - 1
}

func (g *Grid) cell(row, column string) *Cell {
	c := g.column(column)
	i := slices.IndexFunc(g.Rows, func(r *GridRow) bool { return r.Name == row })
	if i < 0 {
		i = len(g.Rows)
		g.Rows = append(g.Rows, &GridRow{Name: row, Cells: make([]*Cell, len(g.Columns))})
	}
	if g.Rows[i].Cells[c] == nil {
		g.Rows[i].Cells[c] = &Cell{}
	}
	return g.Rows[i].Cells[c]
}

// settle computes the verdicts of all cells.
func (g *Grid) settle() {
	for _, r := range g.Rows {
		for _, c := range r.Cells {
			switch {
			case c == nil || c.Verdict != "":
			case c.Bad > 0:
				c.Verdict = Found
			case c.Flaky > 0:
				c.Verdict = Flaky
			case c.Good > 0:
				c.Verdict = Clean
			case c.NotJudged > 0:
				c.Verdict = Unsupported
			default:
				c.Verdict = Fault
			}
		}
	}
}

// engines is kernels by engines, of all campaigns and single cases.
func engines(d *Document) *Grid {
	g := &Grid{}
	for _, c := range d.Campaigns {
		x := g.cell(kernelName(c.Kernel), engineName(c.Engine))
		x.Good += c.Judged - c.Findings - c.Flaky
		x.Bad, x.Flaky, x.NotJudged = x.Bad+c.Findings, x.Flaky+c.Flaky, x.NotJudged+c.NotJudged
		if c.Verdict == Fault {
			x.Verdict = Fault
		}
		if c.Findings > 0 {
			x.Verdict = Found
		}
	}
	for _, c := range d.Cases {
		x := g.cell(kernelName(c.Kernel), engineName(c.Engine))
		switch c.Verdict {
		case harness.Constrained:
			x.Good++
		case harness.Violated:
			x.Bad++
			x.What = append(x.What, c.Keys...)
		case harness.Unknown:
			x.NotJudged++
		}
	}
	for _, m := range d.Matrices {
		for _, row := range m.Rows {
			f := row.Fuzz
			if f == nil {
				continue
			}
			x := g.cell(kernelName(row.Release), "native, in the matrix")
			x.Text = fmt.Sprintf("%d judged, %s, %d flaky, %d not judged", f.Judged, count(len(f.Findings), "finding"), len(f.Flaky), f.Unjudged)
			x.Bad, x.Flaky, x.NotJudged, x.What = x.Bad+len(f.Findings), x.Flaky+len(f.Flaky), x.NotJudged+f.Unjudged, append(x.What, f.Findings...)
			if f.Judged > 0 {
				x.Good = max(x.Good, 1)
			}
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	g.settle()
	return g
}

// features is what each kernel can do, of all matrices.
func features(list []*matrix.Report) *Grid {
	g := &Grid{}
	for n, m := range list {
		for _, row := range m.Rows {
			for _, f := range row.Features {
				c := g.cell(f.Name, column(list, n, row))
				c.Verdict, c.Text = Unsupported, "no"
				if f.OK {
					c.Verdict, c.Text = Clean, "yes"
				}
				if f.Detail != "" {
					c.Text += ": " + f.Detail
				}
			}
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return g
}

// column names a kernel of one of several matrices.
func column(list []*matrix.Report, n int, row *matrix.Row) string {
	if len(list) > 1 {
		return fmt.Sprintf("%s (%d)", row.Kernel, n+1)
	}
	return row.Kernel
}

func kernelName(s string) string {
	if s == "" {
		return "kernel not known"
	}
	return "Linux " + s
}

func engineName(s string) string {
	if s == "" {
		return "engine not known"
	}
	return s
}

// specs is packages and programs by kernels, of all matrices.
func specs(list []*matrix.Report) *Grid {
	g := &Grid{}
	for n, m := range list {
		for _, row := range m.Rows {
			col := column(list, n, row)
			g.column(col)
			for i := range row.Tests {
				t := &row.Tests[i]
				c := g.cell(t.Package, col)
				switch t.Outcome {
				case matrix.Pass:
					c.Good++
				case matrix.Skip:
					c.NotJudged++
				default:
					c.Bad++
					c.What = append(c.What, string(t.Outcome)+": "+t.Name)
				}
			}
			for i := range row.Programs {
				p := &row.Programs[i]
				c := g.cell(p.Name, col)
				if p.Outcome == matrix.Pass {
					c.Good++
					continue
				}
				c.Bad++
				c.What = append(c.What, fmt.Sprintf("%s, status %d: %s", p.Outcome, p.Status, p.Last))
			}
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	g.settle()
	return g
}
