package oracle

import (
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Beside returns the posture of a caller that were where the target is: what a
// request with holdshort.enter is expected to keep. What is not taken stays the
// caller's. A field that the launcher cannot take from another process, such as
// securebits, is the target's all the same, so that a workload which runs beside
// the target without it is found.
//
// Like Expect it is a pure function. Unknown fields of the target are unknown in
// the result.
func Beside(caller, target *posture.Posture, r *request.Request) *posture.Posture {
	e := r.Ext.Enter
	p := *caller
	for _, n := range nsFields {
		if r.Namespace(n.kind).Asked || !e.Joins(n.kind) {
			continue
		}
		*nsValue(&p.Namespaces, n.at) = *nsValue(&target.Namespaces, n.at)
		switch n.at {
		case NSUser:
			p.UserNS = target.UserNS
		case NSUTS:
			p.UTS = target.UTS
		case NSPID:
			p.Namespaces.PIDForChildren = target.Namespaces.PID
		case NSTime:
			p.Time, p.Namespaces.TimeForChildren = target.Time, target.Namespaces.Time
		}
	}
	if e.Takes("credentials") {
		p.IDs, p.Capabilities = target.IDs, target.Capabilities
		// All four ids become the effective one.
		i := &p.IDs
		i.UID, i.SUID, i.FSUID = i.EUID, i.EUID, i.EUID
		i.GID, i.SGID, i.FSGID = i.EGID, i.EGID, i.EGID
		p.Privilege.NoNewPrivs, p.Privilege.Securebits = target.Privilege.NoNewPrivs, target.Privilege.Securebits
	}
	if e.Takes("limits") {
		p.Rlimits, p.OOM.ScoreAdj = target.Rlimits, target.OOM.ScoreAdj
	}
	p.OOM.ScoreAdjMin = floorBeside(caller, &p, r)
	if e.Takes("cgroup") {
		p.Cgroup = target.Cgroup
	}
	if e.Takes("seccomp") {
		p.Seccomp = target.Seccomp
	}
	if e.Takes("umask") {
		p.FS.Umask = target.FS.Umask
	}
	// Directories are nowhere in another mount namespace.
	mounts := !r.Namespace(specs.MountNamespace).Asked && e.Joins(specs.MountNamespace)
	switch {
	case e.Takes("root") && mounts:
		p.FS.Root, p.FS.RootIsMountRoot, p.FS.RootReadOnly = target.FS.Root, target.FS.RootIsMountRoot, target.FS.RootReadOnly
		p.FS.RootPropagation = target.FS.RootPropagation
	case mounts: // the root is that of the namespace, which the target need not have
		p.FS.RootPropagation = posture.Unreadable[posture.Propagation]("the root of a mount namespace that is joined")
	}
	if e.Takes("cwd") && mounts {
		p.FS.Cwd, p.FS.CwdUnderRoot = target.FS.Cwd, target.FS.CwdUnderRoot
	}
	return &p
}

// floorBeside is what oom_score_adj may be lowered to by p, which enters. Its score
// is written by itself, before it has the target's credentials, if it was asked
// for or is not the caller's already; with privilege over the initial user
// namespace that moves the floor along (__set_oom_adj, fs/proc/base.c).
func floorBeside(caller, p *posture.Posture, r *request.Request) posture.Value[int32] {
	kept := caller.OOM.ScoreAdjMin
	score, known := p.OOM.ScoreAdj.Get()
	before, knownBefore := caller.OOM.ScoreAdj.Get()
	if v := r.Process().OOMScoreAdj; v != nil {
		score = int32(*v)
	} else if !known || !knownBefore || score == before {
		return kept
	}
	own, _ := namespaceOf(caller, NSUser)
	in, _ := namespaceOf(p, NSUser)
	effective, ok := caller.Capabilities.Effective.Get()
	parent, inInitial := caller.UserNS.Parent.Get()
	const sysResource = 24
	switch {
	case r.Namespace(specs.UserNamespace).Asked || own.Inode != in.Inode:
		return kept
	case !ok || !inInitial:
		if _, known := kept.Get(); known {
			return posture.Unreadable[int32](noCallerIDs)
		}
		return kept
	case parent == 0 && effective&(1<<sysResource) != 0:
		return posture.Known(score)
	}
	return kept
}

// Same reports whether two postures agree in all that [Beside] takes, and names
// a field in which they do not.
func Same(a, b *posture.Posture, r *request.Request) (Field, bool) {
	none := &posture.Posture{}
	x, y := Beside(none, a, r), Beside(none, b, r)
	for f := range NumFields {
		k, _ := f.Known(x)
		l, _ := f.Known(y)
		if k != l || k && !f.Equal(x, y) {
			return f, false
		}
	}
	return 0, true
}

// Unread names the fields of a target that would have to be known, and are not.
func Unread(target *posture.Posture, r *request.Request) []Field {
	const kept = "kept"
	var caller posture.Posture
	for f := range NumFields {
		f.Forget(&caller, kept)
	}
	p := Beside(&caller, target, r)
	var out []Field
	for f := range NumFields {
		if ok, why := f.Known(p); !ok && why != kept {
			out = append(out, f)
		}
	}
	return out
}
