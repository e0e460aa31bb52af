package engines

import (
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

func asking(f func(*request.Request)) *request.Request {
	r := &request.Request{Spec: &specs.Spec{Process: &specs.Process{Args: []string{"/bin/true"}}, Linux: &specs.Linux{}}}
	if f != nil {
		f(r)
	}
	return r
}

// A difference is what at least one engine did not hold or did not run; where an
// engine was not asked, it has no words.
func TestDiffer_Compare(t *testing.T) {
	held := func(name string, asked ...string) *outcome {
		o := &outcome{name: name, ran: true, findings: map[string]found{}, asked: map[string]bool{}}
		for _, f := range asked {
			o.asked[f] = true
		}
		return o
	}
	with := func(o *outcome, field string, x oracle.Outcome) *outcome {
		o.findings[field] = found{x, "because"}
		return o
	}
	for name, c := range map[string]struct {
		all  []*outcome
		want string
	}{
		"alike":                  {[]*outcome{held("runc", "a"), held("crun", "a")}, ""},
		"alike, and refused":     {[]*outcome{{name: "runc"}, {name: "crun"}}, ""},
		"one does not hold":      {[]*outcome{held("runc", "a"), with(held("crun", "a"), "a", oracle.Ignored)}, "a runc=holds crun=ignored"},
		"one had no words":       {[]*outcome{with(held("runc", "a"), "a", oracle.Weaker), held("crun")}, "a runc=weaker crun=has no words"},
		"both in the same way":   {[]*outcome{with(held("runc", "a"), "a", oracle.Weaker), with(held("crun", "a"), "a", oracle.Weaker)}, "a runc=weaker crun=weaker"},
		"one refuses":            {[]*outcome{held("runc", "a"), {name: "crun", said: "no\nnever"}}, "refuses runc=runs crun=refuses"},
		"one refuses, one fails": {[]*outcome{with(held("runc", "a"), "a", oracle.Weaker), {name: "crun"}}, "a runc=weaker crun=refuses; refuses runc=runs crun=refuses"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Differ{Names: []string{"runc", "crun"}}
			var got []string
			for _, g := range d.compare(asking(nil), c.all) {
				if got = append(got, g.key(d.Names)); g.Why != "" {
					t.Errorf("%s is explained: %s", g.Field, g.Why)
				}
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

// Only what an engine declares, and what was asked for, explains anything.
func TestUndeclared(t *testing.T) {
	old := &features.Features{OCIVersionMax: "1.0.2-dev", MountOptions: []string{"ro"}, Linux: &features.Linux{Namespaces: []string{"mount"}}}
	domain := asking(func(r *request.Request) { r.Spec.Domainname = "d" })
	timens := asking(func(r *request.Request) {
		r.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.TimeNamespace}}
	})
	for name, c := range map[string]struct {
		f     *features.Features
		r     *request.Request
		field string
		want  bool
	}{
		"too old for it":             {old, domain, "uts.domainname", true},
		"new enough":                 {&features.Features{OCIVersionMax: "1.1.0"}, domain, "uts.domainname", false},
		"in development":             {&features.Features{OCIVersionMax: "1.1.0-rc.1"}, domain, "uts.domainname", false},
		"not asked for":              {old, asking(nil), "uts.domainname", false},
		"another field":              {old, domain, "uts.hostname", false},
		"says nothing":               {nil, domain, "uts.domainname", false},
		"no such namespace":          {old, timens, refuses, true},
		"refused, with all declared": {old, domain, refuses, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := undeclared(c.f, c.r, c.field); (got != "") != c.want {
				t.Errorf("%q", got)
			}
		})
	}
}

// A group is explained only if each of its engines is.
func TestTogether(t *testing.T) {
	if together([]string{"a", ""}) != "" || together([]string{"b", "a", "b"}) != "a; b" || together(nil) != "" {
		t.Error(together([]string{"a", ""}), together([]string{"b", "a", "b"}), together(nil))
	}
}

// The same request for all engines, valid, and another with another index.
func TestDrawFor(t *testing.T) {
	b := &Bench{root: "/r"}
	runc, _ := engine.ByName("runc")
	bwrap, _ := engine.ByName("bwrap")
	seen := map[string]bool{}
	for i := range uint64(200) {
		for _, list := range [][]*engine.Foreign{{runc}, {runc, bwrap}} {
			r := b.drawFor(1, i, list)
			if err := r.Validate(); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			x, _ := config(r)
			y, _ := config(b.drawFor(1, i, list))
			if string(x) != string(y) {
				t.Fatalf("request %d is another each time", i)
			}
			seen[string(x)] = true
		}
	}
	if len(seen) < 350 {
		t.Errorf("%d requests of 400 are different", len(seen))
	}
}
