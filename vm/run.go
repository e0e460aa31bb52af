package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdshort/holdshort/vm/guest"
	"golang.org/x/sys/unix"
)

// LookPath finds a program in PATH and, unlike a user's shell, in the
// administrator's directories.
func LookPath(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(p)
	}
	for _, d := range []string{"/usr/sbin", "/sbin"} {
		if q := filepath.Join(d, name); filepath.Base(name) == name {
			if _, serr := os.Stat(q); serr == nil {
				return q, nil
			}
		}
	}
	return "", err
}

// session is one running guest.
type session struct {
	g       *Guest
	res     *Result
	con     *console
	records *net.UnixConn

	start    time.Time
	lastSign atomic.Int64 // time of the last record, Unix nanoseconds
	writing  atomic.Int64 // since when a Write of the caller's has been going on; 0: none
	hello    atomic.Int64 // time of the first record

	mu       sync.Mutex // of what follows, and of res while the stream is read
	last     bool       // the last record has come
	streamed error      // why the record stream ended, if not by its end
}

// Run boots a guest, runs its commands and returns how it ended. Output is
// passed on as it comes.
//
// An error means that no guest was started: no QEMU, a file that is not there.
// Everything that happens to a guest is in the result. When Run returns,
// nothing is left: no process, no file. If the calling process is killed, the
// kernel kills QEMU.
//
// It needs no privilege. Cancelling ctx kills the guest.
func Run(ctx context.Context, spec *Guest) (*Result, error) {
	g, err := spec.withDefaults()
	if err != nil {
		return nil, err
	}
	qemu, err := findQEMU(g.Kernel.Arch)
	if err != nil {
		return nil, err
	}
	s := &session{g: g, res: &Result{Accel: g.Accel}, con: &console{tee: g.Console}, start: time.Now()}
	if s.res.Accel == Auto {
		s.res.Accel = chooseAccel(ctx, g)
	}
	initrd, err := g.build()
	if err != nil {
		return nil, err
	}
	defer initrd.Close()
	s.res.ImageMS = time.Since(s.start).Milliseconds()
	theirs, err := s.pair()
	if err != nil {
		return nil, err
	}
	defer s.records.Close()

	cmd := exec.Command(qemu, g.qemuArgs(s.res.Accel)...)
	cmd.ExtraFiles = []*os.File{initrd, theirs}
	cmd.Stdout, cmd.Stderr = s.con, s.con
	if g.Terminal {
		cmd.Stdin = os.Stdin
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: !g.Terminal}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		// The signal at a parent's death is one at the death of the thread
		// that forked: it must live as long as QEMU does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		theirs.Close()
		return nil, fmt.Errorf("vm: %s: %w", qemu, err)
	}
	theirs.Close()
	boot := time.Now()
	s.lastSign.Store(boot.UnixNano())
	read := make(chan struct{})
	go func() { defer close(read); s.read() }()
	stopped := s.watch(ctx, cmd, boot, ended, read)
	if h := s.hello.Load(); h != 0 {
		s.res.BootMS = (h - boot.UnixNano()) / 1e6
	}
	return s.judge(cmd.ProcessState, stopped), nil
}

// pair makes the two ends of the record stream.
func (s *session) pair() (theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("vm: record stream: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "records")
	theirs = os.NewFile(uintptr(fds[1]), "records")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, fmt.Errorf("vm: record stream: %w", err)
	}
	s.records = c.(*net.UnixConn)
	return theirs, nil
}

// stop is a reason for which we ended a guest ourselves.
type stop struct {
	end End
	why string
}

