//go:build mutants

package mutants

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Text is one line of a row.
func (row *Row) Text() string {
	head := fmt.Sprintf("%d-way %-8s %-15s %s [%s]", row.way, row.Where, row.Kind, row.Name, row.When)
	switch {
	case row.Lacks != "":
		return head + ": not here: " + row.Lacks
	case row.Killed:
		return fmt.Sprintf("%s: case %d, planted in %d: %s", head, row.Cases, row.Shown, row.Key)
	}
	s := fmt.Sprintf("%s: SURVIVES %d cases", head, row.Shown)
	if row.Equivalent != "" {
		s = fmt.Sprintf("%s: equivalent, %d cases", head, row.Shown)
	}
	if row.Elsewhere > 0 {
		s += fmt.Sprintf(", in %d of them something else was found: %s", row.Elsewhere, row.Other)
	}
	if row.Tries > 0 {
		s += fmt.Sprintf(", %d could not be launched: %v", row.Tries, row.Err)
	}
	return s
}

// Line is what is said of the faults of one way.
type Line struct {
	Way, Faults, Killed int
	Median, Most        uint64 // cases needed
}

// Summary is the score.
type Summary struct {
	run     *Run
	Pace    float64 // cases a second of a campaign
	ByWay   []Line
	ByWhere map[string][2]int // killed, of
	Killed  int
	Of      int
	// LowOpen are faults of at most three settings that were not found within
	// the array of triples.
	LowOpen []*Row
}

// Summary counts up.
func (r *Run) Summary(pace float64) *Summary {
	s := &Summary{run: r, Pace: pace, ByWhere: map[string][2]int{}}
	for way := 1; way <= 6; way++ {
		l := Line{Way: way}
		var cases []uint64
		for i := range r.Rows {
			row := &r.Rows[i]
			if row.way != way || row.Lacks != "" || row.Equivalent != "" {
				continue
			}
			l.Faults++
			w := s.ByWhere[row.Where]
			w[1]++
			if row.Killed {
				w[0]++
				l.Killed++
				cases = append(cases, row.Cases)
			}
			s.ByWhere[row.Where] = w
			if way <= 3 && (!row.Killed || row.Cases > uint64(r.Triples)) {
				s.LowOpen = append(s.LowOpen, row)
			}
		}
		if cases != nil {
			slices.Sort(cases)
			l.Median, l.Most = cases[len(cases)/2], cases[len(cases)-1]
		}
		s.ByWay = append(s.ByWay, l)
		s.Killed, s.Of = s.Killed+l.Killed, s.Of+l.Faults
	}
	return s
}

// Met reports whether the goals are met: all faults of up to three settings found
// within the array of triples, 95 of 100 of all, and no equivalent one found.
func (s *Summary) Met() bool {
	for i := range s.run.Rows {
		if row := &s.run.Rows[i]; row.Equivalent != "" && (row.Killed || row.Elsewhere > 0) {
			return false
		}
	}
	return len(s.LowOpen) == 0 && s.Of > 0 && s.Killed*100 >= s.Of*95
}

// Text is the summary for a terminal.
func (s *Summary) Text() string {
	var b strings.Builder
	for _, l := range s.ByWay {
		fmt.Fprintf(&b, "%d-way: %d of %d found; cases needed: median %d, most %d\n", l.Way, l.Killed, l.Faults, l.Median, l.Most)
	}
	for _, w := range []string{Launcher, Observer, Evidence, Oracle} {
		fmt.Fprintf(&b, "%s: %d of %d\n", w, s.ByWhere[w][0], s.ByWhere[w][1])
	}
	for i := range s.run.Rows {
		row := &s.run.Rows[i]
		if !row.Killed && row.Lacks == "" {
			fmt.Fprintln(&b, row.Text())
		}
	}
	for _, row := range s.LowOpen {
		if row.Killed {
			fmt.Fprintf(&b, "after the array of triples: %s\n", row.Text())
		}
	}
	fmt.Fprintf(&b, "%d of %d found (%.1f %%), %d launches in %s; all pairs are in %d cases, all triples in %d; a campaign has %.0f cases/s here\n",
		s.Killed, s.Of, float64(s.Killed)*100/float64(max(s.Of, 1)), s.run.Launches, s.run.Took.Round(time.Second), s.run.Pairs, s.run.Triples, s.Pace)
	return b.String()
}

