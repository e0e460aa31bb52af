package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// TestEnteredRootHasTheTargetsPropagation: who enters a container whose root is
// shared is under that same mount.
func TestEnteredRootHasTheTargetsPropagation(t *testing.T) {
	caller, target := &posture.Posture{}, &posture.Posture{}
	caller.FS.RootPropagation = posture.Known(posture.PropagationPrivate)
	target.FS.RootPropagation = posture.Known(posture.PropagationShared)
	r := request.New("/workload")
	r.Ext.Enter = &request.Enter{PID: 1}
	if got, _ := Beside(caller, target, r).FS.RootPropagation.Get(); got != posture.PropagationShared {
		t.Errorf("the root is expected to be %q", got)
	}
	r.Ext.Enter.Skip = []string{"root"}
	if got, _ := Beside(caller, target, r).FS.RootPropagation.Get(); got != posture.PropagationPrivate {
		t.Errorf("not taken, and yet expected to be %q", got)
	}
}
