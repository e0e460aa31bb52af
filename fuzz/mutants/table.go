//go:build mutants

package mutants

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness"
)

// Basic lists the faults that were written by hand: of the 1-way, 2-way and
// 3-way.
func Basic() []Fault {
	all := slices.Concat(isolation, files, resources, rights, processes, callers, orders, hosts(), observers(), evidences(), oracles())
	for i := range all {
		f := &all[i]
		if f.Hides == "" {
			continue
		}
		j := slices.IndexFunc(all, func(o Fault) bool {
			return o.Name == f.Hides && o.Where != f.Where || o.Name == f.Hides && o.Hides == "" && o.Name != f.Name
		})
		if j < 0 {
			panic("no fault " + f.Hides)
		}
		if f.When = all[j].When; f.Want == nil {
			f.Want = all[j].Want
		}
	}
	return all
}

// hidden is the fault that another one hides.
func hidden(all []Fault, f *Fault) *Fault {
	for i := range all {
		if o := &all[i]; o.Name == f.Hides && o.Hides == "" {
			return o
		}
	}
	return nil
}

// Each is how many faults of each way from the second to the sixth are derived.
const Each = 14

// alike are settings with which a fault changes nothing.
var alike = []struct{ fault, with, why string }{
	{"ids/the user stays", "ns user=single id", "the map has no user but 0, which the launcher's child is already"},
	{"ids/the user stays", "ns user=single id, not 0", "the map has one user, which the launcher's child is already"},
	{"ids/the group is the user", "ns user=single id", "the map has one id"},
	{"ids/the group is the user", "ns user=single id, not 0", "the map has one id"},
}

// Derived makes faults of more settings: each is one of the basic ones, but only
// if others are on, too. Which, and with which others, is a function of seed and
// model. Settings that no request can have together are not drawn.
func Derived(md *fuzz.Model, m *fuzz.Machine, basic []Fault, seed uint64) []Fault {
	var all []Fault
	for way := 2; way <= 6; way++ {
		r := cover.NewStream(cover.Key(seed, uint64(way)))
		order := make([]int, len(basic))
		for i := range order {
			order[i] = i
		}
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		made := 0
		for _, i := range order {
			f := basic[i]
			if made == Each {
				break
			}
			t, err := f.Trigger(md, m)
			if err != nil || f.Equivalent != "" || f.Way() >= way {
				continue
			}
			if !f.extend(md, t, way, r) {
				continue
			}
			for _, a := range alike {
				if strings.HasPrefix(f.Name, a.fault+", ") && slices.Contains(strings.Split(f.When, "; "), a.with) {
					f.Equivalent = a.why
				}
			}
			all = append(all, f)
			made++
		}
	}
	return all
}

// extend draws further settings until there are so many.
func (f *Fault) extend(md *fuzz.Model, t Trigger, way int, r *cover.Stream) bool {
	params := md.Parameters()
	var more []string
	for tries := 0; len(t) < way; tries++ {
		if tries == 1000 {
			return false
		}
		p := r.IntN(len(params))
		x := term{p, 1 + r.IntN(len(params[p].Values)-1)}
		if slices.ContainsFunc(t, func(o term) bool { return o.param == p }) {
			continue
		}
		if md.Space().Complete(append(slices.Clip(t), x).partial(md)) == nil {
			continue
		}
		t = append(t, x)
		s := params[p].Name
		if v := params[p].Values[x.value]; v != "on" {
			s += "=" + v
		}
		more = append(more, s)
	}
	f.When += "; " + strings.Join(more, "; ")
	f.Name += fmt.Sprintf(", %d-way", way)
	return true
}

// rand is a number of the fault.
func (f *Fault) rand() uint64 {
	s := sha256.Sum256([]byte(f.Name))
	return binary.LittleEndian.Uint64(s[:])
}

// both plants two faults in one launch.
func both(a, b *harness.Fault) *harness.Fault {
	if a == nil {
		return b
	}
	out := *a
	out.Config = chain2(a.Config, b.Config)
	out.Order = chain1(a.Order, b.Order)
	out.Parked = chain1(a.Parked, b.Parked)
	out.Sight = chain1(a.Sight, b.Sight)
	out.Result = chain1(a.Result, b.Result)
	return &out
}

func chain1[A any](f, g func(A)) func(A) {
	if f == nil {
		return g
	}
	if g == nil {
		return f
	}
	return func(a A) { f(a); g(a) }
}

func chain2[A, B any](f, g func(A, B)) func(A, B) {
	if f == nil {
		return g
	}
	if g == nil {
		return f
	}
	return func(a A, b B) { f(a, b); g(a, b) }
}
