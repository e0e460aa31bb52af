package shrink

import (
	"slices"
	"testing"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// asked is a problem that counts what is asked of each row.
func asked(t *testing.T, start cover.Row, needs [][]int, rate float64, fails func(cover.Row) bool) (Result, map[string]int) {
	t.Helper()
	valid := func(r cover.Row) bool {
		for p, list := range needs {
			for _, q := range list {
				if r[p] > 0 && r[q] == 0 {
					return false
				}
			}
		}
		return true
	}
	calls, sum := map[string]int{}, 0
	res := (&Problem{Start: start, Valid: valid, Needs: needs, Rate: rate, Fails: func(r cover.Row) bool {
		if !valid(r) {
			t.Errorf("%v was run, and is no valid row", r)
		}
		calls[string(r)]++
		sum++
		return fails(r)
	}}).Run()
	if res.Executions != sum {
		t.Errorf("%d executions, and %d are told", sum, res.Executions)
	}
	return res, calls
}

func on(n int, params ...int) cover.Row {
	r := make(cover.Row, n)
	for _, p := range params {
		r[p] = 1
	}
	return r
}

// What needs another parameter is only tried with that, and with what that needs.
func TestNeeds(t *testing.T) {
	const n = 40
	needs := make([][]int, n)
	for p := n - 3; p < n; p++ {
		needs[p] = []int{p - 1} // 39 needs 38, which needs 37, which needs 36
	}
	needs[5], needs[3] = []int{39}, []int{4}
	for name, tt := range map[string]struct {
		fault, want []int
		most        int
	}{
		"the end of a chain":      {[]int{39}, []int{36, 37, 38, 39}, 12},
		"the middle of a chain":   {[]int{38}, []int{36, 37, 38}, 13},
		"the beginning":           {[]int{36}, []int{36}, 15},
		"what needs the chain":    {[]int{5}, []int{5, 36, 37, 38, 39}, 11},
		"one that nothing needs":  {[]int{20}, []int{20}, 15},
		"two, of which one needs": {[]int{3, 20}, []int{3, 4, 20}, 16},
	} {
		start := on(n)
		for p := range start {
			start[p] = 1
		}
		fault := on(n, tt.fault...)
		res, _ := asked(t, start, needs, 1, func(r cover.Row) bool {
			for p := range fault {
				if fault[p] > r[p] {
					return false
				}
			}
			return true
		})
		if !slices.Equal(res.Row, on(n, tt.want...)) || res.Executions > tt.most {
			t.Errorf("%s: %v after %d executions, want %v after %d at most", name, res.Row, res.Executions, tt.want, tt.most)
		}
	}
}

// A value is made as small as it can be, not only the smallest.
func TestSmallerValues(t *testing.T) {
	for least, want := range map[uint8]uint8{1: 1, 2: 2, 3: 3, 4: 4} {
		res, _ := asked(t, cover.Row{0, 4, 1}, nil, 1, func(r cover.Row) bool { return r[1] >= least })
		if res.Row[1] != want || res.Row[2] != 0 {
			t.Errorf("at least %d: %v", least, res.Row)
		}
	}
}

// What is off already is not looked at, and nothing is asked twice that is sure.
func TestNothingIsAskedTwice(t *testing.T) {
	always := func(r cover.Row) bool { return r[7] > 0 }
	res, _ := asked(t, on(60, 7), nil, 1, always)
	if res.Executions != 1 {
		t.Errorf("one parameter of which it must be: %d executions", res.Executions)
	}
	for _, rate := range []float64{0, 1} {
		res, calls := asked(t, on(60, 3, 7, 30, 31, 32), nil, rate, always)
		if !slices.Equal(res.Row, on(60, 7)) {
			t.Errorf("rate %v: got %v", rate, res.Row)
		}
		for row, n := range calls {
			if n != 1 {
				t.Errorf("rate %v: %v was asked %d times", rate, []byte(row), n)
			}
		}
	}
	// At every second time: 3 tries to go on, where 1 in 8 is missed, and 8 to be
	// done, where 1 in 256 is; one failure is enough.
	res, calls := asked(t, on(60, 3, 7, 30, 31, 32), nil, 0.5, always)
	if !slices.Equal(res.Row, on(60, 7)) {
		t.Errorf("got %v", res.Row)
	}
	for row, n := range calls {
		want := []int{3}
		switch {
		case always(cover.Row(row)):
			want = []int{1}
		case row == string(on(60)):
			want = []int{8} // the last step
		}
		if !slices.Contains(want, n) {
			t.Errorf("%v was asked %d times, want %v", []byte(row), n, want)
		}
	}
}

// Parameters that need each other stay together.
func TestNeedsInACircle(t *testing.T) {
	needs := make([][]int, 20)
	needs[10], needs[11], needs[12] = []int{11}, []int{12}, []int{10}
	res, _ := asked(t, on(20, 1, 5, 10, 11, 12, 15), needs, 1, func(r cover.Row) bool { return r[11] > 0 })
	if want := on(20, 10, 11, 12); !slices.Equal(res.Row, want) {
		t.Errorf("got %v, want %v", res.Row, want)
	}
}

// What no row may be, though no parameter needs another for it, is not run, and
// does not count as passed or failed.
func TestInvalidRowsAreNotRun(t *testing.T) {
	valid := func(r cover.Row) bool { return r[2] == 0 || r[3] > 0 || r[4] > 0 }
	runs := 0
	res := (&Problem{Start: on(10, 1, 2, 3, 4, 7), Valid: valid, Fails: func(r cover.Row) bool {
		runs++
		if !valid(r) {
			t.Errorf("%v was run", r)
		}
		return r[2] > 0
	}}).Run()
	if n := int(res.Row[3] + res.Row[4]); res.Row[2] != 1 || n != 1 || res.Row[1]+res.Row[7] != 0 || runs != res.Executions {
		t.Errorf("got %v after %d", res.Row, runs)
	}
}
