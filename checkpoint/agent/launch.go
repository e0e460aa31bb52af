package agent

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Spec is one launch as the agent understands it.
type Spec struct {
	CloneFlags uint64 // CLONE_NEW* only
	CgroupFD   int    // a cgroup2 directory to be born in, -1 for none
	FDs        []int  // become registers RegFD0…; the caller keeps its own copies
	AgentOps   Batch  // run by the agent on the child's behalf before the first batch
	Ops        Batch  // the first batch
	Cleanup    Batch  // openat of a file to write "1" to, unlinkat of a directory: by the agent at the end, if the host is gone
	ExecEvent  bool   // report Running
	Hold       bool   // keep the zombie until Release
	ExecPipe   bool   // report ExecPipe before a batch that ends in execve
	Times      bool   // note when each operation was done; see Launch.Ticks
	NoSpawned  bool   // no Spawned event; without a pidfd the host cannot kill it if the agent dies
	Orphan     uint32 // ms between SIGTERM and SIGKILL if the host dies, or Linger
}

// Launch is one child of the agent.
type Launch struct {
	agent   *Agent
	slot    uint32
	serial  uint64
	mem     *launch
	regions []region
	first   [2]region // so that they need no memory of their own
	seq     uint32
	onEvent func(*Event, int)
	over    atomic.Bool
	begun   time.Time
	spun    atomic.Bool // once is enough, for one waiter

	memMu sync.Mutex // held while mem is given back, or used by who is not told of the end
}

// Launch sends spec to the agent. onEvent is called for every event in the
// order of arrival, from one goroutine; it owns the descriptor it is given
// (-1 for none) and must not block. An event of kind Exited or Refused is the
// last; if the agent dies, the last is the zero Event.
func (a *Agent) Launch(spec *Spec, onEvent func(*Event, int)) (*Launch, error) {
	agentLen, opsLen, cleanupLen := size(spec.AgentOps), size(spec.Ops), size(spec.Cleanup)
	whole := homeSize + agentLen + opsLen + cleanupLen
	if whole > pageSize {
		whole = homeSize // and the rest elsewhere
	}
	r, err := a.arena.alloc(whole)
	if err != nil {
		return nil, err
	}
	l := &Launch{agent: a, onEvent: onEvent, begun: time.Now()}
	l.regions = append(l.first[:0], r)
	at, seen := r.off+homeSize, inHome(r.off)
	if whole == homeSize && opsLen+agentLen+cleanupLen > 0 {
		more, err := a.arena.alloc(agentLen + opsLen + cleanupLen)
		if err != nil {
			a.arena.release(r)
			return nil, err
		}
		l.regions = append(l.regions, more)
		at, seen = more.off, inBatch(more.off)
	}
	if err := a.take(l); err != nil {
		for _, r := range l.regions {
			a.arena.release(r)
		}
		return nil, err
	}
	l.mem = a.arena.launchAt(r.off)
	fds := spec.FDs
	*l.mem = launch{
		version: abiVersion, cloneFlags: spec.CloneFlags, cgroupReg: noReg, orphan: spec.Orphan,
		agentNops: uint32(length(spec.AgentOps)), nops: uint32(length(spec.Ops)), opsLen: uint32(opsLen),
		offset: uint32(r.off), page: uint32(pageSize),
	}
	if spec.CgroupFD >= 0 {
		l.mem.cgroupReg = uint32(RegFD0 + len(fds))
		fds = append(slices.Clip(fds), spec.CgroupFD)
	}
	l.mem.nfds = uint32(len(fds))
	if spec.ExecEvent {
		l.mem.flags |= flagExecEvent
	}
	if spec.ExecPipe {
		l.mem.flags |= flagExecPipe
	}
	if spec.NoSpawned {
		l.mem.flags |= flagNoSpawned
	}
	if spec.Hold {
		l.mem.flags |= flagHold
	}
	if spec.Times {
		l.mem.flags |= flagTimes
	}
	l.mem.ops = uint64(at)
	at = a.arena.write(at, spec.Ops, seen)
	l.mem.agentOps = uint64(at)
	at = a.arena.write(at, spec.AgentOps, inAgent)
	l.mem.cleanup, l.mem.cleanupNops = uint64(at), uint32(length(spec.Cleanup))
	a.arena.write(at, spec.Cleanup, inAgent)
	if len(fds) > MaxFDs {
		l.finish()
		return nil, unix.E2BIG
	}
	if err := a.send(&request{reqSpawn, l.slot, l.serial, uint64(r.off)}, fds); err != nil {
		l.finish()
		return nil, err
	}
	return l, nil
}

// Continue gives a parked child its next batch.
func (l *Launch) Continue(ops Batch) error {
	if err := l.deposit(ops); err != nil {
		return err
	}
	l.seq++
	wake(&l.mem.goSeq, l.seq)
	return nil
}

func (l *Launch) deposit(ops Batch) error {
	n := size(ops)
	r, err := l.agent.arena.alloc(n)
	if err != nil {
		return err
	}
	l.regions = append(l.regions, r)
	l.agent.arena.write(r.off, ops, l.sees(r.off))
	l.mem.ops, l.mem.nops, l.mem.opsLen = uint64(r.off), uint32(length(ops)), uint32(n)
	return nil
}

