package cover

// Meter counts which feasible combinations of 2 and of 3 values rows have had.
// The zero rows of a space of less than three parameters count nothing.
type Meter struct{ two, three gauge }

type gauge struct {
	open *tuples
	all  int64
}

// NewMeter starts at nothing.
func NewMeter(s *Space) *Meter {
	m := &Meter{}
	for t, g := range map[int]*gauge{2: &m.two, 3: &m.three} {
		g.open = s.feasible(t)
		g.all = g.open.left
	}
	return m
}

// Add counts a row, and says how many combinations of 2 and of 3 it brought.
func (m *Meter) Add(r Row) (two, three int64) { return m.two.open.remove(r), m.three.open.remove(r) }

// Covered says how many combinations of t values there were, of how many that
// are feasible.
func (m *Meter) Covered(t int) (covered, feasible int64) {
	g := &m.two
	if t == 3 {
		g = &m.three
	}
	return g.all - g.open.left, g.all
}
