package probes

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
)

const (
	hookLSM   = "bprm_committed_creds"
	hookFexit = "begin_new_exec"
	hookWork  = "bpf_task_work"
	hookBreak = "entry_breakpoint"
)

// witnesses are the optional hooks. A nil *witnesses has none.
type witnesses struct {
	colls []*ebpf.Collection
	links []link.Link

	breaker *ebpf.Program // nil if there are no breakpoints
	points  map[uint64]*breakpoint
}

// breakpoint is one address that is listened at, on every CPU.
type breakpoint struct {
	users  int
	events []perfEvent
}

// addWitnesses loads and attaches each optional hook by itself. What does not
// work is noted in the hook and is no error.
func (s *hookSet) addWitnesses(ringBytes, maxWatches int) {
	s.wits = &witnesses{points: map[uint64]*breakpoint{}}
	for _, w := range []struct {
		hook Hook
		open func(*loader) error
	}{
		{Hook{Name: hookLSM, Kind: "lsm", Why: "confirms at the commit of the credentials"}, s.openLSM},
		{Hook{Name: hookFexit, Kind: "fexit", Why: "confirms when execve has passed its point of no return"}, s.openFexit},
		{Hook{Name: hookWork, Kind: "kfunc", Why: "confirms on the way to user mode, after any tracer's stop"}, s.openWork},
		{Hook{Name: hookBreak, Kind: "breakpoint", Why: "confirms at the first instruction, before it is fetched, where its address is known beforehand"}, s.openBreak},
	} {
		w.hook.Optional = true
		s.info[w.hook.Name] = &w.hook
		s.order = append(s.order, w.hook.Name)
		if s.skip[w.hook.Name] {
			w.hook.Err = &Error{Op: "attach " + w.hook.Name, Err: errors.New("left out")}
			continue
		}
		l := &loader{objs: s.objs, ringBytes: ringBytes, maxWatches: maxWatches}
		w.hook.Err = explainOptional("attach "+w.hook.Name, w.open(l))
		s.wits.colls = append(s.wits.colls, l.coll...)
	}
}

// explainOptional is explain for these hooks. That a program of another type was
// loaded before shows that privilege is not what is missing.
func explainOptional(op string, err error) error {
	if errors.Is(err, btf.ErrNotFound) {
		return &Error{Op: op, Err: fmt.Errorf("%w: %w", ErrNotSupported, err)}
	}
	if err = explain(op, err); err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Hint {
		case hintPrivilege:
			e.Hint = "the kernel loads other programs and refuses this type"
		case hintBTF: // it is there
			e.Hint = ""
		}
	}
	return err
}

// loader loads one program with the maps that it needs.
type loader struct {
	objs                  *objects
	ringBytes, maxWatches int
	coll                  []*ebpf.Collection
}

func (l *loader) load(read func() (*ebpf.CollectionSpec, error), name string) (*ebpf.Program, error) {
	spec, err := read()
	if err != nil {
		return nil, err
	}
	for other := range spec.Programs {
		if other != name {
			delete(spec.Programs, other)
		}
	}
	spec.Maps["events"].MaxEntries = uint32(l.ringBytes)
	spec.Maps["watches"].MaxEntries = uint32(l.maxWatches)
	if m := spec.Maps["works"]; m != nil {
		m.MaxEntries = uint32(l.maxWatches)
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: map[string]*ebpf.Map{"events": l.objs.events, "watches": l.objs.watches},
	})
	if err != nil {
		return nil, err
	}
	l.coll = append(l.coll, c)
	return c.Programs[name], nil
}

func (s *hookSet) openLSM(l *loader) error {
	p, err := l.load(bpf.LoadWitness, "on_committed")
	if err != nil {
		return err
	}
	return s.wits.keep(link.AttachLSM(link.LSMOptions{Program: p}))
}

func (s *hookSet) openFexit(l *loader) error {
	p, err := l.load(bpf.LoadWitness, "on_begun")
	if err != nil {
		return err
	}
	return s.wits.keep(link.AttachTracing(link.TracingOptions{Program: p}))
}

// openWork tries the function under both names that it had: see witness_work.bpf.c.
func (s *hookSet) openWork(l *loader) error {
	p, err := l.load(bpf.LoadWitnessWork, "on_exec_work")
	if err != nil {
		var err2 error
		if p, err2 = l.load(bpf.LoadWitnessWork, "on_exec_work_impl"); err2 != nil {
			return err2
		}
	}
	return s.wits.keep(link.AttachRawTracepoint(link.RawTracepointOptions{Name: hookExec, Program: p}))
}

