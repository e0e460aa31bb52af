package checkpoint

import (
	"maps"
	"slices"
)

// MountWords are the words of [Mount].Options that are understood here; every
// other goes to the file system.
func MountWords() []string {
	out := []string{"bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup", "defaults"}
	for w := range attrWords {
		out = append(out, w, "r"+w)
	}
	for w := range propagations {
		out = append(out, w, "r"+w)
	}
	out = slices.AppendSeq(out, maps.Keys(oldWords))
	out = slices.AppendSeq(out, maps.Keys(superFlags))
	slices.Sort(out)
	return slices.Compact(out)
}
