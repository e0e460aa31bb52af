package harness

import (
	"testing"

	"github.com/holdshort/holdshort/harness/request"
)

// Every combination of the eight securebits, locks included: what is left of
// each after execve is predicted, for root and for another user.
func TestSecurebitsAll(t *testing.T) {
	r := untouched(t)
	step := uint32(1)
	if testing.Short() {
		step = 11
	}
	for n := uint32(0); n < 512; n += step {
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
