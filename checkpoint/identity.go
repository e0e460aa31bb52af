package checkpoint

import (
	"encoding/binary"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// AnyTracer is the [Config].PTracer that lets every process trace.
const AnyTracer = -1

// Keyring is the session keyring that the workload gets, see
// session-keyring(7).
type Keyring struct {
	// Name of the keyring. One of this name that exists, and that the agent
	// may search, is joined; else it is made. Empty makes an anonymous one.
	Name string `json:"name,omitempty"`
	// Permissions are a mask as in keyctl_setperm(3): possessor, user, group
	// and others, one byte each from the most significant on.
	Permissions Option[uint32] `json:"permissions,omitzero"`
}

// IsZero reports that nothing is asked for.
func (k Keyring) IsZero() bool { return k.Name == "" && !k.Permissions.Set }

// Speculation is what prctl(2) PR_SET_SPECULATION_CTRL sets: "enable",
// "disable" or "force-disable", which cannot be undone. Empty leaves the
// caller's. The settings survive execve. (PR_SPEC_DISABLE_NOEXEC is not
// offered: it ends with the execve that starts the workload.)
//
// Where the processor is not affected, or the kernel does not leave the choice
// to processes, the launch fails at [StageSpec] with ENXIO or EPERM.
type Speculation struct {
	StoreBypass    string `json:"store_bypass,omitempty"`    // since Linux 4.17
	IndirectBranch string `json:"indirect_branch,omitempty"` // since Linux 4.20
	// L1DFlush: "enable" flushes the first-level data cache on every switch
	// away from the workload. Since Linux 5.15, with the boot option l1d_flush=on.
	L1DFlush string `json:"l1d_flush,omitempty"`
}

// specModes are the PR_SPEC_ values of the words.
var specModes = map[string]uint64{"enable": unix.PR_SPEC_ENABLE, "disable": unix.PR_SPEC_DISABLE, "force-disable": unix.PR_SPEC_FORCE_DISABLE}

type specSetting struct {
	name    string
	control uint64
	mode    string
}

func (s *Speculation) all() [3]specSetting {
	return [3]specSetting{
		{"store_bypass", unix.PR_SPEC_STORE_BYPASS, s.StoreBypass},
		{"indirect_branch", unix.PR_SPEC_INDIRECT_BRANCH, s.IndirectBranch},
		{"l1d_flush", unix.PR_SPEC_L1D_FLUSH, s.L1DFlush},
	}
}

func (p *plan) speculation() {
	for _, s := range p.cfg.Speculation.all() {
		if s.mode != "" {
			p.final.add(StageSpec, -1, s.name+" "+s.mode, prctl(unix.PR_SET_SPECULATION_CTRL, s.control, specModes[s.mode]))
		}
	}
}

// subreaper: the flag is the process's (signal_struct), so it survives execve;
// no child inherits it.
func (p *plan) subreaper() {
	if p.cfg.Subreaper {
		p.final.add(StageSubreaper, -1, "", prctl(unix.PR_SET_CHILD_SUBREAPER, 1))
	}
}

// tracer declares an exception to Yama's rule that only ancestors may trace
// (ptrace_scope 1). Yama keeps it until one of the two tasks ends
// (yama_task_free, security/yama/yama_lsm.c), so it survives execve.
func (p *plan) tracer() {
	if t := p.cfg.PTracer; t.Set {
		pid := int64(t.Value) // AnyTracer is the -1 that the call wants
		p.final.add(StageTracer, -1, "", prctl(unix.PR_SET_PTRACER, uint64(pid)))
	}
}

// sessionKeyring joins or makes the keyring. Permissions come after: what is
// made has those that the kernel gives (KEY_POS_ALL, and view, read and link
// for its user).
func (p *plan) sessionKeyring(k *Keyring) {
	name := agent.N(0)
	if k.Name != "" {
		name = agent.S(k.Name)
	}
	join := agent.Sys(unix.SYS_KEYCTL, agent.N(unix.KEYCTL_JOIN_SESSION_KEYRING), name)
	if !k.Permissions.Set {
		p.setup.add(StageKeyring, -1, k.Name, join)
		return
	}
	join.Save = p.reg()
	p.regs--
	p.setup.add(StageKeyring, -1, k.Name, join,
		agent.Sys(unix.SYS_KEYCTL, agent.N(unix.KEYCTL_SETPERM), agent.R(join.Save), agent.N(k.Permissions.Value)))
}

// identity merges what is in this file and in lsm.go.
func (c *Config) identity(patch *Config) {
	c.ProcessGroup = c.ProcessGroup || patch.ProcessGroup
	c.Subreaper = c.Subreaper || patch.Subreaper
	set(&c.PTracer, patch.PTracer)
	word := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	word(&c.Keyring.Name, patch.Keyring.Name)
	set(&c.Keyring.Permissions, patch.Keyring.Permissions)
	word(&c.Speculation.StoreBypass, patch.Speculation.StoreBypass)
	word(&c.Speculation.IndirectBranch, patch.Speculation.IndirectBranch)
	word(&c.Speculation.L1DFlush, patch.Speculation.L1DFlush)
	word(&c.LSM.AppArmor, patch.LSM.AppArmor)
	word(&c.LSM.SELinux, patch.LSM.SELinux)
}

func (c *Config) validateIdentity(v *validator) {
	for _, s := range c.Speculation.all() {
		_, ok := specModes[s.mode]
		v.check(ok || s.mode == "", "speculation."+s.name, "unknown word %q: enable, disable and force-disable are known", s.mode)
	}
	v.check(c.PTracer.Value >= AnyTracer, "ptracer", "%d is no process id", c.PTracer.Value)
	k := &c.Keyring
	v.noNUL("keyring.name", k.Name)
	v.check(len(k.Name) < 4096 && (k.Name == "" || k.Name[0] != '.'), "keyring.name", "%.20q: at most 4095 bytes, and a point at the beginning is the kernel's", k.Name)
	v.check(k.Permissions.Value&^0x3f3f3f3f == 0, "keyring.permissions", "%#x has bits that mean nothing", k.Permissions.Value)
	v.check(!k.Permissions.Set || k.Name != "" || c.NewKeyring, "keyring.permissions", "need a new keyring")
	v.noNUL("lsm.apparmor", c.LSM.AppArmor)
	v.noNUL("lsm.selinux", c.LSM.SELinux)
}

// identityHint says what usually helps against an errno at the stages of this
// file and of lsm.go.
func identityHint(stage Stage, errno unix.Errno) string {
	switch {
	case stage == StageSpec && errno == unix.ENXIO:
		return "the processor is not affected, or the kernel leaves no choice; see Speculation in /proc/self/status"
	case stage == StageSpec && errno == unix.EPERM:
		return "the administrator decided for all processes, or it was force-disabled before"
	case stage == StageSpec && errno == unix.ENODEV:
		return "the kernel does not know this control"
	case stage == StageTracer && errno == unix.EINVAL:
		return "this kernel has no Yama (/proc/sys/kernel/yama), or there is no such process in the workload's pid namespace"
	case stage == StageKeyring && errno == unix.EACCES:
		return "a keyring of that name is another user's, or gives no permission to search or to set permissions"
	case stage == StageKeyring && errno == unix.EDQUOT:
		return "the quota of keys is used up, see keyrings(7)"
	case stage == StageLSM && (errno == unix.ENOENT || errno == unix.EINVAL):
		return "the security module is not active (/sys/kernel/security/lsm), or does not know the label"
	case stage == StageLSM && errno == unix.EXDEV:
		return "something is mounted on the file in /proc, which could swallow the label"
	case stage == StageLSM && (errno == unix.EACCES || errno == unix.EPERM):
		return "the policy does not let this process change to the label"
	}
	return ""
}

// openHow is struct open_how of openat2(2) for a file of the host's /proc: it
// may not be left, and nothing that is mounted on it is entered, so that what
// is written reaches the kernel.
func openHow(flags uint64) agent.Arg {
	b := binary.NativeEndian.AppendUint64(nil, flags)
	b = binary.NativeEndian.AppendUint64(b, 0)
	return agent.B(binary.NativeEndian.AppendUint64(b, unix.RESOLVE_NO_XDEV|unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS))
}
