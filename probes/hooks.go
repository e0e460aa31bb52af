package probes

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Hook is one place in the kernel that the observer listens at.
type Hook struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // "raw_tracepoint", "perf_event", "lsm", "fexit", "kfunc" or "breakpoint"
	// Live: an event of a real process came through it when the observer was
	// opened. A hook may be attached and still never fire.
	Live bool `json:"live"`
	// Why says what the hook gives, or what is lost without it.
	Why string `json:"why"`
	// Optional: it only confirms, and nothing depends on it.
	Optional bool  `json:"optional,omitempty"`
	Err      error `json:"-"`
}

const (
	hookFork  = "sched_process_fork"
	hookExec  = "sched_process_exec"
	hookExit  = "sched_process_exit"
	hookSysX  = "sys_exit"
	hookSysE  = "sys_enter"
	hookFault = "page_fault_user"
	hookPerf  = "page-faults"
)

// hookSet holds the attachments. Fork, exec and exit stay attached: they cost
// only when a process is made or ends. The others are on the path of every
// system call and page fault of the machine, so they are counted in and out.
type hookSet struct {
	objs  *objects
	fixed []link.Link
	hot   []closer
	users int
	info  map[string]*Hook
	// byName has the attached raw tracepoints.
	byName map[string]link.Link
	copies map[string][]link.Link
	order  []string
	// sabotage makes attach skip a hook; tests only.
	skip map[string]bool
	wits *witnesses // nil unless asked for
}

type closer interface{ Close() error }

func newHookSet(objs *objects, skip map[string]bool) *hookSet {
	s := &hookSet{objs: objs, info: map[string]*Hook{}, byName: map[string]link.Link{}, copies: map[string][]link.Link{}, skip: skip}
	for _, h := range []Hook{
		{Name: hookFork, Kind: "raw_tracepoint", Why: "watches children from their birth, and shows their creator"},
		{Name: hookExec, Kind: "raw_tracepoint", Why: "the posture when execve has done its work"},
		{Name: hookExit, Kind: "raw_tracepoint", Why: "ends a watch, and shows the posture at the end"},
		{Name: hookSysX, Kind: "raw_tracepoint", Why: "the posture when execve returns to user mode"},
		{Name: hookSysE, Kind: "raw_tracepoint", Why: "tells that the first instruction passed without a page fault"},
		{Name: hookFault, Kind: "raw_tracepoint", Why: "the posture at the fetch of the first instruction"},
	} {
		s.info[h.Name] = &h
		s.order = append(s.order, h.Name)
	}
	return s
}

func (s *hookSet) attachRaw(name, prog string) (link.Link, error) {
	if s.skip[name] {
		s.info[name].Err = &Error{Op: "attach " + name, Err: errors.New("left out")}
		return nil, s.info[name].Err
	}
	p := s.objs.program(prog)
	if p == nil {
		return nil, &Error{Op: "attach " + name, Err: ErrNotSupported}
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: p})
	if err != nil {
		err = explain("attach "+name, err)
		s.info[name].Err = err
		return nil, err
	}
	s.info[name].Err, s.byName[name] = nil, l
	return l, nil
}

func (s *hookSet) attachFixed() error {
	for _, h := range [][2]string{{hookFork, "on_fork"}, {hookExit, "on_exit"}, {hookExec, "on_exec"}} {
		l, err := s.attachRaw(h[0], h[1])
		if err != nil {
			if s.skip[h[0]] {
				continue
			}
			return err
		}
		s.fixed = append(s.fixed, l)
		for i := 1; i < copies; i++ {
			l, err := s.attachCopy(h[0], copyName(h[1], i))
			if err != nil {
				return err
			}
			if l != nil {
				s.fixed = append(s.fixed, l)
			}
		}
	}
	return nil
}

// attachCopy attaches another copy of a program, if there is one.
func (s *hookSet) attachCopy(name, prog string) (link.Link, error) {
	p := s.objs.program(prog)
	if p == nil {
		return nil, nil
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: p})
	if err == nil {
		s.copies[name] = append(s.copies[name], l)
	}
	return l, explain("attach "+name, err)
}

// acquire attaches the hot hooks for the first user. A hook that cannot be
// attached is no error: its snapshots are then reported missing.
func (s *hookSet) acquire() {
	s.users++
	if s.users > 1 {
		return
	}
	// The fault first, so that it is there when the return is seen.
	if l, err := s.attachRaw(hookFault, "on_fault"); err == nil {
		s.hot = append(s.hot, l)
	} else if !s.skip[hookPerf] {
		s.attachPerf()
	}
	if l, err := s.attachRaw(hookSysE, "on_sys_enter"); err == nil {
		s.hot = append(s.hot, l)
	}
	if l, err := s.attachRaw(hookSysX, "on_sys_exit"); err == nil {
		s.hot = append(s.hot, l)
	}
}

// seesFaults reports whether one of the two page-fault hooks is attached.
func (s *hookSet) seesFaults() bool {
	h := s.info[hookPerf]
	return s.info[hookFault].Err == nil || h != nil && h.Err == nil
}

func (s *hookSet) release() {
	s.users--
	if s.users == 0 {
		s.dropHot()
	}
}

func (s *hookSet) dropHot() {
	for _, l := range s.hot {
		_ = l.Close()
	}
	s.hot = nil
}

func (s *hookSet) close() {
	s.dropHot()
	for _, l := range s.fixed {
		_ = l.Close()
	}
	s.fixed = nil
	s.wits.close()
}

// drop detaches one hook while everything goes on; for tests of lost evidence.
func (s *hookSet) drop(name string) error {
	l := s.byName[name]
	if l == nil {
		return fmt.Errorf("%s is not attached", name)
	}
	delete(s.byName, name)
	for _, c := range s.copies[name] {
		_ = c.Close()
	}
	return l.Close()
}

// attachPerf listens to the software page-fault event instead of the
// tracepoint, which only x86 and RISC-V have: one event for each CPU.
func (s *hookSet) attachPerf() {
	h := s.info[hookPerf]
	if h == nil {
		h = &Hook{Name: hookPerf, Kind: "perf_event", Why: s.info[hookFault].Why}
		s.info[hookPerf] = h
		s.order = append(s.order, hookPerf)
	}
	p := s.objs.program(faultEventProgram)
	if p == nil {
		h.Err = &Error{Op: "attach " + hookPerf, Err: ErrNotSupported}
		return
	}
	for _, cpu := range onlineCPUs() {
		e, err := openPageFaults(cpu, p)
		if err != nil {
			h.Err = explain(fmt.Sprintf("attach %s on CPU %d", hookPerf, cpu), err)
			return
		}
		s.hot = append(s.hot, e)
	}
	h.Err = nil
}

type perfEvent int

func (e perfEvent) Close() error { return unix.Close(int(e)) }

func openPageFaults(cpu int, p *ebpf.Program) (perfEvent, error) {
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_PAGE_FAULTS, Sample: 1,
		Size: unix.PERF_ATTR_SIZE_VER5, Sample_type: unix.PERF_SAMPLE_ADDR,
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

func (s *hookSet) list() []Hook {
	out := make([]Hook, 0, len(s.order))
	for _, name := range s.order {
		out = append(out, *s.info[name])
	}
	return out
}
