package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
)

// progressLine shows how far a campaign is: in place on a terminal, else a line
// from time to time, less often the longer it takes.
type progressLine struct {
	w     io.Writer
	width int // of the terminal, 0 if it is none
	quiet bool
	total uint64        // cases that this run will judge, 0 for no end
	limit time.Duration // of the run, 0 for none
	now   func() time.Time

	last time.Time
	is   campaign.Progress
}

func (p *progressLine) tell(is *campaign.Progress) {
	p.is = *is
	if p.quiet {
		return
	}
	for _, i := range is.Last {
		p.clear()
		fmt.Fprintf(p.w, "case %d: %s: %s\n", i.Index, i.Class, i.Key)
	}
	if m := is.LastMinimal; m != nil {
		p.clear()
		fmt.Fprintf(p.w, "case %d: %s: %s\n", m.Index, m.Key, fuzz.Words(m.Values))
		return
	}
	took := p.now().Sub(is.Begun)
	if p.now().Sub(p.last) < p.every(took) {
		return
	}
	p.last = p.now()
	parts := p.parts(took)
	if p.width == 0 {
		fmt.Fprintln(p.w, strings.Join(parts, ", "))
		return
	}
	// What does not fit is left out: a line that wraps cannot be written over.
	for len(parts) > 1 && len([]rune(strings.Join(parts, ", "))) >= p.width {
		parts = parts[:len(parts)-1]
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", strings.Join(parts, ", "))
}

// every is the time between two lines.
func (p *progressLine) every(took time.Duration) time.Duration {
	switch {
	case p.width > 0:
		return 100 * time.Millisecond
	case took < time.Minute:
		return 5 * time.Second
	case took < 10*time.Minute:
		return 30 * time.Second
	}
	return 5 * time.Minute
}

// parts are what is told, the most wanted first.
func (p *progressLine) parts(took time.Duration) []string {
	of := ""
	if p.total > 0 {
		of = fmt.Sprintf(" of %d", p.total)
	}
	rate := float64(p.is.Run) / max(took.Seconds(), 0.001)
	list := []string{
		fmt.Sprintf("%d%s cases", p.is.Run, of), fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("%d findings", p.is.Findings),
	}
	if left := p.left(took, rate); left > 0 {
		list = append(list, left.Round(time.Second).String()+" left")
	}
	list = append(list, p.coverage(), fmt.Sprintf("%d flaky", p.is.Flaky))
	if p.is.Unknown > 0 {
		list = append(list, fmt.Sprintf("%d not judged", p.is.Unknown))
	}
	return list
}

// left is how long it will take still, 0 if that is not known.
func (p *progressLine) left(took time.Duration, rate float64) time.Duration {
	var left time.Duration
	if p.total > uint64(p.is.Run) && p.is.Run > 0 {
		left = time.Duration(min(float64(p.total-uint64(p.is.Run))/rate, 1e9) * float64(time.Second))
	}
	if until := p.limit - took; p.limit > 0 && until > 0 && (left == 0 || until < left) {
		left = until
	}
	return left
}

func (p *progressLine) coverage() string {
	part := func(n, all int64) float64 {
		if all == 0 {
			return 0
		}
		return float64(n) * 100 / float64(all)
	}
	// Rounded down: only all of them are 100 %.
	floor := func(x float64) float64 { return float64(int64(x*100)) / 100 }
	text := fmt.Sprintf("%.2f %% of pairs, %.2f %% of triples", floor(part(p.is.Pairs, p.is.AllPairs)), floor(part(p.is.Triples, p.is.AllTriples)))
	if p.is.AllQuads > 0 {
		text += fmt.Sprintf(", %.2f %% of fours", floor(part(p.is.Quads, p.is.AllQuads)))
	}
	list := []string{text}
	for _, e := range p.is.Estimates {
		list = append(list, e.String())
	}
	if p.is.Signatures > 0 {
		list = append(list, fmt.Sprintf("%d states", p.is.Signatures))
	}
	return strings.Join(list, ", ")
}

func (p *progressLine) clear() {
	if p.width > 0 && !p.quiet {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// left is how many cases of a part are still to be judged, 0 if there is no end.
func (s part) left(run *campaign.Campaign) uint64 {
	const block = 64
	if run.N == 0 {
		return 0
	}
	blocks, of, index := (run.N+block-1)/block, uint64(s.of), uint64(s.index)
	if index >= blocks {
		return 0
	}
	n := (blocks - index + of - 1) / of * block
	if (blocks-1)%of == index {
		n -= blocks*block - run.N // the last one is not whole
	}
	if run.Before != nil {
		run.Before.Of(run.Info).Judged(func(i uint64) {
			if i < run.N && i/block%of == index {
				n--
			}
		})
	}
	return n
}
