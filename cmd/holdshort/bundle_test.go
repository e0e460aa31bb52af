package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestBundleOfAPooledNamespace: outside of a campaign there is no pool, so the
// lines to type make the namespace, and the bundle names it.
func TestBundleOfAPooledNamespace(t *testing.T) {
	r := request.New("/there/workload")
	r.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.NetworkNamespace, Path: fuzz.PooledNet("/there")}}
	dir := filepath.Join(t.TempDir(), "bundle")
	var out bytes.Buffer
	if err := writeBundle(&streams{out: &out, err: &out}, dir, &campaign.Minimal{Index: 7, Key: "k", Dir: "/there", Request: r}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(b, &spec); err != nil {
		t.Fatal(err)
	}
	if n := spec.Linux.Namespaces[0]; n.Path != "/run/netns/holdshort-7" || !strings.Contains(out.String(), "ip netns add holdshort-7\n") {
		t.Errorf("%+v\n%s", n, out.String())
	}
}
