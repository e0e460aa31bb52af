//go:build !mutants

package harness

import (
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
)

// faulty: this build can plant faults in the instruments. It is a constant, so
// that nothing is left of it in a build that cannot.
const faulty = false

func misjudge(_ *launch, r *Result, _ *oracle.Expectation, _ *posture.Posture, _ []Snapshot, _ uint64) *Result {
	return r
}
