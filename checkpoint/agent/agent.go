package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Agent is a running agent process. Its methods may be called from any
// goroutine.
type Agent struct {
	pid int

	pidfdMu sync.Mutex
	pidfd   int // -1 once it has ended

	waiting sync.Once // for its end
	status  unix.WaitStatus
	waitErr error

	file  *os.File
	raw   syscall.RawConn
	arena *arena

	rxMu sync.Mutex // whoever takes events: the reader, or a launch that spins
	rx   receiver

	usual atomic.Int64 // nanoseconds that launches take, on average

	mu      sync.Mutex
	slots   []*Launch // by slot number; nil when free
	free    []uint32
	serial  uint64
	closing bool

	done  chan struct{} // closed once the agent is gone and all launches know
	err   error         // why, valid after done
	ready chan error
}

// Start runs the agent.
//
// The agent is an ELF image in a sealed memfd; it needs execution of memfds to
// be allowed (vm.memfd_noexec below 2) and /proc to be mounted.
func Start(ctx context.Context) (*Agent, error) {
	exe, err := imageFile()
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	ar, err := newArena()
	if err != nil {
		return nil, err
	}
	a := &Agent{arena: ar, done: make(chan struct{}), ready: make(chan error, 1)}
	if err := a.exec(exe); err != nil {
		ar.close()
		return nil, err
	}
	go a.read()
	select {
	case err := <-a.ready:
		if err != nil {
			return nil, err
		}
		return a, nil
	case <-ctx.Done():
		a.Close()
		return nil, context.Cause(ctx)
	}
}

func imageFile() (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// MFD_EXEC (since Linux 6.3) says that we mean it; older kernels refuse the flag.
	fd, err := unix.MemfdCreate("holdshort-agent", flags|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("holdshort-agent", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create for the agent: %w", err)
	}
	// Between fork and exec the runtime moves the descriptors that the agent
	// gets to 0, 1, 2, …: the image must not be in their way.
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 128)
	unix.Close(fd)
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor of the agent image: %w", err)
	}
	fd = high
	f := os.NewFile(uintptr(fd), "holdshort-agent")
	if _, err := f.Write(image); err != nil {
		f.Close()
		return nil, fmt.Errorf("write agent image: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("seal agent image: %w", err)
	}
	return f, nil
}

func (a *Agent) exec(exe *os.File) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "agent-control")
	defer theirs.Close()
	a.file = os.NewFile(uintptr(pair[0]), "agent")
	if a.raw, err = a.file.SyscallConn(); err != nil {
		a.file.Close()
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		a.file.Close()
		return err
	}
	defer null.Close()
	// The agent's own writes to its socket may block: a slow host then slows
	// the agent, and no report is lost.
	if err := unix.SetNonblock(pair[1], false); err != nil {
		a.file.Close()
		return err
	}
	procDir, err := os.Open("/proc")
	if err != nil {
		a.file.Close()
		return fmt.Errorf("open /proc: %w", err)
	}
	defer procDir.Close()
	if err := genuine(null, procDir); err != nil {
		a.file.Close()
		return err
	}
	std := [3]*os.File{null, null, null}
	for i, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err == nil {
			std[i] = f
		}
	}
	a.arena.file = os.NewFile(uintptr(a.arena.fd), "arena")
	files := []*os.File{std[0], std[1], std[2], theirs, a.arena.file, null, procDir}
	attr := &syscall.ProcAttr{
		Dir: "/", Env: []string{},
		// A session of its own: no signal from our terminal, and no
		// controlling terminal that a workload could inherit.
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &a.pidfd},
	}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	// The child of ForkExec moves what is in its way to the numbers after the
	// highest of these, before it executes the image: the image's number must lie
	// beyond, or something else is executed, with EACCES. It did not with more
	// than a hundred descriptors open.
	highest := slices.Max(attr.Files)
	image, err := unix.FcntlInt(exe.Fd(), unix.F_DUPFD_CLOEXEC, int(highest)+len(files)+2)
	if err != nil {
		a.file.Close()
		return fmt.Errorf("start agent: %w", err)
	}
	defer unix.Close(image)
	// Not os.StartProcess, which starts one more process, once, to find out
	// whether pidfds work. They do, since Linux 5.4.
	a.pid, err = syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", image), []string{"holdshort-agent"}, attr)
	runtime.KeepAlive(files)
	if err != nil {
		a.file.Close()
		return fmt.Errorf("start agent: %w", err)
	}
	return nil
}

