package harness

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// raisedRlimits are faults in limits that are 0 nearly everywhere, so that asking
// for anything is asking for more.
func raisedRlimits() (rows []sabotage) {
	for name, field := range map[string]string{"RLIMIT_NICE": "nice", "RLIMIT_RTPRIO": "rtprio"} {
		const soft, hard = 10, 20
		need := launches("CAP_SYS_RESOURCE, to raise "+name, checkpoint.Config{Rlimits: []checkpoint.Rlimit{{Resource: name, Soft: soft, Hard: hard}}})
		ask := func(_ *testing.T, q *request.Request) {
			q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: name, Soft: soft, Hard: hard}}
		}
		want := func(o oracle.Outcome) finds { return finds{"rlimits." + field: o} }
		rows = append(rows,
			sabotage{name: field + "/skipped", need: need, ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits = nil }), want: want(oracle.Ignored)},
			sabotage{name: field + "/soft too high", need: need, ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Soft++ }), want: want(oracle.Weaker)},
			sabotage{name: field + "/hard too high", need: need, ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Hard++ }), want: want(oracle.Weaker)},
			sabotage{name: field + "/hard too low", need: need, ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Hard-- }), want: want(oracle.Stronger)},
			sabotage{name: field + "/unasked", need: need, tamper: config(func(c *checkpoint.Config) {
				c.Rlimits = []checkpoint.Rlimit{{Resource: name, Soft: soft, Hard: hard}}
			}), want: want(oracle.Leaked)},
		)
	}
	return rows
}
