package oracle

import (
	"slices"
	"strings"

	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Profile says what kind of engine is judged, where it is not this project's own
// launcher. What the runtime-spec leaves to the engine (session, keyring, the
// cgroup that nobody named) is then no finding, whatever the engine chose; what
// our launcher promises beyond the spec is not held against others. A nil
// Profile is our own launcher.
//
// Each thing that an engine documents is named here, one by one: there is no
// general leniency.
type Profile struct {
	// Name is that of the engine, as in reports.
	Name string
	// EnvAdds are variables that the engine documents to add. A variable that
	// was asked for keeps its value all the same.
	EnvAdds []string
	// AlwaysNoNewPrivs: documented to set no_new_privs unasked.
	AlwaysNoNewPrivs bool
	// Init: documented to run the program below an init of its own, as another
	// process than 1.
	Init bool
	// NestedUserNS: documented to make one more user namespace below the one
	// that was asked for.
	NestedUserNS bool
	// NoBounding: it has no way to limit the bounding set.
	NoBounding bool
	// AlwaysPdeathsig: documented to have the program killed when the engine dies.
	AlwaysPdeathsig bool
	// AlwaysFilters: documented to load seccomp filters of its own unasked.
	AlwaysFilters bool
	// Libseccomp: it compiles filters with that library, which kills the thread
	// where nothing is said of an architecture, and drops names that it does not
	// know. NewerIsENOSYS: it answers ENOSYS to calls that are newer than every
	// one that the policy names.
	Libseccomp, NewerIsENOSYS bool
	// CopiesStreams: documented to copy the standard streams through pipes of
	// its own.
	CopiesStreams bool
	// Devices are rules that the engine documents to add to
	// linux.resources.devices: those of the devices that it makes by itself.
	Devices []specs.LinuxDeviceCgroup
	// Mounts are where the engine documents to mount something by itself, and
	// if it ends in a slash, also below.
	Mounts []string
}

// choice is what the spec leaves to the engine: why any value will do, or only
// one that the predicate allows.
type choice struct {
	why string
	ok  func(e *Expectation, got *posture.Posture) (bool, string)
}

// profile relaxes the rules of an expectation to what another engine owes. It
// runs last.
func (b *builder) profile() {
	p := b.f.Profile
	if p == nil {
		return
	}
	b.e.choices = map[Field]choice{}
	free := func(why string, fields ...Field) {
		for _, f := range fields {
			b.e.choices[f] = choice{why: why}
			if r := &b.e.rules[f]; r.class != Requested {
				r.source = why
			}
		}
	}
	free("whose child it is, is the engine's matter", ProcessParent)
	if !b.r.Ext.Session && !b.p.Terminal {
		free("the spec says nothing of sessions", ProcessSession, ProcessSessionLeader)
		if !b.r.Ext.ProcessGroup {
			free("the spec says nothing of process groups", ProcessGroup)
		}
		free("a new session has an autogroup of its own", SchedAutogroup, SchedAutogroupNice)
		b.e.choices[ProcessTTY] = choice{"a new session has no terminal", func(_ *Expectation, got *posture.Posture) (bool, string) {
			t, _ := got.Process.TTY.Get()
			return t == posture.TTY{}, ""
		}}
	}
	if !b.r.Ext.OwnKeyring() {
		free("the spec says nothing of keyrings", KeyringSession, KeyringSessionOwner)
	}
	if b.r.Namespace(specs.PIDNamespace).Fresh() {
		b.pidInside(p)
	}
	b.env(p)
	b.streams(p)
	b.capsUnasked()
	b.affinityUnasked()
	b.cgroupUnnamed(free)
	if p.NoBounding && b.p.Capabilities != nil {
		b.rule(CapBounding, Kept, p.Name+" has no option for it")
		b.e.choices[CapBounding] = choice{p.Name + " has no option for it", func(e *Expectation, got *posture.Posture) (bool, string) {
			before, ok := e.caller.Capabilities.Bounding.Get()
			after, _ := got.Capabilities.Bounding.Get()
			if !ok {
				return false, ""
			}
			return after&^before == 0 || b.e.user.Asked, "it has more than the caller"
		}}
	}
	if b.p.Terminal {
		b.terminal(free)
	}
	if p.AlwaysNoNewPrivs && !b.p.NoNewPrivileges {
		free(p.Name+" always sets it", NoNewPrivs)
	}
	if p.AlwaysPdeathsig && b.r.Ext.Pdeathsig == nil {
		b.e.choices[Pdeathsig] = choice{p.Name + " has it killed with the engine", func(_ *Expectation, got *posture.Posture) (bool, string) {
			n, _ := got.Privilege.Pdeathsig.Get()
			return n == 9, "it is not SIGKILL"
		}}
	}
	if p.AlwaysFilters && len(filters(b.r)) == 0 {
		b.moreFilters(p)
	}
	if p.NestedUserNS && b.e.user.Fresh() {
		b.nested(p)
	}
	if b.r.Spec.Root == nil || b.r.Spec.Root.Path == "" {
		return
	}
	if b.l.RootfsPropagation == "" {
		free("the engine's own way to make the root", FSRootPropagation)
	}
}

// moreFilters: filters come on top of the caller's, and the strictest of all
// decides on a call (seccomp(2)), so more of them never allow more.
func (b *builder) moreFilters(p *Profile) {
	for _, f := range [...]Field{SeccompMode, SeccompCount, SeccompFilters} {
		b.e.choices[f] = choice{p.Name + " loads filters of its own", func(e *Expectation, got *posture.Posture) (bool, string) {
			before, ok1 := e.caller.Seccomp.Count.Get()
			after, ok2 := got.Seccomp.Count.Get()
			mode, ok3 := got.Seccomp.Mode.Get()
			return ok1 && ok2 && ok3 && after > before && mode == 2, "there are not more than the caller's"
		}}
	}
}

func (b *builder) pidInside(p *Profile) {
	if !p.Init || b.r.Ext.Init {
		return
	}
	b.e.choices[ProcessPIDInside] = choice{p.Name + " runs it below an init of its own", func(_ *Expectation, got *posture.Posture) (bool, string) {
		n, _ := got.Process.PIDInside.Get()
		return n > 0 && n <= 16, "it is not among the first processes of the namespace"
	}}
}

// env allows additions by name.
func (b *builder) env(p *Profile) {
	adds := slices.Clone(p.EnvAdds)
	if len(adds) == 0 {
		return
	}
	want := b.p.Env
	b.e.choices[ExecEnv] = choice{p.Name + " adds " + strings.Join(adds, ", "), func(_ *Expectation, got *posture.Posture) (bool, string) {
		env, _ := got.Exec.Env.Get()
		rest := slices.Clone(env)
		for _, kv := range want {
			i := slices.Index(rest, kv)
			if name, empty := strings.CutSuffix(kv, "="); empty && slices.Contains(adds, name) {
				// An empty one is as good as none to who sets it.
				i = slices.IndexFunc(rest, func(g string) bool { return strings.HasPrefix(g, kv) })
			}
			if i < 0 {
				return false, kv + " is not there"
			}
			rest = slices.Delete(rest, i, i+1)
		}
		for _, kv := range rest {
			name, _, _ := strings.Cut(kv, "=")
			asked := slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, name+"=") })
			if asked || !slices.Contains(adds, name) {
				return false, kv + " was not asked for"
			}
		}
		return true, ""
	}}
}

