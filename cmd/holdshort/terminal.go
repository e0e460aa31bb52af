package main

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// terminal joins our own terminal, or pipes, with the workload's.
type terminal struct {
	master, slave *os.File
	rows, cols    int
	ours          bool // our standard input is a terminal
	restore       func()
	copied        chan struct{}
	closed        chan struct{}
	once          sync.Once
	resized       chan os.Signal
}

// openTerminal makes a pseudo-terminal the workload's 0, 1 and 2, of the given
// size, or else of the size of ours.
func openTerminal(o *checkpoint.Options, size *specs.Box) (*terminal, error) {
	t := &terminal{rows: 24, cols: 80, restore: func() {}, copied: make(chan struct{}), closed: make(chan struct{}), resized: make(chan os.Signal, 1)}
	out := o.Stdout
	ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	t.ours = err == nil
	switch {
	case size != nil:
		t.rows, t.cols = int(size.Height), int(size.Width)
	case t.ours && ws.Row > 0:
		t.rows, t.cols = int(ws.Row), int(ws.Col)
	}
	if t.master, t.slave, err = checkpoint.OpenPTY(t.rows, t.cols); err != nil {
		return nil, err
	}
	// Raw, so that keys reach the workload's terminal, which handles them.
	if old, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		raw := *old
		raw.Iflag &^= unix.BRKINT | unix.ICRNL | unix.INPCK | unix.ISTRIP | unix.IXON
		raw.Lflag &^= unix.ECHO | unix.ICANON | unix.IEXTEN | unix.ISIG
		raw.Oflag &^= unix.OPOST
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		if unix.IoctlSetTermios(0, unix.TCSETS, &raw) == nil {
			t.restore = func() { _ = unix.IoctlSetTermios(0, unix.TCSETS, old) }
		}
	}
	if in := o.Stdin; in != nil {
		go func() {
			_, _ = io.Copy(t.master, in)
			if !t.ours {
				t.endInput()
			}
		}()
	}
	go func() {
		defer close(t.copied)
		if out != nil {
			_, _ = io.Copy(out, t.master) // ends with EIO when the workload's side is closed
		}
	}()
	signal.Notify(t.resized, unix.SIGWINCH)
	go func() {
		for range t.resized {
			if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
				_ = checkpoint.SetSize(t.master, int(ws.Row), int(ws.Col))
			}
		}
	}()
	o.Stdin, o.Stdout, o.Stderr, o.Terminal = t.slave, t.slave, t.slave, true
	return t, nil
}

// endInput tells each reader that there is no more, as the end of a pipe would:
// a terminal does so once per VEOF, termios(3), and only to who reads then.
func (t *terminal) endInput() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	slave, err := t.slave.SyscallConn()
	for err == nil {
		waiting := false // what was written is not all read
		err = slave.Control(func(fd uintptr) {
			n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			waiting = n != 0
		})
		if err == nil && !waiting {
			_, err = t.master.Write([]byte{4})
		}
		select {
		case <-tick.C:
		case <-t.closed:
			return
		}
	}
}

// close drains what the workload still had to say, and gives our terminal back.
func (t *terminal) close() {
	t.once.Do(func() {
		signal.Stop(t.resized)
		close(t.resized)
		close(t.closed)
		t.slave.Close()
		<-t.copied
		t.restore()
		t.master.Close()
	})
}
