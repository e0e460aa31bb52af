package checkpoint

import (
	"encoding/binary"
	"errors"
	"strconv"
	"sync"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

const capSysAdmin = 21

// earlyFilters: without no_new_privs a filter needs CAP_SYS_ADMIN (seccomp(2)),
// and so does a Landlock domain (landlock_restrict_self(2)). Where the workload
// shall not have it, they go on before the capabilities are taken, and a
// filter must then allow the calls that take them.
func (p *plan) earlyFilters() bool {
	c := p.cfg
	if c.Seccomp == nil && c.Landlock == nil || c.NoNewPrivs {
		return false
	}
	if e := c.Capabilities.Effective; e.Set {
		return !e.Value.Has(capSysAdmin)
	}
	return c.UID.Set && c.UID.Value != 0
}

// compiled keeps filters by digest of their policy: many launches have the same
// few. A campaign that never repeats one must not fill the memory with them.
var compiled struct {
	sync.Mutex
	filters map[seccomp.Digest]*filter
}

const maxCompiled = 256

type filter struct {
	program *seccomp.Program
	bytes   []byte // struct sock_filter array
	err     error
}

func compileFilter(policy *seccomp.Policy) *filter {
	digest := policy.Digest()
	compiled.Lock()
	f := compiled.filters[digest]
	compiled.Unlock()
	if f != nil {
		return f
	}
	f = &filter{}
	f.program, f.err = policy.Compile(seccomp.Options{})
	if f.err == nil {
		for _, in := range f.program.Instructions {
			f.bytes = binary.NativeEndian.AppendUint16(f.bytes, in.Code)
			f.bytes = append(f.bytes, in.JT, in.JF)
			f.bytes = binary.NativeEndian.AppendUint32(f.bytes, in.K)
		}
	}
	compiled.Lock()
	if compiled.filters == nil || len(compiled.filters) >= maxCompiled {
		compiled.filters = make(map[seccomp.Digest]*filter)
	}
	compiled.filters[digest] = f
	compiled.Unlock()
	return f
}

// seccomp loads the filter. What comes after it, at the least execve, is checked
// against it by preflight once the plan is complete.
func (p *plan) seccomp() {
	if p.cfg.Seccomp == nil {
		return
	}
	f := compileFilter(p.cfg.Seccomp)
	if f.err != nil {
		p.final.fail(StageSeccomp, -1, "", &badFilter{f.err})
		return
	}
	const setModeFilter = 1
	p.final.add(StageSeccomp, -1, "", agent.Sys(unix.SYS_SECCOMP, agent.N(setModeFilter), agent.N(f.program.Flags), agent.F(f.bytes)))
}

// preflight refuses a filter that would kill or fail what the child still has
// to do under it, by the name of the call.
func (p *plan) preflight() {
	if p.cfg.Seccomp == nil || p.final.err != nil {
		return
	}
	f := compileFilter(p.cfg.Seccomp)
	var calls []seccomp.Call
	under := false
	for i := range p.final.steps {
		s := &p.final.steps[i]
		if under && s.op.NR <= 0xffff {
			c := seccomp.Call{Stage: string(s.stage), Name: seccomp.CallName(f.program.Native, s.op.NR)}
			for j, a := range s.op.Args {
				n, known := a.Number()
				c.Args[j] = seccomp.Arg{Known: known, Value: n}
			}
			if c.Name == "" {
				c.Name = strconv.Itoa(int(s.op.NR))
			}
			calls = append(calls, c)
		}
		under = under || s.stage == StageSeccomp
	}
	if err := seccomp.Preflight(f.program, calls); err != nil {
		p.final.fail(StageSeccomp, -1, "", &badFilter{err})
	}
}

// badFilter is a policy that cannot be used; it matches EINVAL and its cause.
type badFilter struct{ err error }

func (e *badFilter) Error() string        { return e.err.Error() }
func (e *badFilter) Unwrap() error        { return e.err }
func (e *badFilter) Is(target error) bool { return errors.Is(unix.EINVAL, target) }
