package probes

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/holdshort/holdshort/internal/exitzero"
	"golang.org/x/sys/unix"
)

// canary runs one tiny process under observation and notes which hooks spoke.
// Attaching proves little: a hook can be attached and never fire.
func (o *Observer) canary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kids, err := o.WatchChildrenOf(ctx, os.Getpid(), &WatchOptions{Want: []At{AtCaller, AtReturn, AtFirst, AtExit}})
	if err != nil {
		return err
	}
	defer func() { _ = kids.Close() }()
	release, err := o.Breakpoint(exitzero.Entry)
	if err == nil {
		defer release()
	} else {
		o.hooks.noBreakpoint(err)
	}
	pid, wait, err := startCanary()
	if err != nil {
		return &Error{Op: "start the canary process", Err: err}
	}
	defer wait()
	w, err := kids.Take(ctx, pid)
	if err != nil {
		// Nobody saw its birth: report all hooks as dead rather than fail,
		// so that a doctor can show it.
		return nil
	}
	rec, err := w.Record(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	live := func(name string, on bool) {
		if h := o.hooks.info[name]; h != nil {
			h.Live = on
			if !on && h.Err == nil {
				h.Err = fmt.Errorf("%w: attached, but the canary's event did not come", ErrEvidence)
			}
		}
	}
	fault := rec.Snapshot(AtFirst) != nil
	live(hookFork, rec.Caller != nil)
	live(hookExec, rec.Snapshot(AtExec) != nil)
	live(hookSysX, rec.Snapshot(AtReturn) != nil)
	live(hookExit, rec.Ended && rec.Lost == 0)
	live(hookFault, fault && o.hooks.info[hookPerf] == nil)
	live(hookPerf, fault)
	// sys_enter speaks only when there was no fault; then it must have.
	live(hookSysE, o.hooks.info[hookSysE].Err == nil)
	if err := o.hooks.wits.refusal(); err != nil && o.hooks.info[hookWork].Err == nil {
		o.hooks.info[hookWork].Err = err
	}
	for _, name := range witnessNames {
		attached := o.hooks.info[name] != nil && o.hooks.info[name].Err == nil
		live(name, slices.Contains(rec.ConfirmedBy(1), name))
		if h := o.hooks.info[name]; name == hookLSM && attached && !h.Live {
			h.Err = fmt.Errorf("%w (is bpf among the active security modules, lsm= on the kernel's command line?)", h.Err)
		}
	}
	return nil
}

// startCanary starts a process that ends at once.
func startCanary() (pid int, wait func(), err error) {
	argv := []string{"canary"}
	attr := &os.ProcAttr{Env: []string{}}
	path, done, err := canaryFile()
	if err == nil {
		defer done()
		p, err := os.StartProcess(path, argv, attr)
		if err == nil {
			return p.Pid, func() { _, _ = p.Wait() }, nil
		}
	}
	// Memory files may be forbidden to execute (vm.memfd_noexec).
	for _, path := range []string{"/bin/true", "/usr/bin/true"} {
		p, err2 := os.StartProcess(path, argv, attr)
		if err2 == nil {
			return p.Pid, func() { _, _ = p.Wait() }, nil
		}
		err = err2
	}
	return 0, nil, err
}

// canaryFile writes a program of one page that calls exit(0) into a memory
// file. It needs no libraries and no file system.
func canaryFile() (path string, done func(), err error) {
	image := exitzero.ELF()
	if image == nil {
		return "", nil, unix.ENOSYS
	}
	fd, err := unix.MemfdCreate("holdshort-canary", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, err
	}
	done = func() { _ = unix.Close(fd) }
	if _, err := unix.Write(fd, image); err != nil {
		done()
		return "", nil, err
	}
	// Executing a file that is open for writing gives ETXTBSY.
	ro, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	done()
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d", ro), func() { _ = unix.Close(ro) }, nil
}
