package probes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
)

// objects are the loaded maps and programs.
type objects struct {
	coll     *ebpf.Collection
	direct   bool // the programs read the current task through typed pointers
	events   *ebpf.Map
	watches  *ebpf.Map
	parents  *ebpf.Map
	counters *ebpf.Variable
	landlock *ebpf.Variable
	waiters  *ebpf.Variable
	restore  func() // undoes raiseMemlock, nil if that was not needed
}

// opened is called when nothing more will be loaded: the library loads small
// programs of its own, to learn what the kernel can do, until the first use.
func (o *objects) opened() {
	if o.restore != nil {
		o.restore()
		o.restore = nil
	}
}

// program returns a loaded program, nil if this kernel refused it.
func (o *objects) program(name string) *ebpf.Program { return o.coll.Programs[name] }

// peekProgram reads other tasks than the current one, which the direct programs
// cannot.
const peekProgram = "on_peek"

// faultEventProgram is for machines without the tracepoint of page faults.
const faultEventProgram = "on_fault_event"

// hasTracepoint reports whether the kernel has a tracepoint, for each of which
// there is a type (include/trace/bpf_probe.h).
func hasTracepoint(kernel *btf.Spec, name string) bool {
	var t *btf.Typedef
	return kernel.TypeByName("btf_trace_"+name, &t) == nil
}

func load(ringBytes, maxWatches int, portable, perf bool, facts *kernelFacts) (*objects, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = &Error{Op: "read the kernel's type information", Err: errors.Join(ErrNotSupported, unix.ENOENT), Hint: hintBTF}
		}
		return nil, explain("read the kernel's type information", err)
	}
	facts.controllers = controllers(kernel)

	slots := 2*possibleCPUs() + 14
	prepare := func(spec *ebpf.CollectionSpec) error {
		spec.Maps["events"].MaxEntries = uint32(ringBytes)
		spec.Maps["watches"].MaxEntries = uint32(maxWatches)
		spec.Maps["slots"].MaxEntries = uint32(slots)
		spec.Maps["free_slots"].MaxEntries = uint32(slots)
		level, inum, err := pidNamespace()
		if err != nil {
			return err
		}
		facts.initialPIDNS = inum == initialPIDInode
		return errors.Join(
			spec.Variables["observer_level"].Set(level),
			spec.Variables["observer_pidns"].Set(inum),
			spec.Variables["wake_at"].Set(uint64(ringBytes/4)),
		)
	}
	// The one of two programs for page faults that is not used need not be
	// read by the verifier.
	perf = perf || !hasTracepoint(kernel, hookFault)
	var copyTargets targets
	cache := btf.NewCache()
	open := func(read func() (*ebpf.CollectionSpec, error), shared map[string]*ebpf.Map, want func(string) bool) (*ebpf.Collection, error) {
		spec, err := read()
		if err != nil {
			return nil, err
		}
		if err := prepare(spec); err != nil {
			return nil, err
		}
		for name := range spec.Programs {
			if !want(name) {
				delete(spec.Programs, name)
			}
		}
		if shared != nil {
			return ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared, Cache: cache})
		}
		t, err := multiply(spec, kernel)
		if err != nil {
			return nil, err
		}
		c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: cache})
		if err == nil {
			if err = t.fill(c); err != nil {
				c.Close()
			}
		}
		if err != nil {
			t.close()
			return nil, err
		}
		copyTargets = t
		return c, nil
	}
	all := func(name string) bool { return name != faultEventProgram || perf }
	peek := func(name string) bool { return name == peekProgram }

	var coll *ebpf.Collection
	o := &objects{}
	choose := func() (direct bool) {
		if !portable {
			if coll, err = open(bpf.LoadDirect, nil, all); err == nil {
				return true
			}
		}
		// An old kernel, or one that refuses typed access.
		coll, err = open(bpf.LoadProbes, nil, all)
		return false
	}
	if o.direct = choose(); errors.Is(err, unix.EPERM) {
		// Before 5.11 the memory of maps counts against RLIMIT_MEMLOCK.
		if restore, ok := raiseMemlock(); ok {
			o.restore = restore
			o.direct = choose()
		}
	}
	if err != nil {
		o.opened()
		return nil, explain("load the programs", err)
	}
	if o.direct {
		extra, err2 := open(bpf.LoadProbes, coll.Maps, peek)
		if err2 != nil {
			coll.Close()
			copyTargets.close()
			o.opened()
			return nil, explain("load "+peekProgram, err2)
		}
		coll.Programs[peekProgram] = extra.DetachProgram(peekProgram)
		extra.Close()
	}
	for name, m := range copyTargets { // closed with all others
		coll.Maps["copies of "+name] = m
	}
	for i := range slots {
		if err := coll.Maps["free_slots"].Update(nil, uint32(i), ebpf.UpdateAny); err != nil {
			coll.Close()
			o.opened()
			return nil, explain("fill the buffer queue", err)
		}
	}
	o.coll, o.events, o.watches, o.parents = coll, coll.Maps["events"], coll.Maps["watches"], coll.Maps["parents"]
	o.counters, o.landlock = coll.Variables["counters"], coll.Variables["landlock_offset"]
	o.waiters = coll.Variables["waiters"]
	return o, nil
}

