package harness

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
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

// TestSabotageLandlock plants faults in what is enforced: layers, what they
// handle, and what their rules allow on which file or port.
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
	rule := finds{"landlock.rules": oracle.Leaked, "landlock.rule_list": oracle.Leaked}
	reading := landlock.Ruleset{
		HandledAccessFS: rights{"write_file", "read_dir", "make_dir"},
		PathBeneath:     []landlock.PathBeneath{{Path: "/usr", AllowedAccess: rights{"read_dir"}}, {Path: "/tmp", AllowedAccess: rights{"read_dir", "make_dir"}}},
	}
	writing := landlock.Ruleset{HandledAccessFS: rights{"write_file"}, PathBeneath: []landlock.PathBeneath{{Path: "/tmp", AllowedAccess: rights{"write_file"}}}}
	ports := landlock.Ruleset{HandledAccessNet: rights{"bind_tcp", "connect_tcp"}, NetPort: []landlock.NetPort{{Port: 80, AllowedAccess: rights{"bind_tcp"}}, {Port: 0x1234, AllowedAccess: rights{"bind_tcp", "connect_tcp"}}}}
	// The rules of a layer are the request's, which must stay as it is.
	path := func(layer int, f func([]landlock.PathBeneath) []landlock.PathBeneath) func(*checkpoint.Config, *checkpoint.Options) {
		return tamper(func(p *landlock.Policy) { p.Layers[layer].PathBeneath = f(slices.Clone(p.Layers[layer].PathBeneath)) })
	}
	port := func(f func([]landlock.NetPort) []landlock.NetPort) func(*checkpoint.Config, *checkpoint.Options) {
		return tamper(func(p *landlock.Policy) { p.Layers[0].NetPort = f(slices.Clone(p.Layers[0].NetPort)) })
	}
	laxRules, strictRules := finds{"landlock.rule_list": oracle.Weaker}, finds{"landlock.rule_list": oracle.Stronger}
	fewerRules := finds{"landlock.rule_list": oracle.Stronger, "landlock.rules": oracle.Stronger}
	noRules := finds{"landlock.rule_list": oracle.Ignored, "landlock.rules": oracle.Ignored}
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
		{name: "rules for /", need: needRules(1), ask: asks(reading), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			r[0].Path = "/"
			return r
		}), want: laxRules},
		{name: "rules for a file in the directory", need: needRules(1), ask: asks(reading), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			r[0].Path = "/usr/lib"
			return r
		}), want: laxRules},
		{name: "rules with a right more", need: needRules(1), ask: asks(reading), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			r[0].AllowedAccess = rights{"read_dir", "write_file"}
			return r
		}), want: laxRules},
		{name: "rules with a right less", need: needRules(1), ask: asks(reading), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			r[1].AllowedAccess = rights{"make_dir"}
			return r
		}), want: strictRules},
		{name: "rules without one", need: needRules(1), ask: asks(reading), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath { return r[:1] }), want: fewerRules},
		{name: "rules with one more", need: needRules(1), ask: asks(reading), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			return append(r, landlock.PathBeneath{Path: "/etc", AllowedAccess: rights{"read_dir"}})
		}), want: finds{"landlock.rule_list": oracle.Weaker, "landlock.rules": oracle.Weaker}},
		{name: "rules skipped", need: needRules(1), ask: asks(reading), tamper: path(0, func([]landlock.PathBeneath) []landlock.PathBeneath { return nil }), want: noRules},
		{name: "rules missing in one layer", need: needRules(1), ask: asks(reading, writing), tamper: path(1, func([]landlock.PathBeneath) []landlock.PathBeneath { return nil }), want: strictRules},
		{name: "rules in the other layer", need: needRules(1), ask: asks(reading, writing), tamper: tamper(func(p *landlock.Policy) {
			p.Layers[0].PathBeneath = append(slices.Clone(p.Layers[0].PathBeneath), p.Layers[1].PathBeneath...)
			p.Layers[1].PathBeneath = nil
		}), want: laxRules},
		{name: "rules for another port", need: needRules(4), ask: asks(ports), tamper: port(func(r []landlock.NetPort) []landlock.NetPort {
			r[1].Port = 0x3412
			return r
		}), want: laxRules},
		{name: "rules for a port with a right more", need: needRules(4), ask: asks(ports), tamper: port(func(r []landlock.NetPort) []landlock.NetPort {
			r[0].AllowedAccess = rights{"bind_tcp", "connect_tcp"}
			return r
		}), want: laxRules},
		{name: "rules without a port", need: needRules(4), ask: asks(ports), tamper: port(func(r []landlock.NetPort) []landlock.NetPort { return r[1:] }), want: fewerRules},
		{name: "rules in the workload's own root", need: needRules(1), ask: func(t *testing.T, q *request.Request) {
			t.Helper()
			asks(landlock.Ruleset{HandledAccessFS: rights{"make_dir"}, PathBeneath: []landlock.PathBeneath{{Path: "/mnt", AllowedAccess: rights{"make_dir"}}}})(t, q)
			ns(specs.MountNamespace)(t, q)
			q.Spec.Mounts = []specs.Mount{{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs"}}
		}, tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			r[0].Path = "/"
			return r
		}), want: laxRules},
		{name: "rules of a policy without them", need: needRules(1), ask: asks(files), tamper: path(0, func(r []landlock.PathBeneath) []landlock.PathBeneath {
			return append(r, landlock.PathBeneath{Path: "/usr", AllowedAccess: rights{"make_sym"}})
		}), want: rule},
	})
}

