// Package shrink makes a failing row of parameters small: as many as can be are
// set to their value 0, which stands for off, and the rest to small values.
package shrink

import (
	"math"
	"slices"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// Problem is a row that fails, and how to ask for another.
type Problem struct {
	Start cover.Row
	// Valid says which rows can be asked about. Start is one, and turning
	// parameters off together with all that need them gives another.
	Valid func(cover.Row) bool
	// Needs are, for each parameter, those that must be on for it to be.
	Needs [][]int
	// Fails runs a row. It never says that a good row fails, but may miss a
	// failure.
	Fails func(cover.Row) bool
	// Rate is the chance that a failing row is seen to fail at one try; 0
	// is the same as 1.
	Rate float64
}

// Result is the outcome of [Problem.Run]. No parameter of the row that nothing
// else needs can be turned off, and none be set to a smaller value.
type Result struct {
	Row cover.Row
	// Executions is how often Fails was called.
	Executions int
}

// search is one Run.
type search struct {
	*Problem
	row      cover.Row
	calls    int
	fails    map[string]bool // what is certain
	needed   [][]int         // for each parameter, all that need it, also by others
	hunt     int             // tries before a row is taken to pass, while searching
	confirm  int             // and before the result is taken to be minimal
	tries    map[string]int
	required [][]int // all that a parameter needs, also by others
}

// Run shrinks. First the few parameters that matter are found, each by halving
// what is left of the others, then smaller values of these are tried, and last
// each is tried without. The number of executions grows with the number of parameters
// that matter, times the logarithm of all.
func (p *Problem) Run() Result {
	s := &search{Problem: p, row: slices.Clone(p.Start), fails: map[string]bool{}, tries: map[string]int{}, hunt: 1, confirm: 1}
	if p.Rate > 0 && p.Rate < 1 {
		// What the search gets wrong leaves a parameter too many, which is
		// found out in the end. So only there it must be nearly sure.
		s.hunt, s.confirm = tries(p.Rate, 0.13), tries(p.Rate, 0.004)
	}
	s.relations()
	s.isolate()
	for s.pass() {
	}
	return Result{Row: s.row, Executions: s.calls}
}

// tries is how many it takes to see a failure but for a small chance.
func tries(rate, miss float64) int { return int(math.Ceil(math.Log(miss) / math.Log(1-rate))) }

func (s *search) relations() {
	n := len(s.row)
	s.needed, s.required = make([][]int, n), make([][]int, n)
	for p := range n {
		seen := make([]bool, n)
		var walk func(int)
		walk = func(q int) {
			for _, r := range s.Needs[q] {
				if !seen[r] {
					seen[r] = true
					s.required[p] = append(s.required[p], r)
					s.needed[r] = append(s.needed[r], p)
					walk(r)
				}
			}
		}
		if len(s.Needs) > 0 {
			walk(p)
		}
	}
}

// test reports whether a row is seen to fail within so many tries.
func (s *search) test(r cover.Row, most int) bool {
	k := string(r)
	if s.fails[k] || !s.Valid(r) {
		return s.fails[k]
	}
	for s.tries[k] < most {
		s.tries[k]++
		s.calls++
		if s.Fails(r) {
			s.fails[k] = true
			return true
		}
	}
	return false
}

// keep is the start with only these parameters, and what they need, on.
func (s *search) keep(lists ...[]int) cover.Row {
	r := make(cover.Row, len(s.row))
	for _, l := range lists {
		for _, p := range l {
			r[p] = s.row[p]
			for _, q := range s.required[p] {
				r[q] = s.row[q]
			}
		}
	}
	return r
}

// isolate finds a set of parameters that fails by itself. In a list of those
// that may matter, the shortest failing beginning ends with one that does.
func (s *search) isolate() {
	var open, matter []int
	for p, v := range s.row {
		if v > 0 {
			open = append(open, p)
		}
	}
	for {
		low, high := 0, len(open) // open[:high] fails
		for low < high {
			mid := split(low, high, len(open), len(matter))
			if s.test(s.keep(matter, open[:mid]), s.hunt) {
				high = mid
			} else {
				low = mid + 1
			}
		}
		if high == 0 {
			break
		}
		p := open[high-1]
		matter = append(matter, p)
		// What it needs is on anyway.
		open = slices.DeleteFunc(open[:high-1], func(q int) bool { return slices.Contains(s.required[p], q) })
	}
	s.row = s.keep(matter)
}

// split chooses where to halve. It is not in the middle: of several parameters
// that matter the last is likely far back, and likely there is none any more once
// some are known. Few failures take more than 4 (2 %, in what NIST collected).
func split(low, high, n, known int) int {
	const most = 4
	first := 0
	if known <= 1 {
		first = 1
	}
	upTo := func(at int) float64 { // chance that the last one's place, from 1 on, is at most this; 0 for none
		if at < 0 {
			return 0
		}
		sum, power := 0.0, 1.0
		for k := range max(most-known, 1) + 1 {
			if k >= first {
				sum += power
			}
			power *= float64(at) / float64(n)
		}
		return sum
	}
	half := (upTo(low-1) + upTo(high)) / 2
	mid := low
	for mid < high-1 && upTo(mid) < half {
		mid++
	}
	return mid
}

// pass tries every single step once, and says whether one was possible.
func (s *search) pass() bool {
	better := false
	// Values first: where one gets smaller, the rest is to be tried once more.
	for p := range s.row {
		for v := uint8(1); v < s.row[p]; v++ {
			r := slices.Clone(s.row)
			r[p] = v
			if s.test(r, s.confirm) {
				s.row, better = r, true
				break
			}
		}
	}
	for p := range s.row {
		if s.row[p] == 0 || slices.ContainsFunc(s.needed[p], func(q int) bool { return s.row[q] > 0 }) {
			continue
		}
		r := slices.Clone(s.row)
		r[p] = 0
		if s.test(r, s.confirm) {
			s.row, better = r, true
		}
	}
	return better
}
