package harness

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestTimeline: launcher and kernel agree on the order of what happened, although
// each looked at a clock of its own.
func TestTimeline(t *testing.T) {
	r := untouched(t)
	req := request.New("/bin/true")
	req.Spec.Process.NoNewPrivileges = true
	umask := uint32(0o27)
	req.Spec.Process.User.Umask = &umask
	req.Spec.Hostname = "box"
	req.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UTSNamespace}}
	for range 5 {
		c, err := r.Run(t.Context(), req, &checkpoint.Options{Times: true})
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != Constrained {
			t.Fatal(c.Verdict, c.Reasons)
		}
		var order []string
		last := int64(0)
		for _, m := range c.Report().Timeline {
			if m.NS < last {
				t.Errorf("%s at %d ns, the one before at %d", m.What, m.NS, last)
			}
			last = m.NS
			order = append(order, m.What)
		}
		at := -1
		for _, want := range []string{"clone uts", "hostname", "umask", "no-new-privs", "exec", "return", "first", "exit"} {
			i := slices.IndexFunc(order, func(s string) bool { return s == want || strings.HasPrefix(s, want+" ") })
			if i <= at {
				t.Errorf("%q is not after what comes before it in %q", want, order)
			}
			at = i
		}
	}
	c, err := r.Run(t.Context(), req, nil)
	if err != nil || c.Timeline != nil {
		t.Errorf("%v, a timeline that nobody asked for: %v", err, c.Timeline)
	}
	req.Spec.Process.Args = []string{"/none"}
	c, err = r.Run(t.Context(), req, &checkpoint.Options{Times: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Timeline); n == 0 || c.Timeline[n-1].What != "pdeathsig" {
		t.Errorf("of a launch that was refused at execve: %v", c.Timeline)
	}
}
