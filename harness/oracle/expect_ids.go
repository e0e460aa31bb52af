package oracle

import (
	"slices"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// ids follows the credentials through the launch, in the launcher's order:
// user namespace, bounding set, securebits, groups, gid, uid, capset, ambient
// set, no_new_privs, execve.
func (b *builder) ids() {
	b.start()
	ext, user := &b.r.Ext, &b.p.User
	u := &b.w.UserNS
	uids, uidsOK := u.UIDMap.Get()
	gids, gidsOK := u.GIDMap.Get()
	joined := b.e.user.Joined()

	uid, uidOK := b.c.IDs.UID.Get()
	gid, gidOK := b.c.IDs.GID.Get()
	egid, egidOK := b.c.IDs.EGID.Get()
	euid, euidOK := b.c.IDs.EUID.Get()
	if b.e.user.Fresh() && uidsOK && gidsOK {
		// The launcher becomes user 0 for the set-up where both maps have one.
		ru, ok1 := toHost(uids, 0)
		rg, ok2 := toHost(gids, 0)
		if ok1 && ok2 {
			b.creds.SetUID(ru)
			uid, uidOK, euid, euidOK = ru, true, ru, true
			gid, gidOK, egid, egidOK = rg, true, rg, true
		}
	}
	if cp := b.p.Capabilities; cp != nil {
		if all, _ := request.CapSet(cp.Ambient); all&^request.Ambient(cp) != 0 {
			b.e.rules[CapAmbient].note = "what is not both permitted and inheritable cannot become ambient; see capabilities(7)"
		}
		set, _ := request.CapSet(cp.Bounding)
		if p := b.f.Profile; p == nil || !p.NoBounding {
			b.creds.Bounding &= posture.CapSet(set)
		}
	}
	if s := ext.Securebits; s != nil {
		b.creds.Securebits = *s
	}
	class, src := Kept, ""
	if b.e.user.Fresh() {
		class, src = Implied, "linux.namespaces: user"
	}
	if !ext.KeepIDs {
		class, src = Requested, "process.user"
		b.setUID(user.UID, uids, uidsOK, joined)
		uid, uidOK = toHost(uids, user.UID)
		gid, gidOK = toHost(gids, user.GID)
		euid, euidOK, egid, egidOK = uid, uidOK, gid, gidOK
		b.groups(gids, gidsOK, joined)
		if joined {
			b.e.idsFromFacts = true
			b.e.inside, b.e.insideGID, b.e.insideGroups = user.UID, user.GID, user.AdditionalGids
		}
	}
	b.capset()
	b.creds.NoNewPrivs = b.creds.NoNewPrivs || b.p.NoNewPrivileges || b.f.Profile != nil && b.f.Profile.AlwaysNoNewPrivs
	// A program that its user cannot read, or one run by two users at once, is
	// not dumpable (begin_new_exec).
	b.hidden = b.f.Program.Unreadable || b.creds.UID != b.creds.EUID
	b.result = b.creds.Exec(&b.f.Program)
	b.hidden = b.hidden || b.result.Changed

	// execve makes saved and file-system ids the effective ones. A program
	// with setuid or setgid bit changes the effective id itself.
	why := noCallerMap
	switch _, known := b.c.Privilege.NoNewPrivs.Get(); {
	case b.creds.NoNewPrivs:
		if euidOK && uid != euid {
			euidOK, why = false, effectiveIDs
		}
		if egidOK && gid != egid {
			egidOK, why = false, effectiveIDs
		}
	case known:
		b.e.programUID, b.e.programGID = b.f.Program.SetUID, b.f.Program.SetGID
	default:
		euidOK, egidOK = euidOK && !b.f.Program.SetUID.IsKnown(), egidOK && !b.f.Program.SetGID.IsKnown()
	}
	if v, ok := b.e.programUID.Get(); ok {
		euid, euidOK = v, true
	}
	if v, ok := b.e.programGID.Get(); ok {
		egid, egidOK = v, true
	}
	i := &b.w.IDs
	for _, x := range [...]struct {
		f  Field
		at *posture.Value[uint32]
		v  uint32
		ok bool
	}{
		{UID, &i.UID, uid, uidOK},
		{EUID, &i.EUID, euid, euidOK},
		{SUID, &i.SUID, euid, euidOK},
		{FSUID, &i.FSUID, euid, euidOK},
		{GID, &i.GID, gid, gidOK},
		{EGID, &i.EGID, egid, egidOK},
		{SGID, &i.SGID, egid, egidOK},
		{FSGID, &i.FSGID, egid, egidOK},
	} {
		switch {
		case x.ok:
			put(b, x.f, x.at, x.v, class, src)
		case joined && !ext.KeepIDs:
			b.puzzle(x.f, class, src, needsFact)
		default:
			b.puzzle(x.f, class, src, why)
		}
	}
	b.putCaps()
}

// start takes the caller's credentials, and then what a user namespace makes
// of them.
func (b *builder) start() {
	c := b.c
	uid, ok1 := c.IDs.UID.Get()
	euid, ok2 := c.IDs.EUID.Get()
	suid, ok3 := c.IDs.SUID.Get()
	bounding, ok4 := c.Capabilities.Bounding.Get()
	permitted, ok5 := c.Capabilities.Permitted.Get()
	effective, ok6 := c.Capabilities.Effective.Get()
	inheritable, ok7 := c.Capabilities.Inheritable.Get()
	ambient, ok8 := c.Capabilities.Ambient.Get()
	secure, ok9 := c.Privilege.Securebits.Get()
	nnp, ok10 := c.Privilege.NoNewPrivs.Get()
	m, ok11 := c.UserNS.UIDMap.Get()
	b.creds = Creds{
		UID: uid, EUID: euid, SUID: suid, Root: NoID, Bounding: bounding, Permitted: permitted,
		Effective: effective, Inheritable: inheritable, Ambient: ambient, Securebits: secure, NoNewPrivs: nnp,
	}
	b.credsOK = ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 && ok8 && ok9 && ok10 && ok11
	if root, ok := toHost(m, 0); ok {
		b.creds.Root = root
	}
	switch {
	case b.e.user.Fresh():
		root := NoID
		if m, ok := b.w.UserNS.UIDMap.Get(); ok {
			if h, ok := toHost(m, 0); ok {
				root = h
			}
		} else {
			b.credsOK = false
		}
		b.creds.EnterUserNS(b.f.AllCaps, root)
	case b.e.user.Joined():
		if b.r.Ext.KeepIDs {
			b.keptInside()
			return
		}
		// Which id the caller has inside is not known, and does not matter
		// once another was set: whatever is left by then, execve gives an
		// ordinary user nothing of it, and root everything again. Inside
		// ids stand in for those of the host.
		b.creds.EnterUserNS(b.f.AllCaps, 0)
		b.creds.UID, b.creds.EUID, b.creds.SUID = NoID, NoID, NoID
	}
}

// keptInside: the caller's own ids in a namespace that is joined. Whether they
// are root's there, and so what execve leaves, depends on its map.
func (b *builder) keptInside() {
	if b.inside == nil {
		b.credsOK = false
		b.creds.EnterUserNS(b.f.AllCaps, NoID)
		return
	}
	m, _ := b.inside.UIDMap.Get()
	root, mapped := toHost(m, 0)
	if !mapped {
		root = NoID
	}
	b.creds.EnterUserNS(b.f.AllCaps, root)
}

// setUID: that the launcher keeps capabilities on the way does not matter,
// since process.capabilities gives all of them afterwards.
func (b *builder) setUID(uid uint32, m []posture.IDExtent, ok, joined bool) {
	host := uid
	if !joined {
		var mapped bool
		if host, mapped = toHost(m, uid); !ok || !mapped {
			b.credsOK = false
		}
	}
	b.creds.SetUID(host)
}

func (b *builder) groups(m []posture.IDExtent, ok, joined bool) {
	const src = "process.user.additionalGids"
	if b.r.Ext.DenySetgroups {
		// setgroups(2) is denied, so they stay.
		b.rule(Groups, Implied, "holdshort.denySetgroups")
		return
	}
	if joined {
		b.puzzle(Groups, Requested, src, needsFact)
		return
	}
	if g, fits := groups(m, b.p.User.AdditionalGids); ok && fits {
		put(b, Groups, &b.w.IDs.Groups, g, Requested, src)
	} else {
		b.puzzle(Groups, Requested, src, noCallerMap)
	}
}

// capset applies process.capabilities. Where it is there, it gives all five
// sets: one that is missing in it is empty.
func (b *builder) capset() {
	cp := b.p.Capabilities
	if cp == nil {
		return
	}
	set := func(names []string) posture.CapSet {
		s, _ := request.CapSet(names)
		return posture.CapSet(s)
	}
	b.creds.Capset(set(cp.Permitted), set(cp.Effective), set(cp.Inheritable))
	b.creds.Ambient = set(cp.Ambient) & set(cp.Permitted) & set(cp.Inheritable)
}

// putCaps writes the credentials that are left after execve.
func (b *builder) putCaps() {
	class, src := Implied, "execve"
	switch {
	case b.p.Capabilities != nil:
		class, src = Requested, "process.capabilities, through execve"
	case b.r.Ext.Securebits != nil:
		class, src = Requested, "holdshort.securebits, through execve"
	case !b.r.Ext.KeepIDs:
		class, src = Requested, "process.user, through execve"
	case b.e.user.Asked:
		class, src = Requested, "linux.namespaces: user, through execve"
	case b.p.NoNewPrivileges:
		class, src = Requested, "process.noNewPrivileges, through execve"
	}
	w := &b.w.Capabilities
	for _, x := range [...]struct {
		f  Field
		at *posture.Value[posture.CapSet]
		v  posture.CapSet
	}{
		{CapBounding, &w.Bounding, b.creds.Bounding},
		{CapPermitted, &w.Permitted, b.creds.Permitted},
		{CapEffective, &w.Effective, b.creds.Effective},
		{CapInheritable, &w.Inheritable, b.creds.Inheritable},
		{CapAmbient, &w.Ambient, b.creds.Ambient},
	} {
		if b.credsOK {
			put(b, x.f, x.at, x.v, class, src)
		} else {
			b.puzzle(x.f, class, src, noCallerIDs)
		}
	}
	if cp := b.p.Capabilities; cp != nil && b.credsOK {
		b.note(CapPermitted, cp.Permitted, b.creds.Permitted)
		b.note(CapEffective, cp.Effective, b.creds.Effective)
		set, _ := request.CapSet(cp.Bounding)
		if posture.CapSet(set)&^b.creds.Bounding != 0 {
			b.e.rules[CapBounding].note = "the caller's bounding set has not all that was asked for"
		}
	}
}

func (b *builder) note(f Field, asked []string, got posture.CapSet) {
	if set, _ := request.CapSet(asked); posture.CapSet(set) != got {
		b.e.rules[f].note = "execve makes another set of the one asked for; see capabilities(7)"
	}
}

func (b *builder) privilege() {
	v, ext := &b.w.Privilege, &b.r.Ext
	if b.p.NoNewPrivileges {
		put(b, NoNewPrivs, &v.NoNewPrivs, true, Requested, "process.noNewPrivileges")
	}
	class, src := Kept, ""
	if b.e.user.Asked {
		class, src = Implied, "linux.namespaces: user"
	}
	if ext.Securebits != nil {
		class, src = Requested, "holdshort.securebits"
	}
	if v.Securebits.IsKnown() || ext.Securebits != nil || b.e.user.Asked {
		put(b, Securebits, &v.Securebits, b.creds.Securebits, class, src)
	}
	if s := ext.Securebits; s != nil && *s&SecureKeepCaps != 0 {
		b.e.rules[Securebits].note = "execve clears SECBIT_KEEP_CAPS; see capabilities(7)"
	}
	switch {
	case !b.credsOK:
		b.puzzle(Dumpable, Implied, "execve", noCallerIDs)
	case b.hidden:
		put(b, Dumpable, &v.Dumpable, b.f.SuidDumpable, Implied, "execve that changes credentials")
	default:
		put(b, Dumpable, &v.Dumpable, 1, Implied, "execve")
	}
	sig, source, c := uint32(0), "none is promised", Promised
	if ext.Pdeathsig != nil {
		sig, source, c = uint32(*ext.Pdeathsig), "holdshort.pdeathsig", Requested
	}
	switch {
	case sig != 0 && !b.credsOK:
		b.puzzle(Pdeathsig, c, source, noCallerIDs)
	case sig != 0 && b.relabel().confined:
		put(b, Pdeathsig, &v.Pdeathsig, 0, c, source)
		b.e.rules[Pdeathsig].note = "execve clears the death signal, as it changes the label"
	case sig != 0 && (b.result.Changed || b.result.Secure):
		put(b, Pdeathsig, &v.Pdeathsig, 0, c, source)
		b.e.rules[Pdeathsig].note = "execve clears the death signal, as it gives the workload privileges; no_new_privs avoids that"
	default:
		put(b, Pdeathsig, &v.Pdeathsig, sig, c, source)
	}
	b.personality()
	b.specFlags()
}

func (b *builder) personality() {
	const (
		readImpliesExec = 0x0400000
		cleared         = readImpliesExec | 0x0040000 /* ADDR_NO_RANDOMIZE */ | 0x0200000 /* ADDR_COMPAT_LAYOUT */ | 0x0100000 /* MMAP_PAGE_ZERO */
	)
	at := &b.w.Privilege.Personality
	word, ok := at.Get()
	class, src := Kept, ""
	if p := b.l.Personality; p != nil {
		word, _ = request.PersonalityWord(p)
		class, src, ok = Requested, "linux.personality", true
	}
	if p := b.r.Ext.Personality; p != nil {
		word, class, src, ok = *p, Requested, "holdshort.personality", true
	}
	after := word &^ readImpliesExec // for 64-bit programs (SET_PERSONALITY)
	if b.result.Cleared || b.relabel().changed {
		after = word &^ cleared
	}
	if !b.credsOK && word&cleared != 0 {
		ok = false
	}
	if !ok {
		b.puzzle(Personality, class, src, noCallerIDs)
		return
	}
	put(b, Personality, at, after, class, src)
	if class == Requested && after != word {
		b.e.rules[Personality].note = "execve clears bits that weaken address space layout"
	}
}

// specFlags: a seccomp filter may switch speculation mitigations on (always
// before Linux 5.16, unless SECCOMP_FILTER_FLAG_SPEC_ALLOW is given), and
// execve ends the one that is only meant to last until then.
func (b *builder) specFlags() {
	at := &b.w.Privilege.SpecFlags
	flags, ok := at.Get()
	if !ok {
		if b.r.Ext.Speculation.Flags() {
			b.puzzle(SpecFlags, Requested, "holdshort.speculation", "the caller's flags were not read")
		}
		return
	}
	const ssbDisable, ssbNoExec = 1 << 3, 1 << 7
	if flags&ssbNoExec != 0 {
		flags &^= ssbDisable | ssbNoExec
	}
	class, src := Kept, ""
	if b.r.Ext.Speculation.Flags() {
		class, src = Requested, "holdshort.speculation"
		flags = speculate(flags, &b.r.Ext.Speculation)
	}
	put(b, SpecFlags, at, flags, class, src)
	for _, s := range filters(b.r) {
		if !slices.Contains(s.Flags, "SECCOMP_FILTER_FLAG_SPEC_ALLOW") {
			b.e.rules[SpecFlags].pred = isAtLeast
		}
	}
}
