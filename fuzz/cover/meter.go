package cover

// Meter counts which feasible combinations of values rows have had: all of 2 and of
// 3, and of more a sample, unless it is to count all of 4, too. The zero rows of a
// space of less than three parameters count nothing.
type Meter struct {
	s          *Space
	two, three gauge
	four       *quads // nil: a sample
	allFour    int64
	samples    []*sample
}

type gauge struct {
	open *tuples
	all  int64
}

// MostSampled is the largest number of values of which a [Meter] has an estimate.
const MostSampled = 6

// NewMeter starts at nothing. With exact 4 it counts all combinations of four
// values, which takes about a bit of memory for each and some milliseconds for each
// row; with less an estimate.
func NewMeter(s *Space, exact int) *Meter {
	m := &Meter{s: s}
	for t, g := range map[int]*gauge{2: &m.two, 3: &m.three} {
		g.open = s.feasible(t)
		g.all = g.open.left
	}
	from := 4
	if exact >= 4 {
		m.four = s.feasibleQuads()
		m.allFour, from = m.four.left, 5
	}
	for t := from; t <= MostSampled; t++ {
		m.samples = append(m.samples, s.sampleOf(t, sampleSize))
	}
	return m
}

// Add counts a row, and says how many combinations of 2 and of 3 it brought.
func (m *Meter) Add(r Row) (two, three int64) {
	if m.four != nil && m.four.left > 0 {
		m.four.remove(r)
	}
	for _, x := range m.samples {
		x.remove(m.s, r)
	}
	return m.two.open.remove(r), m.three.open.remove(r)
}

// Covered says how many combinations of t values there were, of how many that are
// feasible. Both are 0 if they are not all counted: see [Meter.Estimates].
func (m *Meter) Covered(t int) (covered, feasible int64) {
	switch {
	case t == 2:
		return m.two.all - m.two.open.left, m.two.all
	case t == 3:
		return m.three.all - m.three.open.left, m.three.all
	case t == 4 && m.four != nil:
		return m.allFour - m.four.left, m.allFour
	}
	return 0, 0
}

// Estimates are those of the strengths that are not counted, up to [MostSampled].
// Strengths of which the space has no combination are left out.
func (m *Meter) Estimates() []Estimate {
	var out []Estimate
	for _, x := range m.samples {
		if x.all > 0 {
			out = append(out, x.estimate())
		}
	}
	return out
}

// Full reports that nothing is left to be covered, as far as it is known.
func (m *Meter) Full() bool {
	for _, x := range m.samples {
		if len(x.open) > 0 {
			return false
		}
	}
	return m.two.open.left == 0 && m.three.open.left == 0 && (m.four == nil || m.four.left == 0)
}
