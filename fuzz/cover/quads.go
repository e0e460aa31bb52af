package cover

import (
	"math/bits"
	"slices"
)

// quads is a set of combinations of four values of different parameters. Values
// of all parameters are numbered through. A combination is kept once: for the
// context of its three lowest values there is a bit for the fourth, and the words
// below the third are left out. That takes about a bit for each combination.
type quads struct {
	*Space
	n, words int
	base     []int // of two values, x*n+y: where their contexts begin
	sum      []int // words of the contexts whose third value is below
	set      []uint64
	left     int64 // combinations in the set
	mask     []uint64
	flat     []int
}

// noQuads is an empty set.
func (s *Space) noQuads() *quads {
	n := len(s.owner)
	q := &quads{Space: s, n: n, words: (n + 63) / 64, base: make([]int, n*n), sum: make([]int, n+1)}
	for z := range n {
		q.sum[z+1] = q.sum[z] + q.words - z>>6
	}
	at := 0
	for x := range n {
		for y := x + 1; y < n; y++ {
			if s.owner[x] == s.owner[y] {
				continue
			}
			q.base[x*n+y] = at - q.sum[q.after(y)]
			at += q.sum[n] - q.sum[q.after(y)]
		}
	}
	q.set, q.mask, q.flat = make([]uint64, at), make([]uint64, q.words), make([]int, len(s.levels))
	return q
}

// after is the first value of the parameter after that of a value.
func (s *Space) after(y int) int {
	p := s.owner[y] + 1
	if p == len(s.first) {
		return len(s.owner)
	}
	return s.first[p]
}

// of is the set of a context, whose first word is that of its third value.
func (q *quads) of(x, y, z int) []uint64 {
	at := q.base[x*q.n+y] + q.sum[z]
	return q.set[at : at+q.words-z>>6]
}

// has reports whether a combination, of rising values, is in the set.
func (q *quads) has(x, y, z, w int) bool {
	at := q.base[x*q.n+y] + q.sum[z] + w>>6 - z>>6
	return q.set[at]>>(w&63)&1 != 0
}

func (q *quads) drop(x, y, z, w int) {
	at := q.base[x*q.n+y] + q.sum[z] + w>>6 - z>>6
	q.set[at] &^= 1 << (w & 63)
	q.left--
}

// count says how many combinations of a row are there.
func (q *quads) count(r Row) int64 { return q.visit(r, ^uint64(0)) }

// remove takes all combinations of a row out, and says how many were there.
func (q *quads) remove(r Row) int64 {
	had := q.visit(r, 0)
	q.left -= had
	return had
}

// visit counts the combinations of a row that are there, and keeps those bits of
// them that are in keep.
func (q *quads) visit(r Row, keep uint64) int64 {
	clear(q.mask)
	for p, v := range r {
		x := q.first[p] + int(v)
		q.flat[p] = x
		q.mask[x>>6] |= 1 << (x & 63)
	}
	had := 0
	for i, x := range q.flat {
		for j := i + 1; j < len(q.flat); j++ {
			base := q.base[x*q.n+q.flat[j]]
			for _, z := range q.flat[j+1:] {
				lo := z >> 6
				set := q.set[base+q.sum[z]:]
				for w, m := range q.mask[lo:] {
					if is := set[w] & m; is != 0 {
						had += bits.OnesCount64(is)
						set[w] &^= is &^ keep
					}
				}
			}
		}
	}
	return int64(had)
}

// each calls f with every combination in rising order; f may take it out.
func (q *quads) each(f func(x, y, z, w int)) {
	for x := range q.n {
		for y := q.after(x); y < q.n; y++ {
			for z := q.after(y); z < q.n; z++ {
				for i, word := range q.of(x, y, z) {
					for ; word != 0; word &= word - 1 {
						f(x, y, z, (z>>6+i)<<6+bits.TrailingZeros64(word))
					}
				}
			}
		}
	}
}

// feasibleQuads is the set of those that a valid row can have, of the caller's
// own.
func (s *Space) feasibleQuads() *quads {
	s.fourOnce.Do(func() { s.four = s.findQuads() })
	q := *s.four
	q.set, q.mask, q.flat = slices.Clone(q.set), make([]uint64, q.words), make([]int, len(s.levels))
	return &q
}

