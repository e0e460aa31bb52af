package cover

import (
	"math/bits"
	"slices"
)

// tuples is a set of combinations of t values of different parameters. Values of
// all parameters are numbered through. For each context, which is t-1 of them
// in rising order, there is a set of those that go with it; a combination is
// thus in t sets, one for each value that can be the last.
type tuples struct {
	*Space
	t, n, words int
	set         []uint64
	left        int64 // combinations in the set
	mask        []uint64
	flat        []int
}

// none is an empty set.
func (s *Space) none(t int) *tuples {
	n := len(s.owner)
	u := &tuples{Space: s, t: t, n: n, words: (n + 63) / 64}
	contexts := n
	if t == 3 {
		contexts = n * n
	}
	u.set, u.mask, u.flat = make([]uint64, contexts*u.words), make([]uint64, u.words), make([]int, len(s.levels))
	return u
}

// all is the set of all combinations, feasible or not.
func (s *Space) all(t int) *tuples {
	u := s.none(t)
	others := func(set []uint64, of ...int) {
		for x := range u.n {
			free := true
			for _, y := range of {
				free = free && s.owner[x] != s.owner[y]
			}
			if free {
				set[x>>6] |= 1 << (x & 63)
			}
		}
	}
	for y := range u.n {
		if t == 2 {
			others(u.one(y), y)
			continue
		}
		for z := y + 1; z < u.n; z++ {
			if s.owner[y] != s.owner[z] {
				others(u.two(y, z), y, z)
			}
		}
	}
	u.recount()
	return u
}

func (u *tuples) recount() {
	u.left = 0
	for _, w := range u.set {
		u.left += int64(bits.OnesCount64(w))
	}
	u.left /= int64(u.t)
}

// one and two are the set of a context.
func (u *tuples) one(y int) []uint64 { return u.set[y*u.words : (y+1)*u.words] }

func (u *tuples) two(y, z int) []uint64 {
	if y > z {
		y, z = z, y
	}
	i := (y*u.n + z) * u.words
	return u.set[i : i+u.words]
}

// number writes the row as numbers of values.
func (u *tuples) number(r Row) {
	clear(u.mask)
	for p, v := range r {
		x := u.first[p] + int(v)
		u.flat[p] = x
		u.mask[x>>6] |= 1 << (x & 63)
	}
}

// remove takes all combinations of a row out, and says how many were there.
func (u *tuples) remove(r Row) int64 {
	u.number(r)
	had := 0
	strip := func(set []uint64) {
		for i, m := range u.mask {
			had += bits.OnesCount64(set[i] & m)
			set[i] &^= m
		}
	}
	for i, y := range u.flat {
		if u.t == 2 {
			strip(u.one(y))
			continue
		}
		for _, z := range u.flat[i+1:] {
			strip(u.two(y, z))
		}
	}
	u.left -= int64(had / u.t)
	return int64(had / u.t)
}

// drop takes one combination out.
func (u *tuples) drop(x []int) {
	out := func(set []uint64, x int) { set[x>>6] &^= 1 << (x & 63) }
	if u.t == 2 {
		out(u.one(x[0]), x[1])
		out(u.one(x[1]), x[0])
	} else {
		out(u.two(x[0], x[1]), x[2])
		out(u.two(x[0], x[2]), x[1])
		out(u.two(x[1], x[2]), x[0])
	}
	u.left--
}

// each calls f with every combination, in order of its values; f may take
// combinations out.
func (u *tuples) each(f func(x []int)) {
	var x [3]int
	for y := range u.n {
		if u.t == 2 {
			above(u.one(y), y, func(z int) { x[0], x[1] = y, z; f(x[:2]) })
			continue
		}
		for z := y + 1; z < u.n; z++ {
			above(u.two(y, z), z, func(last int) { x[0], x[1], x[2] = y, z, last; f(x[:3]) })
		}
	}
}

// above calls f with the members of a set beyond one. The set may shrink
// meanwhile.
func above(set []uint64, least int, f func(int)) {
	for i := least >> 6; i < len(set); i++ {
		for w := set[i]; w != 0; w &= w - 1 {
			x := i<<6 + bits.TrailingZeros64(w)
			if x > least && set[i]>>(x&63)&1 != 0 {
				f(x)
			}
		}
	}
}

// feasible is the set of the combinations that a valid row can have, of the
// caller's own.
func (s *Space) feasible(t int) *tuples {
	s.once[t].Do(func() { s.known[t] = s.findFeasible(t) })
	u := *s.known[t]
	u.set, u.mask, u.flat = slices.Clone(u.set), make([]uint64, u.words), make([]int, len(s.levels))
	return &u
}

// findFeasible computes it. A row that has a combination is its proof; for what
// no row showed, the search is exhaustive.
func (s *Space) findFeasible(t int) *tuples {
	u := s.all(t)
	if len(s.no) == 0 {
		return u
	}
	unproven, st, r := s.all(t), s.state(), NewStream(Key(uint64(t)))
	if t == 3 {
		// What two values exclude needs no look at a third.
		pairs, possible := s.all(2), s.feasible(2)
		pairs.each(func(x []int) {
			if possible.one(x[0])[x[1]>>6]>>(x[1]&63)&1 == 0 {
				for _, v := range []*tuples{u, unproven} {
					v.exclude(x[0], x[1])
				}
			}
		})
		u.recount()
		unproven.recount()
	}
	for barren := 0; barren < 8; {
		st.reset()
		if !st.complete(r) {
			u.set, u.left = make([]uint64, len(u.set)), 0 // nothing is
			return u
		}
		if unproven.remove(st.row()) > 20 {
			barren = 0
		} else {
			barren++
		}
	}
	unproven.each(func(x []int) {
		st.reset()
		possible := true
		for _, y := range x {
			possible = possible && st.restrict(s.owner[y], 1<<(y-s.first[s.owner[y]]))
		}
		if possible && st.complete(r) {
			unproven.remove(st.row())
			return
		}
		unproven.drop(x)
		u.drop(x)
	})
	return u
}

// exclude takes out all with these two values. The count is not kept.
func (u *tuples) exclude(y, z int) {
	clear(u.two(y, z))
	for x := range u.n {
		if o := u.owner[x]; o != u.owner[y] && o != u.owner[z] {
			set := u.two(x, y)
			set[z>>6] &^= 1 << (z & 63)
			set = u.two(x, z)
			set[y>>6] &^= 1 << (y & 63)
		}
	}
}
