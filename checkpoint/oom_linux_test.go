package checkpoint

import "testing"

// A child that has become user 0 of its user namespace may no longer write its
// own oom_score_adj.
func TestOOMScoreAdjInUserNamespace(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{
		Namespaces: []Namespace{{Kind: User}}, OOMScoreAdj: Some(900),
		UIDMap: []IDMap{{0, 100000, 65536}}, GIDMap: []IDMap{{0, 100000, 65536}},
	}
	if got := output(t, l, cfg, "cat /proc/self/oom_score_adj"); got != "900" {
		t.Errorf("oom_score_adj is %s; want 900", got)
	}
}
