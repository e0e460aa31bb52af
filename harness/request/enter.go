package request

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Enter starts the workload beside a running process: what the request does
// not ask for itself is taken from there.
type Enter struct {
	// PID of the target, as the caller sees it.
	PID int `json:"pid"`
	// Namespaces to join; without it, all in which the target differs.
	Namespaces []specs.LinuxNamespaceType `json:"namespaces,omitempty"`
	// Skip lists what is not taken: words of [EnterAspects].
	Skip []string `json:"skip,omitempty"`
	// StopTarget allows the target to be stopped by ptrace(2) for a moment, to
	// copy its seccomp filters.
	StopTarget bool `json:"stopTarget,omitempty"`
}

// EnterAspects are the parts of a target that can be taken or skipped.
var EnterAspects = []string{"cgroup", "limits", "credentials", "root", "cwd", "umask", "seccomp"}

// Takes reports whether a part is taken.
func (e *Enter) Takes(aspect string) bool { return !slices.Contains(e.Skip, aspect) }

// Joins reports whether a kind of namespaces is taken, unless the request
// names one itself.
func (e *Enter) Joins(kind specs.LinuxNamespaceType) bool {
	return e.Namespaces == nil || slices.Contains(e.Namespaces, kind)
}

func (c *checker) enter(r *Request) {
	e := r.Ext.Enter
	if e == nil {
		return
	}
	c.check(e.PID > 0, "holdshort.enter.pid", "%d is no process", e.PID)
	for i, n := range e.Namespaces {
		c.check(slices.Contains(kinds, n), at("holdshort.enter.namespaces", i), "unknown type %q", n)
	}
	for i, s := range e.Skip {
		c.check(slices.Contains(EnterAspects, s), at("holdshort.enter.skip", i), "unknown word %q", s)
	}
	c.check(!r.Ext.Init, "holdshort.enter", "and holdshort.init are both given")
}
