package suites

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
)

// Only is for engines that cannot express everything: it returns an error that
// names what a request asks for beyond the given fields, and that has the spec
// skipped. Fields are paths in config.json ("linux.namespaces",
// "process.rlimits"), each with everything below it. The program itself
// (ociVersion, process.args, process.cwd, process.env) need not be named, nor
// holdshort.keepIDs.
func Only(req *request.Request, fields ...string) error {
	b, err := json.Marshal(req)
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		return err
	}
	fields = append([]string{"ociVersion", "process.args", "process.cwd", "process.env", "holdshort.keepIDs"}, fields...)
	if req.Ext.KeepIDs {
		fields = append(fields, "process.user.uid", "process.user.gid")
	}
	var more []string
	beyond("", doc, fields, &more)
	if len(more) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", strings.Join(more, ", "), errors.ErrUnsupported)
}

// containers are objects that ask for nothing by being there.
var containers = []string{"", "process", "process.user", "linux", "linux.resources", "holdshort"}

// beyond collects the paths of values that no field stands for.
func beyond(at string, v any, fields []string, out *[]string) {
	if slices.Contains(fields, at) {
		return
	}
	m, ok := v.(map[string]any)
	if !ok || !slices.Contains(containers, at) && !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, at+".") }) {
		*out = append(*out, at)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		beyond(strings.TrimPrefix(at+"."+k, "."), m[k], fields, out)
	}
}