// needRules is needABI where the rules of a domain can be read too.
func needRules(abi int) func(*testing.T, *Runner) string {
	return func(t *testing.T, r *Runner) string {
		t.Helper()
		if what := needABI(abi)(t, r); what != "" {
			return what
		}
		if p, err := r.observer.Self(bg); err != nil || !p.Posture().Landlock.RuleList.IsKnown() {
			return "the observer's view of a Landlock domain"
		}
		return ""
	}
}

// TestLandlockRulesAreJudged asks for all that a rule can have, in the caller's
// root and behind mounts, twice for one file, and for more than can be read.
func TestLandlockRulesAreJudged(t *testing.T) {
	r := shared(t)
	if what := needRules(4)(t, r); what != "" {
		t.Skip("needs " + what)
	}
	type rights = []landlock.Right
	r.tamper, r.parked = nil, nil
	usual := landlock.Ruleset{
		HandledAccessFS: rights{"execute", "read_file", "make_dir", "refer"}, HandledAccessNet: rights{"bind_tcp"},
		PathBeneath: []landlock.PathBeneath{
			{Path: "/", AllowedAccess: rights{"execute", "read_file"}},
			{Path: "/usr/..", AllowedAccess: rights{"make_dir"}},
			{Path: "/bin/true", AllowedAccess: rights{"execute"}},
			{Path: "/tmp", AllowedAccess: rights{"refer"}},
		},
		NetPort: []landlock.NetPort{{Port: 0, AllowedAccess: rights{"bind_tcp"}}, {Port: 65535, AllowedAccess: rights{"bind_tcp"}}},
	}
	many := usual
	for i := range posture.MaxLandlockRules {
		many.NetPort = append(many.NetPort, landlock.NetPort{Port: uint16(i + 1000), AllowedAccess: rights{"bind_tcp"}})
	}
	transient := usual
	transient.PathBeneath = append(slices.Clone(usual.PathBeneath), landlock.PathBeneath{Path: "/proc/self", AllowedAccess: rights{"read_file"}})
	for name, tt := range map[string]struct {
		layers []landlock.Ruleset
		mounts bool
		why    string // it is not judged
	}{
		"host":          {layers: []landlock.Ruleset{usual}},
		"two layers":    {layers: []landlock.Ruleset{usual, {HandledAccessFS: usual.HandledAccessFS, PathBeneath: usual.PathBeneath[:2]}}},
		"behind mounts": {layers: []landlock.Ruleset{usual}, mounts: true},
		"too many":      {layers: []landlock.Ruleset{many}, why: "of which 64 can be read"},
		"no number":     {layers: []landlock.Ruleset{transient}, why: "procfs makes"},
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			q.Spec.Process.NoNewPrivileges = true
			q.Ext.Landlock = &landlock.Policy{Layers: tt.layers}
			if tt.mounts {
				ns(specs.MountNamespace)(t, q)
				q.Spec.Mounts = []specs.Mount{{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"}}
			}
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.why == "" {
				if c.Verdict != Constrained {
					t.Errorf("%s\n%s", c.Verdict, text(c))
				}
				return
			}
			why := ""
			for i := range c.Checks {
				if k := &c.Checks[i]; k.Name() == "landlock.rule_list" && k.Outcome == oracle.Unobservable {
					why = k.Why
				}
			}
			if c.Verdict != Unknown || c.Cause != CannotObserve || !strings.Contains(why, tt.why) {
				t.Errorf("%s (%s), %q; want unknown because of %q\n%s", c.Verdict, c.Cause, why, tt.why, text(c))
			}
		})
	}
}
