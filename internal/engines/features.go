package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// declared is what an engine says that it knows: its "features" command, nil if
// it has none (crun before 1.8.7).
func declared(ctx context.Context, binary string) *features.Features {
	out, err := exec.CommandContext(ctx, binary, "features").Output()
	if err != nil {
		return nil
	}
	f := &features.Features{}
	if json.Unmarshal(out, f) != nil || f.OCIVersionMax == "" {
		return nil
	}
	return f
}

// since is the version of the runtime-spec that brought a part of a request
// (its ChangeLog).
var since = []struct {
	field   string // of a report, or its beginning
	version string
	asked   func(*request.Request) bool
}{
	{"uts.domainname", "1.1.0", func(r *request.Request) bool { return r.Spec.Domainname != "" }},
	{"sched.policy", "1.1.0", func(r *request.Request) bool { return r.Process().Scheduler != nil }},
	{"sched.nice", "1.1.0", func(r *request.Request) bool { return r.Process().Scheduler != nil }},
	{"sched.ioprio", "1.1.0", func(r *request.Request) bool { return r.Process().IOPriority != nil }},
	{"memory.", "1.3.0", func(r *request.Request) bool { return r.Linux().MemoryPolicy != nil }},
	{"linux.memoryPolicy", "1.3.0", func(r *request.Request) bool { return r.Linux().MemoryPolicy != nil }},
}

// undeclared says that a field is no wonder: what was asked for is not among
// what the engine says that it knows. Empty if it is, or if it says nothing.
func undeclared(f *features.Features, r *request.Request, field string) string {
	if f == nil {
		return ""
	}
	for _, s := range since {
		if strings.HasPrefix(field, s.field) && s.asked(r) && older(f.OCIVersionMax, s.version) {
			return fmt.Sprintf("features: it knows the spec up to %s, and this came with %s", f.OCIVersionMax, s.version)
		}
	}
	if l := f.Linux; l != nil && l.Namespaces != nil && (field == refuses || strings.HasPrefix(field, "namespaces.")) {
		for _, n := range r.Linux().Namespaces {
			if !slices.Contains(l.Namespaces, string(n.Type)) {
				return "features: it does not know the namespace " + string(n.Type)
			}
		}
	}
	if field == refuses && f.MountOptions != nil {
		for _, m := range r.Spec.Mounts {
			for _, o := range m.Options {
				if m.Type == "bind" && !strings.Contains(o, "=") && !slices.Contains(f.MountOptions, o) {
					return "features: it does not know the mount option " + o
				}
			}
		}
	}
	return ""
}

// older compares "1.0.2-dev" with "1.1.0": what is in development counts as what
// it is to become.
func older(a, b string) bool {
	a, _, _ = strings.Cut(a, "-")
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, err1 := strconv.Atoi(x[i])
		n, err2 := strconv.Atoi(y[i])
		if err1 != nil || err2 != nil {
			return false
		}
		if m != n {
			return m < n
		}
	}
	return false
}
