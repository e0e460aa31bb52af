package oracle

import (
	"sync"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// Cache keeps the last expectation, for launches that repeat a request. Its
// zero value is ready; it may be used by many goroutines.
type Cache struct {
	mu   sync.Mutex
	last *Expectation
}

// Expect is [Expect], but for the same request (the same pointer; requests are
// not changed), an equal caller and equal features it answers from memory.
func (c *Cache) Expect(req *request.Request, caller *posture.Posture, feat *Features) *Expectation {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if last != nil && last.req == req && last.feat.equal(feat) && same(last.caller, caller) {
		return last
	}
	e := Expect(req, caller, *feat)
	c.mu.Lock()
	c.last = e
	c.mu.Unlock()
	return e
}

// same compares two postures field by field. Unknown is the same as unknown.
func same(a, b *posture.Posture) bool {
	if a == b {
		return true
	}
	one := []*posture.Posture{b}
	for f := range table {
		o := table[f].ops
		if o.agree(a, one) {
			continue
		}
		x, _ := o.known(a)
		y, _ := o.known(b)
		if x || y {
			return false
		}
	}
	// equalFiles lets an unknown inode of the first pass, which is not the
	// same; but the caller's files enter no expectation.
	return true
}