// wait waits for the agent's end. More than one may: waitid(2) tells only the first.
func (a *Agent) wait() (unix.WaitStatus, error) {
	a.waiting.Do(func() {
		for {
			_, err := unix.Wait4(a.pid, &a.status, 0, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				a.waitErr = fmt.Errorf("wait for the agent: %w", err)
			}
			break
		}
		a.pidfdMu.Lock()
		defer a.pidfdMu.Unlock()
		unix.Close(a.pidfd)
		a.pidfd = -1
	})
	return a.status, a.waitErr
}

// kill ends it, or finds it ended.
func (a *Agent) kill() {
	a.pidfdMu.Lock()
	defer a.pidfdMu.Unlock()
	if a.pidfd >= 0 {
		_ = unix.PidfdSendSignal(a.pidfd, unix.SIGKILL, nil, 0)
	}
}

// how is how a process has ended.
func how(st unix.WaitStatus) string {
	if st.Signaled() {
		return "signal: " + st.Signal().String()
	}
	return fmt.Sprintf("exit status %d", st.ExitStatus())
}

// PID is the agent's process id: the parent of every workload.
func (a *Agent) PID() int { return a.pid }

// Done is closed when the agent has ended, for whatever reason.
func (a *Agent) Done() <-chan struct{} { return a.done }

// Err says how the agent ended; nil before, and after a Close.
func (a *Agent) Err() error {
	select {
	case <-a.done:
		return a.err
	default:
		return nil
	}
}

// read hands every event to its launch until the agent is gone.
func (a *Agent) read() {
	var cause error
	err := a.raw.Read(func(fd uintptr) bool {
		cause = a.drain(fd)
		return !errors.Is(cause, unix.EAGAIN)
	})
	if err != nil {
		cause = err
	}
	a.gone(cause)
}

// drain handles the events that are there.
func (a *Agent) drain(sock uintptr) error {
	a.rxMu.Lock()
	defer a.rxMu.Unlock()
	for {
		fd, err := a.rx.next(sock)
		if err != nil {
			return err
		}
		a.dispatch(&a.rx.ev, fd)
	}
}

func (a *Agent) dispatch(ev *Event, fd int) {
	if ev.Kind == Hello {
		if ev.Code != abiVersion {
			a.ready <- fmt.Errorf("agent speaks version %d, want %d", ev.Code, abiVersion)
		} else {
			a.ready <- nil
		}
		return
	}
	l := a.launchOf(ev)
	if l == nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return
	}
	l.handle(ev, fd)
}

func (a *Agent) launchOf(ev *Event) *Launch {
	a.mu.Lock()
	defer a.mu.Unlock()
	if int(ev.Slot) >= len(a.slots) {
		return nil
	}
	if l := a.slots[ev.Slot]; l != nil && l.serial == ev.Serial {
		return l
	}
	return nil
}

// gone ends everything after the agent has closed its socket.
func (a *Agent) gone(cause error) {
	a.file.Close()
	a.mu.Lock()
	closing := a.closing
	a.closing = true
	left := make([]*Launch, 0, len(a.slots))
	for _, l := range a.slots {
		if l != nil {
			left = append(left, l)
		}
	}
	a.mu.Unlock()
	for _, l := range left {
		l.agentGone()
	}
	st, err := a.wait()
	if !closing {
		a.err = fmt.Errorf("agent ended: %w", cause)
		if err == nil {
			a.err = fmt.Errorf("agent ended: %s", how(st))
		}
	}
	select {
	case a.ready <- a.err:
	default:
	}
	a.arena.close()
	close(a.done)
}

// Close ends the agent and every workload that it still has. It may be called
// more than once, and returns when the agent is gone.
func (a *Agent) Close() error {
	a.mu.Lock()
	first := !a.closing
	a.closing = true
	a.mu.Unlock()
	if first {
		if err := a.send(&request{kind: reqQuit}, nil); err != nil {
			a.kill()
		}
	}
	select {
	case <-a.done:
	case <-time.After(10 * time.Second):
		a.kill()
		<-a.done
	}
	return nil
}

func (a *Agent) take(l *Launch) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return fmt.Errorf("agent: %w", os.ErrClosed)
	}
	a.serial++
	l.serial = a.serial
	if n := len(a.free); n > 0 {
		l.slot = a.free[n-1]
		a.free = a.free[:n-1]
		a.slots[l.slot] = l
		return nil
	}
	if len(a.slots) == MaxSlots {
		return fmt.Errorf("%d launches at a time: %w", MaxSlots, unix.EAGAIN)
	}
	l.slot = uint32(len(a.slots))
	a.slots = append(a.slots, l)
	return nil
}

func (a *Agent) give(l *Launch) {
	a.mu.Lock()
	if a.slots[l.slot] == l {
		a.slots[l.slot] = nil
		a.free = append(a.free, l.slot)
	}
	a.mu.Unlock()
}

// Live is the number of launches that the agent holds.
func (a *Agent) Live() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.slots) - len(a.free)
}
