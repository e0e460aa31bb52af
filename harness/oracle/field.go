package oracle

import "github.com/holdshort/holdshort/probes/posture"

// Field is one thing that is compared: mostly a field of
// [posture.Posture]; each resource limit is a field of its own.
type Field uint8

// The fields, in the order in which reports list them.
const (
	NSUser Field = iota
	NSMount
	NSPID
	NSPIDForChildren
	NSNet
	NSUTS
	NSIPC
	NSCgroup
	NSTime
	NSTimeForChildren
	UserParent
	UserUIDMap
	UserGIDMap
	UserSetgroups
	UserOwnerUID
	UTSHostname
	UTSDomainname
	TimeMonotonic
	TimeBoottime
	UID
	EUID
	SUID
	FSUID
	GID
	EGID
	SGID
	FSGID
	Groups
	CapBounding
	CapPermitted
	CapEffective
	CapInheritable
	CapAmbient
	NoNewPrivs
	Securebits
	Dumpable
	Pdeathsig
	Personality
	LoginUID
	AuditSession
	SpecFlags
	SeccompMode
	SeccompCount
	SeccompFilters
	SeccompArmed
	LandlockLayers
	LandlockHandled
	LandlockRules
	LandlockRuleList
	CgroupV2
	CgroupV1
	CgroupFrozen
	RlimitCPU
	RlimitFSize
	RlimitData
	RlimitStack
	RlimitCore
	RlimitRSS
	RlimitNProc
	RlimitNoFile
	RlimitMemlock
	RlimitAS
	RlimitLocks
	RlimitSigpending
	RlimitMsgqueue
	RlimitNice
	RlimitRTPrio
	RlimitRTTime
	OOMScoreAdj
	OOMScoreAdjMin
	SchedPolicy
	SchedNice
	SchedRTPriority
	SchedResetOnFork
	SchedAffinity
	SchedIOPrio
	SchedTimerSlack
	SchedCoreCookie
	SchedDeadlineRuntime
	SchedDeadline
	SchedDeadlinePeriod
	SchedUclampMin
	SchedUclampMax
	SchedAutogroup
	SchedAutogroupNice
	MemoryPolicy
	MemoryNodes
	MemoryMemsAllowed
	MemoryMDWE
	MemoryTHPDisabled
	MemoryMergeAny
	MemoryCoredumpFilter
	MemoryRandomized
	SignalsBlocked
	SignalsIgnored
	SignalsPending
	ProcessPID
	ProcessPIDInside
	ProcessParent
	ProcessTracer
	ProcessSession
	ProcessGroup
	ProcessSessionLeader
	ProcessTTY
	ProcessSubreaper
	ProcessThreads
	ProcessSyscallDispatch
	ProcessShadowStack
	ProcessIOUring
	ProcessIOUringRestricted
	ProcessMCEKill
	ProcessIOFlusher
	FSUmask
	FSRoot
	FSCwd
	FSCwdUnderRoot
	FSRootIsMountRoot
	FSRootReadOnly
	FSRootPropagation
	OpenFiles
	KeyringSession
	KeyringProcess
	KeyringThread
	KeyringSessionOwner
	ExecExe
	ExecExeNlink
	ExecComm
	ExecArgs
	ExecEnv
	ExecSecure
	ExecForkNoExec

	NumFields
)

// String is the field's name in reports: the path in the posture's JSON form.
func (f Field) String() string {
	if f >= NumFields {
		return "unknown field"
	}
	return table[f].name
}

// FieldByName is the inverse of String.
func FieldByName(name string) (Field, bool) {
	for f := range NumFields {
		if table[f].name == name {
			return f, true
		}
	}
	return 0, false
}

// Known reports whether the field was read, and if not, why.
func (f Field) Known(p *posture.Posture) (bool, string) { return table[f].ops.known(p) }

// Value returns the field's value as it stands in the posture's JSON form, or
// nil if it was not read.
func (f Field) Value(p *posture.Posture) any { return table[f].ops.value(p) }

// Equal reports whether two postures, both of which know the field, agree.
func (f Field) Equal(a, b *posture.Posture) bool { return table[f].ops.equal(a, b) }

