package cover

import (
	"math/bits"
	"slices"
)

// quadArray computes the rows of a covering array of strength 4. To count what
// each value would add, as [Array] does for less, takes a look at all triples that
// are chosen, of which there are hundreds of thousands. So it looks at some of
// them; and once few combinations are left, of which a look at some finds none, a
// row is made of those that are left, as many as go together.
type quadArray struct {
	s    *Space
	open *quads
	all  int64
	st   *state
	r    *Stream

	chosen []int // numbers of the values that are certain, rising
	at     int   // word of the set at which to look for what is left
	where  []quadContext
	order  []int
}

// quadContext is the three values of a run of words.
type quadContext struct {
	at      int // the first word
	x, y, z int
}

const (
	// small is a set in words for which several rows are compared: for a larger
	// one that takes longer than running a few cases more.
	small = 1 << 18
	// looks is how many triples are looked at for each value.
	looks = 96
	// few: so small a part of all is left that rows begin with it; hardly: that
	// they are made of it.
	few    = 20
	hardly = 1000
	// pack is how many of those that are left are tried for one row.
	pack = 200
)

func newQuadArray(s *Space, seed uint64) *quadArray {
	a := &quadArray{s: s, open: s.feasibleQuads(), st: s.state(), r: NewStream(Key(seed, 4))}
	a.all = a.open.left
	for p := range s.levels {
		a.order = append(a.order, p)
	}
	return a
}

// next is the next row, nil if nothing is left.
func (a *quadArray) next() Row {
	if a.open.left == 0 {
		return nil
	}
	candidates := 1
	if len(a.open.set) < small {
		candidates = 8
	}
	var best Row
	most := int64(-1)
	for range candidates {
		r := a.candidate()
		n := int64(0)
		if candidates > 1 {
			n = a.open.count(r)
		}
		if n > most {
			best, most = r, n
		}
	}
	a.open.remove(best)
	return best
}

func (a *quadArray) candidate() Row {
	a.st.reset()
	a.chosen = a.chosen[:0]
	tries := 1
	switch {
	case a.open.left < a.all/hardly && len(a.open.set) >= small:
		tries = 100 * pack
	case a.open.left < a.all/few:
		tries = pack
	}
	a.fill(tries)
	a.settle()
	// The rest by what each value would add, parameters in random order.
	a.r.Shuffle(len(a.order), func(i, j int) { a.order[i], a.order[j] = a.order[j], a.order[i] })
	for _, p := range a.order {
		for !a.st.fixed(p) {
			v := a.best(p)
			mark := len(a.st.trail)
			if a.st.restrict(p, 1<<v) {
				break
			}
			a.st.undo(mark)
			if !a.st.restrict(p, ^uint32(1<<v)) {
				return a.rescue()
			}
		}
		a.settle()
	}
	return a.st.row()
}

// rescue is a row where propagation saw a dead end too late: any row with a
// combination that is left is progress.
func (a *quadArray) rescue() Row {
	a.st.reset()
	a.fill(1)
	a.st.complete(a.r)
	return a.st.row()
}

// fill makes up to so many of the combinations that are left certain, those that
// go together. The first is feasible, and so goes.
func (a *quadArray) fill(tries int) {
	if a.where == nil {
		a.contexts()
	}
	set, n := a.open.set, len(a.open.set)
	if tries == 1 {
		a.at = int(a.r.Uint64N(uint64(n)))
	}
	for seen := 0; tries > 0 && seen <= n; seen++ {
		if a.at == n {
			a.at = 0
		}
		word := set[a.at]
		if word == 0 {
			a.at++
			continue
		}
		i, _ := slices.BinarySearchFunc(a.where, a.at, func(c quadContext, at int) int {
			if c.at <= at {
				return -1
			}
			return 1
		})
		c := a.where[i-1]
		for ; word != 0 && tries > 0; word &= word - 1 {
			tries--
			w := (c.z>>6+a.at-c.at)<<6 + bits.TrailingZeros64(word)
			a.fix(c.x, c.y, c.z, w)
		}
		if tries > 0 {
			a.at++
		}
	}
}

// contexts notes where in the set which contexts are.
func (a *quadArray) contexts() {
	q := a.open
	for x := range q.n {
		for y := q.after(x); y < q.n; y++ {
			for z := q.after(y); z < q.n; z++ {
				a.where = append(a.where, quadContext{q.base[x*q.n+y] + q.sum[z], x, y, z})
			}
		}
	}
}

// fix makes four values certain if they go with what is there.
func (a *quadArray) fix(values ...int) {
	for _, x := range values {
		p := a.s.owner[x]
		if a.st.dom[p]>>(x-a.s.first[p])&1 == 0 {
			return
		}
	}
	mark := len(a.st.trail)
	for _, x := range values {
		p := a.s.owner[x]
		if !a.st.restrict(p, 1<<(x-a.s.first[p])) {
			a.st.undo(mark)
			return
		}
	}
	// What propagation lets pass may still be a dead end; [quadArray.rescue]
	// is for that.
}

// settle notes what is certain by now.
func (a *quadArray) settle() {
	a.chosen = a.chosen[:0]
	for p, d := range a.st.dom {
		if d&(d-1) == 0 {
			a.chosen = append(a.chosen, a.s.first[p]+bits.TrailingZeros32(d))
		}
	}
}

// best is the value of a parameter that is in most open combinations with some of
// the triples that are certain; of equals a random one.
func (a *quadArray) best(p int) int {
	d := a.st.dom[p]
	if len(a.chosen) < 3 {
		return nth(d, a.r.IntN(bits.OnesCount32(d)))
	}
	var gain [MaxLevels]int
	for range looks {
		i := a.r.IntN(len(a.chosen))
		j := a.r.IntN(len(a.chosen))
		k := a.r.IntN(len(a.chosen))
		if i == j || j == k || i == k {
			continue
		}
		x := [3]int{a.chosen[i], a.chosen[j], a.chosen[k]}
		slices.Sort(x[:])
		for left := d; left != 0; left &= left - 1 {
			v := bits.TrailingZeros32(left)
			y := a.s.first[p] + v
			in := false
			switch {
			case y < x[0]:
				in = a.open.has(y, x[0], x[1], x[2])
			case y < x[1]:
				in = a.open.has(x[0], y, x[1], x[2])
			case y < x[2]:
				in = a.open.has(x[0], x[1], y, x[2])
			default:
				in = a.open.has(x[0], x[1], x[2], y)
			}
			if in {
				gain[v]++
			}
		}
	}
	best, most, same := -1, -1, 0
	for left := d; left != 0; left &= left - 1 {
		v := bits.TrailingZeros32(left)
		switch {
		case gain[v] > most:
			best, most, same = v, gain[v], 1
		case gain[v] == most:
			if same++; a.r.IntN(same) == 0 {
				best = v
			}
		}
	}
	return best
}
