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

// landlockRules lists what no posture shows of a policy: how denials are logged.
func landlockRules(p *landlock.Policy) []Beyond {
	if p == nil {
		return nil
	}
	var out []Beyond
	for i := range p.Layers {
		l, f := &p.Layers[i], "holdshort.landlock.layers["+strconv.Itoa(i)+"]"
		for j, r := range l.RestrictFlags {
			if r != "tsync" { // a workload begins with one thread
				out = append(out, Beyond{Field: f + ".restrictFlags[" + strconv.Itoa(j) + "]", Want: r})
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
	b.landlockRuleList(p, layers)
	b.e.rules[LandlockRuleList].note = note
}
