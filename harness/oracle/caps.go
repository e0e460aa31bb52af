package oracle

import "github.com/holdshort/holdshort/probes/posture"

// NoID is no user: (uid_t)-1.
const NoID = ^uint32(0)

// The bits of securebits(7) that decide something here.
const (
	SecureNoRoot        = 1 << 0
	SecureNoSetUIDFixup = 1 << 2
	SecureKeepCaps      = 1 << 4
)

// Creds is the part of a task's credentials that capabilities(7) is about. Ids
// are those of the initial user namespace.
type Creds struct {
	UID, EUID, SUID uint32
	// Root is user 0 of the task's user namespace, or NoID.
	Root uint32

	Bounding, Permitted, Effective, Inheritable, Ambient posture.CapSet

	Securebits uint32
	NoNewPrivs bool
}

// Program is what matters of the file that is executed, or of the interpreter
// if it is a script. The zero Program has no setuid bit and no file
// capabilities, and can be read by who executes it.
type Program struct {
	// SetUID is the owner of a file with the setuid bit, if the bit counts
	// (it does not on a nosuid mount, or for an owner without an id inside).
	SetUID posture.Value[uint32]
	// SetGID is the same for the group.
	SetGID posture.Value[uint32]
	// HasFileCaps says that the file has capabilities, which count.
	HasFileCaps                    bool
	FilePermitted, FileInheritable posture.CapSet
	FileEffective                  bool
	// Unreadable: whoever executes it may not read it.
	Unreadable bool
	// Interpreter is, for a script, its #! line: the interpreter, and the
	// argument if there is one. Path is then the script as it was executed.
	Interpreter []string
	Path        string
}

// EnterUserNS is what becomes of credentials in a user namespace that was made
// or joined: every capability in it, and none of the past (set_cred_user_ns).
func (c *Creds) EnterUserNS(all posture.CapSet, root uint32) {
	c.Root = root
	c.Bounding, c.Permitted, c.Effective = all, all, all
	c.Inheritable, c.Ambient, c.Securebits = 0, 0, 0
}

// SetUID is setresuid(2) with one id three times (cap_emulate_setxuid).
func (c *Creds) SetUID(uid uint32) {
	if c.Securebits&SecureNoSetUIDFixup == 0 {
		wasRoot := c.Root != NoID && (c.UID == c.Root || c.EUID == c.Root || c.SUID == c.Root)
		becomesRoot := c.Root != NoID && uid == c.Root
		if wasRoot && !becomesRoot {
			if c.Securebits&SecureKeepCaps == 0 {
				c.Permitted, c.Effective = 0, 0
			}
			c.Ambient = 0
		}
		effectiveRoot := c.Root != NoID && c.EUID == c.Root
		switch {
		case effectiveRoot && !becomesRoot:
			c.Effective = 0
		case !effectiveRoot && becomesRoot:
			c.Effective = c.Permitted
		}
	}
	c.UID, c.EUID, c.SUID = uid, uid, uid
}

// Capset is capset(2).
func (c *Creds) Capset(permitted, effective, inheritable posture.CapSet) {
	c.Permitted, c.Effective, c.Inheritable = permitted, effective, inheritable
	c.Ambient &= permitted & inheritable
}

// ExecResult is what an execve does besides changing the credentials.
type ExecResult struct {
	// Refused: execve fails with EPERM, since the file has capabilities
	// that the bounding set does not let through.
	Refused bool
	// Secure is AT_SECURE.
	Secure bool
	// Cleared: bits of the personality that make exploits easier are gone.
	Cleared bool
	// Changed: credentials grew or ids changed, so that the death signal is
	// forgotten and dumpable becomes fs.suid_dumpable (commit_creds).
	Changed bool
}

// Exec transforms the credentials as execve(2) does: the rules of
// capabilities(7), in the order of cap_bprm_creds_from_file. An effective id that
// is not the real one is kept, also with no_new_privs, where older kernels make
// it the real one.
func (c *Creds) Exec(f *Program) ExecResult {
	var r ExecResult
	old := *c
	effective := false
	c.Permitted = 0
	if f.HasFileCaps {
		c.Permitted = old.Bounding&f.FilePermitted | old.Inheritable&f.FileInheritable
		effective = f.FileEffective
		r.Refused = effective && f.FilePermitted&^c.Permitted != 0
	}
	setuid, isSetuid := f.SetUID.Get()
	_, isSetgid := f.SetGID.Get()
	if c.NoNewPrivs {
		isSetuid, isSetgid = false, false
	}
	if isSetuid {
		c.EUID = setuid
	}
	r.Cleared = isSetuid || isSetgid
	if isRoot := func(uid uint32) bool { return c.Root != NoID && uid == c.Root }; old.Securebits&SecureNoRoot == 0 {
		// A setuid root file that has capabilities of its own gives those
		// instead, to anybody but root.
		if own := f.HasFileCaps && !isRoot(c.UID) && isRoot(c.EUID); !own {
			if isRoot(c.EUID) || isRoot(c.UID) {
				c.Permitted = old.Bounding | old.Inheritable
			}
			if isRoot(c.EUID) {
				effective = true
			}
		}
	}
	changesID := c.EUID != old.UID || isSetgid
	gained := c.Permitted&^old.Permitted != 0
	r.Cleared = r.Cleared || gained
	if c.NoNewPrivs {
		c.Permitted &= old.Permitted
	}
	c.SUID = c.EUID
	if f.HasFileCaps || changesID {
		c.Ambient = 0
	}
	c.Permitted |= c.Ambient
	c.Effective = c.Ambient
	if effective {
		c.Effective = c.Permitted
	}
	c.Securebits &^= SecureKeepCaps
	realRoot := c.Root != NoID && c.UID == c.Root
	r.Secure = changesID || !realRoot && (effective || c.Permitted&^c.Ambient != 0)
	r.Changed = c.EUID != old.EUID || isSetgid || c.Permitted&^old.Permitted != 0
	return r
}
