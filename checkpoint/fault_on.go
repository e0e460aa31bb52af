//go:build mutants

package checkpoint

import (
	"slices"
	"sync"
)

const faulty = true

// Order is the order in which a launch does things, to be changed. It is there in
// builds with the tag mutants only.
type Order struct{ p *plan }

var misordered sync.Map // *Launcher to func(*Order)

// Misorder has every launch from now on changed by f, before it begins; nil ends
// that. It is for builds with the tag mutants, which score the instruments by
// planted faults.
func (l *Launcher) Misorder(f func(*Order)) {
	if f == nil {
		misordered.Delete(l)
		return
	}
	misordered.Store(l, f)
}

func misorder(l *Launcher, p *plan) {
	if f, ok := misordered.Load(l); ok {
		f.(func(*Order))(&Order{p})
	}
}

// Move has the last steps of one stage done directly before the first of another.
// With an object only its steps are moved.
func (o *Order) Move(stage Stage, object string, before Stage) {
	is := func(s *step) bool { return s.stage == stage && (object == "" || s.object == object) }
	o.rearrange(is, func(s *step) bool { return s.stage == before })
}

// Skip leaves the last steps of a stage out.
func (o *Order) Skip(stage Stage, object string) {
	o.rearrange(func(s *step) bool { return s.stage == stage && (object == "" || s.object == object) }, nil)
}

// Early has the last steps of one stage done before everything else that the
// child does.
func (o *Order) Early(stage Stage) {
	var moved, rest steps
	for _, s := range o.p.final.steps {
		if s.stage == stage {
			moved = append(moved, s)
		} else {
			rest = append(rest, s)
		}
	}
	if o.p.listener < 0 {
		o.p.final.steps, o.p.setup.steps = rest, append(moved, o.p.setup.steps...)
	}
}

// Setup moves steps of the set-up, as Move does with the last ones.
func (o *Order) Setup(stage, before Stage) {
	b := &o.p.setup
	at := slices.IndexFunc(b.steps, func(s step) bool { return s.stage == before })
	if at < 0 {
		return
	}
	var head, moved, tail steps
	for i, s := range b.steps {
		switch {
		case s.stage == stage:
			moved = append(moved, s)
		case i < at:
			head = append(head, s)
		default:
			tail = append(tail, s)
		}
	}
	b.steps = slices.Concat(head, moved, tail)
}

func (o *Order) rearrange(is, before func(*step) bool) {
	list := o.p.final.steps
	var moved, rest []int
	for i := range list {
		if is(&list[i]) {
			moved = append(moved, i)
		} else {
			rest = append(rest, i)
		}
	}
	order := rest
	if before != nil {
		at := slices.IndexFunc(rest, func(i int) bool { return before(&list[i]) })
		if at < 0 {
			return
		}
		order = slices.Insert(slices.Clone(rest), at, moved...)
	}
	out := make(steps, 0, len(order))
	listener := -1
	for _, i := range order {
		if i == o.p.listener {
			listener = len(out)
		}
		out = append(out, list[i])
	}
	o.p.final.steps, o.p.listener = out, listener
}
