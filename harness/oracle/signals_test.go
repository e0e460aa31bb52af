package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// A signal that no process can block was sent a moment ago, by whom ever; one
// that can be blocked was left for the program.
func TestPendingSignals(t *testing.T) {
	e := Expect(mustParse(t, sample.Requests["typical"]), sample.Caller(), testFeatures).With(facts("typical"))
	for name, tt := range map[string]struct {
		pending uint64
		want    Outcome
	}{
		"none":             {0, Equal},
		"SIGKILL":          {1 << 8, Equal},
		"SIGSTOP":          {1 << 18, Equal},
		"SIGTERM":          {1 << 14, Leaked},
		"SIGKILL, SIGTERM": {1<<8 | 1<<14, Leaked},
		"SIGRTMAX":         {1 << 63, Leaked},
	} {
		got := e.Sample()
		got.Signals.Pending = posture.Known(tt.pending)
		if o, why := e.Compare(SignalsPending, got); o != tt.want {
			t.Errorf("%s: %s (%s); want %s", name, o, why, tt.want)
		}
	}
}