// Forget marks the field as unknown.
func (f Field) Forget(p *posture.Posture, why string) { table[f].ops.forget(p, why) }

// order is how an observed value stands to a wanted one.
type order int8

const (
	other    order = iota // different, and neither is stricter
	laxer                 // observed allows more
	stricter              // observed allows less
)

// ops are what can be done with a field. They are written out per type instead
// of reflecting, since every launch runs through all of them several times.
type ops interface {
	known(*posture.Posture) (bool, string)
	equal(a, b *posture.Posture) bool
	// agree: a and all of bs know the field and say the same of it.
	agree(a *posture.Posture, bs []*posture.Posture) bool
	order(want, got *posture.Posture) order
	value(*posture.Posture) any
	forget(p *posture.Posture, why string)
}

// of makes the ops of one Value.
type of[T any] struct {
	at  func(*posture.Posture) *posture.Value[T]
	eq  func(a, b T) bool
	cmp func(want, got T) order // nil: no value is stricter than another
}

func (o of[T]) known(p *posture.Posture) (bool, string) {
	v := o.at(p)
	if v.IsKnown() {
		return true, ""
	}
	return false, v.Why()
}

func (o of[T]) equal(a, b *posture.Posture) bool {
	x, _ := o.at(a).Get()
	y, _ := o.at(b).Get()
	return o.eq(x, y)
}

func (o of[T]) agree(a *posture.Posture, bs []*posture.Posture) bool {
	x, ok := o.at(a).Get()
	for _, b := range bs {
		y, known := o.at(b).Get()
		if !known || !o.eq(x, y) {
			return false
		}
	}
	return ok
}

func (o of[T]) order(want, got *posture.Posture) order {
	if o.cmp == nil {
		return other
	}
	w, _ := o.at(want).Get()
	g, _ := o.at(got).Get()
	return o.cmp(w, g)
}

func (o of[T]) value(p *posture.Posture) any {
	v, ok := o.at(p).Get()
	if !ok {
		return nil
	}
	return v
}

func (o of[T]) forget(p *posture.Posture, why string) { *o.at(p) = posture.Unreadable[T](why) }

func scalar[T comparable](at func(*posture.Posture) *posture.Value[T], cmp func(want, got T) order) ops {
	return plain[T]{of[T]{at, func(a, b T) bool { return a == b }, cmp}}
}

// plain is for values that the language itself can compare.
type plain[T comparable] struct{ of[T] }

func (o plain[T]) agree(a *posture.Posture, bs []*posture.Posture) bool {
	x := o.at(a)
	for _, b := range bs {
		if *o.at(b) != *x {
			return false
		}
	}
	return x.IsKnown()
}

func list[T comparable](at func(*posture.Posture) *posture.Value[[]T]) ops {
	return of[[]T]{at, equalLists[T], nil}
}

func equalLists[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// rlimit is one of the sixteen limits.
type rlimit int

func (n rlimit) known(p *posture.Posture) (bool, string) {
	if p.Rlimits.IsKnown() {
		return true, ""
	}
	return false, p.Rlimits.Why()
}

func (n rlimit) get(p *posture.Posture) posture.Rlimit {
	l, _ := p.Rlimits.Get()
	return l[n]
}

func (n rlimit) equal(a, b *posture.Posture) bool { return n.get(a) == n.get(b) }

func (n rlimit) agree(a *posture.Posture, bs []*posture.Posture) bool {
	for _, b := range bs {
		if b.Rlimits != a.Rlimits && (!b.Rlimits.IsKnown() || !n.equal(a, b)) {
			return false
		}
	}
	return a.Rlimits.IsKnown()
}

func (n rlimit) order(want, got *posture.Posture) order {
	w, g := n.get(want), n.get(got)
	switch {
	case g.Soft > w.Soft || g.Hard > w.Hard:
		return laxer
	default:
		return stricter
	}
}

func (n rlimit) value(p *posture.Posture) any {
	if !p.Rlimits.IsKnown() {
		return nil
	}
	return n.get(p)
}

// The limits are one Value: they are known or unknown together.
func (n rlimit) forget(p *posture.Posture, why string) {
	p.Rlimits = posture.Unreadable[posture.Rlimits](why)
}
