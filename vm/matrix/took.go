package matrix

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// mostTook is how many jobs the table of times names; the others are one line.
const mostTook = 12

// took writes where the time went: the jobs that took longest by the kernels,
// in seconds, and what no job took, which is making the initial ramfs, booting
// and reading what was printed.
func (r *Report) took(b *strings.Builder) {
	total := map[string]float64{}
	of := make([]map[string]float64, len(r.Rows))
	for i, row := range r.Rows {
		of[i] = map[string]float64{}
		for _, t := range row.Took {
			of[i][t.Job] += t.Seconds
			total[t.Job] += t.Seconds
		}
	}
	if len(total) == 0 {
		return
	}
	jobs := slices.SortedFunc(maps.Keys(total), func(x, y string) int {
		return cmp.Or(cmp.Compare(total[y], total[x]), strings.Compare(x, y))
	})
	fmt.Fprintf(b, "\nSeconds by job:\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, value func(i int) float64) {
		fmt.Fprintf(w, "%s\t", name)
		for i := range r.Rows {
			fmt.Fprintf(w, "%.1f\t", value(i))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\t")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s\t", row.Kernel)
	}
	fmt.Fprintln(w)
	n := min(len(jobs), mostTook)
	for _, j := range jobs[:n] {
		line(shortName(j), func(i int) float64 { return of[i][j] })
	}
	if rest := jobs[n:]; len(rest) > 0 {
		line(fmt.Sprintf("%d others", len(rest)), func(i int) (sum float64) {
			for _, j := range rest {
				sum += of[i][j]
			}
			return sum
		})
	}
	line("image", func(i int) float64 { return float64(r.Rows[i].ImageMS) / 1000 })
	line("boot", func(i int) float64 { return float64(r.Rows[i].BootMS) / 1000 })
	line("other", func(i int) float64 {
		sum := r.Rows[i].Seconds - float64(r.Rows[i].ImageMS+r.Rows[i].BootMS)/1000
		for _, t := range r.Rows[i].Took {
			sum -= t.Seconds
		}
		return max(sum, 0)
	})
	w.Flush()
	r.slowest(b)
}

// shortName is a package without the host and owner of its path.
func shortName(job string) string {
	if p := strings.Split(job, "/"); len(p) > 3 && strings.Contains(p[0], ".") && !strings.Contains(job, " ") {
		return strings.Join(p[3:], "/")
	}
	return job
}

// mostSlow is how many tests are named as the slowest.
const mostSlow = 10

// slowest names the tests that took longest, by their sum over all kernels;
// subtests are in what they are part of.
func (r *Report) slowest(b *strings.Builder) {
	total := map[string]float64{}
	for _, row := range r.Rows {
		for i := range row.Tests {
			if t := &row.Tests[i]; t.Name != "" && !strings.Contains(t.Name, "/") {
				total[shortName(t.Package)+" "+t.Name] += t.Seconds
			}
		}
	}
	var parts []string
	for _, id := range slices.SortedFunc(maps.Keys(total), func(x, y string) int {
		return cmp.Or(cmp.Compare(total[y], total[x]), strings.Compare(x, y))
	})[:min(len(total), mostSlow)] {
		parts = append(parts, fmt.Sprintf("%s %.0f", id, total[id]))
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "Slowest tests, all kernels together: %s\n", strings.Join(parts, "; "))
	}
}
