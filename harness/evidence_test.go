package harness

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// In a namespace that was joined by path nobody knows what was mounted before:
// what is found there is no evidence that the launcher mounted it.
func TestMountOfUnknownAgeIsNoEvidence(t *testing.T) {
	want := specs.Mount{Destination: "/x", Type: "tmpfs"}
	there := []*mountinfo.Info{{Mountpoint: "/x", FSType: "tmpfs", Options: "rw"}}
	for name, c := range map[string]struct {
		before map[string]int
		holds  bool
		known  bool
	}{
		"not known":        {nil, false, false},
		"nothing before":   {map[string]int{}, true, true},
		"one there before": {map[string]int{"/x": 1}, false, true},
	} {
		h := held{req: request.New("/bin/true"), cfg: &checkpoint.Config{}, mounts: there, before: c.before}
		_, holds, why, err := h.mount(want)
		if holds != c.holds || (err == nil) != c.known {
			t.Errorf("%s: holds %v (%s), error %v; want holds %v, known %v", name, holds, why, err, c.holds, c.known)
		}
	}
}
