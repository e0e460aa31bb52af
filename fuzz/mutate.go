package fuzz

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// Parents are what cases are derived from, a little changed: one example of each
// state that was seen before, as the words of its parameters. They are a part of
// what makes a campaign: all that compute its cases must have the same.
//
// What earlier cases of the same campaign have shown is never a parent: then case
// i would depend on what others saw, on this machine and before it.
type Parents []map[string]string

// canonical are the parents in one order, without those that a model does not
// have, each once.
func (md *Model) canonical(list Parents) []Assignment {
	var out []Assignment
	for _, words := range list {
		if a, err := md.Assign(words); err == nil {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, slices.Compare[Assignment])
	return slices.CompactFunc(out, slices.Equal[Assignment])
}

// Fitting are those of the parents that a model has, in one order and each once.
func (md *Model) Fitting(list Parents) Parents {
	var out Parents
	for _, a := range md.canonical(list) {
		out = append(out, md.Words(a))
	}
	return out
}

// ID identifies parents, in whatever order they are; empty for none.
func (p Parents) ID() string {
	if len(p) == 0 {
		return ""
	}
	var lines []string
	for _, words := range p {
		var line strings.Builder
		for _, k := range slices.Sorted(maps.Keys(words)) {
			fmt.Fprintf(&line, "%q=%q ", k, words[k])
		}
		lines = append(lines, line.String())
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range slices.Compact(lines) {
		fmt.Fprintln(h, l)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// mutated is a parent in which some parameters have another value, and now and
// then half of another parent.
func (q *Sequence) mutated(index uint64) Assignment {
	r := cover.NewStream(q.md.key(q.seed, index, 2))
	parent := q.parents[r.IntN(len(q.parents))]
	want := make([]int, len(parent))
	for p := range want {
		if want[p] = -1; q.md.slow[p] {
			want[p] = 0
		}
	}
	if r.IntN(4) == 0 {
		other := q.parents[r.IntN(len(q.parents))]
		for p, v := range other {
			if r.IntN(2) == 0 && want[p] < 0 {
				want[p] = int(v)
			}
		}
	}
	for n := 1 + r.IntN(6); n > 0; n-- {
		p := r.IntN(len(parent))
		levels := len(q.md.params[p].Values)
		if levels < 2 || q.md.slow[p] {
			continue
		}
		// Any other value.
		want[p] = (int(parent[p]) + 1 + r.IntN(levels-1)) % levels
	}
	return q.md.space.Near(r, parent, want)
}
