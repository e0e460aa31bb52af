package oracle

import (
	"slices"

	"github.com/holdshort/holdshort/probes/posture"
)

// A capability set is laxer if it has what the wanted one has not.
func capOrder(want, got posture.CapSet) order {
	if got&^want != 0 {
		return laxer
	}
	return stricter
}

// lowerIsStricter is for numbers that grant.
func lowerIsStricter[T int32 | uint32 | uint64](want, got T) order {
	if got > want {
		return laxer
	}
	return stricter
}

// higherIsStricter is for numbers that restrain.
func higherIsStricter[T int32 | uint32 | uint64](want, got T) order {
	if got < want {
		return laxer
	}
	return stricter
}

// trueIsStricter is for switches that restrain.
func trueIsStricter(_, got bool) order {
	if got {
		return stricter
	}
	return laxer
}

func falseIsStricter(_, got bool) order {
	if got {
		return laxer
	}
	return stricter
}

// moreIsStricter is for bit masks whose bits restrain.
func moreIsStricter[T uint32 | uint64](want, got T) order {
	if want&^got != 0 {
		return laxer
	}
	return stricter
}

// securebitsOrder: by these two bits capabilities survive a change of ids, by all
// others something is taken away or cannot be changed any more (capabilities(7)).
func securebitsOrder(want, got uint32) order {
	const grant = SecureNoSetUIDFixup | SecureKeepCaps
	if (got&^want)&grant != 0 || (want&^got)&^grant != 0 {
		return laxer
	}
	return stricter
}

// fewerIsStricter is for bit masks whose bits grant.
func fewerIsStricter(want, got uint64) order {
	if got&^want != 0 {
		return laxer
	}
	return stricter
}

// The creator's ids are the stronger ones: root is the strongest.
func uidOrder(want, got uint32) order {
	switch {
	case got == 0:
		return laxer
	case want == 0:
		return stricter
	}
	return other
}

// groupOrder looks for groups that nobody asked for.
func groupOrder(want, got []uint32) order {
	for _, g := range got {
		if !contains(want, g) {
			return laxer
		}
	}
	return stricter
}

func contains[T comparable](list []T, v T) bool {
	return slices.Contains(list, v)
}

// affinityOrder: CPUs beyond the wanted ones are a weaker constraint.
func affinityOrder(want, got []uint64) order {
	if !within(got, want) {
		return laxer
	}
	return stricter
}

// within reports whether mask a has no bit that b has not.
func within(a, b []uint64) bool {
	for i, w := range a {
		if i < len(b) {
			w &^= b[i]
		}
		if w != 0 {
			return false
		}
	}
	return true
}

// equalMasks compares bit masks, trailing zero words aside.
func equalMasks(a, b []uint64) bool { return within(a, b) && within(b, a) }

// equalMaps compares id maps as the sets that they are: the kernel sorts long
// ones and keeps the order of short ones.
func equalMaps(a, b []posture.IDExtent) bool {
	if equalLists(a, b) {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for _, e := range a {
		if !contains(b, e) {
			return false
		}
	}
	return true
}

// mapOrder: an id of the host that is not to be in the map is worse than any
// number of them that are missing.
func mapOrder(want, got []posture.IDExtent) order {
	var w, g uint64
	for _, e := range want {
		w += uint64(e.Count)
	}
	for _, e := range got {
		if g += uint64(e.Count); !hostCovered(e, want) {
			return laxer
		}
	}
	switch {
	case g > w:
		return laxer
	case g < w:
		return stricter
	}
	return other
}

// hostCovered reports whether all ids of the host that an extent maps are mapped
// by others, too.
func hostCovered(e posture.IDExtent, by []posture.IDExtent) bool {
	at, end := uint64(e.Host), uint64(e.Host)+uint64(e.Count)
	for at < end {
		next := at
		for _, b := range by {
			if from, to := uint64(b.Host), uint64(b.Host)+uint64(b.Count); from <= at {
				next = max(next, to)
			}
		}
		if next == at {
			return false
		}
		at = next
	}
	return true
}

func equalFilter(a, b *posture.Filter) bool {
	return a.Log == b.Log && a.WaitKillable == b.WaitKillable && a.HasNotifier == b.HasNotifier &&
		equalLists(a.Instructions, b.Instructions)
}

func equalFilters(a, b []posture.Filter) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equalFilter(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func filterOrder(want, got []posture.Filter) order {
	switch {
	case len(got) < len(want):
		return laxer
	case len(got) > len(want):
		return stricter
	}
	return other
}

// equalFiles compares descriptors by number and by what they refer to. An
// inode of zero in a is not looked at: not every wanted file is known so well.
func equalFiles(a, b posture.Files) bool {
	if len(a.Open) != len(b.Open) || a.Truncated != b.Truncated {
		return false
	}
	for i := range a.Open {
		x, y := &a.Open[i], &b.Open[i]
		if x.FD != y.FD || x.CloseOnExec != y.CloseOnExec || x.Inode != (posture.Inode{}) && x.Inode != y.Inode {
			return false
		}
	}
	return true
}

func fileOrder(want, got posture.Files) order {
	if len(got.Open) < len(want.Open) {
		return stricter
	}
	return laxer
}

// handledOrder: whatever a layer does not handle, it does not deny. Layers that
// differ in number are a matter of landlock.layers too.
func handledOrder(want, got []posture.LandlockLayer) order {
	if len(got) < len(want) {
		return laxer
	}
	for i, w := range want {
		if w.FS&^got[i].FS|w.Net&^got[i].Net|w.Scope&^got[i].Scope != 0 {
			return laxer
		}
	}
	return stricter
}

// ruleListOrder: a layer that allows on some object what it should not is laxer,
// whatever else it does not allow. A rule without an inode allows nothing: the
// file system of what it was for is gone.
func ruleListOrder(want, got []posture.LandlockRule) order {
	for _, g := range got {
		if g.Kind == posture.RulePath && g.Inode == (posture.Inode{}) {
			continue
		}
		allowed := uint32(0)
		for _, w := range want {
			if w.Layer == g.Layer && w.Kind == g.Kind && w.Inode == g.Inode && w.Port == g.Port {
				allowed |= w.Access
			}
		}
		if g.Access&^allowed != 0 {
			return laxer
		}
	}
	return stricter
}

// clampOrder: more utilisation claimed is more of the machine.
func clampOrder(want, got posture.Uclamp) order {
	switch {
	case got.Value > want.Value:
		return laxer
	case got.Value < want.Value:
		return stricter
	}
	return other
}

// propagationOrder: a shared mount tells others of what is mounted below it, a
// slave is told.
func propagationOrder(want, got posture.Propagation) order {
	reach := func(p posture.Propagation) int {
		switch p {
		case posture.PropagationUnbindable:
			return 0
		case posture.PropagationPrivate:
			return 1
		case posture.PropagationSlave:
			return 2
		case posture.PropagationShared:
			return 3
		}
		return 4
	}
	if reach(got) > reach(want) {
		return laxer
	}
	return stricter
}
