package oracle

import (
	"strings"

	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// propagation of the root: what was asked for, and in a new mount namespace
// private if nothing was, since a copy of a shared mount goes on sharing. In
// the caller's own namespace it is the caller's, and in one that is joined
// whatever it is there.
func (b *builder) propagation() {
	root := b.r.Spec.Root
	rooted := root != nil && root.Path != ""
	if !b.r.Namespace(specs.MountNamespace).Fresh() {
		if b.r.Namespace(specs.MountNamespace).Asked || rooted || b.l.RootfsPropagation != "" {
			b.puzzle(FSRootPropagation, Implied, "linux.namespaces: mount", notFixed)
		}
		return
	}
	at := &b.w.FS.RootPropagation
	word, source := posture.Propagation(strings.TrimPrefix(b.l.RootfsPropagation, "r")), "linux.rootfsPropagation"
	if word == "" {
		word, source = posture.PropagationPrivate, "linux.namespaces: mount, private unless asked otherwise"
	}
	pred := isEqual
	switch before, known := b.e.caller.FS.RootPropagation.Get(); {
	case word == posture.PropagationShared:
		pred = isShared // and may be a slave of what it was shared with before
	case word != posture.PropagationSlave:
	case rooted || !known:
		pred = isSlave // of a mount that may have no peers, and then is private
	case before == posture.PropagationPrivate || before == posture.PropagationUnbindable:
		word = posture.PropagationPrivate // a slave of nothing, see mount_namespaces(7)
	}
	put(b, FSRootPropagation, at, word, Requested, source)
	b.e.rules[FSRootPropagation].pred = pred
}