// copied are the programs of which there are several, and how many. A program
// that is preempted still counts as running on its CPU, and there the kernel
// leaves it out for every other task until it has ended; each copy counts for
// itself, and whoever comes second has nothing to do. Since 7.0 programs at
// tracepoints can be preempted. For the hooks on hot paths copies would cost
// too much, and are not needed: see process.noReturn.
//
// A copy is a tail call into the program, which then does not count as running
// (bpf_tail_call in kernel/bpf/core.c leaves prog->active alone). So the
// verifier, which takes nearly all of the time to open an observer, reads the
// program once and not once for each copy.
//
// Then several tasks may be in the program on one CPU, each preempted, so it must
// keep everything on the stack of its task: see onTaskStack.
var copied = []string{"on_fork", "on_exec", "on_exit"}

const copies = 3

// preemptible reports whether the kernel is built to preempt itself, which it
// says in its version ("#1 SMP PREEMPT_DYNAMIC …", init/version.c).
func preemptible() bool {
	var u unix.Utsname
	return unix.Uname(&u) != nil || strings.Contains(unix.ByteSliceToString(u.Version[:]), "PREEMPT")
}

func copyName(name string, i int) string { return fmt.Sprintf("%s_%d", name, i+1) }

// targets are the maps by which the copies reach their programs: each has one
// program. They must stay open, as the kernel empties a map of programs that no
// process holds (map_release_uref of prog_array_map_ops, kernel/bpf/arraymap.c).
type targets map[string]*ebpf.Map

func (t targets) close() {
	for _, m := range t {
		m.Close()
	}
}

// multiply adds the copies, unless the kernel never preempts itself.
func multiply(spec *ebpf.CollectionSpec, kernel *btf.Spec) (targets, error) {
	if !preemptible() {
		return nil, nil
	}
	private := hasPrivateStacks(kernel)
	t := targets{}
	for _, name := range copied {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			t.close()
			return nil, fmt.Errorf("map of %s: %w", name, err)
		}
		t[name] = m
		of := spec.Programs[name]
		for i := 1; i < copies; i++ {
			spec.Programs[copyName(name, i)] = &ebpf.ProgramSpec{
				Name: copyName(name, i), Type: of.Type, AttachType: of.AttachType, License: of.License,
				Instructions: asm.Instructions{
					asm.LoadMapPtr(asm.R2, m.FD()), // R1 is the context already
					asm.Mov.Imm(asm.R3, 0),
					asm.FnTailCall.Call(),
					asm.Mov.Imm(asm.R0, 0),
					asm.Return(),
				},
			}
		}
		if private {
			onTaskStack(of, m)
		}
	}
	return t, nil
}

// hasPrivateStacks reports whether the kernel may give a program a stack of its
// own, one for each CPU (since 6.13 and in 6.12 stable, commit a76ab5731e32).
func hasPrivateStacks(kernel *btf.Spec) bool {
	var aux *btf.Struct
	return kernel.TypeByName("bpf_prog_aux", &aux) != nil ||
		slices.ContainsFunc(aux.Members, func(m btf.Member) bool { return m.Name == "priv_stack_ptr" })
}

