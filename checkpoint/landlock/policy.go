package landlock

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxLayers is how many layers the kernel stacks (LANDLOCK_MAX_NUM_LAYERS),
// those of the caller included.
const MaxLayers = 16

// Policy is a stack of rulesets.
type Policy struct {
	// BestEffort leaves out what the running kernel does not know, instead
	// of failing; on a kernel without Landlock that is everything.
	BestEffort bool `json:"bestEffort,omitempty"`
	// Layers are enforced in this order.
	Layers []Ruleset `json:"layers"`
}

// Ruleset is one layer: struct landlock_ruleset_attr and its rules.
type Ruleset struct {
	HandledAccessFS  []Right `json:"handledAccessFS,omitempty"`
	HandledAccessNet []Right `json:"handledAccessNet,omitempty"` // since ABI 4
	Scoped           []Right `json:"scoped,omitempty"`           // since ABI 6

	PathBeneath []PathBeneath `json:"pathBeneath,omitempty"`
	NetPort     []NetPort     `json:"netPort,omitempty"`

	// RestrictFlags are flags of landlock_restrict_self(2), since ABI 7.
	// All but "tsync" are about the audit log.
	RestrictFlags []Right `json:"restrictFlags,omitempty"`
}

// PathBeneath allows rights on a file, or on a directory and everything
// beneath. Path is absolute, and is resolved in the workload's own root. A
// symbolic link at its end is followed.
type PathBeneath struct {
	Path          string  `json:"path"`
	AllowedAccess []Right `json:"allowedAccess"`
}

// NetPort allows rights on a port; 0 means whatever port the kernel chooses
// for a bind to port 0.
type NetPort struct {
	Port          uint16  `json:"port"`
	AllowedAccess []Right `json:"allowedAccess"`
}

// Invalid is something in a policy that cannot be meant.
type Invalid struct {
	Field string // "layers[0].pathBeneath[1].path"
	Why   string
}

func (e *Invalid) Error() string { return e.Field + ": " + e.Why }

// Validate reports every problem that can be seen without a kernel, each an
// [*Invalid], joined.
func (p *Policy) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Invalid{field, fmt.Sprintf(format, args...)})
	}
	known := func(field string, k Kind, list []Right) {
		for i, r := range list {
			switch {
			case ABIOf(k, r) == 0:
				bad(at(field, i), "unknown right %q; there are %v", r, Rights(k, Newest))
			case slices.Index(list, r) < i:
				bad(at(field, i), "%q is there twice", r)
			}
		}
	}
	if len(p.Layers) == 0 {
		bad("layers", "is empty")
	}
	if len(p.Layers) > MaxLayers {
		bad("layers", "%d layers, the kernel stacks %d", len(p.Layers), MaxLayers)
	}
	for i := range p.Layers {
		l, f := &p.Layers[i], at("layers", i)
		if len(l.HandledAccessFS)+len(l.HandledAccessNet)+len(l.Scoped) == 0 {
			bad(f, "handles nothing")
		}
		known(f+".handledAccessFS", FS, l.HandledAccessFS)
		known(f+".handledAccessNet", Net, l.HandledAccessNet)
		known(f+".scoped", Scope, l.Scoped)
		known(f+".restrictFlags", Flag, l.RestrictFlags)
		allowed := func(f string, k Kind, list, handled []Right) {
			known(f, k, list)
			if len(list) == 0 {
				bad(f, "is empty: a rule allows something")
			}
			for j, r := range list {
				if ABIOf(k, r) != 0 && !slices.Contains(handled, r) {
					bad(at(f, j), "%q is not among %s", r, k)
				}
			}
		}
		for j, r := range l.PathBeneath {
			g := at(f+".pathBeneath", j)
			if !strings.HasPrefix(r.Path, "/") || strings.Contains(r.Path, "\x00") {
				bad(g+".path", "%q is not absolute", r.Path)
			}
			allowed(g+".allowedAccess", FS, r.AllowedAccess, l.HandledAccessFS)
		}
		for j, r := range l.NetPort {
			allowed(at(f+".netPort", j)+".allowedAccess", Net, r.AllowedAccess, l.HandledAccessNet)
		}
	}
	return errors.Join(errs...)
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
