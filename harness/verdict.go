package harness

import (
	"encoding/json"
	"fmt"
)

// Verdict is what is said of a whole launch.
type Verdict string

// The verdicts.
const (
	Constrained Verdict = "constrained" // everything was seen to hold
	Violated    Verdict = "violated"    // something was seen not to hold
	Unknown     Verdict = "unknown"     // evidence is missing
)

// Cause says whose fault an unknown verdict is.
type Cause string

// The causes.
const (
	// NoCause goes with the other verdicts.
	NoCause Cause = ""
	// CannotObserve: this machine does not show what was asked for.
	CannotObserve Cause = "cannot-observe"
	// CannotApply: the engine or the kernel refused what was asked for.
	CannotApply Cause = "cannot-apply"
	// EvidenceLost: it should have been seen, and was not.
	EvidenceLost Cause = "evidence-lost"
	// Contradiction: two instruments read the same thing and say different
	// things of it.
	Contradiction Cause = "contradiction"
)

// Exit codes of the command; see [Result.ExitCode].
const (
	ExitClean       = 0
	ExitFinding     = 1
	ExitFlaky       = 2
	ExitUnsupported = 3
	ExitFault       = 4
	ExitUsage       = 64
)

// ExitCode maps a verdict to the command's exit status: 0 for a clean one, 1
// for a finding, 3 if this machine cannot do or show what was asked for, 4 if
// evidence was lost or contradicts itself. (2, for findings that come and go, and 64, for wrong usage,
// are not properties of one result.)
func ExitCode(v Verdict, c Cause) int {
	switch v {
	case Constrained:
		return ExitClean
	case Violated:
		return ExitFinding
	}
	if c == EvidenceLost || c == Contradiction || c == NoCause {
		return ExitFault
	}
	return ExitUnsupported
}

// UnmarshalJSON refuses words that are no verdict.
func (v *Verdict) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	switch Verdict(s) {
	case Constrained, Violated, Unknown:
		*v = Verdict(s)
		return nil
	}
	return fmt.Errorf("%q is no verdict", s)
}
