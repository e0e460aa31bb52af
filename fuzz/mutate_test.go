package fuzz

import (
	"slices"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// parentsOf draws some.
func parentsOf(md *Model, n int) Parents {
	var out Parents
	for i := range uint64(n) {
		out = append(out, md.Words(md.Space().Sparse(cover.NewStream(cover.Key(7, i)), slices.Repeat([]uint8{80}, len(md.params)))))
	}
	return out
}

// TestMutated: cases that are near a parent are valid and differ from the nearest
// in a few parameters; which they are depends on nothing but parents, seed and
// number, in whatever order who computes them.
func TestMutated(t *testing.T) {
	md := model(t, able())
	list := parentsOf(md, 40)
	shuffled := append(slices.Clone(list), list[0], Parents{{"no such parameter": "on"}}[0])
	slices.Reverse(shuffled)
	q, err := md.SequenceFrom(list, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	again, err := model(t, able()).SequenceFrom(shuffled, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := md.Sequence(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	if md.Fitting(list).ID() != md.Fitting(shuffled).ID() || md.Fitting(list).ID() == list[:1].ID() || Parents(nil).ID() != "" {
		t.Error("parents are known by what is in them, each once, in any order")
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	others := 0
	for shard := range uint64(4) {
		wg.Go(func() {
			for i := 4000 - shard; i < 5000; i -= 4 { // backwards, until it wraps around
				a := q.At(i)
				if !slices.Equal(a, again.At(i)) {
					t.Errorf("case %d is another if the parents are in another order", i)
				}
				if !md.Space().Valid(a) {
					t.Errorf("case %d is not valid", i)
				}
				near := i%densities == 3 || i%densities == 4
				if !near {
					if !slices.Equal(a, plain.At(i)) {
						t.Errorf("case %d has parents, though it should have none", i)
					}
					continue
				}
				if md.Slow(a) {
					t.Errorf("case %d is slow", i)
				}
				if !slices.Equal(a, plain.At(i)) {
					mu.Lock()
					others++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if others < 900 {
		t.Errorf("%d of 1000 cases are others than without parents", others)
	}
	// Most are nearer to a parent than a case that is drawn by itself.
	nearest := func(a Assignment) int {
		best := len(a)
		for _, p := range q.parents {
			n := 0
			for i := range a {
				if a[i] != p[i] {
					n++
				}
			}
			best = min(best, n)
		}
		return best
	}
	near, far := 0, 0
	for i := uint64(3); i < 803; i += densities {
		near, far = near+nearest(q.At(i)), far+nearest(plain.At(i))
	}
	t.Logf("parameters that differ from the nearest parent: %.1f on average, %.1f without parents", float64(near)/100, float64(far)/100)
	if near*3 > far {
		t.Error("cases with parents are hardly nearer to one than those without")
	}
}
