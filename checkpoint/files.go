package checkpoint

import (
	"os"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// noRegister marks a standard descriptor that is /dev/null.
const noRegister = -1

// files puts the workload's descriptors in place and marks all others
// close-on-exec. What it is given was opened by the host, so nothing here
// depends on the workload's root.
func (p *plan) files() {
	if p.stdio[0] == 0 { // a second compilation, after Apply, uses the same registers
		for i, f := range []*os.File{p.opts.Stdin, p.opts.Stdout, p.opts.Stderr} {
			p.stdio[i] = noRegister
			if f != nil {
				p.stdio[i] = p.pass(int(f.Fd()))
			}
		}
		for _, f := range p.opts.Files {
			p.extra = append(p.extra, p.pass(int(f.File.Fd())), p.reg())
		}
		if p.opts.Program != nil {
			p.program = [2]int{p.pass(int(p.opts.Program.Fd())), p.reg()}
		}
		p.proc = agent.RegProc
		if len(p.opts.Files) > 0 || p.opts.ProgramNumber > 0 {
			p.proc = p.reg()
		}
	}
	// Passed descriptors may arrive at numbers that are somebody's target, so
	// they are moved out of the way first, and so is what is needed after them.
	outOfTheWay := max(512, p.opts.ProgramNumber+1)
	for _, f := range p.opts.Files {
		outOfTheWay = max(outOfTheWay, f.Number+1)
	}
	aside := func(i int, object string, from, to int) {
		dup := agent.Sys(unix.SYS_FCNTL, agent.R(from), agent.N(unix.F_DUPFD_CLOEXEC), agent.N(outOfTheWay))
		dup.Save = to
		p.final.add(StageFiles, i, object, dup)
	}
	for i, f := range p.opts.Files {
		aside(i, f.File.Name(), p.extra[2*i], p.extra[2*i+1])
	}
	if f := p.opts.Program; f != nil {
		aside(-1, f.Name(), p.program[0], p.program[1])
	}
	if p.proc != agent.RegProc && p.cfg.LSM != (LSM{}) {
		aside(-1, "/proc", agent.RegProc, p.proc)
	}
	for i, reg := range p.stdio {
		if reg == noRegister {
			reg = agent.RegNull
		}
		p.final.add(StageStdio, i, "", agent.Sys(unix.SYS_DUP3, agent.R(reg), agent.N(i), agent.N(0)))
	}
	// close_range with CLOSE_RANGE_CLOEXEC is 5.11; older kernels have nothing
	// to mark, since every descriptor of the agent is close-on-exec by birth.
	all := agent.Sys(unix.SYS_CLOSE_RANGE, agent.N(3), agent.N(uint64(1<<32-1)), agent.N(unix.CLOSE_RANGE_CLOEXEC))
	all.AnyErr = true
	p.final.add(StageFiles, -1, "close-on-exec", all)
	p.closeOurs()
	for i, f := range p.opts.Files {
		p.final.add(StageFiles, i, f.File.Name(), agent.Sys(unix.SYS_DUP3, agent.R(p.extra[2*i+1]), agent.N(f.Number), agent.N(0)))
	}
	if n := p.opts.ProgramNumber; n > 0 {
		p.final.add(StageFiles, -1, p.opts.Program.Name(), agent.Sys(unix.SYS_DUP3, agent.R(p.program[1]), agent.N(n), agent.N(0)))
	}
	if p.opts.Terminal {
		p.final.add(StageStdio, 0, "controlling terminal", agent.Sys(unix.SYS_IOCTL, agent.N(0), agent.N(unix.TIOCSCTTY), agent.N(0)))
	}
}

// closeOurs closes what the child was given for its set-up, before any path of
// the request is walked for the last time: close-on-exec is too late for that,
// since /proc/self/fd/N as the working directory, or in the path of the program,
// would lead through a directory of the host (CVE-2024-21626). The passed files
// are not at their numbers yet. Some were closed before, and no number of them
// is in use again: what was opened since is out of the way.
func (p *plan) closeOurs() {
	done := func(reg int) {
		op := closeReg(reg)
		op.AnyErr = true
		p.final.add(StageFiles, -1, "set-up", op)
	}
	for i := range p.fds {
		done(agent.RegFD0 + i)
	}
	if p.cfg.LSM == (LSM{}) || p.proc != agent.RegProc {
		done(agent.RegProc)
	}
}
