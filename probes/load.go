package probes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
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

func load(ringBytes, maxWatches int, portable bool, facts *kernelFacts) (*objects, error) {
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
	cache := btf.NewCache()
	open := func(read func() (*ebpf.CollectionSpec, error), shared map[string]*ebpf.Map, want func(string) bool) (*ebpf.Collection, error) {
		spec, err := read()
		if err != nil {
			return nil, err
		}
		if err := prepare(spec); err != nil {
			return nil, err
		}
		multiply(spec)
		for name := range spec.Programs {
			if !want(name) {
				delete(spec.Programs, name)
			}
		}
		return ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared, Cache: cache})
	}
	all := func(string) bool { return true }
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
			o.opened()
			return nil, explain("load "+peekProgram, err2)
		}
		coll.Programs[peekProgram] = extra.DetachProgram(peekProgram)
		extra.Close()
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
var copied = []string{"on_fork", "on_exec", "on_exit"}

const copies = 3

// preemptible reports whether the kernel is built to preempt itself, which it
// says in its version ("#1 SMP PREEMPT_DYNAMIC …", init/version.c).
func preemptible() bool {
	var u unix.Utsname
	return unix.Uname(&u) != nil || strings.Contains(unix.ByteSliceToString(u.Version[:]), "PREEMPT")
}

func copyName(name string, i int) string { return fmt.Sprintf("%s_%d", name, i+1) }

// multiply adds the copies, unless the kernel never preempts itself.
func multiply(spec *ebpf.CollectionSpec) {
	if !preemptible() {
		return
	}
	for _, name := range copied {
		for i := 1; i < copies; i++ {
			p := spec.Programs[name].Copy()
			p.Name = copyName(name, i)
			spec.Programs[p.Name] = p
		}
	}
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