// onTaskStack keeps a program off a private stack. The kernel gives one to any
// program at a tracepoint, since it never runs twice on one CPU; but it sees that
// only in a program that is attached, not in the target of a tail call. A second
// run, of a task that came by while the first was preempted, then overwrites the
// first one's variables, up to pointers that the verifier has checked: wrong
// snapshots, and a panic in the end (seen with 7.2 and 7.3). A program that
// contains a tail call itself never has a private stack (check_max_stack_depth,
// kernel/bpf/verifier.c), even if the call is never made.
func onTaskStack(p *ebpf.ProgramSpec, m *ebpf.Map) {
	begin := p.Name + "_begin"
	head := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		asm.JEq.Imm(asm.R0, 0, begin), // always
		asm.LoadMapPtr(asm.R2, m.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
	}
	// What is told of the function belongs to its first instruction.
	head[0].Metadata, p.Instructions[0].Metadata = p.Instructions[0].Metadata, head[0].Metadata
	p.Instructions[0] = p.Instructions[0].WithSymbol(begin)
	p.Instructions = append(head, p.Instructions...)
}

// fill lets the copies find their programs.
func (t targets) fill(coll *ebpf.Collection) error {
	for name, m := range t {
		if err := m.Update(uint32(0), coll.Programs[name], ebpf.UpdateAny); err != nil {
			return fmt.Errorf("copies of %s: %w", name, err)
		}
	}
	return nil
}

// raiseMemlock lifts the limit on locked memory while programs are loaded. A
// process that is started meanwhile inherits it, which is why it is done only
// after a refusal and not kept.
func raiseMemlock() (restore func(), ok bool) {
	var was unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was) != nil || was.Cur == unix.RLIM_INFINITY {
		return nil, false
	}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) != nil {
		return nil, false
	}
	return func() { _ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was) }, true
}

// controllers reads the names of the cgroup subsystems from the kernel's enum
// cgroup_subsys_id, whose order depends on the configuration. io is called
// blkio on version 1 hierarchies.
func controllers(kernel *btf.Spec) (names [16]string) {
	var e *btf.Enum
	if kernel.TypeByName("cgroup_subsys_id", &e) != nil {
		return names
	}
	for _, v := range e.Values {
		name, ok := strings.CutSuffix(v.Name, "_cgrp_id")
		if ok && v.Value < uint64(len(names)) {
			if name == "io" {
				name = "blkio"
			}
			names[v.Value] = name
		}
	}
	return names
}

// possibleCPUs is the number of CPUs that the machine may ever have.
func possibleCPUs() int {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return runtime.NumCPU()
	}
	return n
}

// pidNamespace returns the depth and the number of our own pid namespace: the
// process ids that we are asked about are those of this namespace.
func pidNamespace() (level, inum uint32, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(status) {
		if ids, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			level = uint32(len(bytes.Fields(ids)) - 1)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0, 0, err
	}
	return level, uint32(st.Ino), nil
}

// initialPIDInode is PROC_PID_INIT_INO (include/uapi/linux/nsfs.h).
const initialPIDInode = 0xEFFFFFFC

// lockedDown reports whether lockdown is at "confidentiality", which forbids
// programs to read kernel memory.
func lockedDown() bool {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	return err == nil && bytes.Contains(b, []byte("[confidentiality]"))
}

// onlineCPUs lists the CPUs that are online now.
func onlineCPUs() []int {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	var list []int
	if err == nil {
		for part := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
			from, to, ok := strings.Cut(part, "-")
			a, err1 := strconv.Atoi(from)
			z := a
			var err2 error
			if ok {
				z, err2 = strconv.Atoi(to)
			}
			if err1 != nil || err2 != nil {
				continue
			}
			for c := a; c <= z; c++ {
				list = append(list, c)
			}
		}
	}
	if len(list) == 0 {
		for c := range runtime.NumCPU() {
			list = append(list, c)
		}
	}
	return list
}
