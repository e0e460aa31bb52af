package oracle

import (
	"slices"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/probes/posture"
)

const landlockSource = "holdshort.landlock"

// landlockRuleList is about what a policy allows. Which inodes its paths are only
// the launch can tell; without paths all is known before.
func (b *builder) landlockRuleList(p *landlock.Policy, layers []landlockLayer) {
	asked, paths := false, false
	for _, l := range layers {
		asked = asked || len(pathRules(p, l))+len(portRules(p, l)) > 0
		paths = paths || len(pathRules(p, l)) > 0
	}
	class := Implied
	if asked {
		class = Requested
	}
	b.rule(LandlockRules, class, landlockSource)
	b.rule(LandlockRuleList, class, landlockSource)
	if !asked {
		return // those of the caller
	}
	b.e.landlockAdded = layers
	if paths {
		b.w.Landlock.Rules, b.w.Landlock.RuleList = posture.Unreadable[uint32](needsFact), posture.Unreadable[[]posture.LandlockRule](needsFact)
		return
	}
	b.e.landlockRules(&Facts{})
}

// landlockRules states the wanted rules, once the facts are there. On top of the
// caller's domain each layer brings its rules along: for an object that has a
// rule already the new layer is added to that (landlock_merge_ruleset,
// security/landlock/ruleset.c), which is why the kernel counts objects.
func (e *Expectation) landlockRules(f *Facts) {
	if e.landlockAdded == nil {
		return
	}
	w := &e.want.Landlock
	fail := func(why string) {
		w.Rules, w.RuleList = posture.Unreadable[uint32](why), posture.Unreadable[[]posture.LandlockRule](why)
	}
	before, ok := e.caller.Landlock.RuleList.Get()
	n, ok2 := e.caller.Landlock.Layers.Get()
	count, ok3 := e.caller.Landlock.Rules.Get()
	if !ok || !ok2 || !ok3 {
		fail("the caller's rules were not read")
		return
	}
	all := slices.Clone(before)
	for i, l := range e.landlockAdded {
		rules, why := l.rules(e.req.Ext.Landlock, f)
		if why != "" {
			fail(why)
			return
		}
		for _, r := range rules {
			r.Layer = n + uint32(i) + 1
			all = append(all, r)
		}
	}
	slices.SortFunc(all, posture.LandlockRule.Compare)
	w.RuleList = posture.Known(all)
	w.Rules = posture.Known(count + newObjects(before, all))
}

// newObjects counts the objects that have rules in all and none in before.
func newObjects(before, all []posture.LandlockRule) (n uint32) {
	seen := map[posture.LandlockRule]bool{}
	object := func(r posture.LandlockRule) posture.LandlockRule {
		r.Layer, r.Access = 0, 0
		return r
	}
	for _, r := range before {
		seen[object(r)] = true
	}
	for _, r := range all {
		if o := object(r); !seen[o] {
			seen[o] = true
			n++
		}
	}
	return n
}

// rules are those of one layer, or why they are not known. Rules on one object
// add up.
func (l *landlockLayer) rules(p *landlock.Policy, f *Facts) (out []posture.LandlockRule, why string) {
	add := func(r posture.LandlockRule, access uint64) {
		i := slices.IndexFunc(out, func(o posture.LandlockRule) bool { return o.Kind == r.Kind && o.Inode == r.Inode && o.Port == r.Port })
		if i < 0 {
			i = len(out)
			out = append(out, r)
		}
		out[i].Access |= uint32(access)
	}
	for _, r := range pathRules(p, *l) {
		inode, ok := f.LandlockPaths[r.Path].Get()
		if !ok {
			if why = f.LandlockPaths[r.Path].Why(); why == "not read" {
				why = needsFact
			}
			return nil, r.Path + ": " + why
		}
		m, _ := landlock.Mask(landlock.FS, r.AllowedAccess)
		add(posture.LandlockRule{Kind: posture.RulePath, Inode: inode}, m&l.fs)
	}
	for _, r := range portRules(p, *l) {
		m, _ := landlock.Mask(landlock.Net, r.AllowedAccess)
		add(posture.LandlockRule{Kind: posture.RulePort, Port: r.Port}, m&l.net)
	}
	return out, ""
}

// pathRules are the rules of which this kernel knows something.
func pathRules(p *landlock.Policy, l landlockLayer) (out []landlock.PathBeneath) {
	for _, r := range p.Layers[l.index].PathBeneath {
		if m, _ := landlock.Mask(landlock.FS, r.AllowedAccess); m&l.fs != 0 {
			out = append(out, r)
		}
	}
	return out
}

func portRules(p *landlock.Policy, l landlockLayer) (out []landlock.NetPort) {
	for _, r := range p.Layers[l.index].NetPort {
		if m, _ := landlock.Mask(landlock.Net, r.AllowedAccess); m&l.net != 0 {
			out = append(out, r)
		}
	}
	return out
}
