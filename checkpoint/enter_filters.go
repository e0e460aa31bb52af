package checkpoint

import (
	"encoding/binary"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
	"golang.org/x/sys/unix"
)

// copiedEarly: as [plan.earlyFilters], for filters of the target.
func (p *plan) copiedEarly() bool {
	if p.target == nil || len(p.target.filters) == 0 || p.cfg.NoNewPrivs {
		return false
	}
	if e := p.cfg.Capabilities.Effective; e.Set {
		return !e.Value.Has(capSysAdmin)
	}
	return p.cfg.UID.Set && p.cfg.UID.Value != 0
}

// copiedFilters loads the filters of the target, in its order. The request's
// own come after them.
func (p *plan) copiedFilters() {
	if p.target == nil {
		return
	}
	const setModeFilter = 1
	for i, f := range p.target.filters {
		p.final.add(StageEnter, i, "filter of the target", agent.Sys(unix.SYS_SECCOMP, agent.N(setModeFilter), agent.N(f.Flags), agent.F(f.Program)))
	}
}

// copiedPreflight is [plan.preflight] for filters of the target.
func (p *plan) copiedPreflight() {
	if p.target == nil || len(p.target.filters) == 0 || p.final.err != nil {
		return
	}
	native := seccomp.NativeArch()
	var calls []seccomp.Call
	var after []int // how many of them come before the filter with that number is loaded
	for i := range p.final.steps {
		s := &p.final.steps[i]
		if len(after) > 0 && s.op.NR <= 0xffff {
			c := seccomp.Call{Stage: string(s.stage), Name: seccomp.CallName(native, s.op.NR)}
			for j, a := range s.op.Args {
				c.Args[j].Value, c.Args[j].Known = a.Number()
			}
			if c.Name == "" {
				c.Name = strconv.Itoa(int(s.op.NR))
			}
			calls = append(calls, c)
		}
		if s.stage == StageEnter {
			after = append(after, len(calls))
		}
	}
	for i, f := range p.target.filters {
		prog := &seccomp.Program{Native: native}
		for b := f.Program; len(b) >= 8; b = b[8:] {
			prog.Instructions = append(prog.Instructions, cbpf.Instruction{
				Code: binary.NativeEndian.Uint16(b), JT: b[2], JF: b[3], K: binary.NativeEndian.Uint32(b[4:]),
			})
		}
		if err := seccomp.Preflight(prog, calls[after[i]:]); err != nil {
			p.final.fail(StageEnter, i, "filter of the target", &badFilter{err})
			return
		}
	}
}
