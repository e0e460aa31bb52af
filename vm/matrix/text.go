package matrix

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text writes the report for people: what failed first, then the table.
func (r *Report) Text(w io.Writer) error {
	b := new(strings.Builder)
	r.failures(b)
	r.skips(b)
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(b, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	var never, differ []string
	for _, n := range r.Never {
		never = append(never, n.Test+": "+strings.Join(n.Reasons, "; "))
	}
	for _, d := range r.Differences {
		differ = append(differ, fmt.Sprintf("%s: passed on %s, failed on %s", d.Test, strings.Join(d.Passed, ", "), strings.Join(d.Failed, ", ")))
	}
	list("Differences between kernels:", differ)
	list("In what kernels differ, and no known fact explains it:", r.Kernels)
	list("Ran on no kernel:", never)
	var elsewhere []string
	for _, n := range r.Elsewhere {
		elsewhere = append(elsewhere, n.Test+": "+n.Where)
	}
	list("Ran on no kernel here, as is known:", elsewhere)
	list("Skipped without a reason:", r.Unexplained)
	if len(r.Here) > 0 {
		var short []string
		for _, j := range r.Here {
			short = append(short, shortName(j))
		}
		fmt.Fprintf(b, "\nIn no guest, as they depend on no kernel (--here): %s\n", strings.Join(short, ", "))
	}
	r.took(b)
	r.table(b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) failures(b *strings.Builder) {
	indent := func(s string) string { return strings.ReplaceAll(s, "\n", "\n      ") }
	for _, row := range r.Rows {
		for _, f := range row.Faults {
			fmt.Fprintf(b, "\n%s: %s\n", row.Kernel, indent(f))
		}
		for _, d := range row.Deficits {
			fmt.Fprintf(b, "\n%s: %s\n", row.Kernel, d)
		}
		for i := range row.Tests {
			if t := &row.Tests[i]; t.Outcome == Fail || t.Outcome == Lost {
				fmt.Fprintf(b, "\n%s: %s: %s\n      %s\n", row.Kernel, t.Outcome, t.ID(), indent(t.Why))
			}
		}
		for _, p := range row.Programs {
			if p.Outcome != Pass {
				fmt.Fprintf(b, "\n%s: %s: %s: exit status %d\n      %s\n", row.Kernel, p.Outcome, p.Name, p.Status, indent(p.Tail))
			}
		}
	}
}

// skips groups what was skipped by reason.
func (r *Report) skips(b *strings.Builder) {
	type group struct{ tests, kernels map[string]bool }
	groups := map[string]*group{}
	for _, row := range r.Rows {
		for i := range row.Tests {
			t := &row.Tests[i]
			if t.Outcome != Skip {
				continue
			}
			g := groups[t.Why]
			if g == nil {
				g = &group{map[string]bool{}, map[string]bool{}}
				groups[t.Why] = g
			}
			g.tests[t.Name], g.kernels[row.Kernel] = true, true
		}
	}
	if len(groups) == 0 {
		return
	}
	fmt.Fprintf(b, "\nSkipped, by reason:\n")
	for _, why := range slices.Sorted(maps.Keys(groups)) {
		g := groups[why]
		var kernels []string
		for _, row := range r.Rows {
			if g.kernels[row.Kernel] {
				kernels = append(kernels, row.Kernel)
			}
		}
		fmt.Fprintf(b, "  %s\n      on %s: %s\n", why, strings.Join(kernels, ", "), strings.Join(slices.Sorted(maps.Keys(g.tests)), ", "))
	}
}

func (r *Report) table(b *strings.Builder) {
	fmt.Fprintln(b)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kernel\trelease\tpassed\tfailed\tskipped\tlost\tfindings\tfuzz\tper s\tfloors\tguests\tboot s\tseconds\tCPU s\t")
	for _, row := range r.Rows {
		boot := "-"
		if row.BootMS > 0 {
			boot = fmt.Sprintf("%.1f", float64(row.BootMS)/1000)
		}
		fuzz, rate, floors := "-", "-", "-"
		if f := row.Fuzz; f != nil {
			fuzz, rate = strconv.Itoa(f.Judged), fmt.Sprintf("%.0f", float64(f.Judged)/max(f.Seconds, 0.001))
			if f.Floors > 0 {
				floors = fmt.Sprintf("%.1f", f.Floors)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t%s\t%.0f\t%.0f\t\n", row.Kernel, row.Release,
			row.Count(Pass), row.Count(Fail), row.Count(Skip), row.Count(Lost), row.Findings(), fuzz, rate, floors, row.Guests, boot, row.Seconds, row.CPU)
	}
	w.Flush()
	for _, row := range r.Rows {
		for _, p := range row.Programs {
			fmt.Fprintf(b, "%s: %s: %s\n", row.Kernel, p.Name, p.Last)
		}
	}
	verdict := "good: nothing failed, everything ran somewhere"
	if !r.Good {
		verdict = "NOT good"
	}
	fmt.Fprintf(b, "%d kernels in %.0f s: %s\n", len(r.Rows), r.Seconds, verdict)
}
