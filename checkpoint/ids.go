package checkpoint

import (
	"encoding/binary"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// ids switches groups, gid and uid, in this order, since each needs what the
// next takes away.
func (p *plan) ids() {
	c := p.cfg
	if c.Groups.Set {
		p.final.add(StageIDs, -1, "groups", setgroups(c.Groups.Value))
	}
	if c.GID.Set {
		g := agent.N(c.GID.Value)
		p.final.add(StageIDs, -1, "gid", agent.Sys(unix.SYS_SETRESGID, g, g, g))
	}
	if c.UID.Set {
		u := agent.N(c.UID.Value)
		if p.keepCaps() {
			p.final.add(StageIDs, -1, "keep-caps", agent.Sys(unix.SYS_PRCTL, agent.N(unix.PR_SET_KEEPCAPS), agent.N(1), agent.N(0), agent.N(0), agent.N(0)))
		}
		p.final.add(StageIDs, -1, "uid", agent.Sys(unix.SYS_SETRESUID, u, u, u))
		if p.keepCaps() {
			p.final.add(StageIDs, -1, "keep-caps", agent.Sys(unix.SYS_PRCTL, agent.N(unix.PR_SET_KEEPCAPS), agent.N(0), agent.N(0), agent.N(0), agent.N(0)))
		}
	}
}

func setgroups(groups []uint32) agent.Op {
	list := make([]byte, 4*len(groups))
	for i, g := range groups {
		binary.NativeEndian.PutUint32(list[4*i:], g)
	}
	return agent.Sys(unix.SYS_SETGROUPS, agent.N(len(groups)), agent.B(list))
}

// keepCaps: permitted capabilities are wanted on the far side of a change from
// user 0, which would clear them (capabilities(7)). A locked SECBIT_KEEP_CAPS
// cannot be changed, and then need not be.
func (p *plan) keepCaps() bool {
	c := p.cfg
	const keepCaps, keepCapsLocked, noFixup = 1 << 4, 1 << 5, 1 << 2
	if c.Securebits.Set && c.Securebits.Value&(keepCapsLocked|noFixup|keepCaps) != 0 {
		return false
	}
	return c.UID.Value != 0 && (c.Capabilities.Permitted.Value|c.Capabilities.Effective.Value|c.Capabilities.Ambient.Value|c.Capabilities.Inheritable.Value) != 0
}
