package suites

import (
	"errors"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestOnly(t *testing.T) {
	q := request.New("/bin/true")
	if err := Only(q); err != nil {
		t.Errorf("nothing asked for: %v", err)
	}
	q.Spec.Process.NoNewPrivileges = true
	q.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.IPCNamespace}}
	q.Ext.Nice = new(5)
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, "holdshort.nice, linux.namespaces, process.noNewPrivileges: unsupported operation"},
		{[]string{"linux.namespaces"}, "holdshort.nice, process.noNewPrivileges: unsupported operation"},
		{[]string{"linux", "process.noNewPrivileges"}, "holdshort.nice: unsupported operation"},
		{[]string{"linux", "process", "holdshort"}, ""},
	} {
		err := Only(q, c.fields...)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v: %q; want %q", c.fields, got, c.want)
		}
	}
	q = request.New("/bin/true")
	q.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
	if err := Only(q); err == nil {
		t.Error("no capabilities asked for, and no error")
	}
	q = request.New("/bin/true")
	q.Ext.KeepIDs = false
	if err := Only(q); err == nil {
		t.Error("ids asked for, and no error")
	}
}
