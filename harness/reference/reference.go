package reference

import "slices"

// Constraint is one line of the table.
type Constraint struct {
	// Config names fields of [checkpoint.Config] and of [checkpoint.Options]
	// ("Options.Files"), with everything below them.
	Config []string
	// Key is where config.json asks for it; keys that begin with "holdshort."
	// are of the extension object.
	Key string
	// Call is what the kernel is told: a system call or a file.
	Call string
	// Since is the version of Linux; empty if older than 5.10, the oldest
	// that holdshort runs on.
	Since string
	// Proof names what is compared: fields of the posture, or evidence from
	// elsewhere. A name that ends in "." or "[]" stands for all that begin
	// so.
	Proof []string
	// Note is what a reader must know; markdown.
	Note string
	// Unproven says why nothing proves it, if nothing does.
	Unproven string
	// Untested says why no sabotage test is possible, for proofs without.
	Untested string
	// Except says the same of single fields of a proof.
	Except map[string]string
}

// Group is a section of the table.
type Group struct {
	Title       string
	Constraints []Constraint
}

// Groups returns the whole table in the order of the documentation.
func Groups() []Group {
	return slices.Concat(
		[]Group{{"Namespaces and identity", identity}},
		[]Group{{"Files", files}},
		[]Group{{"Network", network}},
		[]Group{{"Resources", resources}},
		[]Group{{"Privilege", privilege}},
		[]Group{{"Process", process}},
		[]Group{{"Identity and rights", rights}},
	)
}

// State is what is compared though nobody can ask for it.
type State struct {
	Field string // of the posture
	Want  string // what it must be, in words
	// Untested says why no sabotage test is possible, if none is.
	Untested string
}
