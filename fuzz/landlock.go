package fuzz

import (
	"slices"

	"github.com/holdshort/holdshort/checkpoint"
	policies "github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
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
		name: "landlock, rules for paths", needs: []string{"landlock"}, can: canRules, draw: drawPathRules,
		has: hasLayer(func(l *policies.Ruleset) bool { return len(l.PathBeneath) > 0 }),
	},
	{
		name: "landlock, rules for ports", needs: []string{"landlock"}, can: func(m *Machine) bool { return canRules(m) && m.LandlockABI >= 4 }, draw: drawPortRules,
		has: hasLayer(func(l *policies.Ruleset) bool { return len(l.NetPort) > 0 }),
	},
	{
		name: "landlock, layers", needs: []string{"landlock"},
		has: func(r *request.Request) bool { return len(layersOf(r)) > 1 },
	},
}

// canRules: what a rule allows can be seen in a task, and the files that rules are
// drawn for have numbers of their own.
func canRules(m *Machine) bool { return m.LandlockRules }

// landlockRules reports whether that is so: what a layer handles has had a form
// that can be read but from ABI 4 to 5.
func landlockRules(dir string, abi int) bool {
	if abi == 0 || abi == 4 || abi == 5 {
		return false
	}
	for _, path := range []string{"/", dir} {
		var fs unix.Statfs_t
		const bcachefs = 0xca451a4e
		if unix.Statfs(path, &fs) != nil || slices.Contains([]int64{unix.BTRFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, bcachefs}, fs.Type) {
			return false
		}
	}
	return true
}

// drawLandlock draws layers without rules. So nothing is handled that execve
// needs.
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

// drawPathRules adds rules to layers that handle files, or makes one that does:
// for directories and files of the workload's root, some that mounts cover and
// some twice. One layer may then forbid what execve needs, since a rule allows it.
func drawPathRules(d *drawer) {
	p := d.r.Ext.Landlock
	if !slices.ContainsFunc(p.Layers, func(l policies.Ruleset) bool { return len(l.HandledAccessFS) > 0 }) {
		p.Layers[0].HandledAccessFS = some(d, 50, policies.Rights(policies.FS, 1)[3:])
	}
	base := d.m.Dir
	if d.on["root"] {
		base = ""
	}
	paths := []string{"/", base + "/point", base + "/point/a", base + "/point/b", base + "/point/..", base + "/work"}
	for i := range p.Layers {
		l := &p.Layers[i]
		if len(l.HandledAccessFS) == 0 || d.chance(30) {
			continue
		}
		allow := func(path string, of []policies.Right) {
			if len(of) > 0 {
				l.PathBeneath = append(l.PathBeneath, policies.PathBeneath{Path: path, AllowedAccess: some(d, 50, of)})
			}
		}
		handled := slices.DeleteFunc(slices.Clone(l.HandledAccessFS), func(r policies.Right) bool { return policies.ABIOf(policies.FS, r) > d.m.LandlockABI })
		for range pick(d, 1, 1, 2, 3, 6) {
			allow(pick(d, paths...), handled)
		}
		if d.chance(40) { // only some rights can be had on what is no directory
			allow(base+"/workload", slices.DeleteFunc(slices.Clone(handled), func(r policies.Right) bool { return !policies.OfFiles(r) }))
		}
		// A program by descriptor may lie outside of the root, so beneath no rule.
		if d.chance(30) && !d.on["program by descriptor"] {
			l.HandledAccessFS = append(l.HandledAccessFS, "execute", "read_file")
			l.PathBeneath = append(l.PathBeneath, policies.PathBeneath{Path: "/", AllowedAccess: []policies.Right{"read_file", "execute"}})
		}
	}
	if slices.ContainsFunc(p.Layers, func(l policies.Ruleset) bool { return len(l.PathBeneath) > 0 }) {
		return
	}
	l := &p.Layers[0]
	if !slices.Contains(l.HandledAccessFS, "make_sym") {
		l.HandledAccessFS = append(l.HandledAccessFS, "make_sym")
	}
	l.PathBeneath = append(l.PathBeneath, policies.PathBeneath{Path: "/", AllowedAccess: []policies.Right{"make_sym"}})
}

// drawPortRules does the same for ports.
func drawPortRules(d *drawer) {
	p := d.r.Ext.Landlock
	rights := policies.Rights(policies.Net, d.m.LandlockABI)
	if !slices.ContainsFunc(p.Layers, func(l policies.Ruleset) bool { return len(l.HandledAccessNet) > 0 }) {
		p.Layers[0].HandledAccessNet = some(d, 50, rights)
	}
	for i := range p.Layers {
		l := &p.Layers[i]
		handled := slices.DeleteFunc(slices.Clone(l.HandledAccessNet), func(r policies.Right) bool { return !slices.Contains(rights, r) })
		if len(handled) == 0 || d.chance(30) {
			continue
		}
		for range pick(d, 1, 1, 2, 3, 7) {
			port := pick(d, uint16(d.IntN(1<<16)), 0, 1, 80, 256, 65535)
			l.NetPort = append(l.NetPort, policies.NetPort{Port: port, AllowedAccess: some(d, 50, handled)})
		}
	}
	if slices.ContainsFunc(p.Layers, func(l policies.Ruleset) bool { return len(l.NetPort) > 0 }) {
		return
	}
	l := &p.Layers[0]
	if !slices.Contains(l.HandledAccessNet, rights[0]) {
		l.HandledAccessNet = append(l.HandledAccessNet, rights[0])
	}
	l.NetPort = append(l.NetPort, policies.NetPort{Port: 80, AllowedAccess: rights[:1:1]})
}

// landlockABI is the machine's, of what is known here.
func landlockABI() int { return min(checkpoint.LandlockABI(), policies.Newest) }
