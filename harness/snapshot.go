package harness

import "github.com/holdshort/holdshort/probes/posture"

// At names the instant of a snapshot.
type At string

// The instants, in order.
const (
	AtExec   At = "exec"   // execve is done; nothing in user mode has run
	AtReturn At = "return" // the system call returns
	AtFirst  At = "first"  // the first user instruction is fetched
	AtExit   At = "exit"   // the workload ends
	// AtFrozen is between return and first: the workload is stopped at its
	// entry point, and was read from /proc.
	AtFrozen At = "frozen"
	// AtHeld is for evidence that was gathered while the workload was parked.
	AtHeld At = "held"
)

// Snapshot is what a probe saw of the workload at one instant.
type Snapshot struct {
	At At
	// IPIsEntry says whether the saved instruction pointer was the entry
	// point. Where a kernel does not let it be read it is unknown.
	IPIsEntry posture.Value[bool]
	Posture   *posture.Posture
	// NSSinceProceed is the time since the workload was released, in
	// nanoseconds.
	NSSinceProceed int64
	// Void says why there is no posture at this instant, or one that proves
	// nothing; it makes the verdict unknown.
	Void string
	// Denied: it is void because this machine does not let it be read.
	Denied bool
	// Disputed are the fields, by name, of which another instrument says
	// something else than this snapshot, with what both say. Nobody knows
	// which is right, so it makes the verdict unknown.
	Disputed map[string]string
}

// Evidence is what was found out about something that no posture shows; see
// [oracle.Expectation.Beyond].
type Evidence struct {
	Field string // as in Beyond
	At    At     // AtHeld or AtFrozen
	Known bool
	Holds bool
	Got   any
	Why   string // why it is not known, or does not hold
}
