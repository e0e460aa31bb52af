package oracle

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/probes/posture"
)

// The oracle's own reading of a Landlock policy. It shares the table of names
// and numbers with what applies the policy, and nothing else.

// landlockLayer is what one layer of a policy comes to on a kernel: the masks
// of what it handles.
type landlockLayer struct {
	index           int
	fs, net, scoped uint64
}

// landlockLayers are the layers that a kernel of the given ABI enforces, and
// what it leaves out if the policy allows that.
func landlockLayers(p *landlock.Policy, abi int) (layers []landlockLayer, dropped []string) {
	for i := range p.Layers {
		l := landlockLayer{index: i}
		for _, w := range []struct {
			kind landlock.Kind
			list []landlock.Right
			mask *uint64
		}{
			{landlock.FS, p.Layers[i].HandledAccessFS, &l.fs},
			{landlock.Net, p.Layers[i].HandledAccessNet, &l.net},
			{landlock.Scope, p.Layers[i].Scoped, &l.scoped},
		} {
			for _, r := range w.list {
				if landlock.ABIOf(w.kind, r) > abi {
					dropped = append(dropped, string(r))
					continue
				}
				bit, _ := landlock.Mask(w.kind, []landlock.Right{r})
				*w.mask |= bit
			}
		}
		if l.fs|l.net|l.scoped != 0 {
			layers = append(layers, l)
		}
	}
	return layers, dropped
}

// landlockRules lists what no posture shows of a policy: which object a rule
// allows what on, and how denials are logged.
func landlockRules(p *landlock.Policy) []Beyond {
	if p == nil {
		return nil
	}
	var out []Beyond
	for i := range p.Layers {
		l, f := &p.Layers[i], "holdshort.landlock.layers["+strconv.Itoa(i)+"]"
		for j := range l.PathBeneath {
			out = append(out, Beyond{f + ".pathBeneath[" + strconv.Itoa(j) + "]", l.PathBeneath[j]})
		}
		for j := range l.NetPort {
			out = append(out, Beyond{f + ".netPort[" + strconv.Itoa(j) + "]", l.NetPort[j]})
		}
		for j, r := range l.RestrictFlags {
			if r != "tsync" { // a workload begins with one thread
				out = append(out, Beyond{f + ".restrictFlags[" + strconv.Itoa(j) + "]", r})
			}
		}
	}
	return out
}

func (b *builder) landlock() {
	p := b.r.Ext.Landlock
	if p == nil {
		return
	}
	const src = "holdshort.landlock"
	layers, dropped := landlockLayers(p, b.f.LandlockABI)
	note := ""
	if len(dropped) > 0 && p.BestEffort {
		note = "best effort: this kernel lacks " + strings.Join(dropped, ", ")
	}
	if n, ok := b.c.Landlock.Layers.Get(); ok {
		put(b, LandlockLayers, &b.w.Landlock.Layers, n+uint32(len(layers)), Requested, src)
	} else {
		b.puzzle(LandlockLayers, Requested, src, "the caller's layers were not counted")
	}
	b.e.rules[LandlockLayers].note = note
	if before, ok := b.c.Landlock.Handled.Get(); ok {
		all := slices.Clone(before)
		for _, l := range layers {
			const refer = 1 << 13 // a layer that handles files denies it unasked
			if l.fs != 0 {
				l.fs |= refer
			}
			all = append(all, posture.LandlockLayer{FS: uint32(l.fs), Net: uint32(l.net), Scope: uint32(l.scoped)})
		}
		put(b, LandlockHandled, &b.w.Landlock.Handled, all, Requested, src)
	} else {
		b.puzzle(LandlockHandled, Requested, src, "the caller's layers were not read")
	}
	b.e.rules[LandlockHandled].note = note
	b.landlockRuleCount(p, layers)
}

// landlockRuleCount: the kernel counts the objects that have rules. How many
// there are follows from the request where the caller has none; two paths may
// be one file, which only the launch can tell.
func (b *builder) landlockRuleCount(p *landlock.Policy, layers []landlockLayer) {
	const src = "holdshort.landlock"
	ports, paths := map[uint16]bool{}, false
	for _, l := range layers {
		for _, r := range p.Layers[l.index].NetPort {
			if m, _ := landlock.Mask(landlock.Net, r.AllowedAccess); m&l.net != 0 {
				ports[r.Port] = true
			}
		}
		for _, r := range p.Layers[l.index].PathBeneath {
			m, _ := landlock.Mask(landlock.FS, r.AllowedAccess)
			paths = paths || m&l.fs != 0
		}
	}
	before, ok := b.c.Landlock.Rules.Get()
	switch {
	case !ok:
		b.puzzle(LandlockRules, Implied, src, "the caller's rules were not counted")
	case len(ports) == 0 && !paths:
		put(b, LandlockRules, &b.w.Landlock.Rules, before, Implied, src)
	case before == 0 && !paths:
		put(b, LandlockRules, &b.w.Landlock.Rules, uint32(len(ports)), Requested, src)
	default:
		b.puzzle(LandlockRules, Implied, src, notFixed)
	}
}
