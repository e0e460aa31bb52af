package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/holdshort/holdshort/vm/matrix"
)

//go:embed page/page.html
var pageText string

//go:embed page/style.css
var pageStyle string

//go:embed page/script.js
var pageScript string

// maxCovered is how many campaigns are shown with charts and a heat map.
const maxCovered = 8

// page is what the template is given.
type page struct {
	*Document
	Policy     string
	Style      template.CSS
	Script     template.JS
	Main       *Campaign // of most cases, for the numbers at the top
	Covered    []*covered
	TimeTables []*timeTable
}

type covered struct {
	*Campaign
	Shares, Counts *chart
	HeatMap        *heatMap
}

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"num": number, "percent": percent, "join": func(l []string) string { return strings.Join(l, ", ") },
		"json": func(v any) (string, error) {
			b, err := json.MarshalIndent(v, "", "  ")
			return string(b), err
		},
		"short": func(s string) string {
			if f := strings.Fields(s); len(f) > 6 {
				return strings.Join(f[:6], " ") + fmt.Sprintf(" … %d more", len(f)-6)
			}
			return s
		},
		"gridOf": func(title, what string, g *Grid) any {
			return struct {
				*Grid
				Title, What string
			}{g, title, what}
		},
		"specLists": specLists, "notGood": notGood,
		"compared": func(m *matrix.Report) any {
			said, list := kernelDifferences(m)
			return struct {
				Said string
				List []kernelDifference
			}{said, list}
		},
	}).Parse(pageText))
})

// HTML writes one file that needs nothing else: its policy forbids the browser
// every request, and every script and style but its own.
func (d *Document) HTML(w io.Writer) error {
	p := &page{Document: d, Style: template.CSS(pageStyle), Script: template.JS(pageScript)}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	p.Policy = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src " + hash(pageStyle) + "; script-src " + hash(pageScript)
	for _, c := range d.Campaigns {
		if c.Coverage == nil || c.Coverage.Why != "" {
			continue
		}
		if p.Main == nil || c.Judged > p.Main.Judged {
			p.Main = c
		}
	}
	for _, c := range d.Campaigns {
		if len(p.Covered) < maxCovered || c == p.Main {
			x := &covered{Campaign: c}
			if c.Coverage.Why == "" {
				x.Shares, x.Counts, x.HeatMap = shares(c.Coverage), counts(c.Coverage), newHeatMap(c.Coverage.Heat)
			}
			p.Covered = append(p.Covered, x)
		}
	}
	for _, t := range d.Timelines {
		p.TimeTables = append(p.TimeTables, newTimeTable(t))
	}
	var b bytes.Buffer // a page that is not whole is none
	if err := pageTemplate().Execute(&b, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(bytes.Map(visible, b.Bytes()))
	return err
}

// number writes thousands apart.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// timeTable is a timeline with a bar for each of its moments.
type timeTable struct {
	Name  string
	Index uint64
	Total string
	Rows  []timeRow
}

type timeRow struct {
	What, By, At, Took string
	X, Width           int // of 1000
}

func newTimeTable(t *Timeline) *timeTable {
	out := &timeTable{Name: t.Name, Index: t.Index}
	if len(t.Events) == 0 {
		return out
	}
	first, last := min(0, t.Events[0].NS), t.Events[len(t.Events)-1].NS
	span := max(last-first, 1)
	out.Total = duration(span)
	place := func(ns int64) int { return int(float64(ns-first) / float64(span) * 1000) }
	before := first
	for _, e := range t.Events {
		r := timeRow{What: e.What, By: e.By, At: duration(e.NS), Took: duration(e.NS - before), X: place(before)}
		if r.Width = place(e.NS) - r.X; r.Width < 6 {
			r.X, r.Width = max(0, min(r.X, 994)), 6
		}
		before = e.NS
		out.Rows = append(out.Rows, r)
	}
	return out
}

func duration(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= 10*time.Second || d <= -10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond || d <= -10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(ns)/1e6)
	case d >= time.Millisecond || d <= -time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.1f µs", float64(ns)/1e3)
}
