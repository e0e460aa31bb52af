package cover

// Near draws a row that is like another but for what is wanted: values, or
// negative numbers where nothing is. What cannot be had with what is there is left
// out, and values 0 come before others; of what stands in the way the row gives up
// as little as it takes, by chance. It is nil if the space is empty.
func (s *Space) Near(r *Stream, like Row, want []int) Row {
	st := s.state()
	order := make([]int, len(s.levels))
	for p := range order {
		order[p] = p
	}
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	decide := func(p, v int) {
		mark := len(st.trail)
		if !st.restrict(p, 1<<v) {
			st.undo(mark)
		}
	}
	for _, p := range order {
		if want[p] == 0 {
			decide(p, 0)
		}
	}
	for _, p := range order {
		if want[p] > 0 {
			decide(p, want[p])
		}
	}
	for _, p := range order {
		if !st.fixed(p) {
			decide(p, int(like[p]))
		}
	}
	if st.complete(r) {
		return st.row()
	}
	return s.Random(r) // propagation saw a dead end too late
}
