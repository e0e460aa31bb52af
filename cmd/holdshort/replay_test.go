package main

import "testing"

// A finding is fixed only if all launches were judged and nothing was seen.
func TestReplayed(t *testing.T) {
	set := func(keys ...string) map[string]bool {
		m := map[string]bool{}
		for _, k := range keys {
			m[k] = true
		}
		return m
	}
	for name, tt := range map[string]struct {
		hits, judged int
		others       map[string]bool
		want         int
	}{
		"fixed":               {0, 3, nil, 0},
		"there":               {3, 3, nil, 1},
		"comes and goes":      {1, 3, nil, 2},
		"another instead":     {0, 3, set("fs.umask: ignored"), 1},
		"evidence lost":       {0, 0, set("unknown: evidence-lost"), 4},
		"lost once":           {0, 2, set("unknown: evidence-lost"), 4},
		"not observable":      {0, 0, set("unknown: cannot-observe"), 3},
		"of an oracle":        {0, 0, set("enter: unknown: cannot-observe"), 3},
		"of an oracle, lost":  {0, 0, set("enter: unknown: nothing to compare"), 4},
		"error":               {0, 2, set("error: EIO"), 4},
		"not judged at all":   {0, 0, nil, 4},
		"there, and lost":     {2, 2, set("unknown: evidence-lost"), 2},
		"one lost, one other": {0, 2, set("unknown: evidence-lost", "ids.uid: weaker"), 1},
	} {
		if got := replayed(tt.hits, tt.judged, 3, tt.others); got != tt.want {
			t.Errorf("%s: %d; want %d", name, got, tt.want)
		}
	}
}
