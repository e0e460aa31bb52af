package procfs

import "github.com/holdshort/holdshort/probes/posture"

const nothing = "nothing in /proc shows it"

// hidden are the fields that cannot be read from outside of a task, and why.
var hidden = map[string]string{
	"privilege.securebits":        nothing,
	"privilege.pdeathsig":         nothing,
	"seccomp.armed":               nothing,
	"landlock.layers":             nothing,
	"landlock.handled":            nothing,
	"landlock.rules":              nothing,
	"landlock.rule_list":          nothing,
	"oom.score_adj_min":           nothing,
	"memory.mdwe":                 nothing,
	"process.child_subreaper":     nothing,
	"process.io_uring":            nothing,
	"process.io_uring_restricted": nothing,
	"keyrings.session":            ownKeyrings,
	"keyrings.process":            ownKeyrings,
	"keyrings.thread":             ownKeyrings,
	"keyrings.session_owner":      ownKeyrings,
}

const ownKeyrings = "/proc shows keyrings of the reader only"

// Hidden says why this package never reads a field of a posture; it is empty for
// one that it reads where the kernel has it.
func Hidden(path string) string { return hidden[path] }

// Partial reports whether /proc shows only a part of a field, so that nothing can
// be judged by that alone. "privilege.dumpable" is not among them: it is shown
// either whole or not at all.
func Partial(path string) bool {
	switch path {
	case "seccomp.filters", "sched.uclamp_min", "sched.uclamp_max", "memory.thp_disabled":
		return true
	}
	return false
}

// unseen gives the reasons of what nothing outside of the task shows.
func (t *task) unseen() {
	p := t.p
	p.Privilege.Securebits, p.Privilege.Pdeathsig = posture.Unreadable[uint32](nothing), posture.Unreadable[uint32](nothing)
	p.Landlock.Layers, p.Landlock.Rules = posture.Unreadable[uint32](nothing), posture.Unreadable[uint32](nothing)
	p.Landlock.Handled = posture.Unreadable[[]posture.LandlockLayer](nothing)
	p.Landlock.RuleList = posture.Unreadable[[]posture.LandlockRule](nothing)
	p.Seccomp.Armed = posture.Unreadable[bool](nothing)
	p.Memory.MDWE = posture.Unreadable[uint32](nothing)
	p.OOM.ScoreAdjMin = posture.Unreadable[int32](nothing)
	p.Process.Subreaper = posture.Unreadable[bool](nothing)
	p.Process.IOUring, p.Process.IOUringRestricted = posture.Unreadable[bool](nothing), posture.Unreadable[bool](nothing)
	key := posture.Unreadable[int32](ownKeyrings)
	p.Keyrings = posture.Keyrings{Session: key, Process: key, Thread: key, SessionOwner: posture.Unreadable[uint32](ownKeyrings)}
}
