package cover

import (
	"testing"
	"time"
)

// pict is the space of which PICT's sizes are known: 30 parameters of two
// values and 10 of four.
func pict(t testing.TB) *Space {
	t.Helper()
	levels := make([]int, 40)
	for i := range levels {
		levels[i] = 2
		if i%4 == 0 {
			levels[i] = 4
		}
	}
	s, err := New(levels, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rows(t testing.TB, s *Space, strength int, seed uint64) []Row {
	t.Helper()
	a, err := NewArray(s, strength, seed)
	if err != nil {
		t.Fatal(err)
	}
	var out []Row
	for {
		r := a.Next()
		if r == nil {
			return out
		}
		if !s.Valid(r) {
			t.Fatalf("row %d is forbidden: %v", len(out), r)
		}
		out = append(out, r)
	}
}

// TestSizes: no more rows than PICT needs, 34 and 166, and not many more than the
// 778 that it has for four.
func TestSizes(t *testing.T) {
	for strength, c := range map[int]struct{ rows, tuples int }{2: {34, 4860}, 3: {166, 152960}, 4: {830, 3505040}} {
		s := pict(t)
		begun := time.Now()
		list := rows(t, s, strength, 1)
		took := time.Since(begun)
		m := NewMeter(s, strength)
		for _, r := range list {
			m.Add(r)
		}
		covered, feasible := m.Covered(strength)
		t.Logf("strength %d: %d rows in %v, %d of %d combinations", strength, len(list), took, covered, feasible)
		if covered != feasible || feasible != int64(c.tuples) {
			t.Errorf("strength %d: %d of %d combinations, want all of %d", strength, covered, feasible, c.tuples)
		}
		if len(list) > c.rows {
			t.Errorf("strength %d: %d rows, want at most %d", strength, len(list), c.rows)
		}
	}
}
