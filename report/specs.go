package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/compare"
	"github.com/holdshort/holdshort/vm/matrix"
)

// specList is every test of one package by the kernels of one matrix.
type specList struct {
	Package string
	Kernels []string
	Rows    []*specRow
	Reasons []specReason // of the skipped ones
	Counts  string
	Open    bool // something is in it that is to be looked at
}

type specRow struct {
	Name  string
	Cells []specCell
}

// specCell is what one test came to on one kernel.
type specCell struct {
	Outcome matrix.Outcome // empty: not known of there
	Class   string
	Reason  int // number in the list of reasons, from 1
	Why     string
}

type specReason struct {
	Number int
	Text   string
}

// specLists is the table of tests by kernels, a part for each package.
func specLists(m *matrix.Report) []*specList {
	lists, rows, reasons := map[string]*specList{}, map[string]*specRow{}, map[string]int{}
	var kernels []string
	for _, row := range m.Rows {
		kernels = append(kernels, row.Kernel)
	}
	for i, row := range m.Rows {
		for j := range row.Tests {
			t := &row.Tests[j]
			l := lists[t.Package]
			if l == nil {
				l = &specList{Package: t.Package, Kernels: kernels}
				lists[t.Package] = l
			}
			r := rows[t.ID()]
			if r == nil {
				r = &specRow{Name: t.Name, Cells: make([]specCell, len(m.Rows))}
				if t.Name == "" {
					r.Name = "(the package itself)"
				}
				rows[t.ID()] = r
				l.Rows = append(l.Rows, r)
			}
			c := specCell{Outcome: t.Outcome, Class: string(Clean)}
			switch t.Outcome {
			case matrix.Pass:
			case matrix.Skip:
				key := t.Package + "\x00" + t.Why
				if reasons[key] == 0 {
					l.Reasons = append(l.Reasons, specReason{len(l.Reasons) + 1, cmp.Or(t.Why, "no reason")})
					reasons[key] = len(l.Reasons)
				}
				c.Class, c.Reason = string(Unsupported), reasons[key]
			default:
				c.Class, c.Why, l.Open = string(Found), t.Why, true
			}
			r.Cells[i] = c
		}
	}
	var out []*specList
	for _, p := range slices.Sorted(maps.Keys(lists)) {
		l := lists[p]
		slices.SortStableFunc(l.Rows, func(a, b *specRow) int { return strings.Compare(a.Name, b.Name) })
		l.count()
		out = append(out, l)
	}
	return out
}

// count says in words what is in the list.
func (l *specList) count() {
	var never, bad int
	for _, r := range l.Rows {
		ran := false
		for _, c := range r.Cells {
			switch c.Outcome {
			case matrix.Fail, matrix.Lost:
				bad++
				ran = true
			case matrix.Pass:
				ran = true
			}
		}
		if !ran {
			never++
		}
	}
	l.Counts = count(len(l.Rows), "test")
	if bad > 0 {
		l.Counts += fmt.Sprintf(", %d failed or lost", bad)
	}
	if never > 0 {
		l.Counts += fmt.Sprintf(", %d ran on no kernel", never)
		l.Open = true
	}
}

// kernelDifference is one way in which kernels answered the same request
// differently.
type kernelDifference struct {
	What, Example string
	Cases         int
	Values        []string // "kernels: value"
	Fact          *compare.Fact
}

// kernelDifferences are those of one matrix, the unexplained first. The first
// result says what came of the comparison as a whole.
func kernelDifferences(m *matrix.Report) (said string, list []kernelDifference) {
	if len(m.Comparison) == 0 {
		return "", nil
	}
	var c compare.Comparison
	if err := json.Unmarshal(m.Comparison, &c); err != nil {
		return "The comparison cannot be read: " + err.Error(), nil
	}
	said = fmt.Sprintf("%d cases compared on %s: %s, %d unexplained; %s.", c.Compared, strings.Join(c.Kernels, ", "),
		count(len(c.Differences), "difference"), c.Unexplained(), count(c.Unstable, "thing")+" left out that one kernel did not say twice")
	for i := range c.Differences {
		d := &c.Differences[i]
		k := kernelDifference{What: d.What, Example: fuzz.Words(d.Example), Cases: d.Cases, Fact: d.Fact}
		for _, v := range slices.Sorted(maps.Keys(d.Values)) {
			k.Values = append(k.Values, strings.Join(d.Values[v], ", ")+": "+v)
		}
		list = append(list, k)
	}
	slices.SortStableFunc(list, func(a, b kernelDifference) int {
		if (a.Fact == nil) != (b.Fact == nil) {
			if a.Fact == nil {
				return -1
			}
			return 1
		}
		return 0
	})
	return said, list
}

// notGood says in words why a matrix is not good; nothing if it is.
func notGood(m *matrix.Report) []string {
	if m.Good {
		return nil
	}
	var out []string
	for _, row := range m.Rows {
		for _, f := range row.Faults {
			first, _, _ := strings.Cut(f, "\n")
			out = append(out, row.Kernel+": "+first)
		}
		for _, d := range row.Deficits {
			out = append(out, row.Kernel+": "+d)
		}
		if n := row.Count(matrix.Fail) + row.Count(matrix.Lost); n > 0 {
			out = append(out, fmt.Sprintf("%s: %s failed or lost", row.Kernel, count(n, "test")))
		}
		for _, p := range row.Programs {
			if p.Outcome != matrix.Pass {
				out = append(out, fmt.Sprintf("%s: %s: %s: %s", row.Kernel, p.Outcome, p.Name, p.Last))
			}
		}
	}
	if n := len(m.Never); n > 0 {
		out = append(out, count(n, "test")+" ran on no kernel")
	}
	if len(m.Unexplained) > 0 {
		out = append(out, "skipped without a reason: "+strings.Join(m.Unexplained, ", "))
	}
	if n := len(m.Kernels); n > 0 {
		out = append(out, count(n, "difference")+" between kernels that no known fact explains")
	}
	return out
}
