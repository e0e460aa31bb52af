package main

import (
	"io"
	"os"
	"os/signal"
	"sync"

	"github.com/holdshort/holdshort/checkpoint"
	"golang.org/x/sys/unix"
)

// terminal joins our own terminal, or pipes, with the workload's.
type terminal struct {
	master, slave *os.File
	rows, cols    int
	restore       func()
	copied        chan struct{}
	once          sync.Once
	resized       chan os.Signal
}

// openTerminal makes a pseudo-terminal the workload's 0, 1 and 2.
func openTerminal(o *checkpoint.Options) (*terminal, error) {
	t := &terminal{rows: 24, cols: 80, restore: func() {}, copied: make(chan struct{}), resized: make(chan os.Signal, 1)}
	out := o.Stdout
	if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil && ws.Row > 0 {
		t.rows, t.cols = int(ws.Row), int(ws.Col)
	}
	var err error
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
		go func() { _, _ = io.Copy(t.master, in) }()
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

// close drains what the workload still had to say, and gives our terminal back.
func (t *terminal) close() {
	t.once.Do(func() {
		signal.Stop(t.resized)
		close(t.resized)
		t.slave.Close()
		<-t.copied
		t.restore()
		t.master.Close()
	})
}
