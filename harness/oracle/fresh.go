package oracle

import "github.com/holdshort/holdshort/probes/posture"

// Fresh reports whether a field has the value that a process has that nobody
// has changed anything about, since boot. Known is false for a field of which
// that cannot be said: there is no such value, or the machine decides it.
//
// The values are those of INIT_TASK (init/init_task.c), of INIT_CRED, of
// MMF_DUMP_FILTER_DEFAULT (include/linux/mm_types.h) and, for the umask, what
// every login and service manager sets.
func Fresh(f Field, p *posture.Posture) (fresh, known bool) {
	if ok, _ := f.Known(p); !ok {
		return false, false
	}
	switch f {
	case SchedNice:
		v, _ := p.Sched.Nice.Get()
		return v == 0, true
	case SchedPolicy:
		v, _ := p.Sched.Policy.Get()
		return v == 0, true
	case SchedIOPrio:
		v, _ := p.Sched.IOPrio.Get()
		return v == 0, true
	case SchedTimerSlack:
		v, _ := p.Sched.TimerSlack.Get()
		return v == 50000, true
	case OOMScoreAdj:
		v, _ := p.OOM.ScoreAdj.Get()
		return v == 0, true
	case Personality:
		v, _ := p.Privilege.Personality.Get()
		return v == 0, true
	case Securebits:
		v, _ := p.Privilege.Securebits.Get()
		return v == 0, true
	case NoNewPrivs:
		v, _ := p.Privilege.NoNewPrivs.Get()
		return !v, true
	case FSUmask:
		v, _ := p.FS.Umask.Get()
		return v == 0o022, true
	case MemoryCoredumpFilter:
		const anonPrivate, anonShared, elfHeaders, hugetlbPrivate = 1, 2, 1 << 4, 1 << 5
		v, _ := p.Memory.CoredumpFilter.Get()
		return v == anonPrivate|anonShared|elfHeaders|hugetlbPrivate, true
	case MemoryTHPDisabled:
		v, _ := p.Memory.THPDisabled.Get()
		return v == 0, true
	case MemoryPolicy:
		v, _ := p.Memory.Policy.Get()
		return v == 0, true
	case SeccompMode:
		v, _ := p.Seccomp.Mode.Get()
		return v == 0, true
	case LandlockLayers:
		v, _ := p.Landlock.Layers.Get()
		return v == 0, true
	}
	return false, false
}

// Fresh is [Fresh] of an observed field that nobody asked for; of one that was
// asked for it is not known. A fresh process may run on all CPUs of its cpuset.
func (e *Expectation) Fresh(f Field, got *posture.Posture) (fresh, known bool) {
	all := e.feat.CPUs
	switch {
	case f == SchedAffinity && e.rules[f].pred == isWithin:
		all, _ = e.want.Sched.Affinity.Get() // of the cpuset that was asked for
	case e.rules[f].class != Kept:
		return false, false
	case f != SchedAffinity:
		return Fresh(f, got)
	}
	v, ok := got.Sched.Affinity.Get()
	return equalMasks(v, all), ok && len(all) > 0
}
