package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	relayBuffer = 32 << 10
	// ttyHolds is more than a pseudo-terminal keeps in its buffers: 64 KiB
	// (drivers/tty/tty_buffer.c) and 4 KiB of the line discipline.
	ttyHolds = 256 << 10
)

// Relay copies between a pseudo-terminal's master and a reader and a writer,
// in both directions at the same time, in a fixed amount of memory: a slow
// writer lets the terminal fill up, and then the program at its other end
// waits. No byte is dropped on the way. (The kernel itself drops input: in its
// canonical mode what exceeds 4095 bytes in a line, see termios(3).)
type Relay struct {
	master *os.File
	in     io.Reader
	out    io.Writer

	mu  sync.Mutex
	ask []chan struct{} // of each Drain

	end  chan struct{} // closed once all output is copied
	once sync.Once
	shut atomic.Bool
	err  error // valid once end is closed
	read int64
}

// NewRelay begins to copy. Either of in and out may be nil: then nothing is
// written, and output is read and dropped. The relay ends when the last slave
// is closed, or with Close; it closes neither in nor out. A Read of in that is
// under way then is not interrupted.
func NewRelay(master *os.File, in io.Reader, out io.Writer) *Relay {
	if out == nil {
		out = io.Discard
	}
	r := &Relay{master: master, in: in, out: out, end: make(chan struct{})}
	if in != nil {
		go r.input()
	}
	go r.output()
	return r
}

// input needs no care: a master that is full makes Write wait.
func (r *Relay) input() {
	_, _ = io.CopyBuffer(struct{ io.Writer }{r.master}, struct{ io.Reader }{r.in}, make([]byte, relayBuffer))
}

// output copies until the last slave is closed, which a read answers with EIO.
func (r *Relay) output() {
	defer close(r.end)
	raw, err := r.master.SyscallConn()
	if err != nil {
		r.err = err
		return
	}
	var drains []chan struct{}
	done := func() {
		for _, d := range drains {
			close(d)
		}
		drains = nil
	}
	defer done()
	left := 0 // may still be from before the oldest drain was asked for
	buf := make([]byte, relayBuffer)
	for {
		var n int
		var e error
		err := raw.Read(func(fd uintptr) bool {
			for n, e = unix.Read(int(fd), buf); e == unix.EINTR; {
				n, e = unix.Read(int(fd), buf)
			}
			// The kernel moves what is on its way before it says EAGAIN
			// (n_tty_read), so that means: all there is was read.
			if e == unix.EAGAIN {
				done()
			}
			return e != unix.EAGAIN
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Somebody asks; the answer is what the next read finds.
			_ = r.master.SetReadDeadline(time.Time{})
			r.mu.Lock()
			drains, r.ask = append(drains, r.ask...), nil
			r.mu.Unlock()
			left = ttyHolds
			continue
		case err != nil:
			if !r.shut.Load() {
				r.err = err
			}
			return
		case e == unix.EIO || n == 0 && e == nil:
			return
		case e != nil:
			r.err = e
			return
		}
		if _, r.err = r.out.Write(buf[:n]); r.err != nil {
			r.err = fmt.Errorf("relay of terminal output: %w", r.err)
			r.drop()
			return
		}
		r.read += int64(n)
		if left -= n; left <= 0 {
			done()
		}
	}
}

// drop keeps reading for a writer that has failed, so that the program at the
// other end is not stuck for ever.
func (r *Relay) drop() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{r.master}) }

// Drain returns when everything that the terminal's slaves wrote before the
// call has been written to the writer, or never can be.
func (r *Relay) Drain() {
	d := make(chan struct{})
	r.mu.Lock()
	r.ask = append(r.ask, d)
	r.mu.Unlock()
	_ = r.master.SetReadDeadline(time.Unix(1, 0)) // wakes a read that waits
	select {
	case <-d:
	case <-r.end:
	}
}

// Wait returns the number of bytes of output when the relay has ended, and an
// error if its writer failed.
func (r *Relay) Wait() (int64, error) {
	<-r.end
	return r.read, r.err
}

// Close ends the relay and closes the master; the foreground process group of
// the terminal then gets SIGHUP. It may be called twice.
func (r *Relay) Close() error {
	var err error
	r.once.Do(func() {
		r.shut.Store(true)
		err = r.master.Close()
	})
	<-r.end
	return err
}
