package oracle

import (
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Expectation is the posture that a request implies. It does not change once
// it was made and may be used by many goroutines.
type Expectation struct {
	*plan
	want      posture.Posture
	signals   uint64
	ignorable uint64
}

// plan is the part that the facts of a launch do not touch.
type plan struct {
	req    *request.Request
	caller *posture.Posture
	feat   Features
	rules  [NumFields]rule

	user         request.Namespace // how the user namespace was asked for
	levels       [NumFields]uint32 // of fresh pid and user namespaces, 0 for the others
	owner        posture.Value[uint32]
	inside       uint32 // user id asked for, as seen inside a joined namespace
	insideGID    uint32
	insideGroups []uint32
	idsFromFacts bool
	programUID   posture.Value[uint32] // effective ids that the program brings along
	programGID   posture.Value[uint32]
	filters      []*specs.LinuxSeccomp // asked for, newest first

	landlockAdded []landlockLayer // that this kernel enforces, if any of them has rules

	choices map[Field]choice // of another engine; nil for our own launcher

	rlimitsAsked uint32 // if not 0, only these limits have a wanted value
	beyond       []Beyond
	judged       []judged // of each of them
}

// Reasons for a wanted value to be unknown.
const (
	needsFact   = "only the launch can tell, and it did not"
	noCallerIDs = "ids or capabilities of the caller were not read"
	noCallerMap = "the caller's id map was not read, or does not have the id"
	notFixed    = "not determined by the request"

	effectiveIDs = "kernels differ in whether no_new_privs leaves an effective id that is not the real one"
)

// Expect computes the posture that the request implies for a workload that is
// started by a process with the posture of caller (the one that clones: for
// this launcher that is its agent) on a kernel with the given features.
//
// It is a pure function. req must have passed its Validate, and neither it nor
// caller may be changed while the expectation is in use. What only the launch
// can tell is added with [Expectation.With].
//
// Every field of the posture has a rule. What was asked for has a wanted value;
// what was not asked for must be the caller's, or what the launcher promises:
//
//	environment        only process.env
//	descriptors        0, 1, 2 and those passed
//	signals            every disposition default, none blocked, but those asked for
//	death signal       none
//	groups             exactly process.user.additionalGids, unless holdshort.keepIDs
//	session, terminal  the caller's, unless a session or terminal is asked for
//	umask              the caller's (the runtime-spec says so too)
//	capabilities       without process.capabilities, what execve makes of the caller's
//	tracer, threads    none, one
//	keyrings           the caller's session keyring; no process or thread keyring
func Expect(req *request.Request, caller *posture.Posture, feat Features) *Expectation {
	return expect(req, caller, feat, nil)
}

// expect is Expect; inside, if not nil, describes the user namespace that is
// joined.
func expect(req *request.Request, caller *posture.Posture, feat Features, inside *posture.UserNS) *Expectation {
	e := &Expectation{plan: &plan{req: req, caller: caller, feat: feat}, want: *caller}
	b := builder{e: e, w: &e.want, r: req, c: caller, f: &e.feat, p: req.Process(), l: req.Linux(), inside: inside}
	b.namespaces()
	b.ids()
	b.privilege()
	b.landlock()
	b.seccomp()
	b.cgroup()
	b.rlimits()
	b.oom()
	b.sched()
	b.signals()
	b.process()
	b.fs()
	b.exec()
	b.state()
	b.profile()
	if e.beyond = Asked(req); feat.Profile != nil {
		e.beyond = AskedOfEngine(req)
	}
	return e
}

type builder struct {
	e *Expectation
	w *posture.Posture
	r *request.Request
	c *posture.Posture
	f *Features
	p *specs.Process
	l *specs.Linux

	inside *posture.UserNS // of the joined user namespace, where it is known

	creds   Creds
	credsOK bool
	result  ExecResult
	hidden  bool
}

// put states a wanted value.
func put[T any](b *builder, f Field, at *posture.Value[T], v T, class Class, source string) {
	*at = posture.Known(v)
	b.rule(f, class, source)
}

// puzzle states that something is wanted which is not known.
func (b *builder) puzzle(f Field, class Class, source, why string) {
	f.Forget(b.w, why)
	b.rule(f, class, source)
}

func (b *builder) rule(f Field, class Class, source string) {
	r := &b.e.rules[f]
	r.class, r.source = class, source
}

var nsFields = [...]struct {
	kind specs.LinuxNamespaceType
	at   Field
	src  string
}{
	{specs.UserNamespace, NSUser, "linux.namespaces: user"},
	{specs.MountNamespace, NSMount, "linux.namespaces: mount"},
	{specs.PIDNamespace, NSPID, "linux.namespaces: pid"},
	{specs.NetworkNamespace, NSNet, "linux.namespaces: network"},
	{specs.UTSNamespace, NSUTS, "linux.namespaces: uts"},
	{specs.IPCNamespace, NSIPC, "linux.namespaces: ipc"},
	{specs.CgroupNamespace, NSCgroup, "linux.namespaces: cgroup"},
	{specs.TimeNamespace, NSTime, "linux.namespaces: time"},
}

func (b *builder) namespaces() {
	// A child is born where its parent's children are to be, which is not
	// where the parent is once that has called unshare or setns.
	b.w.Namespaces.PID = b.c.Namespaces.PIDForChildren
	b.w.Namespaces.Time = b.c.Namespaces.TimeForChildren
	b.e.user = b.r.Namespace(specs.UserNamespace)
	caller, callerKnown := b.c.Namespaces.User.Get()
	switch {
	case b.e.user.Asked:
		// The new user namespace owns the others: its inode is compared
		// with what is observed.
	case callerKnown:
		b.e.owner = posture.Known(caller.Inode)
	}
	for _, n := range nsFields {
		asked := b.r.Namespace(n.kind)
		switch {
		case asked.Fresh():
			b.rule(n.at, Requested, n.src)
			b.e.rules[n.at].pred = isFresh
			if v, ok := namespaceOf(b.w, n.at); ok && (n.at == NSPID || n.at == NSUser) {
				b.e.levels[n.at] = v.Level + 1
			}
		case asked.Joined():
			b.puzzle(n.at, Requested, n.src, needsFact)
		}
		if n.at == NSPID || n.at == NSTime {
			b.children(n.at, asked, n.src)
		}
	}
	b.userNS()
	b.names()
	b.offsets()
}

// children: after execve a task is in the namespace that its children would be.
func (b *builder) children(f Field, asked request.Namespace, src string) {
	child := f + 1
	f.copyChild(b.w)
	switch {
	case asked.Fresh():
		b.rule(child, Implied, src)
		b.e.rules[child].pred = isMirror
		b.e.levels[child] = b.e.levels[f]
	case asked.Joined():
		b.rule(child, Implied, src)
	}
}

// copyChild takes the wanted namespace over to the one for children, whose
// field is kept apart in the posture.
func (f Field) copyChild(p *posture.Posture) {
	switch f {
	case NSPID:
		p.Namespaces.PIDForChildren = p.Namespaces.PID
	case NSTime:
		p.Namespaces.TimeForChildren = p.Namespaces.Time
	}
}

func nsValue(n *posture.Namespaces, f Field) *posture.Value[posture.Namespace] {
	switch f {
	case NSUser:
		return &n.User
	case NSMount:
		return &n.Mount
	case NSPID:
		return &n.PID
	case NSPIDForChildren:
		return &n.PIDForChildren
	case NSNet:
		return &n.Net
	case NSUTS:
		return &n.UTS
	case NSIPC:
		return &n.IPC
	case NSCgroup:
		return &n.Cgroup
	case NSTime:
		return &n.Time
	case NSTimeForChildren:
		return &n.TimeForChildren
	}
	return nil
}

func namespaceOf(p *posture.Posture, f Field) (posture.Namespace, bool) {
	return nsValue(&p.Namespaces, f).Get()
}

func (b *builder) userNS() {
	u := &b.w.UserNS
	switch {
	case b.e.user.Fresh():
		const src = "linux.namespaces: user"
		if ns, ok := b.c.Namespaces.User.Get(); ok {
			put(b, UserParent, &u.Parent, ns.Inode, Implied, src)
		} else {
			b.puzzle(UserParent, Implied, src, noCallerIDs)
		}
		b.idMap(UserUIDMap, &u.UIDMap, b.l.UIDMappings, "linux.uidMappings")
		b.idMap(UserGIDMap, &u.GIDMap, b.l.GIDMappings, "linux.gidMappings")
		if b.r.Ext.DenySetgroups {
			put(b, UserSetgroups, &u.Setgroups, false, Requested, "holdshort.denySetgroups")
		} // else the parent's: create_user_ns takes the flags over
		if euid, ok := b.c.IDs.EUID.Get(); ok {
			put(b, UserOwnerUID, &u.OwnerUID, euid, Implied, src)
		} else {
			b.puzzle(UserOwnerUID, Implied, src, noCallerIDs)
		}
	case b.e.user.Joined():
		for f := UserParent; f <= UserOwnerUID; f++ {
			b.puzzle(f, Implied, "linux.namespaces: user", needsFact)
		}
	}
}

func (b *builder) idMap(f Field, at *posture.Value[[]posture.IDExtent], m []specs.LinuxIDMapping, src string) {
	parent, ok := at.Get() // still the caller's
	if len(m) == 0 {
		put(b, f, at, nil, Requested, src)
		return
	}
	if out, fits := compose(parent, m); ok && fits {
		put(b, f, at, out, Requested, src)
	} else {
		b.puzzle(f, Requested, src, noCallerMap)
	}
}

func (b *builder) names() {
	joined := b.r.Namespace(specs.UTSNamespace).Joined()
	name := func(f Field, at *posture.Value[string], v, src string) {
		switch {
		case v != "":
			put(b, f, at, v, Requested, src)
		case joined:
			b.puzzle(f, Implied, "linux.namespaces: uts", needsFact)
		} // else a new namespace begins with a copy of the old names
	}
	host, domain := b.r.UTSNames()
	name(UTSHostname, &b.w.UTS.Hostname, host, "hostname")
	name(UTSDomainname, &b.w.UTS.Domainname, domain, "domainname")
}

func (b *builder) offsets() {
	t := &b.w.Time
	switch {
	case len(b.l.TimeOffsets) > 0:
		mono, boot := request.Offsets(b.l.TimeOffsets)
		_, askedMono := b.l.TimeOffsets["monotonic"]
		_, askedBoot := b.l.TimeOffsets["boottime"]
		if askedMono {
			put(b, TimeMonotonic, &t.Monotonic, mono, Requested, "linux.timeOffsets.monotonic")
		}
		if askedBoot {
			put(b, TimeBoottime, &t.Boottime, boot, Requested, "linux.timeOffsets.boottime")
		} // an offset that was not asked for is the parent's (clone_time_ns)
	case b.r.Namespace(specs.TimeNamespace).Joined():
		b.puzzle(TimeMonotonic, Implied, "linux.namespaces: time", needsFact)
		b.puzzle(TimeBoottime, Implied, "linux.namespaces: time", needsFact)
	}
}
