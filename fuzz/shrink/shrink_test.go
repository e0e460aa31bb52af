package shrink

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// planted is a fault of so many parameters of 60, in a row drawn at random.
type planted struct {
	space *cover.Space
	needs [][]int
	start cover.Row
	want  cover.Row
}

func plant(t testing.TB, r *rand.Rand, strength int) *planted {
	t.Helper()
	const n = 60
	levels := make([]int, n)
	needs := make([][]int, n)
	var forbidden [][]cover.Term
	for p := range levels {
		levels[p] = 2
		if r.IntN(4) == 0 {
			levels[p] = 3 + r.IntN(2)
		}
		if p > 5 && r.IntN(5) == 0 {
			q := r.IntN(6)
			needs[p] = []int{q}
			forbidden = append(forbidden, []cover.Term{{Param: p, Values: ^uint32(1)}, {Param: q, Values: 1}})
		}
	}
	s, err := cover.New(levels, forbidden)
	if err != nil {
		t.Fatal(err)
	}
	f := &planted{space: s, needs: needs}
	for {
		f.start = s.Random(cover.NewStream(r.Uint64()))
		var on []int
		for p, v := range f.start {
			if v > 0 {
				on = append(on, p)
			}
		}
		if len(on) < strength {
			continue
		}
		r.Shuffle(len(on), func(i, j int) { on[i], on[j] = on[j], on[i] })
		partial := slices.Repeat([]int{-1}, n)
		f.want = make(cover.Row, n)
		for _, p := range on[:strength] {
			f.want[p] = f.start[p]
			partial[p] = int(f.start[p])
		}
		return f
	}
}

func (f *planted) fails(r cover.Row) bool {
	for p, v := range f.want {
		if v > 0 && r[p] != v {
			return false
		}
	}
	return true
}

// minimal is what can be left at best: what is needed must be on, too, at its
// smallest value.
func (f *planted) minimal() cover.Row {
	r := slices.Clone(f.want)
	for p, v := range f.want {
		if v > 0 {
			for _, q := range f.needs[p] {
				r[q] = max(r[q], 1)
			}
		}
	}
	return r
}

func run(t *testing.T, rate float64) (executions []int, right int) {
	t.Helper()
	const each = 300
	r := rand.New(rand.NewPCG(5, 6))
	for strength := 1; strength <= 6; strength++ {
		for range each {
			f := plant(t, r, strength)
			p := &Problem{
				Start: f.start, Valid: f.space.Valid, Needs: f.needs, Rate: rate,
				Fails: func(a cover.Row) bool { return f.fails(a) && (rate == 1 || r.Float64() < rate) },
			}
			res := p.Run()
			if !f.fails(res.Row) || !f.space.Valid(res.Row) {
				t.Fatalf("strength %d: the result does not fail: %v", strength, res.Row)
			}
			if slices.Equal(res.Row, f.minimal()) {
				right++
			} else if rate == 1 {
				t.Errorf("strength %d: %v, want %v", strength, res.Row, f.minimal())
			}
			executions = append(executions, res.Executions)
		}
	}
	slices.Sort(executions)
	return executions, right
}

func TestShrinkIsMinimalAndCheap(t *testing.T) {
	e, right := run(t, 1)
	median, p99 := e[len(e)/2], e[len(e)*99/100]
	t.Logf("%d faults of 1 to 6 of 60 parameters: median %d executions, p99 %d, most %d; %d minimal", len(e), median, p99, e[len(e)-1], right)
	sum := 0
	for _, n := range e {
		sum += n
	}
	mean := float64(sum) / float64(len(e))
	t.Logf("mean %.2f", mean)
	if median > 20 || p99 > 60 || mean > 21.5 { // a halving that is worse costs 1 or 2 of them
		t.Errorf("median %d, p99 %d, mean %.2f: want 20, 60 and 21.5 at most", median, p99, mean)
	}
}

func TestShrinkOfWhatFailsEverySecondTime(t *testing.T) {
	sure, _ := run(t, 1)
	e, right := run(t, 0.5)
	sum := func(list []int) (n int) {
		for _, x := range list {
			n += x
		}
		return n
	}
	cost := float64(sum(e)) / float64(sum(sure))
	t.Logf("%d of %d minimal, %.1f times the executions", right, len(e), cost)
	if right < len(e)*95/100 {
		t.Errorf("%d of %d are minimal, want 95 %% at least", right, len(e))
	}
	if cost > 5 {
		t.Errorf("%.1f times the executions, want 5 at most", cost)
	}
}
