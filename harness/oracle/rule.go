package oracle

// Class says how a field got into an expectation. It decides what a difference
// is called and whether missing evidence costs the verdict.
type Class uint8

// The classes.
const (
	// Kept: not asked for, so it must be what it is in the caller.
	Kept Class = iota
	// Promised: not asked for, and the launcher says what it will be.
	Promised
	// Implied: follows from something that was asked for.
	Implied
	// Requested: asked for. Without evidence there is no verdict.
	Requested
)

func (c Class) String() string {
	return [...]string{"kept", "promised", "implied", "requested"}[c]
}

// Outcome is the result of one comparison.
type Outcome string

// The outcomes. Every one but Equal and Unobservable is a finding.
const (
	Equal        Outcome = "equal"
	Weaker       Outcome = "weaker"       // less than was asked for
	Stronger     Outcome = "stronger"     // more than was asked for
	Ignored      Outcome = "ignored"      // as if nothing had been asked for
	Late         Outcome = "late"         // changed after execve
	Inherited    Outcome = "inherited"    // the caller's, where it should not be
	Leaked       Outcome = "leaked"       // neither the caller's nor promised
	Drifted      Outcome = "drifted"      // changed by another process while the workload ran
	Refused      Outcome = "refused"      // the engine would not do it
	Disagreement Outcome = "disagreement" // two instruments say different things of it
	Unobservable Outcome = "unobservable" // no evidence either way
)

// Finding reports whether the outcome is evidence against the constraint.
func (o Outcome) Finding() bool { return o != Equal && o != Unobservable }

// predicate is how a wanted value is compared.
type predicate uint8

const (
	isEqual    predicate = iota
	isFresh              // a namespace or keyring that is not the caller's
	isMirror             // fresh, and the same as another field
	isWithin             // a mask with nothing beyond the wanted one
	isAtLeast            // a mask with at least the wanted bits
	isFiltered           // seccomp: the filters asked for on top of the caller's
	isTable              // the table of open files
	isArmed              // set if there is a seccomp mode, and only then
	isShared             // a propagation that is shared, with or without being a slave
	isSlave              // one that is slave or private
	isAllowed            // a mask that may be smaller than the wanted one
	isSecure             // true, or as wanted: a security module decides
)

// rule is what an expectation says of one field, besides the wanted value.
type rule struct {
	class  Class
	pred   predicate
	source string // the part of the request, or the promise, that it comes from
	note   string // said even when it holds: the request undoes something itself
}
