package engine

import (
	"slices"

	"github.com/holdshort/holdshort/checkpoint/landlock"
)

// copyLandlock copies a policy, so that a change of the configuration is none of
// the request.
func copyLandlock(p *landlock.Policy) *landlock.Policy {
	if p == nil {
		return nil
	}
	c := *p
	c.Layers = slices.Clone(p.Layers)
	for i := range c.Layers {
		l := &c.Layers[i]
		for _, list := range []*[]landlock.Right{&l.HandledAccessFS, &l.HandledAccessNet, &l.Scoped, &l.RestrictFlags} {
			*list = slices.Clone(*list)
		}
		l.PathBeneath, l.NetPort = slices.Clone(l.PathBeneath), slices.Clone(l.NetPort)
		for j := range l.PathBeneath {
			l.PathBeneath[j].AllowedAccess = slices.Clone(l.PathBeneath[j].AllowedAccess)
		}
		for j := range l.NetPort {
			l.NetPort[j].AllowedAccess = slices.Clone(l.NetPort[j].AllowedAccess)
		}
	}
	return &c
}
