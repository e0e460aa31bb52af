package harness

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
)

// needABI is what a kernel lacks for a Landlock ABI.
func needABI(abi int) func(*testing.T, *Runner) string {
	return func(*testing.T, *Runner) string {
		if checkpoint.LandlockABI() < abi {
			return "Landlock, since Linux " + landlock.Since(abi)
		}
		return ""
	}
}

// TestSabotageLandlock plants faults in what is enforced.
func TestSabotageLandlock(t *testing.T) {
	unasked := func(_ *testing.T, q *request.Request) { q.Spec.Process.NoNewPrivileges = true }
	table(t, []sabotage{
		{name: "unasked", need: needABI(1), ask: unasked, tamper: config(func(c *checkpoint.Config) {
			c.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{"make_dir"}}}}
		}), want: finds{"landlock.layers": oracle.Leaked, "landlock.handled": oracle.Leaked}},
	})
}