// sees is how the child will find what is at off: in its home if it happens to
// be in the same page.
func (l *Launch) sees(off int) view {
	if home := int(l.mem.offset); off&^(pageSize-1) == home&^(pageSize-1) {
		return inHome(home)
	}
	return inBatch(off)
}

// Unhold lets the agent reap the child as soon as it ends; see [Spec.Hold].
func (l *Launch) Unhold() {
	l.memMu.Lock()
	defer l.memMu.Unlock()
	if !l.over.Load() {
		l.mem.flags &^= flagHold
	}
}

// Abort ends a parked child without it ever running.
func (l *Launch) Abort() { wake(&l.mem.goSeq, goAbort) }

// Release lets the agent reap a child that Exited with the flag Held.
func (l *Launch) Release() {
	_ = l.agent.send(&request{kind: reqRelease, slot: l.slot, serial: l.serial}, nil)
	l.finish()
}

// Kill asks the agent to send a signal. Unlike a kill by number it cannot hit
// another process, since the agent is who reaps.
func (l *Launch) Kill(sig syscall.Signal) error {
	return l.agent.send(&request{reqKill, l.slot, l.serial, uint64(sig)}, nil)
}

// spinFor is how long Spin tries: a few times what a short launch takes.
const spinFor = 300 * time.Microsecond

// Spin waits a little for the end of the only launch under way without giving
// the processor up. To be woken up costs as much as a good part of a launch
// where an idle processor has to be started for it (in a virtual machine: tens
// of microseconds), so a host that has nothing else to do saves that. It does
// nothing with other launches under way, with a single processor, or if the
// launches before took longer than it would try.
func (l *Launch) Spin() {
	usual := &l.agent.usual
	if runtime.GOMAXPROCS(0) == 1 || time.Duration(usual.Load()) > spinFor || l.agent.Live() != 1 || !l.spun.CompareAndSwap(false, true) {
		return
	}
	for i := 0; !l.over.Load(); i++ {
		if atomic.LoadUint32(&l.mem.ended) != 0 {
			_ = l.agent.raw.Control(func(fd uintptr) { _ = l.agent.drain(fd) })
		} else if i%1024 == 1023 && time.Since(l.begun) > spinFor {
			return
		}
	}
}

// Outcome is what the child left in shared memory.
type Outcome struct {
	State  State
	PC     int        // operation that failed (StateFailed: of the current batch, StateAgentFailed: of AgentOps)
	Err    unix.Errno // why
	Rusage syscall.Rusage
}

// Outcome reads how far the child got. It is valid until finish.
func (l *Launch) Outcome() Outcome {
	o := Outcome{State: State(atomic.LoadUint32(&l.mem.state)), PC: int(l.mem.pc), Err: unix.Errno(l.mem.err)}
	if o.State == StateAgentFailed {
		o.PC = int(l.mem.agentPC)
	}
	o.Rusage = *(*syscall.Rusage)(unsafe.Pointer(&l.mem.rusage))
	return o
}

// Result is what operation i of the current batch answered, and whether it was
// executed at all.
func (l *Launch) Result(i int) (int64, bool) {
	if i < 0 || i >= int(l.mem.nops) {
		return 0, false
	}
	p := l.agent.arena.opAt(int(l.mem.ops) + i*opSize)
	return p.result, atomic.LoadUint32(&p.done) != 0
}

// Await is [Launch.Result] for who is not called by the agent's events: it
// answers false also once the launch is over.
func (l *Launch) Await(i int) (int64, bool) {
	l.memMu.Lock()
	defer l.memMu.Unlock()
	if l.over.Load() {
		return 0, false
	}
	return l.Result(i)
}

// Pass ends an operation OpWait of the current batch.
func (l *Launch) Pass(i int) {
	l.memMu.Lock()
	defer l.memMu.Unlock()
	if !l.over.Load() && i >= 0 && i < int(l.mem.nops) {
		// The low half of the word, on both architectures.
		wake((*uint32)(unsafe.Pointer(&l.agent.arena.opAt(int(l.mem.ops) + i*opSize).args[0])), 1)
	}
}

func (l *Launch) handle(ev *Event, fd int) {
	last := ev.Kind == Refused || ev.Kind == Exited && ev.Flags&Held == 0
	l.onEvent(ev, fd)
	if last {
		// An average that forgets half of what it knew in four launches.
		usual := &l.agent.usual
		usual.Store(usual.Load() - usual.Load()/8 + int64(time.Since(l.begun))/8)
		l.finish()
	}
}

func (l *Launch) agentGone() {
	l.onEvent(&Event{}, -1)
	l.finish()
}

// finish gives slot and memory back.
func (l *Launch) finish() {
	if l.over.Swap(true) {
		return
	}
	l.memMu.Lock()
	defer l.memMu.Unlock()
	l.agent.give(l)
	for _, r := range l.regions {
		l.agent.arena.release(r)
	}
}
