package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// TestFilterStackIsJudgedInOrder: each filter of a stack is compared with the
// policy that it was made for, whatever the others do.
func TestFilterStackIsJudgedInOrder(t *testing.T) {
	const deny = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["NAME"],"action":"SCMP_ACT_ERRNO"}]}`
	policy := func(name string) string { return strings.Replace(deny, "NAME", name, 1) }
	r := mustParse(t, `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"","noNewPrivileges":true},
		"linux":{"seccomp":`+policy("ptrace")+`},
		"holdshort":{"keepIDs":true,"seccomp":[`+policy("mount")+`,`+policy("reboot")+`]}}`)
	caller := sample.Caller()
	own := filterOf(t, policy("swapon"))
	caller.Seccomp = posture.Seccomp{Mode: posture.Known[uint32](2), Count: posture.Known[uint32](1), Filters: posture.Known([]posture.Filter{own})}
	feat := testFeatures
	feat.Seccomp = FilterJudge{Native: seccomp.ArchX86_64}
	e := Expect(r, caller, feat).With(testFacts())
	top, middle, bottom := filterOf(t, policy("ptrace")), filterOf(t, policy("reboot")), filterOf(t, policy("mount"))
	for name, tt := range map[string]struct {
		seen []posture.Filter
		want Outcome
		why  string
	}{
		"as asked":          {[]posture.Filter{top, middle, bottom, own}, Equal, ""},
		"two exchanged":     {[]posture.Filter{top, bottom, middle, own}, Weaker, "filter"},
		"one missing":       {[]posture.Filter{top, bottom, own}, Weaker, "2 of 3 filters"},
		"none":              {[]posture.Filter{own}, Ignored, "no filter was added"},
		"one more":          {[]posture.Filter{top, top, middle, bottom, own}, Stronger, "4 filters were added, not 3"},
		"the caller's gone": {[]posture.Filter{top, middle, bottom, top}, Leaked, "beneath"},
		"the first wrong":   {[]posture.Filter{top, middle, own, own}, Weaker, "filter 1 of 3"},
		"all wrong":         {[]posture.Filter{bottom, bottom, top, own}, Weaker, "filter 3 of 3"},
		"the last wrong":    {[]posture.Filter{own, middle, bottom, own}, Weaker, "filter 3 of 3"},
	} {
		got := e.Sample()
		got.Seccomp.Filters = posture.Known(slices.Clone(tt.seen))
		if o, why := e.Compare(SeccompFilters, got); o != tt.want || !strings.Contains(why, tt.why) {
			t.Errorf("%s: %s (%s); want %s (%s)", name, o, why, tt.want, tt.why)
		}
	}
	if n, _ := e.Want(SeccompCount).(uint32); n != 4 {
		t.Errorf("%d filters wanted, want 4", n)
	}
}
