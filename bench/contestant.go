package main

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// namespaces is what the workload of a case gets of its own.
type namespaces struct {
	name, title string
	flags       uintptr
	user        bool // with the maps 0 -> 100000, 65536 ids
}

const five = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

var namespaceSets = []namespaces{
	{"none", "no namespaces", 0, false},
	{"five", "5 namespaces (mnt pid net uts ipc)", five, false},
	{
		"eight", "8 namespaces (with user, cgroup, time)",
		five | syscall.CLONE_NEWUSER | syscall.CLONE_NEWCGROUP | syscall.CLONE_NEWTIME, true,
	},
}

// contestant starts the workload in its own way.
type contestant interface {
	Name() string
	// Round launches n times, one after the other, and returns how long
	// each took from the request until the end of the workload is known.
	Round(ns namespaces, n int) ([]time.Duration, error)
	Close()
}

// concurrent is a contestant that can have several launches in flight.
type concurrent interface {
	contestant
	// Burst launches n times, inFlight at a time, and returns the time for all.
	Burst(ns namespaces, n, inFlight int) (time.Duration, error)
}

// parker is a contestant that can hold children before execve.
type parker interface {
	contestant
	// Park holds n children at once, calls held, and lets them end.
	Park(n int, held func()) error
}

// inProcess is a contestant that is a function of this process.
type inProcess struct {
	name   string
	launch func(ns namespaces) error
	close  func()
}

func (c *inProcess) Name() string { return c.name }

func (c *inProcess) Close() {
	if c.close != nil {
		c.close()
	}
}

func (c *inProcess) Round(ns namespaces, n int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		if err := c.launch(ns); err != nil {
			return nil, err
		}
		took[i] = time.Since(start)
	}
	return took, nil
}

func (c *inProcess) Burst(ns namespaces, n, inFlight int) (time.Duration, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, inFlight)
	start := time.Now()
	for range inFlight {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := c.launch(ns); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	select {
	case err := <-errs:
		return 0, err
	default:
		return took, nil
	}
}

// skipped is a contestant that cannot take part, and why.
type skipped struct {
	name string
	why  error
}

func (s skipped) Name() string                                   { return s.name }
func (s skipped) Close()                                         {}
func (s skipped) Round(namespaces, int) ([]time.Duration, error) { return nil, s.why }
