package compare

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
)

// Recording is what one kernel said.
type Recording struct {
	Name     string // of the kernel, in reports
	Kernel   Kernel
	Cases    map[uint64]*Case
	Complete bool
}

// Read reads a recording; a last line that was cut short is left out, and then
// the recording is not complete.
func Read(name string, in io.Reader) (*Recording, error) {
	r := &Recording{Name: name, Cases: map[uint64]*Case{}}
	b := bufio.NewReader(in)
	for n := 1; ; n++ {
		text, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("compare: %s: %w", name, err)
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("compare: %s, line %d: %w", name, n, err)
		}
		switch {
		case l.Schema != Schema:
			return nil, fmt.Errorf("compare: %s, line %d: schema %d, this version reads %d", name, n, l.Schema, Schema)
		case l.Kernel != nil:
			r.Kernel = *l.Kernel
		case l.Case != nil:
			r.Cases[l.Case.Index] = l.Case
		case l.End != nil:
			r.Complete = l.End.Cases == len(r.Cases)
		}
	}
}

// Difference is one way in which kernels differ, with all cases that show it.
type Difference struct {
	// What differs: a field, "verdict", "refused", or "possible: PARAMETER".
	What string `json:"what"`
	// Values has what the kernels say.
	Values map[string][]string `json:"values"`
	Cases  int                 `json:"cases"` // how many show it
	// Example is the first of them, which asks for the fewest things.
	Example map[string]string `json:"example"`
	Index   uint64            `json:"index"`
	// Fact explains it; nil if none does.
	Fact *Fact `json:"fact,omitempty"`
}

// Comparison is what came out.
type Comparison struct {
	Kernels []string `json:"kernels"`
	// Compared is how many cases were launched as the same request on two
	// kernels or more, Elsewhere how many only on one or none, Other how many
	// came to different requests, Unstable how many things were left
	// out because one kernel did not say the same twice.
	Compared    int          `json:"compared"`
	Elsewhere   int          `json:"elsewhere"`
	Other       int          `json:"other"`
	Unstable    int          `json:"unstable"`
	Differences []Difference `json:"differences"`
	// Faults say why a recording is not complete or cannot be compared.
	Faults []string `json:"faults,omitempty"`
}

// Unexplained counts the differences that no fact explains.
func (c *Comparison) Unexplained() (n int) {
	for i := range c.Differences {
		if c.Differences[i].Fact == nil {
			n++
		}
	}
	return n
}

const absent = "(not there)"

// Compare compares recordings of the same seed.
func Compare(list []*Recording) *Comparison {
	out := &Comparison{}
	found := map[string]*Difference{}
	last := uint64(0)
	for _, r := range list {
		out.Kernels = append(out.Kernels, r.Name)
		if !r.Complete {
			out.Faults = append(out.Faults, r.Name+": the recording is not complete")
		}
		if r.Kernel.Seed != list[0].Kernel.Seed || r.Kernel.Arch != list[0].Kernel.Arch {
			out.Faults = append(out.Faults, r.Name+": another seed or architecture")
		}
		for i := range r.Cases {
			last = max(last, i)
		}
	}
	for i := uint64(0); i <= last; i++ {
		out.one(i, list, found)
	}
	for _, k := range slices.Sorted(maps.Keys(found)) {
		d := found[k]
		d.Fact = explain(d, list)
		out.Differences = append(out.Differences, *d)
	}
	return out
}

// one compares a case on all kernels.
func (c *Comparison) one(index uint64, list []*Recording, found map[string]*Difference) {
	groups := map[string][]*Recording{} // by request
	possible := map[string]map[string][]string{}
	for _, r := range list {
		x := r.Cases[index]
		if x == nil {
			continue
		}
		c.Unstable += len(x.Unstable)
		if len(x.Came) > 0 { // that is more than a thing to leave out
			c.Faults = append(c.Faults, fmt.Sprintf("%s: case %d came to another thing each time: %s (%s)", r.Name, index, strings.Join(x.Came, "; "), fuzz.Words(x.Values)))
		}
		if x.Request != "" {
			groups[x.Request] = append(groups[x.Request], r)
		}
		for _, p := range x.Lacks {
			if possible[p] == nil {
				possible[p] = map[string][]string{}
			}
		}
	}
	for p, v := range possible {
		for _, r := range list {
			parameter, _, _ := strings.Cut(p, "=")
			x := r.Cases[index]
			if x != nil && (parameter == p || !slices.Contains(x.Lacks, parameter)) { // without the parameter nothing is said of its value
				word := yes(!slices.Contains(x.Lacks, p))
				v[word] = append(v[word], r.Name)
			}
		}
		if len(v) > 1 {
			c.note(found, "possible: "+p, v, index, list)
		}
	}
	if len(groups) > 1 {
		c.Other++
	}
	compared := false
	for _, g := range groups {
		if len(g) < 2 {
			continue
		}
		compared = true
		what := map[string]bool{}
		for _, r := range g {
			for k := range r.Cases[index].Seen {
				what[k] = true
			}
		}
		refused := what["refused"] || what["error"]
		for k := range what {
			v := map[string][]string{}
			for _, r := range g {
				x := r.Cases[index]
				s, ok := x.Seen[k]
				switch {
				case slices.Contains(x.Unstable, k):
					continue
				case !ok:
					s = absent
				}
				v[s] = append(v[s], r.Name)
			}
			// what was refused on one has no fields to compare
			if len(v) > 1 && (!refused || k == "refused" || k == "error") {
				c.note(found, k, v, index, list)
			}
		}
	}
	if compared {
		c.Compared++
	} else {
		c.Elsewhere++
	}
}

// note adds a difference, to an equal one if there is one.
func (c *Comparison) note(found map[string]*Difference, what string, v map[string][]string, index uint64, list []*Recording) {
	parts := []string{what}
	for _, s := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, s, strings.Join(v[s], " "))
	}
	key := strings.Join(parts, "\x00")
	d := found[key]
	if d == nil {
		d = &Difference{What: what, Values: v, Index: index}
		found[key] = d
		for _, r := range list {
			if x := r.Cases[index]; x != nil {
				d.Example = x.Values
			}
		}
	}
	d.Cases++
}

// explain finds the fact that a difference follows from: wherever two kernels
// say something else, the feature must be another, and be enough for that.
func explain(d *Difference, list []*Recording) *Fact {
	value := map[string]string{}
	for v, names := range d.Values {
		for _, n := range names {
			value[n] = v
		}
	}
	for i := range Facts {
		f := &Facts[i]
		if !f.about(d) {
			continue
		}
		fits := true
		for _, a := range list {
			for _, b := range list {
				va, ina := value[a.Name]
				vb, inb := value[b.Name]
				x, xok := a.Kernel.Features[f.Feature]
				y, yok := b.Kernel.Features[f.Feature]
				if !ina || !inb || va == vb {
					continue
				}
				if !xok || !yok || x == y || f.fits != nil && !f.fits(said{va, x}, said{vb, y}) {
					fits = false
				}
			}
		}
		if fits {
			return f
		}
	}
	return nil
}
