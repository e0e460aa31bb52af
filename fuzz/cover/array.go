package cover

import (
	"fmt"
	"math/bits"
)

// Array computes the rows of a covering array one after the other.
type Array struct {
	s          *Space
	open       *tuples
	st         *state
	r          *Stream
	candidates int
	gain       []int32
	chosen     []int // numbers of the values chosen so far
	taken      []bool
	four       *quadArray // for strength 4, instead of the rest
}

// NewArray begins an array of strength 2, 3 or 4. Its rows depend on space,
// strength, seed and rows given to [Array.Cover] only.
func NewArray(s *Space, t int, seed uint64) (*Array, error) {
	if t < 2 || t > 4 {
		return nil, fmt.Errorf("cover: strength %d: 2, 3 and 4 are possible", t)
	}
	if t == 4 {
		return &Array{s: s, four: newQuadArray(s, seed)}, nil
	}
	a := &Array{
		s: s, st: s.state(), r: NewStream(Key(seed, uint64(t))), candidates: 20,
		gain: make([]int32, len(s.owner)), taken: make([]bool, len(s.levels)),
	}
	if t == 3 {
		a.candidates = 5
	}
	a.open = s.feasible(t)
	return a, nil
}

// Left is how many feasible combinations no row has yet.
func (a *Array) Left() int64 {
	if a.four != nil {
		return a.four.open.left
	}
	return a.open.left
}

// Cover counts a row that is there already.
func (a *Array) Cover(r Row) {
	if a.four != nil {
		a.four.open.remove(r)
		return
	}
	a.open.remove(r)
}

// Next is the next row, nil when every feasible combination is in one.
func (a *Array) Next() Row {
	if a.four != nil {
		return a.four.next()
	}
	if a.open.left == 0 {
		return nil
	}
	start := a.start()
	var best Row
	most := int64(-1)
	for range a.candidates {
		r, n := a.candidate(start)
		if n > most {
			best, most = r, n
		}
	}
	a.open.remove(best)
	return best
}

// start is a combination that is still open: of a context that has the most.
func (a *Array) start() []int {
	u := a.open
	best, most, same := -1, 0, 0
	for c := range len(u.set) / u.words {
		n := 0
		for _, w := range u.set[c*u.words : (c+1)*u.words] {
			n += bits.OnesCount64(w)
		}
		switch {
		case n > most:
			best, most, same = c, n, 1
		case n == most && n > 0:
			if same++; a.r.IntN(same) == 0 {
				best = c
			}
		}
	}
	k := a.r.IntN(most)
	x := []int{best}
	if u.t == 3 {
		x = []int{best / u.n, best % u.n}
	}
	for i, w := range u.set[best*u.words : (best+1)*u.words] {
		if n := bits.OnesCount64(w); k >= n {
			k -= n
			continue
		}
		for ; k > 0; k-- {
			w &= w - 1
		}
		return append(x, i<<6+bits.TrailingZeros64(w))
	}
	panic("cover: a context lost its values")
}

// candidate makes a row around a combination: always the value next that is in
// most open combinations with what is there.
func (a *Array) candidate(start []int) (Row, int64) {
	st := a.st
	st.reset()
	clear(a.gain)
	clear(a.taken)
	a.chosen = a.chosen[:0]
	for _, x := range start {
		st.restrict(a.s.owner[x], a.bit(x)) // feasible, so it does
	}
	mark := len(st.trail)
	covered := a.take()
	for len(a.chosen) < len(a.s.levels) {
		x := a.best()
		p := a.s.owner[x]
		at := len(st.trail)
		if st.restrict(p, a.bit(x)) {
			covered += a.take()
			continue
		}
		st.undo(at)
		if !st.restrict(p, ^a.bit(x)) {
			// A dead end; any row with the combination is progress.
			st.undo(mark)
			st.complete(a.r)
			return st.row(), 0
		}
		covered += a.take()
	}
	return st.row(), covered
}

func (a *Array) bit(x int) uint32 { return 1 << (x - a.s.first[a.s.owner[x]]) }

// take notes the parameters that are decided by now, and what they add.
func (a *Array) take() (covered int64) {
	for p := range a.taken {
		if a.taken[p] || !a.st.fixed(p) {
			continue
		}
		a.taken[p] = true
		y := a.s.first[p] + bits.TrailingZeros32(a.st.dom[p])
		covered += int64(a.gain[y])
		if a.open.t == 2 {
			a.count(a.open.one(y))
		} else {
			for _, z := range a.chosen {
				a.count(a.open.two(y, z))
			}
		}
		a.chosen = append(a.chosen, y)
	}
	return covered
}

func (a *Array) count(set []uint64) {
	for i, w := range set {
		for ; w != 0; w &= w - 1 {
			a.gain[i<<6+bits.TrailingZeros64(w)]++
		}
	}
}

// best is the value that adds most, of a parameter that is open; of equals a
// random one.
func (a *Array) best() int {
	best, most, same := -1, int32(-1), 0
	for p, taken := range a.taken {
		if taken {
			continue
		}
		for d := a.st.dom[p]; d != 0; d &= d - 1 {
			x := a.s.first[p] + bits.TrailingZeros32(d)
			switch g := a.gain[x]; {
			case g > most:
				best, most, same = x, g, 1
			case g == most:
				if same++; a.r.IntN(same) == 0 {
					best = x
				}
			}
		}
	}
	return best
}
