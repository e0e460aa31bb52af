package agent

import (
	"context"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestLayout(t *testing.T) {
	for name, c := range map[string][2]uintptr{
		"request": {unsafe.Sizeof(request{}), 24},
		"event":   {unsafe.Sizeof(Event{}), 32},
		"op":      {unsafe.Sizeof(op{}), 72},
		"launch":  {unsafe.Sizeof(launch{}), 424},
		"home":    {unsafe.Sizeof(home{}), 1960},
	} {
		if c[0] != c[1] {
			t.Errorf("size of %s = %d; want %d as in c/abi.h", name, c[0], c[1])
		}
	}
}

func start(t testing.TB) *Agent {
	t.Helper()
	a, err := Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func exec(path string) Op {
	return Sys(unix.SYS_EXECVE, S(path), L([]string{path}), L(nil))
}

func unblock() Op {
	return Sys(unix.SYS_RT_SIGPROCMASK, N(unix.SIG_SETMASK), B(make([]byte, 8)), N(0), N(8))
}

func TestLaunch(t *testing.T) {
	a := start(t)
	evs := make(chan Event, 16)
	l, err := a.Launch(&Spec{CgroupFD: -1, Ops: Ops{unblock(), exec("/bin/true")}, ExecEvent: true}, func(ev *Event, fd int) {
		if fd >= 0 {
			unix.Close(fd)
		}
		evs <- *ev
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = l
	for _, want := range []EventKind{Spawned, Running, Exited} {
		ev := <-evs
		t.Logf("%+v", ev)
		if ev.Kind != want {
			t.Fatalf("event %d; want %d", ev.Kind, want)
		}
	}
}

func TestParkContinue(t *testing.T) {
	a := start(t)
	evs := make(chan Event, 16)
	l, err := a.Launch(&Spec{CgroupFD: -1, CloneFlags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Hold: true}, func(ev *Event, fd int) {
		if fd >= 0 {
			unix.Close(fd)
		}
		evs <- *ev
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[EventKind]bool{}
	for range 2 { // in any order: the one comes from the agent, the other from the child
		seen[(<-evs).Kind] = true
	}
	if !seen[Spawned] || !seen[Parked] {
		t.Fatalf("events %v; want spawned and parked", seen)
	}
	if err := l.Continue(Ops{unblock(), exec("/nonexistent")}); err != nil {
		t.Fatal(err)
	}
	ev := <-evs
	t.Logf("%+v %+v", ev, l.Outcome())
	if o := l.Outcome(); ev.Kind != Exited || o.State != StateFailed || o.Err != unix.ENOENT || o.PC != 1 {
		t.Fatalf("%+v %+v", ev, o)
	}
	l.Release()
}

// A child that has nothing to do before it parks, however much the agent has to
// do for it.
func TestParkAtOnce(t *testing.T) {
	a := start(t)
	for _, size := range []int{0, 500, 1500, 4000, 9000} {
		for range 3 { // in pages of the arena that begin a region, and in others
			evs := make(chan Event, 16)
			open := Sys(unix.SYS_OPENAT, N(unix.AT_FDCWD), S("/dev/null"), N(unix.O_WRONLY))
			open.Save = RegFree
			ops := Ops{open, Sys(unix.SYS_WRITE, R(RegFree), B(make([]byte, size)), N(size))}
			l, err := a.Launch(&Spec{CgroupFD: -1, Hold: true, AgentOps: ops}, func(ev *Event, fd int) {
				if fd >= 0 {
					unix.Close(fd)
				}
				evs <- *ev
			})
			if err != nil {
				t.Fatal(err)
			}
			for ev := range evs {
				if ev.Kind == Exited {
					t.Fatalf("%d bytes: %+v", size, l.Outcome())
				}
				if ev.Kind == Parked {
					break
				}
			}
			if err := l.Continue(Ops{unblock(), exec("/nonexistent")}); err != nil {
				t.Fatal(err)
			}
			for ev := range evs {
				if ev.Kind == Exited {
					break
				}
			}
			if o := l.Outcome(); o.State != StateFailed || o.Err != unix.ENOENT {
				t.Errorf("%d bytes: %+v", size, o)
			}
			l.Release()
		}
	}
}

func BenchmarkLaunch(b *testing.B) {
	a := start(b)
	evs := make(chan Event, 16)
	spec := &Spec{CgroupFD: -1, Ops: Ops{unblock(), exec("/bin/true")}}
	f := func(ev *Event, fd int) {
		if fd >= 0 {
			unix.Close(fd)
		}
		if ev.Kind == Exited {
			evs <- *ev
		}
	}
	for b.Loop() {
		if _, err := a.Launch(spec, f); err != nil {
			b.Fatal(err)
		}
		<-evs
	}
}

// An agent starts whatever numbers its descriptors get, while others open and
// close theirs: about that of its image here.
func TestStart_ManyDescriptors(t *testing.T) {
	var open []int
	one := func() int {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
		}
		return fd
	}
	for len(open) == 0 || open[len(open)-1] < 110 {
		open = append(open, one())
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var some []int
		for n := 0; ; n++ {
			select {
			case <-stop:
				for _, fd := range append(some, open...) {
					unix.Close(fd)
				}
				return
			default:
			}
			if n%32 < 16 {
				some = append(some, one())
			} else {
				unix.Close(some[0])
				some = some[1:]
			}
		}
	}()
	for range 300 {
		a, err := Start(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		a.Close()
	}
	close(stop)
	<-stopped
}
