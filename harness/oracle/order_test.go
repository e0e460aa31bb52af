package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// Where nobody asks for CPUs another engine leaves the caller's, or gives all;
// the program is like a fresh one only if it has all.
func TestAffinityUnasked(t *testing.T) {
	feat := testFeatures
	feat.CPUs, feat.Profile = []uint64{0b1111}, &Profile{Name: "x"}
	for name, row := range map[string]struct {
		ask         string
		caller, got uint64
		want        Outcome
		fresh       bool
	}{
		"the caller's":                  {`{"process":{"args":["x"]}}`, 0b11, 0b11, Equal, false},
		"the caller's, which are all":   {`{"process":{"args":["x"]}}`, 0b1111, 0b1111, Equal, true},
		"set back":                      {`{"process":{"args":["x"]}}`, 0b11, 0b1111, Equal, true},
		"others":                        {`{"process":{"args":["x"]}}`, 0b11, 0b111, Leaked, false},
		"fewer":                         {`{"process":{"args":["x"]}}`, 0b11, 0b1, Stronger, false},
		"in a cpuset, as the caller":    {`{"process":{"args":["x"]},"linux":{"resources":{"cpu":{"cpus":"0-2"}}}}`, 0b1, 0b1, Equal, false},
		"in a cpuset, all of it":        {`{"process":{"args":["x"]},"linux":{"resources":{"cpu":{"cpus":"0-2"}}}}`, 0b1, 0b111, Equal, true},
		"in a cpuset, more":             {`{"process":{"args":["x"]},"linux":{"resources":{"cpu":{"cpus":"0-2"}}}}`, 0b1, 0b1111, Weaker, false},
		"exec: final":                   {`{"process":{"args":["x"],"execCPUAffinity":{"final":"1-2"}}}`, 0b1, 0b110, Equal, false},
		"exec: final ignored":           {`{"process":{"args":["x"],"execCPUAffinity":{"final":"1-2"}}}`, 0b1, 0b1, Ignored, false},
		"exec: all are not asked for":   {`{"process":{"args":["x"],"execCPUAffinity":{"final":"1-2"}}}`, 0b1, 0b1111, Weaker, false},
		"exec: initial, seen by nobody": {`{"process":{"args":["x"],"execCPUAffinity":{"initial":"1"}}}`, 0b1, 0b10, Unobservable, false},
	} {
		caller := sample.Caller()
		caller.Sched.Affinity = posture.Known([]uint64{row.caller})
		e := Expect(mustParse(t, row.ask), caller, feat).With(testFacts())
		got := e.Sample()
		got.Sched.Affinity = posture.Known([]uint64{row.got})
		if o, why := e.Compare(SchedAffinity, got); o != row.want {
			t.Errorf("%s: %s (%s), want %s", name, o, why, row.want)
		}
		if fresh, _ := e.Fresh(SchedAffinity, got); fresh != row.fresh {
			t.Errorf("%s: fresh is %v", name, fresh)
		}
	}
}

func TestMapOrder(t *testing.T) {
	want := []posture.IDExtent{{Inside: 0, Host: 1000, Count: 10}, {Inside: 10, Host: 1010, Count: 10}}
	for name, row := range map[string]struct {
		got   []posture.IDExtent
		order order
	}{
		"one to many":         {[]posture.IDExtent{{Inside: 0, Host: 1000, Count: 21}}, laxer},
		"fewer":               {[]posture.IDExtent{{Inside: 0, Host: 1005, Count: 10}}, stricter},
		"none":                {nil, stricter},
		"the host's root":     {[]posture.IDExtent{{Inside: 0, Host: 0, Count: 1}}, laxer},
		"one before":          {[]posture.IDExtent{{Inside: 0, Host: 999, Count: 2}}, laxer},
		"as many, elsewhere":  {[]posture.IDExtent{{Inside: 5, Host: 1000, Count: 20}}, other},
		"all up to the last":  {[]posture.IDExtent{{Inside: 0, Host: 1000, Count: 1<<32 - 1001}}, laxer},
		"as many, and a hole": {[]posture.IDExtent{{Inside: 0, Host: 1000, Count: 10}, {Inside: 10, Host: 1020, Count: 10}}, laxer},
	} {
		if o := mapOrder(want, row.got); o != row.order {
			t.Errorf("%s: %d, want %d", name, o, row.order)
		}
	}
}

func TestSecurebitsOrder(t *testing.T) {
	for _, row := range []struct {
		want, got uint32
		order     order
	}{
		{0, SecureNoRoot, stricter},
		{0, SecureNoSetUIDFixup, laxer},
		{0, SecureKeepCaps, laxer},
		{0, SecureNoRoot | SecureKeepCaps, laxer},
		{SecureNoRoot, 0, laxer},
		{SecureKeepCaps, 0, stricter},
		{0, 1 << 1, stricter}, // NOROOT_LOCKED
	} {
		if o := securebitsOrder(row.want, row.got); o != row.order {
			t.Errorf("wanted %#x, got %#x: %d, want %d", row.want, row.got, o, row.order)
		}
	}
}
