package harness

import (
	"os"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
)

// A label cannot be judged before execve, nor where there is no security module
// that has it; then it must not pass.
func TestLabelEvidence(t *testing.T) {
	for _, field := range lsmFields {
		h := held{pid: os.Getpid()}
		if _, holds, _, err := h.label(field, "unconfined"); err == nil || holds {
			t.Errorf("%s, parked: %v %v; want no answer", field, holds, err)
		}
		h.frozen = true
		if got, holds, _, err := h.label(field, "no such label"); holds {
			t.Errorf("%s, frozen: %v %v; another label holds", field, got, err)
		}
	}
	got, why, err := seeLabel(os.Getpid(), "process.apparmorProfile", "unconfined")
	if err != nil {
		t.Skip("needs AppArmor: " + err.Error())
	}
	if why != "" {
		t.Skip("needs an unconfined caller, this one is " + got)
	}
}

// Without the module the launch is refused, and what only the workload knows
// makes the verdict unknown.
func TestUnseenIdentity(t *testing.T) {
	r := untouched(t)
	for name, ask := range map[string]func(*request.Request){
		"apparmor": func(q *request.Request) { q.Spec.Process.ApparmorProfile = "unconfined" },
		"selinux":  func(q *request.Request) { q.Spec.Process.SelinuxLabel = "a:b:c:s0" },
		"ptracer":  func(q *request.Request) { q.Ext.PTracer = new(-1) },
		"l1d":      func(q *request.Request) { q.Ext.Speculation.L1DFlush = "enable" },
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			ask(q)
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Unknown || c.Cause != CannotApply && c.Cause != CannotObserve {
				t.Errorf("verdict %s, cause %v; want unknown\n%s", c.Verdict, c.Cause, text(c))
			}
		})
	}
}
