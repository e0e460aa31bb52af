//go:build mutants

package oracle

import "github.com/holdshort/holdshort/probes/posture"

// A build with the tag mutants can plant faults in expectations. What is here
// returns changed copies; nothing of it is called by the oracle itself.

type fieldCopier interface {
	take(to, from *posture.Posture)
	zero(p *posture.Posture)
}

func (o of[T]) take(to, from *posture.Posture) { *o.at(to) = *o.at(from) }

func (o of[T]) zero(p *posture.Posture) {
	var none T
	*o.at(p) = posture.Known(none)
}

func (n rlimit) take(to, from *posture.Posture) {
	all, _ := to.Rlimits.Get()
	other, ok := from.Rlimits.Get()
	if all[n] = other[n]; ok {
		to.Rlimits = posture.Known(all)
	}
}

func (n rlimit) zero(p *posture.Posture) {
	all, _ := p.Rlimits.Get()
	all[n] = posture.Rlimit{}
	p.Rlimits = posture.Known(all)
}

// Take has one posture say of the field what another one says.
func (f Field) Take(to, from *posture.Posture) { table[f].ops.(fieldCopier).take(to, from) }

// Zero has a posture say that the field is zero, or empty.
func (f Field) Zero(p *posture.Posture) { table[f].ops.(fieldCopier).zero(p) }

func (e *Expectation) own() *Expectation {
	n, p := *e, *e.plan
	n.plan = &p
	return &n
}

// Forgetful has no rule for the field: it must be the caller's.
func (e *Expectation) Forgetful(f Field) *Expectation {
	n := e.own()
	n.rules[f] = rule{}
	f.Take(&n.want, e.caller)
	return n
}

// Misclassed has another class for the field.
func (e *Expectation) Misclassed(f Field, c Class) *Expectation {
	n := e.own()
	n.rules[f].class = c
	return n
}

// Blind takes whatever was seen in a field for what is wanted.
func (e *Expectation) Blind(f Field, seen *posture.Posture) *Expectation {
	n := e.own()
	n.rules[f].pred = isEqual
	f.Take(&n.want, seen)
	return n
}

// Plain compares for equality, where something else is meant.
func (e *Expectation) Plain(f Field) *Expectation {
	n := e.own()
	n.rules[f].pred = isEqual
	return n
}

// Lenient takes a fresh namespace of any depth and owner.
func (e *Expectation) Lenient(f Field) *Expectation {
	n := e.own()
	n.levels[f] = 0
	n.owner = posture.Unreadable[uint32]("forgotten")
	return n
}

// Wanting wants something else of a field.
func (e *Expectation) Wanting(change func(want *posture.Posture)) *Expectation {
	n := e.own()
	change(&n.want)
	return n
}

// Unasked forgets what was asked for beyond the posture.
func (e *Expectation) Unasked(is func(field string) bool) *Expectation {
	n := e.own()
	n.beyond = nil
	for _, b := range e.beyond {
		if !is(b.Field) {
			n.beyond = append(n.beyond, b)
		}
	}
	return n
}

// Unstacked forgets which filters were asked for, but how many.
func (e *Expectation) Unstacked() *Expectation {
	n := e.own()
	n.rules[SeccompFilters].pred = isEqual
	return n
}
