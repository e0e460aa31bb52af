package checkpoint

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Apply puts further constraints on a parked workload: the fields of patch that
// are set replace those of its Config. What can be done at once is (hostname,
// mounts, links and routes, sysctls, scheduling, oom_score_adj, keyring, cgroup
// limits), and Apply answers what the kernel said; a failure ends the workload.
// What must come last (descriptors, cwd, limits, ids, capabilities,
// no_new_privs, seccomp) is checked and kept; the kernel's answer to it is the
// answer of Proceed.
//
// Namespaces, id maps, cgroup membership, root and program are given at birth:
// asking for them here matches [ErrBirth]. After Proceed everything is refused
// with [ErrNotParked].
func (w *Workload) Apply(ctx context.Context, patch *Config) error {
	w.verb.Lock()
	defer w.verb.Unlock()
	if err := w.leave(Parked, Parked); err != nil {
		return err
	}
	if f := patch.birthField(); f != "" {
		return fail(StageConfig, f, ErrBirth)
	}
	merged := w.plan.cfg.merge(patch)
	if err := merged.Validate(); err != nil {
		return err
	}
	p := w.own()
	old := p.cfg
	p.cfg = &merged
	begun := p.sessionBegun
	p.setup, p.final, p.host = batch{}, batch{}, nil
	p.setupSteps(patch)
	p.limits(patch)
	p.finalSteps()
	for _, b := range []*batch{&p.setup, &p.final} {
		if b.err != nil {
			err := b.err
			p.cfg, p.sessionBegun = old, begun
			p.setup, p.final = batch{}, batch{}
			p.finalSteps()
			return err
		}
	}
	if err := w.next(ctx, p.setup.steps); err != nil {
		return err
	}
	return w.hostSteps(ctx, p.host)
}

// birthField names a field of a patch that can only be given to Spawn.
func (c *Config) birthField() string {
	switch {
	case len(c.Args) > 0 || c.Path != "" || c.SearchPath:
		return "args"
	case len(c.Namespaces) > 0:
		return "namespaces"
	case len(c.UIDMap)+len(c.GIDMap) > 0 || c.DenySetgroups || c.MapHelper:
		return "uid_map"
	case c.Init:
		return "init"
	case c.Enter != nil:
		return "enter"
	case c.TimeOffsets != TimeOffsets{}:
		return "time_offsets"
	case c.Cgroup.V2 != "" || len(c.Cgroup.V1) > 0 || c.Cgroup.Create || c.Cgroup.Devices.Set || c.Cgroup.Freeze || c.Cgroup.Delegate:
		return "cgroup"
	case c.Root != Root{} || c.Propagation != "":
		return "root"
	}
	for i := range c.Mounts {
		if s := c.Mounts[i].parse(); s.bind && !s.remount {
			return fmt.Sprintf("mounts[%d]", i) // its source is in the root that the workload has left
		}
	}
	if len(c.Devices) > 0 || c.Console || len(c.MaskedPaths) > 0 {
		return "devices" // may need the host's, as masked paths need its null device
	}
	return ""
}

// merge returns c with the fields that patch sets.
func (c *Config) merge(patch *Config) Config {
	m := *c
	set(&m.Hostname, patch.Hostname)
	set(&m.Domainname, patch.Domainname)
	set(&m.OOMScoreAdj, patch.OOMScoreAdj)
	set(&m.Nice, patch.Nice)
	set(&m.IOPrio, patch.IOPrio)
	set(&m.Scheduler, patch.Scheduler)
	set(&m.TimerSlack, patch.TimerSlack)
	m.mergeTuning(patch)
	set(&m.Umask, patch.Umask)
	set(&m.Personality, patch.Personality)
	set(&m.UID, patch.UID)
	set(&m.GID, patch.GID)
	set(&m.Groups, patch.Groups)
	set(&m.Securebits, patch.Securebits)
	set(&m.Pdeathsig, patch.Pdeathsig)
	set(&m.Capabilities.Bounding, patch.Capabilities.Bounding)
	set(&m.Capabilities.Permitted, patch.Capabilities.Permitted)
	set(&m.Capabilities.Effective, patch.Capabilities.Effective)
	set(&m.Capabilities.Inheritable, patch.Capabilities.Inheritable)
	set(&m.Capabilities.Ambient, patch.Capabilities.Ambient)
	m.Session = m.Session || patch.Session
	m.NewKeyring = m.NewKeyring || patch.NewKeyring
	m.identity(patch)
	m.NoNewPrivs = m.NoNewPrivs || patch.NoNewPrivs
	if patch.Landlock != nil {
		m.Landlock = patch.Landlock
	}
	if patch.Filters != nil {
		m.Filters = patch.Filters
	}
	if patch.Seccomp != nil {
		m.Seccomp = patch.Seccomp
	}
	if patch.Cwd != "" {
		m.Cwd = patch.Cwd
	}
	if patch.Env != nil {
		m.Env = patch.Env
	}
	if patch.Affinity != nil {
		m.Affinity = patch.Affinity
	}
	if patch.IgnoreSignals != nil {
		m.IgnoreSignals = patch.IgnoreSignals
	}
	if patch.BlockSignals != nil {
		m.BlockSignals = patch.BlockSignals
	}
	// Appended so that they are checked against the workload's namespaces.
	m.Mounts = append(slices.Clip(c.Mounts), patch.Mounts...)
	m.Symlinks = append(slices.Clip(c.Symlinks), patch.Symlinks...)
	m.ReadOnlyPaths = append(slices.Clip(c.ReadOnlyPaths), patch.ReadOnlyPaths...)
	m.Network.LoopbackUp = c.Network.LoopbackUp || patch.Network.LoopbackUp
	m.Network.Links = append(slices.Clip(c.Network.Links), patch.Network.Links...)
	m.Network.Routes = append(slices.Clip(c.Network.Routes), patch.Network.Routes...)
	m.Network.Neighbours = append(slices.Clip(c.Network.Neighbours), patch.Network.Neighbours...)
	m.Network.Nftables = append(slices.Clip(c.Network.Nftables), patch.Network.Nftables...)
	m.Network.Rules = append(slices.Clip(c.Network.Rules), patch.Network.Rules...)
	m.Cgroup.Limits = append(slices.Clip(c.Cgroup.Limits), patch.Cgroup.Limits...)
	if len(patch.Sysctls) > 0 {
		m.Sysctls = maps.Clone(patch.Sysctls)
	}
	m.Rlimits = nil
	for _, l := range c.Rlimits {
		if !hasLimit(patch.Rlimits, l.Resource) {
			m.Rlimits = append(m.Rlimits, l)
		}
	}
	m.Rlimits = append(m.Rlimits, patch.Rlimits...)
	return m
}

func set[T any](to *Option[T], from Option[T]) {
	if from.Set {
		*to = from
	}
}

func hasLimit(list []Rlimit, resource string) bool {
	for _, l := range list {
		if l.Resource == resource {
			return true
		}
	}
	return false
}
