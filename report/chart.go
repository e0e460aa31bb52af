package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// chart is a drawing of lines over the number of judged cases, which is on a
// logarithmic axis: most is covered by the first few.
type chart struct {
	Title, Label   string
	XTicks, YTicks []tick
	Lines          []chartLine
}

type tick struct {
	At   int
	Text string
}

type chartLine struct {
	Name, Class, TextClass, Points string
	TextY                          int
}

// The plot's place in the drawing.
const (
	plotLeft, plotRight = 70.0, 560.0
	plotTop, plotBottom = 20.0, 250.0
)

func newChart(title string, points []Point) *chart {
	c := &chart{Title: title}
	if len(points) == 0 {
		return nil
	}
	most := points[len(points)-1].Cases
	for n := 1; ; n *= 10 {
		c.XTicks = append(c.XTicks, tick{int(xOf(n, most)), number(n)})
		if n > most/10 {
			break
		}
	}
	return c
}

func xOf(cases, most int) float64 {
	if most <= 1 {
		return plotRight
	}
	return plotLeft + (plotRight-plotLeft)*math.Log(float64(cases))/math.Log(float64(most))
}

func yOf(share float64) float64 { return plotBottom - (plotBottom-plotTop)*share }

// line adds one; share is between 0 and 1.
func (c *chart) line(number int, name string, points []Point, share func(Point) float64) {
	l := chartLine{Name: name, Class: fmt.Sprintf("l%d", number), TextClass: fmt.Sprintf("t%d", number)}
	var b strings.Builder
	last := 0.0
	for _, p := range points {
		last = yOf(share(p))
		fmt.Fprintf(&b, "%.1f,%.1f ", xOf(p.Cases, points[len(points)-1].Cases), last)
	}
	if len(points) == 1 { // a line needs two
		fmt.Fprintf(&b, "%.1f,%.1f", plotRight-4, last)
	}
	l.Points = strings.TrimSpace(b.String())
	l.TextY = int(last) + 4
	for _, o := range c.Lines { // names must not lie on each other
		if d := l.TextY - o.TextY; d > -16 && d < 16 {
			l.TextY = o.TextY + 18
		}
	}
	c.Lines = append(c.Lines, l)
}

// shares is the chart of pairs and triples, and of what is estimated of more.
func shares(v *Coverage) *chart {
	c := newChart("Combinations of values that were judged, of those feasible", v.Curve)
	if c == nil {
		return nil
	}
	for _, n := range []int{0, 25, 50, 75, 100} {
		c.YTicks = append(c.YTicks, tick{int(yOf(float64(n) / 100)), fmt.Sprintf("%d %%", n)})
	}
	part := func(n, all int64) float64 {
		if all == 0 {
			return 0
		}
		return float64(n) / float64(all)
	}
	c.line(1, "pairs", v.Curve, func(p Point) float64 { return part(p.Pairs, v.AllPairs) })
	c.line(2, "triples", v.Curve, func(p Point) float64 { return part(p.Triples, v.AllTriples) })
	// The least and the most of what is estimated.
	for i, e := range v.Estimates {
		if n := len(v.Estimates) - 1; i == 0 || i == n {
			c.line(3+min(i, 1), fmt.Sprintf("%d-way", e.Strength), v.Curve, func(p Point) float64 {
				if i < len(p.Estimated) {
					return p.Estimated[i]
				}
				return 0
			})
		}
	}
	c.Label = "Curve over judged cases: " + v.String() + " after the last case"
	return c
}

// counts is the chart of states and findings.
func counts(v *Coverage) *chart {
	c := newChart("Distinct states seen at the first instruction, and findings", v.Curve)
	if c == nil {
		return nil
	}
	last := v.Curve[len(v.Curve)-1]
	top := nice(max(last.States, last.Findings, 1))
	for i := range 5 {
		if top*i%4 == 0 {
			c.YTicks = append(c.YTicks, tick{int(yOf(float64(i) / 4)), number(top * i / 4)})
		}
	}
	if last.States > 0 {
		c.line(3, "states", v.Curve, func(p Point) float64 { return float64(p.States) / float64(top) })
	}
	c.line(4, "findings", v.Curve, func(p Point) float64 { return float64(p.Findings) / float64(top) })
	c.Label = fmt.Sprintf("Curve over judged cases: %s and %s after the last case", count(last.States, "state"), count(last.Findings, "finding"))
	return c
}

// nice is a round number that is not smaller.
func nice(n int) int {
	for step := 1; ; step *= 10 {
		for _, m := range []int{1, 2, 4, 5} {
			if m*step >= n {
				return m * step
			}
		}
	}
}

// heatMap is the drawing of a [Heat].
type heatMap struct {
	Width, Height, Left, Size int
	Label                     string
	Key                       []heatKey
	Rows                      []heatRow
	Data                      template.JS
}

type heatKey struct{ Class, Text string }

type heatRow struct {
	Name         string
	TextX, TextY float64
	Runs         []heatRun
}

type heatRun struct {
	Class      string
	X, Y, W, H int
}

var heatKeys = []heatKey{
	{"h0", "no case"},
	{"h1", "1"},
	{"h2", "2–3"},
	{"h3", "4–9"},
	{"h4", "10–29"},
	{"h5", "30–99"},
	{"h6", "100 and more"},
	{"hx", "do not go together"},
}

func heatClass(n int32) string {
	if n < 0 {
		return "hx"
	}
	for i, least := range []int32{100, 30, 10, 4, 2, 1} {
		if n >= least {
			return heatKeys[6-i].Class
		}
	}
	return "h0"
}

// newHeatMap draws neighbours of one class as one.
func newHeatMap(h *Heat) *heatMap {
	if h == nil || len(h.Names) < 2 {
		return nil
	}
	m := &heatMap{Left: 120, Size: 9, Key: heatKeys}
	m.Height = len(h.Names) * m.Size
	m.Width = m.Left + m.Height
	empty, feasible := 0, 0
	for i, row := range h.Least {
		r := heatRow{Name: h.Names[i], TextX: float64(m.Left - 3), TextY: float64(i*m.Size) + 7}
		for j, n := range row {
			if n >= 0 {
				feasible++
			}
			if n == 0 {
				empty++
			}
			class := heatClass(n)
			if k := len(r.Runs) - 1; k >= 0 && r.Runs[k].Class == class {
				r.Runs[k].W += m.Size
				continue
			}
			r.Runs = append(r.Runs, heatRun{class, m.Left + j*m.Size, i * m.Size, m.Size, m.Size - 1})
		}
		m.Rows = append(m.Rows, r)
	}
	m.Label = fmt.Sprintf("Heat map of %d parameters: of %d pairs of parameters that go together, %d have a pair of values that was in no judged case", len(h.Names), feasible, empty)
	b, err := json.Marshal(map[string]any{"names": h.Names, "least": h.Least})
	if err != nil {
		return nil
	}
	m.Data = template.JS(b) // json.Marshal writes <, > and & as escapes
	return m
}
