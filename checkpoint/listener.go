package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"golang.org/x/sys/unix"
)

// Flags of seccomp(2) that a supported kernel may lack.
const (
	flagNewListener  = 1 << 3
	flagWaitKillable = 1 << 5
)

// lacksWaitKillable asks the kernel once. It looks at the flags before the
// filter, so a null pointer says EFAULT where it knows them and EINVAL where it
// does not (seccomp(2)); whatever else it says is left to the launch.
var lacksWaitKillable = sync.OnceValue(func() bool {
	const setModeFilter = 1
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, flagNewListener|flagWaitKillable, 0)
	return errno == unix.EINVAL
})

// HaveFilterFlag reports whether the kernel takes a flag of seccomp(2). An error
// matches [ErrNotSupported].
func HaveFilterFlag(f seccomp.Flag) error {
	if f == seccomp.FlagWaitKillable {
		return missingFlag(flagWaitKillable)
	}
	return nil // all others are older than the oldest kernel that is supported
}

// missingFlag is the flag that this kernel lacks.
func missingFlag(flags uint32) error {
	if flags&flagWaitKillable != 0 && lacksWaitKillable() {
		return &unsupported{string(seccomp.FlagWaitKillable) + " is not supported by this kernel (since Linux 5.19)"}
	}
	return nil
}

// unsupported is something that this kernel lacks.
type unsupported struct{ text string }

func (e *unsupported) Error() string        { return e.text }
func (e *unsupported) Is(target error) bool { return target == ErrNotSupported }

func (c *Config) validateFilters(v *validator) {
	listens := 0
	for i, p := range c.filters() {
		field := "seccomp"
		if i < len(c.Filters) {
			field = fmt.Sprintf("filters[%d]", i)
		}
		if p == nil {
			v.check(false, field, "is null")
			continue
		}
		if p.Listens() {
			listens++
			v.check(listens == 1, field, "a second filter with a listener: the kernel takes one")
		}
	}
}

// waitTicks bounds how long a child waits for its listener to be taken: about a
// minute, or up to two, depending on the processor's clock.
var waitTicks uint64 = 1 << 37 // a variable for the tests

// beforeListener is what must be done while system calls are still possible.
func (p *plan) beforeListener() {
	if !slices.ContainsFunc(p.cfg.filters(), (*seccomp.Policy).Listens) {
		return
	}
	// The child has the agent's end of the socket too, and would hide the
	// agent's death from the host. A passed file may have the number by now.
	taken := slices.ContainsFunc(p.opts.Files, func(f PassedFile) bool { return f.Number == agent.ControlFD })
	if !taken && p.opts.ProgramNumber != agent.ControlFD {
		p.final.add(StageSeccomp, -1, "control socket", agent.Sys(unix.SYS_CLOSE, agent.N(agent.ControlFD)))
	}
	// Lets a host without privilege take the listener out of a child that has
	// changed its ids (ptrace(2), access mode checking). It is gone with the
	// memory that it is about: execve brings new memory.
	if p.env.uid != 0 {
		p.final.add(StageSeccomp, -1, "dumpable", prctl(unix.PR_SET_DUMPABLE, 1))
	}
}

// listen has the child wait until the host has taken the listener that the step
// before has made: asleep if the filters allow that, else without a system call.
func (p *plan) listen(index int, object string) {
	if p.opts.Notify == nil {
		p.final.fail(StageSeccomp, index, object, &invalid{"the filter notifies and nobody would answer: give Options.Notify"})
		return
	}
	p.listener = len(p.final.steps) - 1
	p.final.add(StageSeccomp, index, "listener", agent.Sys(agent.OpWait, agent.N(0), agent.N(waitTicks), agent.N(p.maySleep())))
}

// maySleep is 1 if all filters let the child sleep until it is woken.
func (p *plan) maySleep() int {
	zero := seccomp.Arg{Known: true} // FUTEX_WAIT, and the value
	call := seccomp.Call{Stage: "listener", Name: "futex", Args: [6]seccomp.Arg{1: zero, 2: zero, 4: zero, 5: zero}}
	for _, policy := range p.cfg.filters() {
		f := compileFilter(policy)
		if f.err != nil {
			return 0
		}
		if e, err := f.program.Effect(call); err != nil || !e.Allowed() {
			return 0
		}
	}
	return 1
}

// handListener takes the listener out of the child, which waits for that right
// after it has loaded the filter, and hands it over. It works under any
// filter, since the child makes no system call meanwhile.
func (w *Workload) handListener(ctx context.Context) error {
	step := w.plan.listener
	if step < 0 {
		return nil
	}
	fd, ok := w.awaitStep(ctx, step)
	if !ok {
		return nil // it has ended, or ctx has: awaitRunning says which
	}
	err := w.takeListener(fd)
	if err == nil {
		w.launched.Pass(step + 1)
		return nil
	}
	s := &w.plan.final.steps[step]
	e := &Error{Stage: StageSeccomp, Index: s.index, Object: "listener", Err: err}
	if errors.Is(err, unix.EPERM) {
		e.Hint = "pidfd_getfd needs what ptrace(2) needs to attach"
	}
	w.mu.Lock()
	if w.cause == nil {
		w.cause = e
	}
	w.mu.Unlock()
	_ = w.launched.Kill(unix.SIGKILL)
	<-w.done
	return e
}

// awaitStep waits until the child has done a step, and returns its result. The
// child cannot tell us: whatever it could say that with may be forbidden.
func (w *Workload) awaitStep(ctx context.Context, step int) (int, bool) {
	const soon, later = 20 * time.Microsecond, time.Millisecond
	tick := time.NewTimer(soon)
	defer tick.Stop()
	for n := 0; ; n++ {
		if fd, done := w.launched.Await(step); done && fd >= 0 {
			return int(fd), true
		}
		select {
		case <-w.done:
			return 0, false
		case <-ctx.Done():
			_ = w.launched.Kill(unix.SIGKILL) // it must not wait for a listener that nobody will take
			return 0, false
		case <-tick.C:
		}
		next := soon
		if n > 50 {
			next = later
		}
		tick.Reset(next)
	}
}

func (w *Workload) takeListener(fd int) error {
	w.mu.Lock()
	if w.pidfd < 0 {
		w.mu.Unlock()
		return w.result.failure()
	}
	ours, err := unix.PidfdGetfd(w.pidfd, fd, 0)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	return w.plan.opts.Notify(w, os.NewFile(uintptr(ours), "seccomp listener"))
}
