package checkpoint

import (
	"encoding/binary"
	"fmt"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

func (p *plan) hostname(cfg *Config) {
	set := func(nr uint32, object string, name Option[string]) {
		if name.Set {
			p.setup.add(StageHostname, -1, object, agent.Sys(nr, agent.B([]byte(name.Value+"\x00")), agent.N(len(name.Value))))
		}
	}
	set(unix.SYS_SETHOSTNAME, "hostname", cfg.Hostname)
	set(unix.SYS_SETDOMAINNAME, "domainname", cfg.Domainname)
}

// procFile writes a file of the host's /proc as the child, so that it acts on
// the child's own namespaces. The descriptor of /proc stays with the child
// until execve, whatever its root becomes.
func (p *plan) procFile(stage Stage, object, path, text string) {
	reg := p.reg()
	p.regs-- // closed again at once
	open := agent.Sys(unix.SYS_OPENAT2, agent.R(agent.RegProc), agent.S(path), openHow(unix.O_WRONLY|unix.O_CLOEXEC), agent.N(24))
	open.Save = reg
	p.setup.add(stage, -1, object, open, write(reg, text), closeReg(reg))
}

func (p *plan) keyring(cfg *Config) {
	if cfg.NewKeyring || !cfg.Keyring.IsZero() {
		p.sessionKeyring(&cfg.Keyring)
	}
}

// session comes before the descriptors: a controlling terminal needs it.
func (p *plan) session() {
	switch {
	case p.sessionBegun: // and a process group with it
	case p.cfg.Session || p.opts.Terminal:
		p.final.add(StageSession, -1, "", agent.Sys(unix.SYS_SETSID))
	case p.cfg.ProcessGroup:
		p.final.add(StageSession, -1, "process group", agent.Sys(unix.SYS_SETPGID, agent.N(0), agent.N(0)))
	}
}

func (p *plan) umask() {
	if v := p.cfg.Umask; v.Set {
		p.final.add(StageUmask, -1, fmt.Sprintf("%04o", v.Value), agent.Sys(unix.SYS_UMASK, agent.N(v.Value)))
	}
}

func (p *plan) cwd() {
	if p.cfg.Cwd != "" {
		p.final.add(StageCwd, -1, p.cfg.Cwd, agent.Sys(unix.SYS_CHDIR, agent.S(p.cfg.Cwd)))
	}
}

func (p *plan) personality() {
	if v := p.cfg.Personality; v.Set {
		p.final.add(StagePersona, -1, "", agent.Sys(unix.SYS_PERSONALITY, agent.N(v.Value)))
	}
}

// signals sets dispositions and mask. The child is born with every disposition
// at its default and SIGCHLD blocked, which is the agent's own need.
func (p *plan) signals() {
	for i, sig := range p.cfg.IgnoreSignals {
		act := make([]byte, 32) // struct sigaction of the kernel: handler, flags, restorer, mask
		binary.NativeEndian.PutUint64(act, 1)
		p.final.add(StageSignals, i, unix.SignalName(unix.Signal(sig)),
			agent.Sys(unix.SYS_RT_SIGACTION, agent.N(sig), agent.B(act), agent.N(0), agent.N(8)))
	}
	var mask uint64
	for _, sig := range p.cfg.BlockSignals {
		mask |= 1 << (sig - 1)
	}
	p.final.add(StageSignals, -1, "mask", agent.Sys(unix.SYS_RT_SIGPROCMASK, agent.N(2), /* SIG_SETMASK */
		agent.B(binary.NativeEndian.AppendUint64(nil, mask)), agent.N(0), agent.N(8)))
}
