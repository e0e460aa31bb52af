package fuzz

import (
	"math/bits"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/capability"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func capabilitySet(name string, of func(*specs.LinuxCapabilities) []string) dimension {
	return dimension{
		name: name, needs: []string{"capabilities"},
		has: func(r *request.Request) bool {
			c := r.Process().Capabilities
			return c != nil && len(of(c)) > 0
		},
	}
}

func securebit(name string, mask uint32) dimension {
	return dimension{
		name: name, needs: []string{"securebits"},
		has: func(r *request.Request) bool { return r.Ext.Securebits != nil && *r.Ext.Securebits&mask != 0 },
	}
}

// Bits of prctl(2) PR_SET_SECUREBITS.
const (
	noRoot, noRootLocked              = 1 << 0, 1 << 1
	noFixup, noFixupLocked            = 1 << 2, 1 << 3
	keepCaps, keepCapsLocked          = 1 << 4, 1 << 5
	noAmbient, noAmbientLocked        = 1 << 6, 1 << 7
	allLocks                   uint32 = noRootLocked | noFixupLocked | keepCapsLocked | noAmbientLocked
)

var identity = []dimension{
	{
		name: "ids", can: root,
		draw: func(d *drawer) {
			d.r.Ext.KeepIDs = false
			u := &d.r.Spec.Process.User
			u.UID, u.GID = d.id(d.r.Spec.Linux.UIDMappings), d.id(d.r.Spec.Linux.GIDMappings)
		},
		has: func(r *request.Request) bool { return !r.Ext.KeepIDs },
	},
	{
		name: "groups", needs: []string{"ids"},
		draw: func(d *drawer) {
			u := &d.r.Spec.Process.User
			for range choice(d, 1, 2, 3, 16, 100) {
				u.AdditionalGids = append(u.AdditionalGids, d.id(d.r.Spec.Linux.GIDMappings))
			}
		},
		has: func(r *request.Request) bool { return len(r.Process().User.AdditionalGids) > 0 },
	},
	{
		name: "deny setgroups", needs: []string{"ns user"},
		draw: func(d *drawer) {
			if d.on["groups"] && d.chance(90) || !d.fresh(specs.UserNamespace) {
				return
			}
			d.r.Spec.Process.User.AdditionalGids = nil
			d.r.Ext.DenySetgroups = true
		},
		has: func(r *request.Request) bool { return r.Ext.DenySetgroups },
	},
	{
		name: "no new privileges",
		draw: func(d *drawer) { d.r.Spec.Process.NoNewPrivileges = true },
		has:  func(r *request.Request) bool { return r.Process().NoNewPrivileges },
	},
	{
		name: "securebits", can: root, draw: secure,
		has: func(r *request.Request) bool { return r.Ext.Securebits != nil },
	},
	securebit("securebits, noroot", noRoot),
	securebit("securebits, keep caps", keepCaps),
	securebit("securebits, locks", allLocks),
	{
		name: "capabilities", can: root, draw: caps,
		has: func(r *request.Request) bool { return r.Process().Capabilities != nil },
	},
	capabilitySet("capabilities, bounding", func(c *specs.LinuxCapabilities) []string { return c.Bounding }),
	capabilitySet("capabilities, permitted", func(c *specs.LinuxCapabilities) []string { return c.Permitted }),
	capabilitySet("capabilities, effective", func(c *specs.LinuxCapabilities) []string { return c.Effective }),
	capabilitySet("capabilities, inheritable", func(c *specs.LinuxCapabilities) []string { return c.Inheritable }),
	capabilitySet("capabilities, ambient", func(c *specs.LinuxCapabilities) []string { return c.Ambient }),
}

// id is one that the map has; without a map any will do.
func (d *drawer) id(m []specs.LinuxIDMapping) uint32 {
	if len(m) == 0 {
		return pick(d, 0, 1, 1000, 65534, uint32(d.in(2, 1<<31)))
	}
	e := m[d.IntN(len(m))]
	return e.ContainerID + pick(d, 0, 0, e.Size-1, d.Uint32N(e.Size))
}

func secure(d *drawer) {
	b := uint32(0)
	for _, bit := range []uint32{noRoot, noFixup, keepCaps, noAmbient} {
		if d.chance(35) {
			b |= bit
		}
		if d.chance(20) {
			b |= bit << 1
		}
	}
	if v, ok := d.chosen(); ok {
		b = []uint32{0, noRoot, noFixup, keepCaps, noAmbient, noRoot | noFixup | keepCaps | allLocks}[v]
	}
	// A lock on the cleared bit would leave a user other than 0 nothing to set
	// capabilities from.
	if b&keepCapsLocked != 0 {
		b |= keepCaps
	}
	d.r.Ext.Securebits = &b
}

// subset keeps none, few, many or all of a set.
func (d *drawer) subset(of uint64) uint64 {
	switch d.IntN(6) {
	case 0:
		return 0
	case 1:
		return of
	case 2, 3:
		return of & d.Uint64() & d.Uint64() & d.Uint64()
	default:
		return of & d.Uint64()
	}
}

// caps draws the five sets such that capset(2) and prctl(2) take them: the
// inheritable set within bounding and permitted set of the launcher, the
// ambient set within permitted and inheritable one.
func caps(d *drawer) {
	base, bounding := d.m.Caps, d.m.Bounding
	if d.fresh(specs.UserNamespace) {
		base, bounding = d.m.AllCaps, d.m.AllCaps
	}
	bnd := d.subset(bounding)
	inh := d.subset(bnd & base)
	per := d.subset(base)
	if d.chance(40) {
		per |= inh // else there is hardly an ambient one
	}
	eff := d.subset(per)
	amb := d.subset(per & inh)
	if v, ok := d.chosen(); ok {
		switch v {
		case 0:
			bnd, inh, per, eff, amb = 0, 0, 0, 0, 0
		case 1:
			bnd, inh, per, eff, amb = bounding, 0, base, base, 0
		case 2: // some, as drawn
			amb = 0
		case 3:
			inh = bounding & base & d.Uint64()
			bnd, per, eff, amb = bounding, base, inh, inh
		}
	}
	if s := d.r.Ext.Securebits; s != nil && *s&noAmbient != 0 {
		amb = 0
	}
	d.r.Spec.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: names(bnd), Permitted: names(per), Effective: names(eff), Inheritable: names(inh), Ambient: names(amb),
	}
}

func names(set uint64) []string {
	var out []string
	for ; set != 0; set &= set - 1 {
		out = append(out, "CAP_"+strings.ToUpper(capability.Cap(bits.TrailingZeros64(set)).String()))
	}
	return out
}
