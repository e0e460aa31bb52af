package sample

import (
	"maps"

	"github.com/holdshort/holdshort/probes/posture"
)

type (
	change         = func(*posture.Posture)
	changer[T any] = func(func(*posture.Posture) *posture.Value[T]) change
)

// more adds the mutations of what a request seldom touches.
func more(b changer[bool], u changer[uint32], i changer[int32], l changer[uint64]) {
	type P = posture.Posture
	mask := func(at func(*P) *posture.Value[[]uint64]) change {
		return func(p *P) {
			v, _ := at(p).Get()
			*at(p) = posture.Known(append([]uint64{1 << 9}, v...))
		}
	}
	clamp := func(at func(*P) *posture.Value[posture.Uclamp]) change {
		return func(p *P) { v, _ := at(p).Get(); v.Value ^= 64; *at(p) = posture.Known(v) }
	}
	maps.Copy(Mutations, map[string]change{
		"seccomp.armed":  b(func(p *P) *posture.Value[bool] { return &p.Seccomp.Armed }),
		"landlock.rules": u(func(p *P) *posture.Value[uint32] { return &p.Landlock.Rules }),
		"landlock.handled": func(p *P) {
			v, _ := p.Landlock.Handled.Get()
			p.Landlock.Handled = posture.Known(append([]posture.LandlockLayer{{FS: 1 << 15}}, v...))
		},
		"landlock.rule_list": func(p *P) {
			v, _ := p.Landlock.RuleList.Get()
			p.Landlock.RuleList = posture.Known(append([]posture.LandlockRule{{Layer: 1, Kind: posture.RulePort, Port: 79, Access: 1}}, v...))
		},
		"cgroup.frozen":             b(func(p *P) *posture.Value[bool] { return &p.Cgroup.Frozen }),
		"sched.deadline_runtime_ns": l(func(p *P) *posture.Value[uint64] { return &p.Sched.DeadlineRuntime }),
		"sched.deadline_ns":         l(func(p *P) *posture.Value[uint64] { return &p.Sched.Deadline }),
		"sched.deadline_period_ns":  l(func(p *P) *posture.Value[uint64] { return &p.Sched.DeadlinePeriod }),
		"sched.uclamp_min":          clamp(func(p *P) *posture.Value[posture.Uclamp] { return &p.Sched.UclampMin }),
		"sched.uclamp_max":          clamp(func(p *P) *posture.Value[posture.Uclamp] { return &p.Sched.UclampMax }),
		"sched.autogroup": func(p *P) { // to the caller's, or away from it
			v, _ := p.Sched.Autogroup.Get()
			before, _ := Caller().Sched.Autogroup.Get()
			if v == before {
				before += 7
			}
			p.Sched.Autogroup = posture.Known(before)
		},
		"sched.autogroup_nice":   i(func(p *P) *posture.Value[int32] { return &p.Sched.AutogroupNice }),
		"memory.policy":          u(func(p *P) *posture.Value[uint32] { return &p.Memory.Policy }),
		"memory.nodes":           mask(func(p *P) *posture.Value[[]uint64] { return &p.Memory.Nodes }),
		"memory.mems_allowed":    mask(func(p *P) *posture.Value[[]uint64] { return &p.Memory.MemsAllowed }),
		"memory.mdwe":            u(func(p *P) *posture.Value[uint32] { return &p.Memory.MDWE }),
		"memory.thp_disabled":    u(func(p *P) *posture.Value[uint32] { return &p.Memory.THPDisabled }),
		"memory.merge_any":       b(func(p *P) *posture.Value[bool] { return &p.Memory.MergeAny }),
		"memory.coredump_filter": u(func(p *P) *posture.Value[uint32] { return &p.Memory.CoredumpFilter }),
		"memory.randomized":      b(func(p *P) *posture.Value[bool] { return &p.Memory.Randomized }),

		"process.syscall_user_dispatch": b(func(p *P) *posture.Value[bool] { return &p.Process.SyscallDispatch }),
		"process.shadow_stack":          l(func(p *P) *posture.Value[uint64] { return &p.Process.ShadowStack }),
		"process.io_uring":              b(func(p *P) *posture.Value[bool] { return &p.Process.IOUring }),
		"process.io_uring_restricted":   b(func(p *P) *posture.Value[bool] { return &p.Process.IOUringRestricted }),
		"process.mce_kill":              func(p *P) { p.Process.MCEKill = posture.Known(posture.MCEKillEarly) },
		"process.io_flusher":            b(func(p *P) *posture.Value[bool] { return &p.Process.IOFlusher }),
		"fs.root_propagation":           func(p *P) { p.FS.RootPropagation = posture.Known(posture.PropagationShared) },
		"keyrings.session_owner":        u(func(p *P) *posture.Value[uint32] { return &p.Keyrings.SessionOwner }),
	})
}
