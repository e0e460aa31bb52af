package fuzz

import (
	"slices"

	"github.com/holdshort/holdshort/fuzz/caller"
)

// callerPrefix begins the names of the parameters that are not of the request
// but of who makes it: see package caller.
const callerPrefix = "caller: "

// callerParameters are what the launcher's caller can be, each on or off.
func callerParameters() []dimension {
	var all []dimension
	for _, name := range caller.Names() {
		all = append(all, dimension{
			name: callerPrefix + name,
			can:  func(m *Machine) bool { return slices.Contains(m.Callers, name) },
			draw: func(*drawer) {}, // there is nothing of it in the request
		})
	}
	return all
}

// callerClashes are what a caller cannot ask for that is not as usual.
func (m *Machine) callerClashes() []clash {
	out := []clash{
		{callerPrefix + "bounding set": nil, "capabilities": nil},   // it may have what it has not
		{callerPrefix + "affinity": nil, "scheduler": {"deadline"}}, // a deadline task must be allowed every CPU of its root domain
	}
	const sysResource = 24
	if m.Caps&(1<<sysResource) != 0 {
		// The floor moves too (__set_oom_adj), and only that capability goes below.
		out = append(out, clash{callerPrefix + "oom_score_adj": nil, "oom_score_adj": nil})
	}
	return out
}

// Caller names what the launcher's caller is made: see [caller.Launcher]. It is in
// the order of the parameters.
func (md *Model) Caller(a Assignment) []string {
	var out []string
	for i, v := range a {
		if v > 0 && md.callers[i] != "" {
			out = append(out, md.callers[i])
		}
	}
	return out
}
