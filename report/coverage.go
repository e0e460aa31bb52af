package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/fuzz/cover"
)

// Coverage is which combinations of values were in cases that were judged.
type Coverage struct {
	Parameters int   `json:"parameters"`
	Pairs      int64 `json:"pairs"` // covered
	AllPairs   int64 `json:"all_pairs"`
	Triples    int64 `json:"triples"`
	AllTriples int64 `json:"all_triples"`
	// Of four values, counted in campaigns of strength 4 only.
	Quads    int64 `json:"quads,omitempty"`
	AllQuads int64 `json:"all_quads,omitempty"`
	// Estimates are what a sample says of the combinations of more values.
	Estimates []cover.Estimate `json:"estimates,omitempty"`
	States    int              `json:"states"` // distinct ones at the first instruction
	Negative  int              `json:"negative"`

	Curve []Point `json:"curve"`
	Heat  *Heat   `json:"heat,omitempty"`
	Holes []Hole  `json:"holes"` // feasible pairs of values in no case: the first of them
	Thin  []Hole  `json:"thin"`  // those in the fewest cases
	// Why says why there is no more than States: without the model a case's
	// values are not known.
	Why string `json:"why,omitempty"`
}

// Point is coverage after so many judged cases, in the order of their indices.
type Point struct {
	Cases    int   `json:"cases"`
	Pairs    int64 `json:"pairs"`
	Triples  int64 `json:"triples"`
	States   int   `json:"states"`
	Findings int   `json:"findings"` // that were made small
	// Estimated has, for each of [Coverage].Estimates, the share of the sample.
	Estimated []float64 `json:"estimated,omitempty"`
}

// Heat says for each pair of parameters in how many judged cases the least
// tested pair of their values was, infeasible ones left out.
type Heat struct {
	Names []string  `json:"names"`
	Least [][]int32 `json:"least"` // [i][j] with j < i; -1: no pair of values other than off is feasible
}

// Hole is a pair of values, and the cases that it was in.
type Hole struct {
	A     string `json:"a"` // as "umask=077"
	B     string `json:"b"`
	Cases int    `json:"cases"`
}

// maxValues bounds what is computed for a model that somebody else wrote: memory
// is of its square. Our largest has about 300.
const maxValues = 1000

// maxValuesOfFour likewise for combinations of four, of which memory is a bit each.
const maxValuesOfFour = 500

func values(md *fuzz.Model) (n int) {
	for _, p := range md.Parameters() {
		n += len(p.Values)
	}
	return n
}

// maxHoles is how many pairs are listed.
const maxHoles = 25

// coverage computes all of it again from the model in the results.
func coverage(o *campaign.Outcome) *Coverage {
	sigs := o.Signatures()
	c := &Coverage{States: len(sigs), Negative: o.Negative()}
	if o.Model == nil {
		c.Why = "the results do not have the model"
		return c
	}
	md, err := o.Model.Model()
	if err == nil && values(md) > maxValues {
		err = fmt.Errorf("the model has %d values, more than %d", values(md), maxValues)
	}
	if err == nil && o.Info.Strength > 3 && values(md) > maxValuesOfFour {
		err = fmt.Errorf("the model has %d values, more than the %d that can be combined by four", values(md), maxValuesOfFour)
	}
	var seq *fuzz.Sequence
	if err == nil {
		seq, err = o.Sequence(md)
	}
	if err != nil {
		c.Why = err.Error()
		return c
	}
	if i, ok := sameCases(o, md, seq); !ok {
		c.Why = fmt.Sprintf("the results' case %d is another than this version computes", i)
		return c
	}
	c.Parameters = len(md.Parameters())
	m := &meter{md: md, space: md.Space(), meter: cover.NewMeter(md.Space(), o.Info.Strength), c: c}
	m.begin()
	small := o.Findings()
	o.Covering(func(i uint64) {
		m.add(seq.At(i))
		for m.states < len(sigs) && sigs[m.states].Index <= i {
			m.states++
		}
		for m.findings < len(small) && small[m.findings].Index <= i {
			m.findings++
		}
		m.point(false)
	})
	m.point(true)
	c.Pairs, c.AllPairs = m.meter.Covered(2)
	c.Triples, c.AllTriples = m.meter.Covered(3)
	c.Quads, c.AllQuads = m.meter.Covered(4)
	c.Estimates = m.meter.Estimates()
	m.heat()
	return c
}