// capsUnasked: without process.capabilities the spec does not say what they
// are; an engine may take them away, and may not add any.
func (b *builder) capsUnasked() {
	if b.p.Capabilities != nil {
		return
	}
	for _, f := range [...]Field{CapBounding, CapPermitted, CapEffective, CapInheritable, CapAmbient} {
		b.e.choices[f] = choice{"without process.capabilities it may have less than the caller", func(e *Expectation, got *posture.Posture) (bool, string) {
			known, _ := table[f].ops.known(&e.want)
			return known && table[f].ops.order(&e.want, got) == stricter, ""
		}}
	}
}

// affinityUnasked: an engine that keeps its caller's CPUs to itself gives the
// program all of its cpuset, as runc since 1.2.7 and crun since 1.9.2 do.
func (b *builder) affinityUnasked() {
	all := b.f.CPUs
	if b.e.rules[SchedAffinity].class != Kept || len(all) == 0 {
		return
	}
	b.e.choices[SchedAffinity] = choice{"it may have all CPUs of the cpuset", func(_ *Expectation, got *posture.Posture) (bool, string) {
		v, _ := got.Sched.Affinity.Get()
		return equalMasks(v, all), ""
	}}
}

// cgroupUnnamed: without an absolute linux.cgroupsPath the engine chooses.
func (b *builder) cgroupUnnamed(free func(string, ...Field)) {
	path := b.l.CgroupsPath
	if ext := &b.r.Ext.Cgroup; ext.V2 != "" || len(ext.V1) > 0 || strings.HasPrefix(path, "/") {
		return
	}
	why := "without linux.cgroupsPath the engine chooses"
	if path != "" {
		why = "a relative linux.cgroupsPath is below what the engine chooses"
	}
	for _, f := range [...]Field{CgroupV2, CgroupV1} {
		b.rule(f, Kept, why)
		free(why, f)
	}
	if b.l.Resources == nil || b.l.Resources.CPU == nil || b.l.Resources.CPU.Mems == "" {
		free("it follows from the cgroup, which the engine chooses", MemoryMemsAllowed)
	}
}

