package request

import (
	"reflect"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestDecodedIsTheSpec: what is decoded has every field of the specification, by
// the same name, and all arrive.
func TestDecodedIsTheSpec(t *testing.T) {
	theirs, ours := reflect.TypeFor[specs.Spec](), reflect.TypeFor[decoded]()
	for f := range theirs.Fields() {
		g, ok := ours.FieldByName(f.Name)
		if !ok || g.Tag.Get("json") != f.Tag.Get("json") {
			t.Errorf("%s is missing, or has another name", f.Name)
		}
	}
	req, err := Parse([]byte(`{"ociVersion":"1.3.0","process":{"cwd":"/p"},"root":{"path":"r"},"hostname":"h","domainname":"d",
		"mounts":[{"destination":"/m"}],"hooks":{"poststop":[{"path":"/k"}]},"annotations":{"a":"b"},"linux":{"cgroupsPath":"c"},
		"solaris":{"milestone":"s"},"windows":{"layerFolders":["w"]},"vm":{"kernel":{"path":"v"}},"zos":{},"freebsd":{},
		"holdshort":{"nice":3}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(*req.Spec)
	for f, v := range v.Fields() {
		if v.IsZero() {
			t.Errorf("%s did not arrive", f.Name)
		}
	}
	if req.Spec.VM.Kernel.Path != "v" || req.Spec.Windows.LayerFolders[0] != "w" || req.Ext.Nice == nil {
		t.Errorf("%+v", req)
	}
	if _, err := Parse([]byte(`{"windows":{"layerFolders":"w"}}`), false); err == nil || err.Error() != "request: windows.layerFolders: string does not fit []string" {
		t.Errorf("%v", err)
	}
}
