package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// Who enters a container is under its root, and shares with the host what the
// container's root shares.
func TestBeside_RootPropagation(t *testing.T) {
	caller, target := *sample.Caller(), *sample.Caller()
	caller.FS.RootPropagation = posture.Known(posture.PropagationPrivate)
	target.FS.RootPropagation = posture.Known(posture.PropagationShared)
	for name, tt := range map[string]struct {
		enter string
		want  posture.Value[posture.Propagation]
	}{
		"all of it":               {`{"pid":7}`, target.FS.RootPropagation},
		"without its root":        {`{"pid":7,"skip":["root"]}`, posture.Value[posture.Propagation]{}},
		"without its mounts":      {`{"pid":7,"namespaces":["network"]}`, caller.FS.RootPropagation},
		"its mounts, among other": {`{"pid":7,"namespaces":["network","mount"]}`, target.FS.RootPropagation},
	} {
		r := mustParse(t, `{"ociVersion":"1.3.0","process":{"args":["/bin/true"],"cwd":"","user":{"uid":0,"gid":0}},"holdshort":{"enter":`+tt.enter+`}}`)
		got, known := Beside(&caller, &target, r).FS.RootPropagation.Get()
		if want, k := tt.want.Get(); got != want || known != k {
			t.Errorf("%s: %q, known %v; want %q, %v", name, got, known, want, k)
		}
	}
}

// Who enters writes its score with the launcher's privilege, unless it is in
// another user namespace by then, and that moves the floor; not so where nothing
// is written.
func TestBeside_OOMFloor(t *testing.T) {
	const (
		all    = `{"pid":7}`
		netns  = `{"pid":7,"namespaces":["network"]}`
		limits = `{"pid":7,"namespaces":["network"],"skip":["limits"]}`
	)
	for name, tt := range map[string]struct {
		enter   string
		asked   string // of process
		score   int32  // the target's
		own     bool   // the target has a user namespace of its own
		less    bool   // the caller lacks CAP_SYS_RESOURCE
		blind   bool   // the caller's capabilities are not known
		want    int32
		unknown bool
	}{
		"taken":                        {enter: netns, score: 77, own: true, want: 77},
		"taken, without privilege":     {enter: netns, score: 77, less: true},
		"taken in its user namespace":  {enter: all, score: 77, own: true},
		"taken in our user namespace":  {enter: all, score: 77, want: 77},
		"equal already":                {enter: netns},
		"left out":                     {enter: limits, score: 77},
		"asked for":                    {enter: limits, asked: `,"oomScoreAdj":5`, score: 77, want: 5},
		"asked for in its namespace":   {enter: all, asked: `,"oomScoreAdj":5`, score: 77, own: true},
		"privilege that is not known":  {enter: netns, score: 77, blind: true, unknown: true},
		"not known, and nothing to do": {enter: netns, blind: true},
	} {
		caller, target := *sample.Caller(), *sample.Caller()
		target.OOM.ScoreAdj = posture.Known(tt.score)
		target.Capabilities.Effective = posture.Known[posture.CapSet](0) // it is not the target that writes
		if tt.own {
			target.Namespaces.User = posture.Known(posture.Namespace{Inode: 4711, Level: 1})
		}
		if tt.less {
			caller.Capabilities.Effective = posture.Known[posture.CapSet](1)
		}
		if tt.blind {
			caller.Capabilities.Effective = posture.Unreadable[posture.CapSet]("test")
		}
		r := mustParse(t, `{"ociVersion":"1.3.0","process":{"args":["/bin/true"],"cwd":"","user":{"uid":0,"gid":0}`+tt.asked+`},"holdshort":{"enter":`+tt.enter+`}}`)
		e := Expect(r, Beside(&caller, &target, r), Features{})
		got, known := e.want.OOM.ScoreAdjMin.Get()
		if known == tt.unknown || known && got != tt.want {
			t.Errorf("%s: %d, known %v; want %d", name, got, known, tt.want)
		}
	}
}