// terminal: which pseudo-terminal it is, the engine decides.
func (b *builder) terminal(free func(string, ...Field)) {
	b.e.choices[ProcessTTY] = choice{"which terminal it is, the engine decides", func(e *Expectation, got *posture.Posture) (bool, string) {
		t, _ := got.Process.TTY.Get()
		before, known := e.caller.Process.TTY.Get()
		switch {
		case t == posture.TTY{}:
			return false, "it has no controlling terminal"
		case t.Major < 136 || t.Major > 143: // Unix98 pseudo-terminals, Documentation/admin-guide/devices.txt
			return false, "it is no pseudo-terminal"
		case known && t == before:
			return false, "it is the caller's"
		}
		return true, ""
	}}
	free("a new session has an autogroup of its own", SchedAutogroup, SchedAutogroupNice)
	for _, f := range [...]Field{ProcessSession, ProcessSessionLeader} {
		b.e.choices[f] = choice{"a session of its own, with the terminal", func(e *Expectation, got *posture.Posture) (bool, string) {
			before, ok1 := e.caller.Process.Session.Get()
			after, ok2 := got.Process.Session.Get()
			if !ok1 || !ok2 {
				return false, ""
			}
			return before != after, "it is in the caller's session"
		}}
	}
	free("the engine's matter", ProcessGroup)
}

// nested: the workload is one user namespace deeper than was asked for, with
// the ids of its own map, which are the same to the host.
func (b *builder) nested(p *Profile) {
	why := p.Name + " makes one more user namespace"
	deeper := func(e *Expectation, got *posture.Posture) (bool, string) {
		ns, ok1 := got.Namespaces.User.Get()
		before, ok2 := e.caller.Namespaces.User.Get()
		if !ok1 || !ok2 {
			return false, ""
		}
		level := e.levels[NSUser]
		return ns.Inode != before.Inode && (ns.Level == level || ns.Level == level+1), "it is not just below the caller's user namespace"
	}
	b.e.choices[NSUser] = choice{why, deeper}
	b.e.choices[UserParent] = choice{why, deeper}
	b.e.choices[UserOwnerUID] = choice{why, deeper}
	for _, f := range [...]Field{NSMount, NSPID, NSPIDForChildren, NSNet, NSUTS, NSIPC, NSCgroup} {
		if r := b.e.rules[f]; r.pred != isFresh && r.pred != isMirror {
			continue
		}
		b.e.choices[f] = choice{why + ", which is not the owner", func(e *Expectation, got *posture.Posture) (bool, string) {
			after, _ := namespaceOf(got, f)
			own, ok := e.caller.Namespaces.User.Get()
			if o, _ := e.apart(f, got); !ok || o != Equal {
				return false, ""
			}
			return after.Owner != own.Inode, "the caller's user namespace owns it"
		}}
	}
}

