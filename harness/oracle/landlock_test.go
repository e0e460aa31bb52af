package oracle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

const (
	writeFile = 1 << 1
	readDir   = 1 << 3
)

func pathRule(layer uint32, ino uint64, access uint32) posture.LandlockRule {
	return posture.LandlockRule{Layer: layer, Kind: posture.RulePath, Inode: posture.Inode{Dev: 5, Ino: ino}, Access: access}
}

func portRule(layer uint32, port uint16, access uint32) posture.LandlockRule {
	return posture.LandlockRule{Layer: layer, Kind: posture.RulePort, Port: port, Access: access}
}

// Rules come on top of the caller's, those on one file as one, and the kernel
// counts the objects: one is the caller's already.
func TestLandlockRules(t *testing.T) {
	caller := sample.Caller()
	before := []posture.LandlockRule{pathRule(1, 0, readDir), pathRule(2, 21, readDir)}
	before[0].Inode.Dev = 0 // twice nothing are two objects
	before = append([]posture.LandlockRule{before[0]}, before...)
	caller.Landlock = posture.Landlock{
		Layers: posture.Known[uint32](2), Rules: posture.Known[uint32](3), RuleList: posture.Known(before),
		Handled: posture.Known([]posture.LandlockLayer{{FS: readDir}, {FS: readDir}}),
	}
	e := Expect(mustParse(t, sample.Requests["landlocked"]), caller, testFeatures)
	got := e.With(facts("landlocked")).Sample().Landlock
	want := append(before, pathRule(3, 20, readDir|writeFile), pathRule(3, 21, readDir), portRule(3, 80, 1), pathRule(4, 20, readDir))
	list, _ := got.RuleList.Get()
	if d := cmp.Diff(want, list); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if n, _ := got.Rules.Get(); n != 5 {
		t.Errorf("%d rules, want 5", n)
	}
}

// Without the inode of one path, or the caller's rules, nothing can be said.
func TestLandlockRules_Unknown(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*posture.Posture, *Facts)
		why   string
	}{
		"no facts":   {func(_ *posture.Posture, f *Facts) { f.LandlockPaths = nil }, needsFact},
		"not a path": {func(_ *posture.Posture, f *Facts) { f.LandlockPaths["/b"] = posture.Unreadable[posture.Inode]("btrfs") }, "/b: btrfs"},
		"caller": {func(c *posture.Posture, _ *Facts) {
			c.Landlock.RuleList = posture.Unreadable[[]posture.LandlockRule]("many")
		}, "the caller's rules"},
	} {
		t.Run(name, func(t *testing.T) {
			caller, f := sample.Caller(), facts("landlocked")
			whole := Expect(mustParse(t, sample.Requests["landlocked"]), caller, testFeatures).With(f).Sample()
			tt.spoil(caller, f)
			e := Expect(mustParse(t, sample.Requests["landlocked"]), caller, testFeatures).With(f)
			for _, field := range []Field{LandlockRules, LandlockRuleList} {
				o, why := e.Compare(field, whole)
				if o != Unobservable || !strings.Contains(why, tt.why) || e.Class(field) != Requested {
					t.Errorf("%s: %s (%s) of class %v", field, o, why, e.Class(field))
				}
			}
		})
	}
}

func TestRuleListOrder(t *testing.T) {
	want := []posture.LandlockRule{pathRule(1, 20, readDir|writeFile), portRule(1, 80, 1), pathRule(2, 20, readDir)}
	gone := pathRule(1, 0, readDir)
	gone.Inode.Dev = 0
	for name, tt := range map[string]struct {
		got  []posture.LandlockRule
		want order
	}{
		"none":          {nil, stricter},
		"one less":      {want[:2], stricter},
		"a right less":  {[]posture.LandlockRule{pathRule(1, 20, readDir), want[1], want[2]}, stricter},
		"a right more":  {[]posture.LandlockRule{want[0], want[1], pathRule(2, 20, readDir|writeFile)}, laxer},
		"another file":  {[]posture.LandlockRule{pathRule(1, 2, readDir), want[1], want[2]}, laxer},
		"another layer": {[]posture.LandlockRule{want[0], want[1], want[2], portRule(2, 80, 1)}, laxer},
		"another port":  {[]posture.LandlockRule{portRule(1, 81, 1)}, laxer},
		"gone":          {[]posture.LandlockRule{gone, want[1], want[2]}, stricter},
		"nothing":       {[]posture.LandlockRule{pathRule(1, 7, 0)}, stricter},
	} {
		if got := ruleListOrder(want, tt.got); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
