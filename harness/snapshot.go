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
	// AtHeld is for evidence that was gathered while the workload was held.
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
}

// Evidence is what was found out about something that no posture shows; see
// [oracle.Expectation.Beyond].
type Evidence struct {
	Field string // as in Beyond
	Known bool
	Holds bool
	Got   any
	Why   string // why it is not known, or does not hold
}
