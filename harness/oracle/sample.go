package oracle

import "github.com/holdshort/holdshort/probes/posture"

// Sample returns a posture that meets the expectation: what an honest probe
// would see of a launch that went well. Fields without a wanted value are
// unknown in it. It is for tests of judges and of reports.
func (e *Expectation) Sample() *posture.Posture {
	got := e.want
	const first = 4026540000 // of inode numbers that nobody else has
	next := uint32(first)
	for _, n := range nsFields {
		if e.rules[n.at].pred != isFresh {
			continue
		}
		next++
		ns := posture.Namespace{Inode: next, Level: e.levels[n.at]}
		if n.at != NSUser {
			ns.Owner, _ = e.ownerOf(&got)
		}
		*nsValue(&got.Namespaces, n.at) = posture.Known(ns)
		n.at.copyChild(&got)
	}
	if e.rules[KeyringSession].pred == isFresh {
		got.Keyrings.Session = posture.Known(int32(0x3b9aca00))
	}
	if e.rules[SchedCoreCookie].pred == isFresh {
		got.Sched.CoreCookie = posture.Known[uint64](0xffff8881cafe0000)
	}
	if before, ok := e.caller.Sched.Autogroup.Get(); ok && e.rules[SchedAutogroup].pred == isFresh {
		got.Sched.Autogroup = posture.Known(before + 1)
	}
	if mode, ok := got.Seccomp.Mode.Get(); ok {
		got.Seccomp.Armed = posture.Known(mode != 0)
	}
	if len(e.filters) > 0 {
		// Any filters will do: whether they are the right ones is the judge's
		// business.
		before, _ := e.want.Seccomp.Filters.Get()
		var added []posture.Filter
		for range e.filters {
			added = append(added, posture.Filter{Instructions: []posture.Instruction{{Code: 0x06, K: 0x7fff0000}}})
		}
		got.Seccomp.Filters = posture.Known(append(added, before...))
	}
	return &got
}