const (
	beginMark = "<!-- begin: written by make mutants -->\n"
	endMark   = "<!-- end -->\n"
)

// Write puts the tables into a file, between its marks.
func (s *Summary) Write(path string, args []string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(b, []byte(beginMark))
	_, tail, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return fmt.Errorf("%s: no marks", path)
	}
	return os.WriteFile(path, slices.Concat(head, []byte(beginMark), []byte(s.markdown(args)), []byte(endMark), tail), 0o644)
}

func (s *Summary) markdown(args []string) string {
	var b strings.Builder
	var u unix.Utsname
	_ = unix.Uname(&u)
	r := s.run
	fmt.Fprintf(&b, "Written by `go run -tags mutants ./internal/cmd/mutants %s` on Linux %s, model %s with %d parameters. %d launches in %s; "+
		"all pairs are in the first %d cases, all triples in the first %d. A campaign had %.0f cases a second there.\n\n",
		strings.Join(args, " "), unix.ByteSliceToString(u.Release[:]), r.Benches[0].Model.Hash(), len(r.Benches[0].Model.Parameters()), r.Launches,
		r.Took.Round(time.Second), r.Pairs, r.Triples, s.Pace)
	b.WriteString("| way | faults | found | cases needed, median | most |\n|---|---|---|---|---|\n")
	for _, l := range s.ByWay {
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %d |\n", l.Way, l.Faults, l.Killed, l.Median, l.Most)
	}
	fmt.Fprintf(&b, "| all | %d | %d (%.1f %%) | | |\n\n| where | faults | found |\n|---|---|---|\n", s.Of, s.Killed, float64(s.Killed)*100/float64(max(s.Of, 1)))
	for _, w := range []string{Launcher, Observer, Evidence, Oracle} {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", w, s.ByWhere[w][1], s.ByWhere[w][0])
	}
	b.WriteString("\n| fault | where | kind | way | only with | cases | planted in | found as |\n|---|---|---|---|---|---|---|---|\n")
	for i := range r.Rows {
		row := &r.Rows[i]
		cases, found := fmt.Sprint(row.Cases), "`"+row.Key+"`"
		switch {
		case row.Lacks != "":
			cases, found = "", "not here: "+row.Lacks
		case row.Equivalent != "" && !row.Killed:
			cases, found = "", "equivalent: "+row.Equivalent
		case !row.Killed:
			cases, found = "", "**not found**"
		}
		if row.Hides != "" {
			found += ", along with " + row.Hides
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s | %s | %d | %s |\n", row.Name, row.Where, row.Kind, row.way, row.When, cases, row.Shown, found)
	}
	return b.String()
}

// Check runs n of the faults that were found a second time, without leaving out
// the cases in which they do not show. Their numbers must be the same.
func (r *Run) Check(ctx context.Context, n int) error {
	var some []Fault
	before := map[string]uint64{}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Killed && row.Cases > 10 && row.Cases <= 400 && row.rand()%4 == r.Seed%4 && len(some) < n {
			some, before[row.Name] = append(some, *row.Fault), row.Cases
		}
	}
	if len(some) < n {
		return fmt.Errorf("only %d faults to check", len(some))
	}
	all := &Run{Benches: r.Benches, Seed: r.Seed, Faults: r.Faults, Budget: time.Hour, Most: r.Most, All: true, Tell: r.Tell}
	all.only = before
	if err := all.Run(ctx); err != nil {
		return err
	}
	for i := range all.Rows {
		if row := &all.Rows[i]; before[row.Name] != 0 && row.Cases != before[row.Name] {
			return fmt.Errorf("%s: found in case %d without leaving cases out, %d with", row.Name, row.Cases, before[row.Name])
		}
	}
	return nil
}
