//go:build mutants

package mutants

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
)

// Where a fault is planted.
const (
	Launcher = "launcher" // what is launched is not what was asked for
	Observer = "observer" // what is seen is not what is there
	Evidence = "evidence" // the same of what no posture shows
	Oracle   = "oracle"   // what is expected is not what was asked for
)

// The kinds of faults.
const (
	Skip      = "skip"
	Value     = "wrong value"
	Extra     = "unasked"
	Ordering  = "wrong order"
	Late      = "late"
	OneThread = "one thread only"
	Process   = "wrong process"
	Zeroed    = "zeroed"
	Stale     = "stale"
	Unread    = "unread"
	Missing   = "missing"
	Class     = "wrong class"
	Blind     = "blind"
)

// Fault is one thing that is done wrong.
type Fault struct {
	Name, Where, Kind string
	// When are the settings of a request that it takes, as [fuzz.Model.Text]
	// writes them: "umask=077; ns user; session". A parameter without a value
	// may have any but off. How many there are is the fault's way.
	When string
	// Want are the findings that it must lead to, by their beginning:
	// "fs.umask", "refused: ids". That something else is found does not count.
	Want []string
	// Plant makes what is to be planted in one launch.
	Plant func(*Scene) *harness.Fault
	// Hides names a fault of the launcher. A fault of the instruments that
	// makes them blind shows in no launch that is as it should be: it is
	// planted along with this one, whose finding must not change.
	Hides string
	// Here says what the machine lacks for it, if anything; nil is nothing.
	Here func(m *fuzz.Machine) string
	// Equivalent says why nothing can be seen of the fault. It is left out of
	// the score, and must survive.
	Equivalent string
}

// Scene is what a fault can use.
type Scene struct {
	// Sibling is another process, of no launch, with namespaces of its own.
	Sibling int
	// Kept is the path of a uts namespace that belongs to another user namespace.
	// No process is in it, only a descriptor keeps it.
	Kept string
	// Rand is a number of this fault, the same in every run.
	Rand uint64
}

// Way is the number of settings.
func (f *Fault) Way() int { return len(strings.Split(f.When, "; ")) }

// Trigger is the condition of a fault on one model.
type Trigger []term

type term struct {
	param int
	value int // negative: any but off
}

// Trigger looks the settings up. The error says what this machine lacks.
func (f *Fault) Trigger(md *fuzz.Model, m *fuzz.Machine) (Trigger, error) {
	var out Trigger
	if f.Here != nil {
		if what := f.Here(m); what != "" {
			return nil, errors.New(what)
		}
	}
	for s := range strings.SplitSeq(f.When, "; ") {
		name, value, valued := strings.Cut(s, "=")
		i := slices.IndexFunc(md.Parameters(), func(p fuzz.Parameter) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no parameter %q", name)
		}
		t := term{i, -1}
		if valued {
			if t.value = slices.Index(md.Parameters()[i].Values, value); t.value < 0 {
				return nil, fmt.Errorf("%q has no value %q", name, value)
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// Holds reports whether the fault shows in a case.
func (t Trigger) Holds(a fuzz.Assignment) bool {
	for _, x := range t {
		if v := int(a[x.param]); x.value < 0 && v == 0 || x.value >= 0 && v != x.value {
			return false
		}
	}
	return true
}

// partial has the values for [cover.Space.Complete].
func (t Trigger) partial(md *fuzz.Model) []int {
	p := make([]int, len(md.Parameters()))
	for i := range p {
		p[i] = -1
	}
	for _, x := range t {
		if p[x.param] = x.value; x.value < 0 {
			p[x.param] = 1
		}
	}
	return p
}

// wants reports whether a finding is one that the fault must lead to.
func (f *Fault) wants(key string) bool {
	return slices.ContainsFunc(f.Want, func(w string) bool { return strings.HasPrefix(key, w) })
}

type config = checkpoint.Config

// changed is a fault in what is launched.
func changed(name, kind, when, want string, f func(c *config)) Fault {
	return Fault{Name: name, Where: Launcher, Kind: kind, When: when, Want: strings.Split(want, ", "), Plant: func(*Scene) *harness.Fault {
		return &harness.Fault{Config: func(c *checkpoint.Config, _ *checkpoint.Options) { f(c) }}
	}}
}

func none[T any]() checkpoint.Option[T] { return checkpoint.Option[T]{} }

// without is a namespace that is not made.
func without(c *config, kind checkpoint.NamespaceKind) {
	c.Namespaces = slices.DeleteFunc(c.Namespaces, func(n checkpoint.Namespace) bool { return n.Kind == kind })
}
