package request

import (
	"errors"

	"github.com/holdshort/holdshort/checkpoint/landlock"
)

// landlock takes the problems of a policy over, under the names of its fields.
func (c *checker) landlock(p *landlock.Policy) {
	if p == nil {
		return
	}
	err := p.Validate()
	if err == nil {
		return
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, err := range list {
		if e, ok := errors.AsType[*landlock.Invalid](err); ok {
			c.check(false, "holdshort.landlock."+e.Field, "%s", e.Why)
		}
	}
}
