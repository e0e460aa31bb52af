package posture

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A field without a source, or a source without a field, is a mistake.
func TestSources_CoverTheFieldsInOrder(t *testing.T) {
	var want, got []string
	for _, f := range Fields() {
		path := f.Path
		if strings.HasPrefix(path, "rlimits.") {
			if path = "rlimits."; want[len(want)-1] == path {
				continue
			}
		}
		want = append(want, path)
	}
	for _, s := range Sources() {
		got = append(got, s.Field)
		if s.Kernel == "" {
			t.Errorf("%s has no place in the kernel", s.Field)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sources (-fields +table):\n%s", d)
	}
	for _, u := range NotRead() {
		if u.What == "" || u.Kernel == "" || u.Why == "" {
			t.Errorf("%+v: incomplete", u)
		}
	}
}
