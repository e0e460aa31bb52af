package oracle

import (
	"slices"

	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// With returns the expectation for one launch, whose facts it adds. It is
// cheap; the compiled part is shared.
func (e *Expectation) With(f *Facts) *Expectation {
	if e.user.Joined() && e.req.Ext.KeepIDs && f.Joined.UserNS.UIDMap.IsKnown() {
		e = expect(e.req, e.caller, e.feat, &f.Joined.UserNS)
	}
	n := &Expectation{plan: e.plan, want: e.want, signals: f.Signals, ignorable: f.Ignorable}
	w := &n.want
	r := e.req
	w.Process.PID, w.Process.Parent = f.PID, f.Parent
	switch ns := r.Namespace(specs.PIDNamespace); {
	case ns.Fresh():
	case ns.Joined():
		w.Process.PIDInside = f.PIDInside
	default:
		w.Process.PIDInside = e.sameInside(f)
	}
	if r.Ext.Session || r.Process().Terminal {
		w.Process.Session, w.Process.Group = f.PID, f.PID
	} else if r.Ext.ProcessGroup {
		w.Process.Group = f.PID
	}
	if r.Process().Terminal {
		w.Process.TTY = f.TTY
	}
	n.joined(f)
	if e.rules[CgroupV2].class == Requested {
		w.Cgroup.V2 = f.CgroupV2
	}
	if e.rules[CgroupV1].class == Requested {
		n.moved(f)
	}
	if e.rules[FSRoot].class != Kept {
		w.FS.Root = f.Root
	}
	if r := &e.rules[FSRootReadOnly]; r.class == Implied && r.source == rootPath && f.RootReadOnly.IsKnown() {
		w.FS.RootReadOnly = f.RootReadOnly // a clone of the mount has its attributes
	}
	if e.rules[FSCwd].class != Kept {
		if w.FS.Cwd = f.Cwd; r.Process().Cwd == "" && !f.Cwd.IsKnown() {
			w.FS.Cwd = f.Root // the launcher leaves it there
		}
	}
	w.Exec.Exe, w.Exec.ExeNlink = f.Exe, f.ExeNlink
	n.landlockRules(f)
	if f.Files != nil {
		w.Files = posture.Known(posture.Files{Open: f.Files})
	}
	return n
}

// sameInside: in the caller's own pid namespace, the number inside is the one
// outside if that is the initial one, and else the launch must tell.
func (e *Expectation) sameInside(f *Facts) posture.Value[uint32] {
	outside, ok1 := e.caller.Process.PID.Get()
	inside, ok2 := e.caller.Process.PIDInside.Get()
	if ns, ok3 := e.want.Namespaces.PID.Get(); ok1 && ok2 && ok3 && ns.Level == 0 && outside == inside {
		return f.PID
	}
	return f.PIDInside
}

func (e *Expectation) joined(f *Facts) {
	w := &e.want
	for _, n := range nsFields {
		if !e.req.Namespace(n.kind).Joined() {
			continue
		}
		*nsValue(&w.Namespaces, n.at) = *nsValue(&f.Joined.Namespaces, n.at)
		n.at.copyChild(w)
	}
	if e.rules[UTSHostname].class == Implied {
		w.UTS.Hostname = f.Joined.UTS.Hostname
	}
	if e.rules[UTSDomainname].class == Implied {
		w.UTS.Domainname = f.Joined.UTS.Domainname
	}
	if e.rules[TimeMonotonic].class == Implied {
		w.Time = f.Joined.Time
	}
	if !e.user.Joined() {
		return
	}
	w.UserNS = f.Joined.UserNS
	if !e.idsFromFacts {
		return
	}
	i := &w.IDs
	if m, ok := w.UserNS.UIDMap.Get(); ok {
		if h, ok := toHost(m, e.inside); ok {
			v := posture.Known(h)
			i.UID, i.EUID, i.SUID, i.FSUID = v, v, v, v
			if p := e.programUID; p.IsKnown() {
				i.EUID, i.SUID, i.FSUID = p, p, p
			}
		}
	}
	if m, ok := w.UserNS.GIDMap.Get(); ok {
		if h, ok := toHost(m, e.insideGID); ok {
			v := posture.Known(h)
			i.GID, i.EGID, i.SGID, i.FSGID = v, v, v, v
			if p := e.programGID; p.IsKnown() {
				i.EGID, i.SGID, i.FSGID = p, p, p
			}
		}
		if g, ok := groups(m, e.insideGroups); ok {
			i.Groups = posture.Known(g)
		}
	}
}

// moved replaces the controllers that the launch moved; the others stay with
// the caller.
func (e *Expectation) moved(f *Facts) {
	if len(f.CgroupV1) == 0 {
		return
	}
	before, ok := e.caller.Cgroup.V1.Get()
	if !ok {
		return
	}
	out := slices.Clone(before)
	for _, m := range f.CgroupV1 {
		i := slices.IndexFunc(out, func(c posture.CgroupV1) bool { return c.Controller == m.Controller })
		if i < 0 {
			return // not a controller that the caller is in: nothing can be compared
		}
		out[i].ID = m.ID
	}
	e.want.Cgroup.V1 = posture.Known(out)
}
