package agent

import (
	"os"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FuzzAgent throws malformed messages at the agent, and launches whose
// structures in shared memory are damaged before it reads them (the host's
// side) or while the child runs (the child's side). The agent must refuse or
// survive each, leave no process, and still serve a good launch afterwards.
//
// Operations are limited to calls that change nothing, since the child runs
// what it is told.
func FuzzAgent(f *testing.F) {
	f.Add([]byte{0, 0, 0})
	for kind := range byte(8) {
		f.Add([]byte{kind, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 255, 255, 255})
		f.Add([]byte{kind, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x80, 1})
	}
	a := start(f)
	null, err := os.Open(os.DevNull)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &reader{in}
		switch r.byte() % 4 {
		case 0: // any bytes, any length, with descriptors
			raw := r.rest()
			if len(raw) == 0 {
				return // an empty message is a host that has gone
			}
			oob := unix.UnixRights(int(null.Fd()), int(null.Fd()))
			_ = a.raw.Write(func(fd uintptr) bool { return unix.Sendmsg(int(fd), raw, oob, nil, 0) != unix.EAGAIN })
		case 1: // a well-formed request with any values, which must not be one to quit, to leave or to kill a live slot
			q := &request{uint32(r.byte() % 16), r.u32(), r.u64(), r.u64()}
			if q.kind == reqQuit || q.kind == reqLeave || q.kind == reqSpawn && a.inArena(q.offset) {
				return
			}
			_ = a.send(q, nil)
		case 2: // a launch damaged before the agent sees it
			a.damaged(t, r, false)
		case 3: // a launch damaged while its child runs
			a.damaged(t, r, true)
		}
		a.stillServes(t)
	})
}

type reader struct{ b []byte }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u64() (v uint64) {
	for range 8 {
		v = v<<8 | uint64(r.byte())
	}
	return v
}

func (r *reader) u32() uint32 { return uint32(r.u64()) }

func (r *reader) rest() []byte { b := r.b; r.b = nil; return b[:min(len(b), 4096)] }

func (a *Agent) inArena(off uint64) bool { return off < arenaSize && off%8 == 0 }

var harmless = []uint32{unix.SYS_GETPID, unix.SYS_GETUID, unix.SYS_SCHED_YIELD, unix.SYS_UMASK, OpEqual, OpStore32, OpClone, OpWritePID, OpWait, 0x1ffff}

// damaged sends a launch of harmless operations and changes words of it.
func (a *Agent) damaged(t *testing.T, r *reader, later bool) {
	t.Helper()
	var ops Ops
	for range r.byte() % 8 {
		op := Sys(harmless[int(r.byte())%len(harmless)], N(r.u64()), N(r.u64()), N(r.u64()))
		op.Save, op.Skip, op.AnyErr = int(r.byte()), r.byte(), r.byte()%2 == 0
		if op.NR == OpClone {
			op.Args[0] = N(0)
		}
		ops = append(ops, op)
	}
	reg, err := a.arena.alloc(homeSize + size(ops))
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{}, 64)
	l := &Launch{agent: a, mem: a.arena.launchAt(reg.off), regions: []region{reg}, onEvent: func(ev *Event, fd int) {
		if fd >= 0 {
			unix.Close(fd)
		}
		if ev.Kind != Spawned && ev.Kind != Running {
			end <- struct{}{}
		}
	}}
	if err := a.take(l); err != nil {
		t.Fatal(err)
	}
	*l.mem = launch{version: abiVersion, cgroupReg: noReg, nops: uint32(len(ops)), ops: uint64(reg.off + homeSize), agentOps: uint64(reg.off), opsLen: uint32(size(ops)), offset: uint32(reg.off), page: uint32(pageSize)}
	a.arena.write(reg.off+homeSize, ops, inHome(reg.off))
	words := unsafe.Slice((*uint32)(unsafe.Pointer(l.mem)), int(unsafe.Sizeof(launch{}))/4)
	damage := func() {
		for range r.byte()%4 + 1 {
			i, v := int(r.byte())%len(words), r.u32()
			switch uintptr(i) * 4 {
			case unsafe.Offsetof(l.mem.cloneFlags):
				v &= unix.CLONE_NEWUTS // other namespaces are allowed too, but slow
			case unsafe.Offsetof(l.mem.orphan), unsafe.Offsetof(l.mem.flags):
				v &= flagExecEvent | flagNoSpawned | flagTimes // a held child needs its host
			}
			words[i] = v
		}
	}
	if !later {
		damage()
	}
	if err := a.send(&request{reqSpawn, l.slot, l.serial, uint64(reg.off)}, nil); err != nil {
		t.Fatal(err)
	}
	if later {
		damage()
	}
	select {
	case <-end:
	case <-time.After(20 * time.Millisecond): // it may wait for something that the damage took away
	}
	// Whatever it is doing, the host can end it.
	_ = l.Kill(unix.SIGKILL)
	deadline := time.Now().Add(time.Minute)
	for !l.over.Load() {
		if time.Now().After(deadline) {
			t.Fatalf("launch did not end: %+v", *l.mem)
		}
		_ = l.Kill(unix.SIGKILL)
		time.Sleep(100 * time.Microsecond) //nolint:forbidigo // the end has no channel of its own here
	}
}

// stillServes runs a good launch and checks that no child is left.
func (a *Agent) stillServes(t *testing.T) {
	t.Helper()
	end := make(chan Event, 4)
	if _, err := a.Launch(&Spec{CgroupFD: -1, NoSpawned: true, Ops: Ops{unblock(), exec("/bin/true")}}, func(ev *Event, _ int) { end <- *ev }); err != nil {
		t.Fatal(err)
	}
	select {
	case ev := <-end:
		if ev.Kind != Exited || ev.Code != 0 || ev.Flags&Execed == 0 {
			t.Fatalf("good launch: %+v", ev)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("agent does not answer")
	}
	// The first half of a second clone may take a moment longer than the launch, which ends with the other half.
	pid := strconv.Itoa(a.PID())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Microsecond) { //nolint:forbidigo // its end has no event
		b, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err == nil && len(b) == 0 {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("children left: %q %v", b, err)
		}
	}
}
