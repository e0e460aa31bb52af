package cover

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawSpace draws one that is small enough to list all its rows.
func drawSpace(t *rapid.T) *Space {
	levels := rapid.SliceOfN(rapid.IntRange(1, 4), 1, 6).Draw(t, "levels")
	forbidden := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []Term {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Term {
			p := rapid.IntRange(0, len(levels)-1).Draw(t, "param")
			return Term{p, uint32(rapid.IntRange(1, 1<<levels[p]-1).Draw(t, "values"))}
		}), 1, 4).Draw(t, "terms")
	}), 0, 6).Draw(t, "forbidden")
	s, err := New(levels, forbidden)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// every lists all valid rows.
func every(s *Space) []Row {
	out := []Row{{}}
	for _, n := range s.levels {
		var longer []Row
		for _, r := range out {
			for v := range n {
				longer = append(longer, append(slices.Clip(r), uint8(v)))
			}
		}
		out = longer
	}
	valid := out[:0]
	for _, r := range out {
		if s.Valid(r) {
			valid = append(valid, r)
		}
	}
	return valid
}

// combos counts by hand what rows have.
func combos(list []Row, t int) map[string]bool {
	out := map[string]bool{}
	for _, r := range list {
		var choose func(from, more int, text string)
		choose = func(from, more int, text string) {
			if more == 0 {
				out[text] = true
				return
			}
			for p := from; p < len(r); p++ {
				choose(p+1, more-1, text+fmt.Sprint(p, "=", r[p], " "))
			}
		}
		choose(0, t, "")
	}
	return out
}

func TestArrayCoversWhatIsFeasible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t)
		strength := rapid.IntRange(2, 4).Draw(t, "strength")
		a, err := NewArray(s, strength, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		want := combos(every(s), strength)
		if a.Left() != int64(len(want)) {
			t.Fatalf("%d combinations are said to be feasible, %d are", a.Left(), len(want))
		}
		var list []Row
		for r := a.Next(); r != nil; r = a.Next() {
			if !s.Valid(r) {
				t.Fatalf("%v is forbidden", r)
			}
			if list = append(list, r); len(list) > len(want) {
				t.Fatal("more rows than combinations")
			}
		}
		if got := combos(list, strength); !reflect.DeepEqual(got, want) {
			t.Fatalf("covered %d of %d", len(got), len(want))
		}
	})
}

func TestMeterCountsAsByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t)
		all := every(s)
		if len(all) == 0 {
			return
		}
		m := NewMeter(s, 4)
		list := rapid.SliceOfN(rapid.SampledFrom(all), 0, 10).Draw(t, "rows")
		added := [2]int64{}
		for _, r := range list {
			two, three := m.Add(r)
			added[0] += two
			added[1] += three
		}
		for i, strength := range []int{2, 3, 4} {
			covered, feasible := m.Covered(strength)
			if want := int64(len(combos(list, strength))); covered != want || i < 2 && added[i] != want {
				t.Errorf("strength %d: %d covered, %d by hand", strength, covered, want)
			}
			if want := int64(len(combos(all, strength))); feasible != want {
				t.Errorf("strength %d: %d feasible, %d by hand", strength, feasible, want)
			}
		}
	})
}

func TestCompleteAndRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t)
		all := every(s)
		r := s.Random(NewStream(rapid.Uint64().Draw(t, "key")))
		if (r != nil) != (len(all) > 0) || r != nil && !s.Valid(r) {
			t.Fatalf("a random row is %v, of %d", r, len(all))
		}
		partial := make([]int, len(s.levels))
		for p, n := range s.levels {
			partial[p] = rapid.IntRange(-1, n-1).Draw(t, "value")
		}
		fits := func(r Row) bool {
			for p, v := range partial {
				if v >= 0 && int(r[p]) != v {
					return false
				}
			}
			return true
		}
		possible := false
		for _, r := range all {
			possible = possible || fits(r)
		}
		got := s.Complete(partial)
		if (got != nil) != possible || got != nil && !(fits(got) && s.Valid(got)) {
			t.Fatalf("%v is completed to %v; possible: %v", partial, got, possible)
		}
	})
}

// TestSameRowsEverywhere pins the rows: results of campaigns name cases by
// number, so no change of this package may change them unnoticed.
func TestSameRowsEverywhere(t *testing.T) {
	s := pict(t)
	for strength, want := range map[int]uint64{2: goldenTwo, 3: goldenThree, 4: goldenFour} {
		sum := uint64(0)
		for _, r := range rows(t, s, strength, 7) {
			for _, v := range r {
				sum = Key(sum, uint64(v))
			}
		}
		if sum != want {
			t.Errorf("strength %d: the rows are others: %#x, were %#x", strength, sum, want)
		}
	}
	r := NewStream(Key(1, 2))
	if got := [3]uint64{r.Uint64(), r.Uint64N(1000), uint64(r.Uint32())}; got != goldenStream {
		t.Errorf("the stream is another: %#v", got)
	}
}

const goldenTwo, goldenThree, goldenFour = 0x6071948fddfcb272, 0xbb027cc9361f68d1, 0x2e515d68f3c81e1b

var goldenStream = [3]uint64{0xf7487c029c9b0f86, 0x1a0, 0xf35f6218}

// TestNear: a row near another is valid, has what was wanted where that can be had
// alone, and is the other where nothing stands in the way.
func TestNear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t)
		all := every(s)
		r := NewStream(rapid.Uint64().Draw(t, "key"))
		if len(all) == 0 {
			like, want := make(Row, len(s.levels)), make([]int, len(s.levels))
			if got := s.Near(r, like, want); got != nil {
				t.Fatalf("%v in an empty space", got)
			}
			return
		}
		like := rapid.SampledFrom(all).Draw(t, "like")
		want := make([]int, len(s.levels))
		for p := range want {
			want[p] = -1
		}
		if got := s.Near(r, like, want); !slices.Equal(got, like) {
			t.Fatalf("%v, though nothing else than %v was wanted", got, like)
		}
		p := rapid.IntRange(0, len(s.levels)-1).Draw(t, "param")
		want[p] = rapid.IntRange(0, s.levels[p]-1).Draw(t, "value")
		got := s.Near(r, like, want)
		if !s.Valid(got) {
			t.Fatalf("%v is not valid", got)
		}
		possible := slices.ContainsFunc(all, func(r Row) bool { return int(r[p]) == want[p] })
		certain := s.Complete(want) != nil
		if possible != certain {
			t.Fatalf("%v: possible %v, completed %v", want, possible, certain)
		}
	})
}
