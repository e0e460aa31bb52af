package fuzz

import (
	"math/rand/v2"
	"slices"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// dimension is one thing that a request can ask for.
type dimension struct {
	name string
	// can says whether the machine can do it; nil is always.
	can func(*Machine) bool
	// needs names other dimensions that this one brings along.
	needs []string
	// draw adds it to the request; nil for a shape of another dimension that
	// is counted on its own.
	draw func(*drawer)
	// has looks for it in a finished request.
	has func(*request.Request) bool
}

// dimensions are drawn in this order: later ones look at what is there.
var dimensions = slices.Concat(namespaces, identity, cgroups, devices, network, moreSysctls, moreNetwork, packetFilter, mounts, scheduling, process, tuning, landlock, filters)

// Dimensions lists the names of all that can be drawn on the machine.
func Dimensions(m *Machine) []string {
	var out []string
	for i := range dimensions {
		if d := &dimensions[i]; m.can(d) {
			out = append(out, d.name)
		}
	}
	return out
}

// Known reports whether a dimension or a parameter has the name.
func Known(name string) bool {
	named := func(d dimension) bool { return d.name == name }
	return slices.ContainsFunc(dimensions, named) || slices.ContainsFunc(only, named)
}

func (m *Machine) can(d *dimension) bool {
	if slices.Contains(m.Without, d.name) || d.can != nil && !d.can(m) {
		return false
	}
	for _, n := range d.needs {
		if !m.can(find(n)) {
			return false
		}
	}
	return true
}

func find(name string) *dimension {
	i := slices.IndexFunc(lookup(), func(d dimension) bool { return d.name == name })
	if i < 0 {
		panic("fuzz: no dimension " + name)
	}
	return &lookup()[i]
}

// lookup breaks the initialization cycle that the table would have with itself.
var lookup = func() []dimension { return nil }

func init() { lookup = func() []dimension { return dimensions } }

// Of lists what a request asks for, whoever made it.
func Of(r *request.Request) []string {
	var out []string
	for i := range dimensions {
		if d := &dimensions[i]; d.has(r) {
			out = append(out, d.name)
		}
	}
	return out
}

// source is where a drawer's numbers come from.
type source interface {
	IntN(n int) int
	Uint32() uint32
	Uint32N(n uint32) uint32
	Uint64() uint64
	Uint64N(n uint64) uint64
	Shuffle(n int, swap func(i, j int))
}

type drawer struct {
	source
	m     *Machine
	r     *request.Request
	index uint64
	on    map[string]bool
	// wanted is which of a parameter's values the model wants, negative
	// outside of the model, where everything is left to chance.
	wanted int
}

// Draw computes one request. It is deterministic, and valid by construction
// for the machine.
func Draw(seed, index uint64, m *Machine) *request.Request {
	d := &drawer{source: rand.New(rand.NewPCG(seed, index)), wanted: -1, m: m, r: request.New(m.Dir + "/workload"), index: index, on: map[string]bool{}}
	var possible []*dimension
	for i := range dimensions {
		if x := &dimensions[i]; x.draw != nil && m.can(x) {
			possible = append(possible, x)
		}
	}
	d.Shuffle(len(possible), func(i, j int) { possible[i], possible[j] = possible[j], possible[i] })
	for _, x := range possible[:d.size(len(possible))] {
		d.add(x)
	}
	for i := range dimensions {
		if x := &dimensions[i]; d.on[x.name] {
			x.draw(d)
		}
	}
	return d.r
}

// size is how many dimensions a case combines: mostly a few, sometimes many or
// all, which find different bugs.
func (d *drawer) size(all int) int {
	switch n := d.IntN(100); {
	case n < 5:
		return d.IntN(3)
	case n < 80:
		return min(all, 3+d.IntN(10))
	case n < 94:
		return min(all, 10+d.IntN(20))
	default:
		return all
	}
}

func (d *drawer) add(x *dimension) {
	if d.on[x.name] {
		return
	}
	d.on[x.name] = true
	for _, n := range x.needs {
		d.add(find(n))
	}
}

// chosen is the value that the model wants, if it wants one.
func (d *drawer) chosen() (int, bool) { return d.wanted, d.wanted >= 0 }

// choose is a number below n, or the value that the model wants.
func (d *drawer) choose(n int) int {
	if d.wanted >= 0 {
		return d.wanted
	}
	return d.IntN(n)
}

// flip is true with the given chance; of a model's values, if it wants the first.
func (d *drawer) flip(percent int) bool {
	if d.wanted >= 0 {
		return d.wanted == 0
	}
	return d.chance(percent)
}

func (d *drawer) chance(percent int) bool { return d.IntN(100) < percent }

// in is a number from lo to hi.
func (d *drawer) in(lo, hi int) int { return lo + d.IntN(hi-lo+1) }

// choice is one of a list: that which the model wants.
func choice[T any](d *drawer, list ...T) T { return list[d.choose(len(list))] }

func pick[T any](d *drawer, list ...T) T { return list[d.IntN(len(list))] }

// some keeps each of a list with the given chance, and at least one.
func some[T any](d *drawer, percent int, list []T) []T {
	var out []T
	for _, x := range list {
		if d.chance(percent) {
			out = append(out, x)
		}
	}
	if out == nil {
		out = []T{list[d.IntN(len(list))]}
	}
	return out
}

// fresh reports a new namespace in the request so far.
func (d *drawer) fresh(k specs.LinuxNamespaceType) bool { return d.r.Namespace(k).Fresh() }

func root(m *Machine) bool { return m.Root }
