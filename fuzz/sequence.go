package fuzz

import (
	"fmt"
	"sync"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// Sequence is the cases of a campaign: case i is a function of model, seed,
// strength and i. The first ones are a covering array of strength 2, then those of
// strength 3 and 4 that build on it if so wished, and then every case is drawn by
// itself: see [Sequence.At].
type Sequence struct {
	md      *Model
	seed    uint64
	parents []Assignment

	mu     sync.Mutex
	rows   []Assignment
	arrays []*cover.Array // those to come, the first is under way
	off    [densities][]uint8
}

// densities are the ways to draw a case. Of eight cases
//   - two have each parameter on or off as it comes, so about half of them on,
//     but none that is slow,
//   - two are near one of the [Parents], or like the former without any,
//   - three have few on, since what is on may hide what another does,
//   - one has any on, slow ones too.
//
// What the caller is ([Model.Caller]) is usual in five of the eight, since each of
// its combinations takes an agent of its own.
//
// What is slow ([Model.Slow]) takes ten to a hundred times as long as all else; the
// covering arrays have it in all combinations.
const densities = 8

func density(n uint64, slow bool) uint8 {
	switch {
	case n == 0:
		return 0
	case slow:
		return 100
	case n > 4:
		return 90
	}
	return 0
}

func callerDensity(n uint64) uint8 {
	switch n {
	case 0:
		return 50
	case 2, 7:
		return 90
	}
	return 100
}

// Sequence begins a campaign. strength is 1 for none of the arrays, or 2 to 4.
// There are no parents.
func (md *Model) Sequence(seed uint64, strength int) (*Sequence, error) {
	return md.SequenceFrom(nil, seed, strength)
}

// SequenceFrom is Sequence with parents; those that the model does not have are
// left out. Case i is a function of them, too.
func (md *Model) SequenceFrom(parents Parents, seed uint64, strength int) (*Sequence, error) {
	if strength < 1 || strength > 4 {
		return nil, fmt.Errorf("fuzz: strength %d: 1 (no covering array), 2, 3 and 4 are possible", strength)
	}
	q := &Sequence{md: md, seed: seed, parents: md.canonical(parents)}
	for n := range q.off {
		q.off[n] = make([]uint8, len(md.params))
		for p := range md.params {
			q.off[n][p] = density(uint64(n), md.slow[p])
			if md.callers[p] != "" {
				q.off[n][p] = callerDensity(uint64(n))
			}
		}
	}
	for t := 2; t <= strength; t++ {
		a, err := cover.NewArray(md.space, t, md.key(seed))
		if err != nil {
			return nil, err
		}
		q.arrays = append(q.arrays, a)
	}
	return q, nil
}

// At is the assignment of a case.
func (q *Sequence) At(index uint64) Assignment {
	q.mu.Lock()
	defer q.mu.Unlock()
	for uint64(len(q.rows)) <= index && len(q.arrays) > 0 {
		r := q.arrays[0].Next()
		if r == nil {
			q.arrays = q.arrays[1:]
			continue
		}
		q.rows = append(q.rows, r)
		for _, a := range q.arrays[1:] {
			a.Cover(r)
		}
	}
	if index < uint64(len(q.rows)) {
		return q.rows[index]
	}
	if n := index % densities; q.parents != nil && (n == 3 || n == 4) {
		return q.mutated(index)
	}
	return q.md.space.Sparse(cover.NewStream(q.md.key(q.seed, index, 1)), q.off[index%densities])
}

// Negative says whether a case must be refused: its request is that of its
// assignment with one [Defect]. So is one of 16 after the covering arrays.
func (q *Sequence) Negative(index uint64) bool {
	return index%16 == 15 && index >= uint64(q.Rows())
}

// Rows is how many of the cases are of the covering arrays. It computes them.
func (q *Sequence) Rows() int {
	for i := uint64(0); ; i++ {
		q.At(i)
		q.mu.Lock()
		n, done := len(q.rows), len(q.arrays) == 0
		q.mu.Unlock()
		if done {
			return n
		}
	}
}
