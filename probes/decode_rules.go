package probes

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/probes/bpf"
	"github.com/holdshort/holdshort/probes/posture"
)

const ruleSize = 16 // struct rule of bpf/event.h

// rules reads the rules of the Landlock domain. It comes after landlock, whose
// masks say which bits of a rule mean something: the kernel sets those that the
// layer does not handle (landlock_append_fs_rule, security/landlock/fs.c:
// "Transforms relative access rights to absolute ones").
func (b builder) rules(p *posture.Posture, raw []byte, facts *kernelFacts) {
	l := &p.Landlock
	if facts.noLandlock {
		return
	}
	n, ok := l.Rules.Get()
	handled, okHandled := l.Handled.Get()
	why := ""
	switch {
	case !ok:
		why = l.Rules.Why()
	case n == 0:
		l.RuleList = posture.Known([]posture.LandlockRule{})
		return
	case b.is(bpf.ProbesMoreMORE_RULES_MANY):
		why = fmt.Sprintf("there are %d rules, of which %d can be read", n, posture.MaxLandlockRules)
	case !b.is(bpf.ProbesMoreMORE_RULES):
		why = "this kernel keeps them in a form that is not known"
	case !okHandled:
		why = "what the layers handle is not known: " + l.Handled.Why()
	default:
		why = b.failed(bpf.ProbesFailedFAIL_RULES)
	}
	if why != "" {
		l.RuleList = posture.Unreadable[[]posture.LandlockRule](why)
		return
	}
	list := make([]posture.LandlockRule, 0, n)
	layout := ruleLayout(b.e.Core.RuleLayout)
	for len(raw) >= ruleSize {
		c := cursor{raw}
		r := posture.LandlockRule{Kind: posture.RulePath}
		key, dev := c.u64(), c.u32()
		kindAndLayers := c.u32()
		if kindAndLayers&0xffff != 0 {
			r.Kind, r.Port = posture.RulePort, uint16(key>>8&0xff|key<<8&0xff00)
		} else if dev != 0 {
			r.Inode = posture.Inode{Dev: userDev(dev), Ino: key}
		}
		layers := int(kindAndLayers >> 16)
		for i := range layers {
			at, ok := layout.read(c.b, i)
			if !ok || at.level == 0 || int(at.level) > len(handled) {
				l.RuleList = posture.Unreadable[[]posture.LandlockRule]("a rule names a layer that is not there")
				return
			}
			h := handled[at.level-1]
			r.Layer, r.Access = at.level, at.access&h.FS
			if r.Kind == posture.RulePort {
				r.Access = at.access & h.Net
			}
			list = append(list, r)
		}
		raw = c.b[min(len(c.b), layers*layout.size()):]
	}
	slices.SortFunc(list, posture.LandlockRule.Compare)
	l.RuleList = posture.Known(list)
}

// ruleLayout is core.rule_layout: where a struct landlock_layer has what.
type ruleLayout uint32

func (l ruleLayout) size() int { return int(l & 0xf) }

type ruleLayer struct{ level, access uint32 }

// read reads the i-th of the layers at b.
func (l ruleLayout) read(b []byte, i int) (ruleLayer, bool) {
	if l.size() == 0 || len(b) < (i+1)*l.size() {
		return ruleLayer{}, false
	}
	var word [16]byte
	copy(word[:8], b[i*l.size():(i+1)*l.size()])
	at := func(shift int) uint32 {
		offset, size := int(l>>shift&0xf), int(l>>(shift+4)&0xf)
		v := binary.LittleEndian.Uint64(word[offset&7:])
		if size > 0 && size < 4 {
			v &= 1<<(8*size) - 1
		}
		return uint32(v)
	}
	return ruleLayer{at(4), at(12)}, true
}
