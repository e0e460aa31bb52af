package checkpoint

import (
	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// LSM are the labels that security modules give the workload at execve. The
// launch fails at [StageLSM] where the module is not active or does not know
// the label; nothing is skipped silently.
type LSM struct {
	// AppArmor is a profile that is loaded, or "unconfined". Since Linux 5.8
	// (/proc/self/attr/apparmor/exec).
	AppArmor string `json:"apparmor,omitempty"`
	// SELinux is a whole context, as "system_u:system_r:container_t:s0".
	SELinux string `json:"selinux,omitempty"`
}

// labels take effect at the next execve. They come before Landlock and seccomp,
// which need not allow what writes them.
//
// The files are opened below the descriptor of /proc that the agent was given
// when it started and that was checked to be procfs; see [openHow] for the way
// there. A file of another kind in their place would take the label and do
// nothing with it (CVE-2019-16884, CVE-2019-19921).
func (p *plan) labels() {
	if a := p.cfg.LSM.AppArmor; a != "" {
		p.label("apparmor "+a, "self/attr/apparmor/exec", "exec "+a)
	}
	if s := p.cfg.LSM.SELinux; s != "" {
		p.label("selinux "+s, "self/attr/exec", s)
	}
	if p.cfg.LSM != (LSM{}) {
		p.final.add(StageLSM, -1, "/proc", closeReg(p.proc)) // as closeOurs
	}
}

func (p *plan) label(object, path, text string) {
	reg := p.reg()
	p.regs--
	open := agent.Sys(unix.SYS_OPENAT2, agent.R(p.proc), agent.S(path), openHow(unix.O_WRONLY|unix.O_CLOEXEC), agent.N(24))
	open.Save = reg
	p.final.add(StageLSM, -1, object, open, write(reg, text), closeReg(reg))
}
