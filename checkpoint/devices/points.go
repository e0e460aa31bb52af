package devices

import "iter"

// point is one access.
type point struct {
	t            Type
	major, minor uint32
	access       Access
}

// points are accesses that no list of the same numbers can tell apart from any
// other: with each number that a rule names, and with one that none does.
func points(rules []Rule) iter.Seq[point] {
	return func(yield func(point) bool) {
		majors, minors := []uint32{}, []uint32{}
		seenMajor, seenMinor := map[uint32]bool{}, map[uint32]bool{}
		add := func(list *[]uint32, seen map[uint32]bool, n int64) {
			if n != Any && !seen[uint32(n)] {
				seen[uint32(n)] = true
				*list = append(*list, uint32(n))
			}
		}
		for i := range rules {
			add(&majors, seenMajor, rules[i].Major)
			add(&minors, seenMinor, rules[i].Minor)
		}
		fresh := func(seen map[uint32]bool) uint32 {
			n := uint32(0)
			for seen[n] {
				n++
			}
			return n
		}
		majors = append(majors, fresh(seenMajor))
		minors = append(minors, fresh(seenMinor))
		for _, t := range []Type{Char, Block} {
			for _, major := range majors {
				for _, minor := range minors {
					for a := range Every + 1 {
						if !yield(point{t, major, minor, a}) {
							return
						}
					}
				}
			}
		}
	}
}
