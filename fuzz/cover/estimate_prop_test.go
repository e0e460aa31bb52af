package cover

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestEstimateIsOfWhatIsThere: every combination of a sample is feasible, and
// counts as covered if and only if a row has it.
func TestEstimateIsOfWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t)
		strength := rapid.IntRange(2, 6).Draw(t, "strength")
		all := every(s)
		m := s.sampleOf(strength, 50)
		if any := len(combos(all, strength)) > 0; any != (m.all > 0) {
			t.Fatalf("%d drawn; any feasible: %v", m.all, any)
		}
		drawn := append([]int32(nil), m.open...)
		var list []Row
		if len(all) > 0 {
			list = rapid.SliceOfN(rapid.SampledFrom(all), 0, 6).Draw(t, "rows")
		}
		for _, r := range list {
			m.remove(s, r)
		}
		has := func(rows []Row, x []int32) bool {
			for _, r := range rows {
				in := true
				for _, v := range x {
					in = in && s.first[s.owner[v]]+int(r[s.owner[v]]) == int(v)
				}
				if in {
					return true
				}
			}
			return false
		}
		covered := 0
		for i := 0; i < len(drawn); i += strength {
			if !has(all, drawn[i:i+strength]) {
				t.Fatalf("%v was drawn, and is in no row", drawn[i:i+strength])
			}
			if has(list, drawn[i:i+strength]) {
				covered++
			}
		}
		if e := m.estimate(); e.Covered != covered || e.Sampled != len(drawn)/strength || e.Low > e.High {
			t.Errorf("%+v; %d covered of %d", e, covered, len(drawn)/strength)
		}
	})
}

// TestEstimateIsRightMostly: the share is between the limits in 95 of 100 of many
// independent samples, and they are as near as they should be.
func TestEstimateIsRightMostly(t *testing.T) {
	s, err := New([]int{3, 2, 4, 2, 3, 2, 2}, [][]Term{{{0, 1}, {1, 1}}, {{2, 8}, {3, 2}, {4, 1}}, {{5, 1}, {6, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	all := every(s)
	const strength, samples, size = 4, 2000, 100
	want := len(combos(all, strength))
	for _, n := range []int{1, 3, 12} {
		list := all[:0:0]
		for i := range n {
			list = append(list, all[i*len(all)/n])
		}
		share := float64(len(combos(list, strength))) / float64(want)
		inside := 0
		for i := range samples {
			m := &sample{t: strength}
			st, r, x := s.state(), NewStream(Key(99, uint64(n), uint64(i))), make([]int32, strength)
			for m.all < size {
				if !s.drawValues(r, x) {
					continue
				}
				st.reset()
				ok := true
				for _, v := range x {
					ok = ok && st.restrict(s.owner[v], 1<<(int(v)-s.first[s.owner[v]]))
				}
				if ok && st.complete(nil) {
					m.open = append(m.open, x...)
					m.all++
				}
			}
			for _, r := range list {
				m.remove(s, r)
			}
			if e := m.estimate(); e.Low <= share && share <= e.High {
				inside++
			}
		}
		got := float64(inside) / samples
		t.Logf("%d rows cover %.1f %%: inside in %.1f %% of %d samples", n, share*100, got*100, samples)
		if got < 0.93 || got > 0.99 {
			t.Errorf("%d rows: the limits are right in %.1f %% of all samples, want 95 %%", n, got*100)
		}
	}
}

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 0, 0, 1}, {0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {5, 10, 0.2366, 0.7634}, {9800, 10000, 0.97707, 0.98256},
	} {
		low, high := wilson(c.k, c.n)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
			t.Errorf("%d of %d: %.5f to %.5f, want %.5f to %.5f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

// TestMeterEstimates: what is not counted is estimated, of each space that has any.
func TestMeterEstimates(t *testing.T) {
	s := pict(t)
	m := NewMeter(s, 3)
	list := rows(t, s, 3, 1)
	for _, r := range list {
		m.Add(r)
	}
	exact := NewMeter(s, 4)
	for _, r := range list {
		exact.Add(r)
	}
	e := m.Estimates()
	if len(e) != 3 || e[0].Strength != 4 || e[2].Strength != 6 || m.Full() {
		t.Fatalf("%+v", e)
	}
	covered, all := exact.Covered(4)
	share := float64(covered) / float64(all)
	t.Logf("%d rows: %.4f of four values; estimated %+v", len(list), share, e)
	if got := float64(e[0].Covered) / float64(e[0].Sampled); math.Abs(got-share) > 0.015 { // six times the deviation
		t.Errorf("%.4f of all fours, estimated %.4f", share, got)
	}
	if n, of := m.Covered(4); n != 0 || of != 0 {
		t.Errorf("%d of %d fours, which were not counted", n, of)
	}
	if x := exact.Estimates(); len(x) != 2 || x[0].Strength != 5 {
		t.Errorf("%+v", x)
	}
}
