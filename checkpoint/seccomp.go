package checkpoint

import (
	"encoding/binary"
	"errors"
	"slices"
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
	if len(c.filters()) == 0 && c.Landlock == nil || c.NoNewPrivs {
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

// filters are the policies in the order in which they are loaded.
func (c *Config) filters() []*seccomp.Policy {
	if c.Seccomp == nil {
		return c.Filters
	}
	return append(slices.Clip(c.Filters), c.Seccomp)
}

// filterObject names a filter in errors.
func (c *Config) filterObject(i int) (index int, field string) {
	if i < len(c.Filters) {
		return i, "filters"
	}
	return -1, ""
}

// seccomp loads the filters. What comes after each, at the least execve, is
// checked against it by preflight once the plan is complete.
func (p *plan) seccomp() {
	p.listener = -1
	p.beforeListener()
	for i, policy := range p.cfg.filters() {
		index, object := p.cfg.filterObject(i)
		f := compileFilter(policy)
		if f.err != nil {
			p.final.fail(StageSeccomp, index, object, &badFilter{f.err})
			return
		}
		if missing := missingFlag(f.program.Flags); missing != nil {
			p.final.fail(StageSeccomp, index, object, missing)
			return
		}
		const setModeFilter = 1
		load := agent.Sys(unix.SYS_SECCOMP, agent.N(setModeFilter), agent.N(f.program.Flags), agent.F(f.bytes))
		p.final.add(StageSeccomp, index, object, load)
		if policy.Listens() {
			p.listen(index, object)
		}
	}
}

// preflight refuses filters that would kill or fail what the child still has
// to do under them, by the name of the call. The strictest of several filters
// decides, so each by itself must let it pass.
func (p *plan) preflight() {
	if p.final.err != nil {
		return
	}
	loaded := 0
	policies := p.cfg.filters()
	for at := range p.final.steps {
		s := &p.final.steps[at]
		if s.stage != StageSeccomp || s.op.NR != unix.SYS_SECCOMP {
			continue
		}
		f := compileFilter(policies[loaded])
		loaded++
		if err := seccomp.Preflight(f.program, p.callsAfter(at, f.program.Native)); err != nil {
			p.final.fail(StageSeccomp, s.index, s.object, &badFilter{err})
			return
		}
	}
}

// callsAfter lists the system calls of the last batch after a step.
func (p *plan) callsAfter(at int, native seccomp.Arch) []seccomp.Call {
	var calls []seccomp.Call
	for i := range p.final.steps[at+1:] {
		s := &p.final.steps[at+1+i]
		if s.op.NR > 0xffff {
			continue
		}
		c := seccomp.Call{Stage: string(s.stage), Name: seccomp.CallName(native, s.op.NR)}
		for j, a := range s.op.Args {
			n, known := a.Number()
			c.Args[j] = seccomp.Arg{Known: known, Value: n}
		}
		if c.Name == "" {
			c.Name = strconv.Itoa(int(s.op.NR))
		}
		calls = append(calls, c)
	}
	return calls
}

// badFilter is a policy that cannot be used; it matches EINVAL and its cause.
type badFilter struct{ err error }

func (e *badFilter) Error() string        { return e.err.Error() }
func (e *badFilter) Unwrap() error        { return e.err }
func (e *badFilter) Is(target error) bool { return errors.Is(unix.EINVAL, target) }
