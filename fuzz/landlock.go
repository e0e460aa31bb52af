package fuzz

import (
	"github.com/holdshort/holdshort/checkpoint"
	policies "github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/harness/request"
)

func hasLayer(is func(*policies.Ruleset) bool) func(*request.Request) bool {
	return func(r *request.Request) bool {
		for i := range layersOf(r) {
			if is(&r.Ext.Landlock.Layers[i]) {
				return true
			}
		}
		return false
	}
}

func layersOf(r *request.Request) []policies.Ruleset {
	if r.Ext.Landlock == nil {
		return nil
	}
	return r.Ext.Landlock.Layers
}

func hasABI(abi int) func(*Machine) bool {
	return func(m *Machine) bool { return m.Root && m.LandlockABI >= abi }
}

var landlock = []dimension{
	{
		name: "landlock", can: hasABI(1), draw: drawLandlock,
		has: func(r *request.Request) bool { return len(layersOf(r)) > 0 },
	},
	{
		name: "landlock, files", needs: []string{"landlock"},
		has: hasLayer(func(l *policies.Ruleset) bool { return len(l.HandledAccessFS) > 0 }),
	},
	{
		name: "landlock, ports", needs: []string{"landlock"}, can: hasABI(4),
		has: hasLayer(func(l *policies.Ruleset) bool { return len(l.HandledAccessNet) > 0 }),
	},
	{
		name: "landlock, scopes", needs: []string{"landlock"}, can: hasABI(6),
		has: hasLayer(func(l *policies.Ruleset) bool { return len(l.Scoped) > 0 }),
	},
	{
		name: "landlock, layers", needs: []string{"landlock"},
		has: func(r *request.Request) bool { return len(layersOf(r)) > 1 },
	},
}

// drawLandlock draws layers without rules: what a rule allows cannot be seen in
// a task. So nothing is handled that execve needs.
func drawLandlock(d *drawer) {
	p := &policies.Policy{}
	var files []policies.Right
	for _, r := range policies.Rights(policies.FS, d.m.LandlockABI) {
		if r != "execute" && r != "read_file" {
			files = append(files, r)
		}
	}
	layers := pick(d, 1, 1, 1, 2, 3, 7)
	v, forced := d.chosen()
	if forced {
		layers = []int{1, 1, 1, 3}[v]
	}
	for range layers {
		var l policies.Ruleset
		what := d.IntN(8)
		if forced {
			what = []int{1, 2, 5, 7}[v] // of bits 1, 2, 4
		}
		if d.m.LandlockABI < 4 || what&1 != 0 {
			l.HandledAccessFS = some(d, 50, files)
		}
		if list := policies.Rights(policies.Net, d.m.LandlockABI); len(list) > 0 && (what&2 != 0 || what == 0) {
			l.HandledAccessNet = some(d, 50, list)
		}
		if list := policies.Rights(policies.Scope, d.m.LandlockABI); len(list) > 0 && what&4 != 0 {
			l.Scoped = some(d, 50, list)
		}
		if len(l.HandledAccessFS)+len(l.HandledAccessNet)+len(l.Scoped) == 0 {
			l.HandledAccessFS = some(d, 50, files)
		}
		p.Layers = append(p.Layers, l)
	}
	if d.m.LandlockABI < policies.Newest && d.chance(20) {
		// What this kernel lacks is left out.
		p.BestEffort = true
		p.Layers[0].HandledAccessNet = policies.Rights(policies.Net, policies.Newest)
	}
	d.r.Ext.Landlock = p
}

// landlockABI is the machine's, of what is known here.
func landlockABI() int { return min(checkpoint.LandlockABI(), policies.Newest) }
