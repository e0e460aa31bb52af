package harness

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var bg = context.Background()

// runner opens a runner that can observe, or skips the test.
func runner(t testing.TB) *Runner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	r, err := NewRunner(bg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: " + r.ProbesErr.Error())
	}
	return r
}

func text(c *Case) string {
	var b bytes.Buffer
	_ = c.Report().Text(&b, Style{})
	return b.String()
}

// every asks for all eight namespaces and maps ids.
func every() *request.Request {
	req := request.New("/bin/true")
	req.Ext.KeepIDs = false
	l := req.Spec.Linux
	for _, k := range []specs.LinuxNamespaceType{
		specs.UserNamespace, specs.MountNamespace, specs.PIDNamespace, specs.NetworkNamespace,
		specs.UTSNamespace, specs.IPCNamespace, specs.CgroupNamespace, specs.TimeNamespace,
	} {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: k})
	}
	l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	l.GIDMappings = l.UIDMappings
	return req
}

func TestConstrained(t *testing.T) {
	r := untouched(t)
	for name, req := range map[string]*request.Request{"nothing": request.New("/bin/true"), "namespaces": every()} {
		t.Run(name, func(t *testing.T) {
			c, err := r.Run(bg, req, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Constrained {
				t.Errorf("verdict %s; want constrained\n%s", c.Verdict, text(c))
			}
			t.Log(text(c))
		})
	}
}
