package oracle

import (
	"slices"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
	"github.com/holdshort/holdshort/probes/posture"
)

// TestSeccompKey: whatever differs has another key, or one filter would get the
// verdict of another.
func TestSeccompKey(t *testing.T) {
	policy := seccompFrom(t, denyPtrace)
	in := func(code uint16, jt, jf uint8, k uint32) posture.Filter {
		return posture.Filter{Instructions: []posture.Instruction{{Code: code, JT: jt, JF: jf, K: k}}}
	}
	one := in(1, 2, 3, 4)
	lost := func(why string) posture.Filter { return posture.Filter{InstructionsLost: why} }
	flagged := func(change func(*posture.Filter)) posture.Filter { f := one; change(&f); return f }
	several := func(n int) []posture.Filter { return slices.Repeat([]posture.Filter{one}, n) }
	keys := map[seccompKey]string{}
	for name, x := range map[string]struct {
		policy   *seccomp.Policy
		observed []posture.Filter
		o        SeccompOptions
	}{
		"none":                 {policy, nil, SeccompOptions{}},
		"no policy":            {nil, nil, SeccompOptions{}},
		"another policy":       {seccompFrom(t, `{"defaultAction":"SCMP_ACT_ALLOW"}`), nil, SeccompOptions{}},
		"native":               {policy, nil, SeccompOptions{Native: "a", Dialect: "bc"}},
		"native, the other":    {policy, nil, SeccompOptions{Native: "ab", Dialect: "c"}},
		"dialect":              {policy, nil, SeccompOptions{Dialect: "c"}},
		"unknown names":        {policy, nil, SeccompOptions{IgnoreUnknown: true}},
		"newer":                {policy, nil, SeccompOptions{NewerIsENOSYS: true}},
		"one":                  {policy, []posture.Filter{one}, SeccompOptions{}},
		"the caller's":         {policy, nil, SeccompOptions{Caller: []posture.Filter{one}}},
		"another caller's":     {policy, nil, SeccompOptions{Caller: []posture.Filter{in(1, 2, 3, 5)}}},
		"a caller's, and one":  {policy, []posture.Filter{one}, SeccompOptions{Caller: []posture.Filter{one}}},
		"two":                  {policy, []posture.Filter{one, one}, SeccompOptions{}},
		"another code":         {policy, []posture.Filter{in(5, 2, 3, 4)}, SeccompOptions{}},
		"another jump":         {policy, []posture.Filter{in(1, 5, 3, 4)}, SeccompOptions{}},
		"another jump, else":   {policy, []posture.Filter{in(1, 2, 5, 4)}, SeccompOptions{}},
		"another constant":     {policy, []posture.Filter{in(1, 2, 3, 5)}, SeccompOptions{}},
		"jumps swapped":        {policy, []posture.Filter{in(1, 3, 2, 4)}, SeccompOptions{}},
		"log":                  {policy, []posture.Filter{flagged(func(f *posture.Filter) { f.Log = true })}, SeccompOptions{}},
		"killable":             {policy, []posture.Filter{flagged(func(f *posture.Filter) { f.WaitKillable = true })}, SeccompOptions{}},
		"listener":             {policy, []posture.Filter{flagged(func(f *posture.Filter) { f.HasNotifier = true })}, SeccompOptions{}},
		"lost":                 {policy, []posture.Filter{lost("x")}, SeccompOptions{}},
		"lost for more":        {policy, []posture.Filter{lost("xy")}, SeccompOptions{}},
		"lost like a filter":   {policy, []posture.Filter{lost("abcd\x00\x00\x00\x00")}, SeccompOptions{}},
		"a filter like that":   {policy, []posture.Filter{in(8, 0, 0, 'a'|'b'<<8|'c'<<16|'d'<<24)}, SeccompOptions{}},
		"lost twice":           {policy, []posture.Filter{lost("a"), lost("b")}, SeccompOptions{}},
		"lost once, like that": {policy, []posture.Filter{lost("a\x00\x00\x00\x00\x00b")}, SeccompOptions{}},
		"many":                 {policy, several(261), SeccompOptions{}},
		"many, of the caller":  {policy, several(5), SeccompOptions{Caller: several(256)}},
	} {
		k := seccompKeyOf(x.policy, x.observed, &x.o)
		if other, ok := keys[k]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		keys[k] = name
		if seccompKeyOf(x.policy, x.observed, &x.o) != k {
			t.Errorf("%s has two keys", name)
		}
	}
}

// The cache keeps what it is given, and does not grow forever.
func TestSeccompResults(t *testing.T) {
	var c seccompResults
	key := func(i int) seccompKey { return seccompKey{byte(i), byte(i >> 8)} }
	if _, ok := c.get(key(0)); ok {
		t.Error("an empty cache has something")
	}
	for i := range seccompCacheSize {
		c.put(key(i), []SeccompDifference{{NR: uint32(i)}})
	}
	for i := range seccompCacheSize {
		if d, ok := c.get(key(i)); !ok || d[0].NR != uint32(i) {
			t.Fatalf("%d is not there any more", i)
		}
	}
	c.put(key(seccompCacheSize), nil)
	if _, ok := c.get(key(seccompCacheSize)); !ok || len(c.m) > seccompCacheSize {
		t.Errorf("one more: %v, %d entries", ok, len(c.m))
	}
	// The second answer is the first one.
	observed := []posture.Filter{raw(ret(cbpf.Allow))}
	a, b := CheckSeccomp(seccompFrom(t, denyPtrace), observed, onAMD64), CheckSeccomp(seccompFrom(t, denyPtrace), observed, onAMD64)
	if len(a) == 0 || &a[0] != &b[0] {
		t.Error("it was judged twice")
	}
}
