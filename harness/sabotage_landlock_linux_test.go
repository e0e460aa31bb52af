package harness

import (
	"maps"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
)

// needABI is what a kernel lacks for a Landlock ABI.
func needABI(abi int) func(*testing.T, *Runner) string {
	return func(*testing.T, *Runner) string {
		if checkpoint.LandlockABI() < abi {
			return "Landlock, since Linux " + landlock.Since(abi)
		}
		return ""
	}
}

// TestSabotageLandlock plants faults in what is enforced. What rules allow shows
// in no task, so a request with rules has no verdict that a fault could change;
// that there are rules at all where none was asked for does show.
func TestSabotageLandlock(t *testing.T) {
	type rights = []landlock.Right
	unasked := func(_ *testing.T, q *request.Request) { q.Spec.Process.NoNewPrivileges = true }
	asks := func(layers ...landlock.Ruleset) func(*testing.T, *request.Request) {
		return func(_ *testing.T, q *request.Request) {
			q.Spec.Process.NoNewPrivileges = true
			q.Ext.Landlock = &landlock.Policy{Layers: layers}
		}
	}
	files := landlock.Ruleset{HandledAccessFS: rights{"write_file", "make_dir", "make_sym"}}
	network := landlock.Ruleset{HandledAccessNet: rights{"bind_tcp", "connect_tcp"}}
	scopes := landlock.Ruleset{Scoped: rights{"abstract_unix_socket", "signal"}}
	all := landlock.Ruleset{HandledAccessFS: files.HandledAccessFS, HandledAccessNet: network.HandledAccessNet, Scoped: scopes.Scoped}
	// The policy of a launch is that of its request, which must stay as it is.
	tamper := func(f func(p *landlock.Policy)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) {
			p := *c.Landlock
			p.Layers = slices.Clone(p.Layers)
			f(&p)
			c.Landlock = &p
		})
	}
	ignored := finds{"landlock.layers": oracle.Ignored, "landlock.handled": oracle.Ignored}
	weaker, stronger := finds{"landlock.handled": oracle.Weaker}, finds{"landlock.handled": oracle.Stronger}
	fewer := finds{"landlock.layers": oracle.Weaker, "landlock.handled": oracle.Weaker}
	more := finds{"landlock.layers": oracle.Stronger, "landlock.handled": oracle.Stronger}
	rule := finds{"landlock.rules": oracle.Leaked}
	table(t, []sabotage{
		{name: "unasked", need: needABI(1), ask: unasked, tamper: config(func(c *checkpoint.Config) {
			c.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{"make_dir"}}}}
		}), want: finds{"landlock.layers": oracle.Leaked, "landlock.handled": oracle.Leaked}},
		{name: "skipped", need: needABI(1), ask: asks(files), tamper: config(func(c *checkpoint.Config) { c.Landlock = nil }), want: ignored},
		{name: "one layer missing", need: needABI(4), ask: asks(files, network), tamper: tamper(func(p *landlock.Policy) { p.Layers = p.Layers[:1] }), want: fewer},
		{name: "the first layer missing", need: needABI(4), ask: asks(files, network), tamper: tamper(func(p *landlock.Policy) { p.Layers = p.Layers[1:] }), want: fewer},
		{name: "one layer more", need: needABI(4), ask: asks(files), tamper: tamper(func(p *landlock.Policy) { p.Layers = append(p.Layers, network) }), want: more},
		{name: "a right on files less", need: needABI(1), ask: asks(files), tamper: tamper(func(p *landlock.Policy) { p.Layers[0].HandledAccessFS = rights{"write_file", "make_sym"} }), want: weaker},
		{name: "a right on files more", need: needABI(1), ask: asks(files), tamper: tamper(func(p *landlock.Policy) {
			p.Layers[0].HandledAccessFS = rights{"write_file", "make_dir", "make_sym", "make_reg"}
		}), want: stronger},
		{name: "a right on files instead", need: needABI(1), ask: asks(files), tamper: tamper(func(p *landlock.Policy) { p.Layers[0].HandledAccessFS = rights{"write_file", "make_reg", "make_sym"} }), want: weaker},
		{name: "a right on ports less", need: needABI(4), ask: asks(network), tamper: tamper(func(p *landlock.Policy) { p.Layers[0].HandledAccessNet = rights{"bind_tcp"} }), want: weaker},
		{name: "no network", need: needABI(6), ask: asks(all), tamper: tamper(func(p *landlock.Policy) { p.Layers[0].HandledAccessNet = nil }), want: weaker},
		{name: "a scope less", need: needABI(6), ask: asks(scopes), tamper: tamper(func(p *landlock.Policy) { p.Layers[0].Scoped = rights{"signal"} }), want: weaker},
		{name: "in another layer", need: needABI(4), ask: asks(files, network), tamper: tamper(func(p *landlock.Policy) {
			p.Layers[0].HandledAccessFS, p.Layers[1].HandledAccessFS = rights{"write_file", "make_dir"}, rights{"make_sym"}
		}), want: weaker},
		{name: "a rule for files", need: needABI(1), ask: asks(files), tamper: tamper(func(p *landlock.Policy) {
			p.Layers[0].PathBeneath = []landlock.PathBeneath{{Path: "/", AllowedAccess: rights{"make_dir"}}}
		}), want: rule},
		{name: "a rule for a port", need: needABI(4), ask: asks(network), tamper: tamper(func(p *landlock.Policy) {
			p.Layers[0].NetPort = []landlock.NetPort{{Port: 1, AllowedAccess: rights{"bind_tcp"}}}
		}), want: rule},
	})
}

// TestLandlockRulesAreNotJudged: what cannot be seen makes no verdict, and says
// which part of the request it is.
func TestLandlockRulesAreNotJudged(t *testing.T) {
	if what := needABI(4)(t, nil); what != "" {
		t.Skip("needs " + what)
	}
	r := shared(t)
	r.tamper, r.parked = nil, nil
	q := request.New("/bin/true")
	q.Spec.Process.NoNewPrivileges = true
	q.Ext.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{
		HandledAccessFS: []landlock.Right{"execute", "make_dir"}, HandledAccessNet: []landlock.Right{"bind_tcp"},
		PathBeneath: []landlock.PathBeneath{{Path: "/", AllowedAccess: []landlock.Right{"execute"}}},
		NetPort:     []landlock.NetPort{{Port: 1, AllowedAccess: []landlock.Right{"bind_tcp"}}},
	}}}
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	unseen := map[string]bool{}
	for i := range c.Checks {
		if k := &c.Checks[i]; k.Outcome == oracle.Unobservable && k.Class() == oracle.Requested {
			unseen[k.Name()] = true
		}
	}
	want := map[string]bool{"holdshort.landlock.layers[0].pathBeneath[0]": true, "holdshort.landlock.layers[0].netPort[0]": true}
	if c.Verdict != Unknown || c.Cause != CannotObserve || !maps.Equal(unseen, want) {
		t.Errorf("%s (%s), unseen %v; want unknown for %v\n%s", c.Verdict, c.Cause, unseen, want, text(c))
	}
}