// Free reports whether any value will do, also one that changes: it is for the
// engine to choose.
func (e *Expectation) Free(f Field) bool {
	c, ok := e.choices[f]
	return ok && c.ok == nil
}

// chosen softens a difference that is the engine's to make.
func (e *Expectation) chosen(f Field, got *posture.Posture, o Outcome, why string) (Outcome, string) {
	if e.feat.Profile == nil {
		return o, why
	}
	if o == Equal {
		if f == OpenFiles && e.req.Process().Terminal { // the caller's streams are not what was asked for
			if fits, not := e.choices[f].ok(e, got); !fits && not != "" {
				return Weaker, not
			}
		}
		return o, why
	}
	if o == Unobservable {
		if ok, _ := table[f].ops.known(got); !ok {
			return o, why
		}
	}
	c, ok := e.choices[f]
	if o.Finding() && e.passedOn(f, got) {
		o, why = Inherited, "what is too much is the caller's"
	}
	if ok && c.ok == nil {
		return Equal, c.why
	}
	fits, not := false, ""
	if ok {
		fits, not = c.ok(e, got)
	}
	if fits {
		return Equal, c.why
	}
	if o == Leaked && e.rules[f].class == Kept && table[f].ops.order(&e.want, got) == stricter {
		return Stronger, "nobody asked for it"
	}
	if !ok {
		return o, why
	}
	if o == Unobservable && not != "" {
		return e.miss(f, got), not
	}
	if not != "" {
		why = strings.TrimPrefix(why+"; "+not, "; ")
	}
	return o, why
}

// passedOn reports that all that is there beyond what was asked for is the
// caller's. It is for fields that are lists, where the caller has some more.
func (e *Expectation) passedOn(f Field, got *posture.Posture) bool {
	switch f {
	case OpenFiles:
		w, _ := e.want.Files.Get()
		c, ok := e.caller.Files.Get()
		g, _ := got.Files.Get()
		all := !slices.ContainsFunc(w.Open, func(x posture.File) bool {
			return !slices.ContainsFunc(g.Open, func(y posture.File) bool { return y.FD == x.FD })
		})
		return ok && all && g.Truncated == 0 && extra(g.Open, func(x posture.File) bool {
			return slices.ContainsFunc(w.Open, func(y posture.File) bool { return y.FD == x.FD })
		}, func(x posture.File) bool {
			return slices.ContainsFunc(c.Open, func(y posture.File) bool { return y.FD == x.FD && y.Inode == x.Inode })
		})
	case ExecEnv:
		c, ok := e.caller.Exec.Env.Get()
		w, _ := e.want.Exec.Env.Get()
		g, _ := got.Exec.Env.Get()
		all := !slices.ContainsFunc(w, func(kv string) bool { return !slices.Contains(g, kv) })
		return ok && all && extra(g, func(kv string) bool { return slices.Contains(w, kv) }, func(kv string) bool { return slices.Contains(c, kv) })
	case SignalsIgnored:
		return beyond(&e.want.Signals.Ignored, &e.caller.Signals.Ignored, &got.Signals.Ignored)
	case SignalsBlocked:
		return beyond(&e.want.Signals.Blocked, &e.caller.Signals.Blocked, &got.Signals.Blocked)
	}
	return false
}

// extra reports that there are values which were not wanted, and that all of
// them are the caller's.
func extra[T any](got []T, wanted, callers func(T) bool) bool {
	n := 0
	for _, v := range got {
		if wanted(v) {
			continue
		}
		if n++; !callers(v) {
			return false
		}
	}
	return n > 0
}

// beyond: all that was wanted is there, and the rest is the caller's.
func beyond(want, caller, got *posture.Value[uint64]) bool {
	w, _ := want.Get()
	c, ok := caller.Get()
	g, _ := got.Get()
	return ok && w&^g == 0 && g&^w&^c == 0
}