// findQuads computes it. What three values exclude needs no look at a fourth. Of
// what is left only combinations of parameters that constraints connect with each
// other can be impossible: parameters that no chain of constraints connects do not
// know of each other.
func (s *Space) findQuads() *quads {
	q, three := s.noQuads(), s.feasible(3)
	for x := range q.n {
		for y := q.after(x); y < q.n; y++ {
			xy := three.two(x, y)
			for z := q.after(y); z < q.n; z++ {
				if xy[z>>6]>>(z&63)&1 == 0 {
					continue
				}
				xz, yz, set := three.two(x, z), three.two(y, z), q.of(x, y, z)
				for i := range set {
					w := z>>6 + i
					is := xy[w] & xz[w] & yz[w]
					if i == 0 {
						is &^= 2<<(z&63) - 1
					}
					set[i] = is
					q.left += int64(bits.OnesCount64(is))
				}
			}
		}
	}
	for _, part := range s.connected() {
		if len(part) >= 4 {
			s.impossibleQuads(part, func(x, y, z, w int) { q.drop(x, y, z, w) })
		}
	}
	return q
}

// connected are the parameters in groups of those that constraints connect, each in
// rising order; those without a constraint are left out.
func (s *Space) connected() [][]int {
	group := make([]int, len(s.levels))
	for p := range group {
		group[p] = p
	}
	root := func(p int) int {
		for group[p] != p {
			p = group[p]
		}
		return p
	}
	for _, c := range s.no {
		for _, t := range c {
			group[root(t.Param)] = root(c[0].Param)
		}
	}
	at := map[int]int{}
	var out [][]int
	for p := range group {
		if len(s.of[p]) == 0 {
			continue
		}
		r := root(p)
		if _, ok := at[r]; !ok {
			at[r] = len(out)
			out = append(out, nil)
		}
		out[at[r]] = append(out[at[r]], p)
	}
	return out
}

// impossibleQuads calls f with all that no row has, of the given parameters and
// with nothing impossible in three of them. A row that has a combination is its
// proof; for what no row showed, the search is exhaustive.
func (s *Space) impossibleQuads(params []int, f func(x, y, z, w int)) {
	place := map[int]int{}
	var levels, number []int // number: of a value here, there
	for i, p := range params {
		place[p] = i
		levels = append(levels, s.levels[p])
		for v := range s.levels[p] {
			number = append(number, s.first[p]+v)
		}
	}
	var no [][]Term
	for _, c := range s.no {
		if len(c) == 0 {
			continue // there is no row at all, and no triple
		}
		if _, here := place[c[0].Param]; !here {
			continue
		}
		var own []Term
		for _, t := range c {
			own = append(own, Term{place[t.Param], t.Values})
		}
		no = append(no, own)
	}
	part, err := New(levels, no)
	if err != nil {
		panic(err) // it is a part of a space
	}
	open, st, r := part.noQuads(), part.state(), NewStream(Key(4))
	three := part.feasible(3)
	for x := range open.n {
		for y := open.after(x); y < open.n; y++ {
			xy := three.two(x, y)
			for z := open.after(y); z < open.n; z++ {
				if xy[z>>6]>>(z&63)&1 == 0 {
					continue
				}
				xz, yz, set := three.two(x, z), three.two(y, z), open.of(x, y, z)
				for i := range set {
					w := z>>6 + i
					set[i] = xy[w] & xz[w] & yz[w]
					if i == 0 {
						set[i] &^= 2<<(z&63) - 1
					}
				}
			}
		}
	}
	// A row costs about as much as two hundred searches.
	for barren := 0; barren < 8; {
		st.reset()
		if !st.complete(r) {
			break // there is no row, and so no triple either
		}
		if open.remove(st.row()) > 200 {
			barren = 0
		} else {
			barren++
		}
	}
	open.each(func(x, y, z, w int) {
		st.reset()
		for _, v := range [...]int{x, y, z, w} {
			if !st.restrict(part.owner[v], 1<<(v-part.first[part.owner[v]])) {
				f(number[x], number[y], number[z], number[w])
				return
			}
		}
		if !st.complete(nil) {
			f(number[x], number[y], number[z], number[w])
		}
	})
}