// sameCases compares the cases of which the results have the values with what is
// computed of them here, which must be the same for the rest to be believed.
func sameCases(o *campaign.Outcome, md *fuzz.Model, seq *fuzz.Sequence) (index uint64, ok bool) {
	same := func(i uint64, values map[string]string) bool {
		index = i
		return maps.Equal(md.Words(seq.At(i)), values)
	}
	for _, class := range []campaign.Class{campaign.Finding, campaign.Flaky, campaign.Unknown} {
		for _, i := range o.Incidents(class) {
			if i.Negative == "" && i.Values != nil && !same(i.Index, i.Values) {
				return index, false
			}
		}
	}
	for _, s := range o.Signatures() {
		if s.Values != nil && !same(s.Index, s.Values) {
			return index, false
		}
	}
	return 0, true
}

// meter counts.
type meter struct {
	md    *fuzz.Model
	space *cover.Space
	meter *cover.Meter
	c     *Coverage

	first  []int    // number of each parameter's value 0 among all values
	values int      // of all parameters
	count  []uint32 // of pairs of values, the larger number first
	flat   []int

	cases, next      int
	states, findings int
	full             bool
}

func (m *meter) begin() {
	for _, p := range m.md.Parameters() {
		m.first = append(m.first, m.values)
		m.values += len(p.Values)
	}
	m.count, m.flat, m.next = make([]uint32, m.values*m.values), make([]int, len(m.first)), 1
}

func (m *meter) add(r cover.Row) {
	m.cases++
	if !m.full {
		m.meter.Add(r)
		m.full = m.meter.Full()
	}
	for p, v := range r {
		m.flat[p] = m.first[p] + int(v)
	}
	for i, x := range m.flat {
		row := m.count[x*m.values : (x+1)*m.values]
		for _, y := range m.flat[:i] {
			row[y]++
		}
	}
}

// point keeps a point of the curve, each a little further than the one before.
func (m *meter) point(last bool) {
	n := len(m.c.Curve)
	if m.cases == 0 || m.cases < m.next && !last || n > 0 && m.c.Curve[n-1].Cases == m.cases {
		return
	}
	m.next = max(m.cases+1, m.cases*107/100)
	two, _ := m.meter.Covered(2)
	three, _ := m.meter.Covered(3)
	p := Point{Cases: m.cases, Pairs: two, Triples: three, States: m.states, Findings: m.findings}
	for _, e := range m.meter.Estimates() {
		p.Estimated = append(p.Estimated, float64(e.Covered)/float64(e.Sampled))
	}
	m.c.Curve = append(m.c.Curve, p)
}

// heat looks for the least tested pair of values of each pair of parameters.
func (m *meter) heat() {
	params := m.md.Parameters()
	h := &Heat{}
	partial := make([]int, len(params))
	for p := range partial {
		partial[p] = -1
	}
	feasible := func(p, v, q, w int) bool {
		partial[p], partial[q] = v, w
		ok := m.space.Complete(partial) != nil
		partial[p], partial[q] = -1, -1
		return ok
	}
	var all []Hole
	for p := range params {
		h.Names = append(h.Names, params[p].Name)
		row := make([]int32, p)
		for q := range p {
			least := int32(-1)
			for v := range params[p].Values {
				for w := range params[q].Values {
					n := m.count[(m.first[p]+v)*m.values+m.first[q]+w]
					if n == 0 && !feasible(p, v, q, w) {
						continue
					}
					all = append(all, Hole{word(params[q], w), word(params[p], v), int(n)})
					if v > 0 && w > 0 && (least < 0 || int32(n) < least) {
						least = int32(min(n, 1<<31-1))
					}
				}
			}
			row[q] = least
		}
		h.Least = append(h.Least, row)
	}
	m.c.Heat = h
	slices.SortStableFunc(all, func(a, b Hole) int { return cmp.Compare(a.Cases, b.Cases) })
	holes, _ := slices.BinarySearchFunc(all, 1, func(h Hole, n int) int { return cmp.Compare(h.Cases, n) })
	m.c.Holes = all[:min(holes, maxHoles)]
	m.c.Thin = all[holes:min(holes+maxHoles, len(all))]
}

// word is a parameter with a value.
func word(p fuzz.Parameter, v int) string { return p.Name + "=" + p.Values[v] }