func (s *hookSet) openBreak(l *loader) error {
	if runtime.GOARCH != "amd64" {
		// A program at a breakpoint leaves out the single step by which arm64
		// gets past it, and then the task loops: fixed in 6.6, and in 6.1.53
		// and 5.10.195 (d11a69873d9a, "hw_breakpoint: fix single-stepping when
		// using bpf_overflow_handler").
		return fmt.Errorf("%w: a breakpoint with a program is only used on amd64", ErrNotSupported)
	}
	p, err := l.load(bpf.LoadWitness, "on_break")
	if err != nil {
		return err
	}
	s.wits.breaker = p
	// The processor, or its hypervisor, may have no debug registers to give.
	e, err := openBreakpoint(onlineCPUs()[0], unprovoked, p)
	if err != nil {
		s.wits.breaker = nil
		return fmt.Errorf("a hardware breakpoint: %w", err)
	}
	return e.Close()
}

// noBreakpoint notes why there is none, if that is not known yet.
func (s *hookSet) noBreakpoint(err error) {
	if h := s.info[hookBreak]; h != nil && h.Err == nil {
		h.Err = err
	}
}

// refusal is why the kernel did not do what a hook asked of it, nil if nothing is
// known.
func (w *witnesses) refusal() error {
	if w == nil {
		return nil
	}
	for _, c := range w.colls {
		var n int32
		if v := c.Variables["refusal"]; v != nil && v.Get(&n) == nil && n < 0 {
			return &Error{Op: "schedule " + hookWork, Err: unix.Errno(-n)}
		}
	}
	return nil
}

// unprovoked is a user address at which nothing executes: the first page, below
// vm.mmap_min_addr.
const unprovoked = 0x10

func (w *witnesses) keep(l link.Link, err error) error {
	if err == nil {
		w.links = append(w.links, l)
	}
	return err
}

func (w *witnesses) close() {
	if w == nil {
		return
	}
	for _, p := range w.points {
		p.close()
	}
	for _, l := range w.links {
		_ = l.Close()
	}
	for _, c := range w.colls {
		c.Close()
	}
	w.links, w.colls, w.points, w.breaker = nil, nil, nil, nil
}

// Breakpoint listens at an address of user memory, until release is called, for
// the first instruction of observed processes: of programs that are linked to a
// fixed address, it is known before they run. A processor has four such
// registers; others may use them too. Any process that executes at the address
// meanwhile is held up for about a microsecond each time. A watch must want
// [AtFirst] to be confirmed by it.
//
// It fails with [ErrNotSupported] if the Observer has no breakpoints
// ([Options].Confirm, amd64), with EINVAL if the address is none of a user's, and
// with ENOSPC if no register is free.
func (o *Observer) Breakpoint(address uint64) (release func(), err error) {
	op := fmt.Sprintf("set a breakpoint at %#x", address)
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	w := o.hooks.wits
	if w == nil || w.breaker == nil {
		return nil, &Error{Op: op, Err: ErrNotSupported}
	}
	if address == 0 || address>>63 != 0 {
		return nil, &Error{Op: op, Err: unix.EINVAL}
	}
	p := w.points[address]
	if p == nil {
		p = &breakpoint{}
		for _, cpu := range onlineCPUs() {
			e, err := openBreakpoint(cpu, address, w.breaker)
			if err != nil {
				p.close()
				return nil, explain(fmt.Sprintf("%s on CPU %d", op, cpu), err)
			}
			p.events = append(p.events, e)
		}
		w.points[address] = p
	}
	p.users++
	return sync.OnceFunc(func() {
		o.hookMu.Lock()
		defer o.hookMu.Unlock()
		if p.users--; p.users == 0 && w.points[address] == p {
			p.close()
			delete(w.points, address)
		}
	}), nil
}

func (p *breakpoint) close() {
	for _, e := range p.events {
		_ = e.Close()
	}
	p.events = nil
}

// openBreakpoint asks for an execution breakpoint on a CPU, for every task.
func openBreakpoint(cpu int, address uint64, p *ebpf.Program) (perfEvent, error) {
	const (
		breakExecute = 4 // HW_BREAKPOINT_X (linux/hw_breakpoint.h)
		lengthLong   = 8 // sizeof(long), as x86 wants it for execution
		// The kernel never executes there, and may not be listened to
		// without CAP_PERFMON.
		excludeKernel = unix.PerfBitExcludeKernel
	)
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_BREAKPOINT, Bp_type: breakExecute, Ext1: address, Ext2: lengthLong,
		Sample: 1, Size: unix.PERF_ATTR_SIZE_VER5, Bits: excludeKernel,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, p.FD()); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return perfEvent(fd), nil
}