// watch waits until QEMU has ended, and ends it when it must.
func (s *session) watch(ctx context.Context, cmd *exec.Cmd, boot time.Time, ended <-chan struct{}, read <-chan struct{}) *stop {
	var why *stop
	kill := func(e End, format string, args ...any) {
		if why == nil {
			why = &stop{e, fmt.Sprintf(format, args...)}
		}
		_ = cmd.Process.Kill()
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	done := ctx.Done()
	var cutAt time.Time
	for {
		select {
		case <-ended: // the state of the process says how
			// All that QEMU passed on is in the socket; a caller that does not
			// take it must not hold us for ever.
			select {
			case <-read:
			case <-time.After(s.g.Silence):
				if why == nil {
					why = &stop{Blocked, "the output is not taken"}
				}
			case <-ctx.Done():
			}
			return why
		case <-done:
			done = nil
			kill(Cancelled, "%v", context.Cause(ctx))
		case <-read:
			// The stream is over or broken: QEMU has a moment to end by itself.
			read = closed
			if cutAt.IsZero() {
				cutAt = time.Now()
			} else if time.Since(cutAt) > 10*time.Second {
				kill(Cut, "the record stream was closed, and the machine did not end")
			}
			<-tick.C
		case now := <-tick.C:
			s.limits(now, boot, kill)
		}
	}
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// limits ends a guest that takes too long, and says which way.
func (s *session) limits(now, boot time.Time, kill func(End, string, ...any)) {
	if w := s.writing.Load(); w != 0 && now.Sub(time.Unix(0, w)) > s.g.Silence {
		kill(Blocked, "the output has not been taken for %v", now.Sub(time.Unix(0, w)).Round(time.Second))
		return
	} else if w != 0 {
		return // the guest may well be waiting for us
	}
	h := s.hello.Load()
	if h == 0 {
		if d := now.Sub(boot); d > s.g.BootLimit {
			kill(NoBoot, "no report of init in %v", d.Round(time.Second))
		}
		return
	}
	quiet := now.Sub(time.Unix(0, s.lastSign.Load()))
	if quiet > s.g.Silence {
		kill(Hung, "no sign of life for %v", quiet.Round(time.Second))
		return
	}
	if run := now.Sub(time.Unix(0, h)); s.g.TimeLimit > 0 && run > s.g.TimeLimit {
		if quiet > 5*time.Second {
			kill(Hung, "no sign of life for %v at the time limit of %v", quiet.Round(time.Second), s.g.TimeLimit)
		} else {
			kill(Overtime, "a command was still running after %v", s.g.TimeLimit)
		}
	}
}

// read takes records until the stream ends.
func (s *session) read() {
	for {
		k, p, err := guest.ReadRecord(s.records)
		if err != nil {
			// Cut off inside a record is cut off; QEMU's end says why.
			if errors.Is(err, guest.ErrStream) {
				s.broken(err)
			}
			return
		}
		s.lastSign.Store(time.Now().UnixNano())
		switch k {
		case guest.Stdout:
			s.pass(s.g.Stdout, p)
		case guest.Stderr:
			s.pass(s.g.Stderr, p)
		default:
			if err := s.control(k, p); err != nil {
				s.broken(fmt.Errorf("%w: %w", guest.ErrStream, err))
				return
			}
		}
	}
}

func (s *session) broken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streamed = err
}

// control takes a record that is not output.
func (s *session) control(k guest.Kind, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch k {
	case guest.Hello:
		s.res.Guest = new(guest.Greeting)
		s.hello.Store(time.Now().UnixNano())
		return json.Unmarshal(p, s.res.Guest)
	case guest.Warn:
		s.res.Warnings = append(s.res.Warnings, string(p))
	case guest.End:
		var e guest.Ending
		if err := json.Unmarshal(p, &e); err != nil {
			return err
		}
		if e.Index != len(s.res.Commands) || e.Index >= len(s.g.Commands) {
			return fmt.Errorf("end of command %d where that of %d was due", e.Index, len(s.res.Commands))
		}
		s.res.Commands = append(s.res.Commands, e)
		if s.g.Ended != nil {
			s.g.Ended(e.Index, e)
		}
	case guest.Last:
		if len(s.res.Commands) != len(s.g.Commands) {
			return fmt.Errorf("the last record came after %d of %d commands", len(s.res.Commands), len(s.g.Commands))
		}
		s.last = true
		return guest.NewWriter(s.records).Write(guest.Ack, nil)
	}
	return nil
}

func (s *session) pass(w io.Writer, p []byte) {
	s.writing.Store(time.Now().UnixNano())
	_, _ = w.Write(p)
	s.writing.Store(0)
	s.lastSign.Store(time.Now().UnixNano())
}

// judge says how the guest ended, from all that is known.
func (s *session) judge(ps *os.ProcessState, stopped *stop) *Result {
	lines, panicked, oom := s.con.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *s.res // a reader that is stuck in a Write of the caller's has the other
	r := &c
	r.Console = lines
	r.TotalMS = time.Since(s.start).Milliseconds()
	r.CPUMS = (ps.UserTime() + ps.SystemTime()).Milliseconds()
	set := func(e End, format string, args ...any) { r.End, r.Why = e, fmt.Sprintf(format, args...) }
	ws, _ := ps.Sys().(syscall.WaitStatus)
	byInit := ws.Exited() && ws.ExitStatus() == guest.ExitStatus
	if s.g.Kernel.Arch != "amd64" { // no exit device: powered off, after the end record
		byInit = ws.Exited() && ws.ExitStatus() == 0
	}
	switch {
	case stopped != nil && stopped.end == Cancelled:
		set(Cancelled, "%s", stopped.why)
	case oom:
		set(OutOfMem, "the guest's kernel ran out of memory")
	case panicked != "":
		set(Panicked, "%s", panicked)
	case s.streamed != nil:
		set(Garbled, "%v", s.streamed)
	case stopped != nil:
		set(stopped.end, "%s", stopped.why)
	case ws.Signaled():
		set(Killed, "QEMU: %v", ws.Signal())
	case ws.Exited() && ws.ExitStatus() != 0 && !byInit:
		set(QEMUError, "QEMU ended with status %d", ws.ExitStatus())
	case s.hello.Load() == 0:
		set(NoBoot, "the machine ended before init reported%s", s.lastWarning())
	case !s.last:
		set(Cut, "the machine ended without a last record%s", s.lastWarning())
	case !byInit:
		set(Cut, "the last record came, but it was not init that ended the machine")
	default:
		r.End = Exited
	}
	return r
}

func (s *session) lastWarning() string {
	if n := len(s.res.Warnings); n > 0 {
		return ": " + s.res.Warnings[n-1]
	}
	return ""
}
