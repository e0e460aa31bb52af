package corpus

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
)

// TestSeeds: the file has examples, of parameters that there are.
func TestSeeds(t *testing.T) {
	list, err := Seeds()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 100 {
		t.Errorf("%d examples", len(list))
	}
	for _, e := range list {
		for name := range e.Values {
			if !fuzz.Known(name) {
				t.Errorf("state %s: no parameter %q any more: write the file again, see docs/fuzzing.md", e.ID, name)
			}
		}
	}
}

// TestSeedsAreConstrained: what the machine's model has of the corpus can be
// launched, is constrained, and is in the state that it was; here a few of them,
// all by "holdshort replay fuzz/corpus". It needs root and eBPF.
func TestSeedsAreConstrained(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	b, err := campaign.Open(t.Context(), "", false)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs eBPF: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	list, err := Seeds()
	if err != nil {
		t.Fatal(err)
	}
	tried, same := 0, 0
	for i, e := range list {
		if i%10 != 0 {
			continue
		}
		a, err := b.Model.Assign(e.Values)
		if err != nil {
			continue // not on this machine
		}
		tried++
		ctx := campaign.WithCaller(t.Context(), b.Model.Caller(a))
		var v *campaign.Verdict
		for range 5 { // evidence may be lost
			r, err := b.Model.BuildAs(e.Model, a, e.Seed, e.Index)
			if err != nil {
				t.Fatal(err)
			}
			if v == nil || !v.Judged {
				v = b.Run(ctx, r, r)
			}
		}
		if !v.Clean() || v.Seen == nil {
			t.Errorf("state %s: %v %v: %v", e.ID, v.Keys, v.Err, e.Values)
			continue
		}
		if d := e.Differs(b.Signature(v.Seen)); d == nil {
			same++
		} else {
			t.Logf("state %s, seen on %s: %s", e.ID, e.Kernel, strings.Join(d, "; "))
		}
	}
	t.Logf("%d of %d tried: %d as they were", tried, len(list), same)
	if tried > 0 && same == 0 {
		t.Error("none is in the state that it was")
	}
}
