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
