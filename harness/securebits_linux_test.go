package harness

import (
	"testing"

	"github.com/holdshort/holdshort/harness/request"
)

// Every combination of the eight securebits, locks included: what is left of
// each after execve is predicted, for root and for another user.
func TestSecurebitsAll(t *testing.T) {
	r := shared(t)
	r.tamper, r.parked = nil, nil
	for n := range uint32(512) {
		bits := n & 255
		q := request.New("/bin/true")
		q.Ext.Securebits = new(bits)
		if n > 255 {
			q.Ext.KeepIDs = false
			q.Spec.Process.User.UID, q.Spec.Process.User.GID = 1000, 1000
		}
		c, err := r.Run(bg, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != Constrained {
			t.Errorf("%08b: %s\n%s", bits, c.Verdict, text(c))
		}
	}
}
