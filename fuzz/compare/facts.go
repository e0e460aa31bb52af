package compare

import (
	"path"
)

// Fact is something that differs between kernels by design.
type Fact struct {
	// What it is about: a pattern of [Difference.What], as of path.Match.
	What string `json:"about"`
	// Feature is the probed feature that must differ where the values do.
	Feature string `json:"feature"`
	// Text says it in words, Source where it is written.
	Text   string `json:"text"`
	Source string `json:"source"`
}

func (f *Fact) about(d *Difference) bool {
	ok, err := path.Match(f.What, d.What)
	return ok && err == nil
}

// Facts are all that are known.
var Facts = []Fact{}
