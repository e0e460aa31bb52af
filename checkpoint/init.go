package checkpoint

import (
	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// initShim starts the init of the new pid namespace. The child leaves its own
// pid namespace for its children only (unshare(2)); of those the init is the
// first, and the workload, by the second clone, the next. Both are children of
// the agent by CLONE_PARENT, which a pid namespace's own first process could
// not use (clone(2)).
func (p *plan) initShim() {
	if !p.cfg.Init {
		return
	}
	p.setup.add(StageNamespaces, -1, "pid", agent.Sys(unix.SYS_UNSHARE, agent.N(unix.CLONE_NEWPID)))
	const keep = ^uint64(0)
	uid, gid := keep, keep
	switch {
	case p.cfg.has(User, true):
		uid, gid = 0, 0 // if they are mapped there
	case p.cfg.has(User, false):
		uid, gid = someID(p.cfg.UIDMap), someID(p.cfg.GIDMap)
	}
	p.setup.add(StageInit, -1, "", agent.Sys(agent.OpInit, agent.N(uid), agent.N(gid)))
}

// someID is 0, or else the first id of a map.
func someID(m []IDMap) uint64 {
	switch {
	case mapped(m, 0):
		return 0
	case len(m) > 0:
		return uint64(m[0].Inside)
	}
	return ^uint64(0)
}
