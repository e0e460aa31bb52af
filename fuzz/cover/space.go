package cover

import (
	"fmt"
	"math/bits"
	"sync"
)

// MaxLevels is how many values a parameter can have.
const MaxLevels = 32

// Row has one value for each parameter.
type Row []uint8

// Term is a set of values of one parameter: bit v stands for value v.
type Term struct {
	Param  int    `json:"param"`
	Values uint32 `json:"values"`
}

// Space is the set of rows that do not contain a forbidden combination.
type Space struct {
	levels []int
	first  []int // number of each parameter's value 0 among all values
	owner  []int // parameter of each value
	no     [][]Term
	of     [][]int32 // the combinations that each parameter is in
	start  []uint32  // what each parameter can be
	empty  bool      // there is no row
	once   [maxStrength + 1]sync.Once
	known  [maxStrength + 1]*tuples // what is feasible, computed once

	fourOnce sync.Once
	four     *quads // likewise
}

const maxStrength = 3

// New makes a space. levels says how many values each parameter has. A row is
// forbidden if for one of the combinations each term has its parameter's value.
func New(levels []int, forbidden [][]Term) (*Space, error) {
	s := &Space{levels: levels, no: forbidden, of: make([][]int32, len(levels))}
	for p, n := range levels {
		if n < 1 || n > MaxLevels {
			return nil, fmt.Errorf("cover: parameter %d has %d values, not 1 to %d", p, n, MaxLevels)
		}
		s.first = append(s.first, len(s.owner))
		for range n {
			s.owner = append(s.owner, p)
		}
	}
	for i, c := range forbidden {
		for _, t := range c {
			if t.Param < 0 || t.Param >= len(levels) {
				return nil, fmt.Errorf("cover: forbidden combination %d: no parameter %d", i, t.Param)
			}
			s.of[t.Param] = append(s.of[t.Param], int32(i))
		}
	}
	for _, n := range levels {
		s.start = append(s.start, uint32(1<<n-1))
	}
	st := s.state()
	for _, c := range forbidden {
		s.empty = s.empty || !st.conclude(c)
	}
	s.empty = s.empty || !st.propagate()
	s.start = st.dom
	return s, nil
}

// Valid reports whether the row is in the space.
func (s *Space) Valid(r Row) bool {
	if len(r) != len(s.levels) {
		return false
	}
	for p, v := range r {
		if int(v) >= s.levels[p] {
			return false
		}
	}
	for _, c := range s.no {
		all := true
		for _, t := range c {
			all = all && t.Values>>r[t.Param]&1 != 0
		}
		if all {
			return false
		}
	}
	return true
}

// Complete finds a valid row that has these values, where a negative one is
// free, and nil if there is none. Free parameters get the smallest value that
// goes, so it takes only what is needed.
func (s *Space) Complete(partial []int) Row {
	st := s.state()
	for p, v := range partial {
		if v >= 0 && !st.restrict(p, 1<<v) {
			return nil
		}
	}
	if !st.complete(nil) {
		return nil
	}
	return st.row()
}

// state is a search for a row: what each parameter can still be.
type state struct {
	*Space
	dom   []uint32
	trail []change
	queue []int
	// off is the chance in percent, for each parameter, that value 0 is tried
	// before the others; nil is none.
	off []uint8
}

type change struct {
	param int
	was   uint32
}

func (s *Space) state() *state {
	st := &state{Space: s, dom: make([]uint32, len(s.levels))}
	st.reset()
	return st
}

func (st *state) reset() {
	st.trail = st.trail[:0]
	copy(st.dom, st.start)
}

// restrict leaves a parameter only the values of a mask, and draws all
// conclusions. After a contradiction the caller undoes it.
func (st *state) restrict(param int, mask uint32) bool {
	st.queue = st.queue[:0]
	return st.narrow(param, mask) && st.propagate()
}

func (st *state) propagate() bool {
	for len(st.queue) > 0 {
		p := st.queue[len(st.queue)-1]
		st.queue = st.queue[:len(st.queue)-1]
		for _, i := range st.of[p] {
			if !st.conclude(st.no[i]) {
				return false
			}
		}
	}
	return true
}

func (st *state) narrow(p int, mask uint32) bool {
	now := st.dom[p] & mask
	if now == 0 {
		return false
	}
	if now != st.dom[p] {
		st.trail = append(st.trail, change{p, st.dom[p]})
		st.dom[p] = now
		st.queue = append(st.queue, p)
	}
	return true
}

// conclude: if all terms but one are certain, that one must not be.
func (st *state) conclude(c []Term) bool {
	open := -1
	for i, t := range c {
		d := st.dom[t.Param]
		if d&t.Values == 0 {
			return true
		}
		if d&^t.Values != 0 {
			if open >= 0 {
				return true
			}
			open = i
		}
	}
	return open >= 0 && st.narrow(c[open].Param, ^c[open].Values)
}

func (st *state) undo(mark int) {
	for len(st.trail) > mark {
		last := st.trail[len(st.trail)-1]
		st.dom[last.param] = last.was
		st.trail = st.trail[:len(st.trail)-1]
	}
}

func (st *state) fixed(p int) bool { return st.dom[p]&(st.dom[p]-1) == 0 }

// complete decides all parameters that are open, with backtracking; with a
// stream in random order and to random values.
func (st *state) complete(r *Stream) bool {
	if st.empty {
		return false
	}
	order := make([]int, len(st.levels))
	for i := range order {
		order[i] = i
	}
	if r != nil {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return st.descend(order, r)
}

func (st *state) descend(order []int, r *Stream) bool {
	for len(order) > 0 && st.fixed(order[0]) {
		order = order[1:]
	}
	if len(order) == 0 {
		return true
	}
	p := order[0]
	for left := st.dom[p]; left != 0; {
		v := bits.TrailingZeros32(left)
		if r != nil {
			if st.off == nil || left&1 == 0 || r.IntN(100) >= int(st.off[p]) {
				v = nth(left, r.IntN(bits.OnesCount32(left)))
			}
		}
		left &^= 1 << v
		mark := len(st.trail)
		if st.restrict(p, 1<<v) && st.descend(order[1:], r) {
			return true
		}
		st.undo(mark)
	}
	return false
}

// nth is the number of the n-th bit that is set.
func nth(mask uint32, n int) int {
	for range n {
		mask &= mask - 1
	}
	return bits.TrailingZeros32(mask)
}

func (st *state) row() Row {
	r := make(Row, len(st.dom))
	for p, d := range st.dom {
		r[p] = uint8(bits.TrailingZeros32(d))
	}
	return r
}

// Random draws a row: parameters in random order, each one of the values that
// are still possible, all of the same chance. It is nil if the space is empty.
func (s *Space) Random(r *Stream) Row { return s.Sparse(r, nil) }

// Sparse is Random, except that each parameter first has the chance of off, in
// percent, to get value 0 if that is possible.
func (s *Space) Sparse(r *Stream, off []uint8) Row {
	st := s.state()
	st.off = off
	if !st.complete(r) {
		return nil
	}
	return st.row()
}
