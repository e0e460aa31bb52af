package oracle

import (
	"slices"

	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// toHost takes an id of a user namespace to the initial one.
func toHost(m []posture.IDExtent, id uint32) (uint32, bool) {
	for _, e := range m {
		if id >= e.Inside && uint64(id) < uint64(e.Inside)+uint64(e.Count) {
			return e.Host + (id - e.Inside), true
		}
	}
	return 0, false
}

// compose takes a map that is written in terms of the parent namespace to the
// initial one. The kernel wants each line within one line of the parent's map.
func compose(parent []posture.IDExtent, m []specs.LinuxIDMapping) ([]posture.IDExtent, bool) {
	out := make([]posture.IDExtent, len(m))
	for i, l := range m {
		last := l.HostID + l.Size - 1
		j := slices.IndexFunc(parent, func(e posture.IDExtent) bool {
			return l.HostID >= e.Inside && uint64(last) < uint64(e.Inside)+uint64(e.Count)
		})
		if j < 0 || last < l.HostID {
			return nil, false
		}
		out[i] = posture.IDExtent{Inside: l.ContainerID, Host: parent[j].Host + (l.HostID - parent[j].Inside), Count: l.Size}
	}
	return out, true
}

// groups takes supplementary groups to host ids, in the order in which the
// kernel keeps them.
func groups(m []posture.IDExtent, inside []uint32) ([]uint32, bool) {
	out := make([]uint32, len(inside))
	for i, g := range inside {
		h, ok := toHost(m, g)
		if !ok {
			return nil, false
		}
		out[i] = h
	}
	slices.Sort(out)
	return out, true
}
