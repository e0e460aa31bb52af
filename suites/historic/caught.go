package historic

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// The files list what the tests saw raised: field, outcome, test, and the
// kernels where it was in guests. They are in the form of internal/cmd/caught.
//
//go:embed caught.txt
var caughtText string

//go:embed caught-guests.txt
var guestsText string

// line is what the files have for one of a row's findings.
func (r *Row) line(field string) string {
	return fmt.Sprintf("%s %s TestHistoric/%d", field, r.Finds[field], r.Number)
}

// Raised says where the row's findings were seen raised by the tests: on the
// machine that the page was made on, and in guests of these kernels.
func (r *Row) Raised() (here bool, kernels []string) {
	here = len(r.Finds) > 0
	lines := strings.Split(caughtText, "\n")
	for f := range r.Finds {
		here = here && slices.Contains(lines, r.line(f))
	}
	for k := range r.guests() {
		all := true
		for f := range r.Finds {
			all = all && slices.Contains(r.guests()[k], f)
		}
		if all {
			kernels = append(kernels, k)
		}
	}
	slices.SortFunc(kernels, older)
	return here, kernels
}

// guests has the fields by kernel.
func (r *Row) guests() map[string][]string {
	out := map[string][]string{}
	for l := range strings.SplitSeq(guestsText, "\n") {
		i := strings.LastIndexByte(l, ' ')
		if i < 0 {
			continue
		}
		for f := range r.Finds {
			if l[:i] == r.line(f) {
				for k := range strings.SplitSeq(l[i+1:], ",") {
					out[k] = append(out[k], f)
				}
			}
		}
	}
	return out
}

// older orders series of kernels: 5.10 before 6.1.
func older(a, b string) int {
	var x, y [2]int
	_, _ = fmt.Sscanf(a, "%d.%d", &x[0], &x[1])
	_, _ = fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return slices.Compare(x[:], y[:])
}
