package cover

import (
	"fmt"
	"math"
)

// Estimate is what a sample says of the combinations of so many values: Covered of
// Sampled were in a row. Low and High are the limits between which the share of all
// feasible combinations lies, with a confidence of 95 % (Wilson's interval: E. B.
// Wilson, "Probable inference, the law of succession, and statistical inference",
// 1927), in parts of 1. It is not exact even if all that were drawn were covered.
type Estimate struct {
	Strength int     `json:"strength"`
	Covered  int     `json:"covered"`
	Sampled  int     `json:"sampled"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// String has the strength and the limits in percent, rounded outwards.
func (e Estimate) String() string {
	return fmt.Sprintf("%d-way %.1f-%.1f %%", e.Strength, math.Floor(e.Low*1000)/10, math.Ceil(e.High*1000)/10)
}

// sampleSize is how many combinations of a strength are drawn: the limits are then
// at most 1 % from the middle.
const sampleSize = 10_000

// sample is feasible combinations of one strength that were drawn at random, each
// with the same chance.
type sample struct {
	t    int
	all  int
	open []int32 // numbers of values, t of each that is not covered yet
}

// sampleOf draws combinations: values of different parameters at random, of which
// those that no valid row has are left out. What is drawn depends on space and
// strength only, so all who measure measure the same. A space that has hardly any
// has a smaller sample.
func (s *Space) sampleOf(t, size int) *sample {
	out := &sample{t: t}
	if len(s.levels) < t || s.empty {
		return out
	}
	st, r := s.state(), NewStream(Key(uint64(t), 5))
	x := make([]int32, t)
	for range 100 * size {
		if out.all == size {
			break
		}
		if !s.drawValues(r, x) {
			continue
		}
		st.reset()
		possible := true
		for _, v := range x {
			p := s.owner[v]
			possible = possible && st.restrict(p, 1<<(int(v)-s.first[p]))
		}
		if possible && st.complete(nil) {
			out.open = append(out.open, x...)
			out.all++
		}
	}
	return out
}

// drawValues draws values, and says whether they are of different parameters.
func (s *Space) drawValues(r *Stream, x []int32) bool {
	for i := range x {
		x[i] = int32(r.IntN(len(s.owner)))
		for _, y := range x[:i] {
			if s.owner[y] == s.owner[x[i]] {
				return false
			}
		}
	}
	return true
}

// remove takes out what a row has.
func (m *sample) remove(s *Space, r Row) {
	kept := m.open[:0]
next:
	for i := 0; i < len(m.open); i += m.t {
		for _, v := range m.open[i : i+m.t] {
			p := s.owner[v]
			if s.first[p]+int(r[p]) != int(v) {
				kept = append(kept, m.open[i:i+m.t]...)
				continue next
			}
		}
	}
	m.open = kept
}

func (m *sample) estimate() Estimate {
	e := Estimate{Strength: m.t, Sampled: m.all, Covered: m.all - len(m.open)/m.t}
	e.Low, e.High = wilson(e.Covered, e.Sampled)
	return e
}

// wilson is the interval that has the share of all with a confidence of 95 %.
func wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p, m := float64(k)/float64(n), float64(n)
	mid := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, mid-half), min(1, mid+half)
}
