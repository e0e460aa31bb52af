package oci

import (
	"context"
	"errors"
	"os"
	"os/signal"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
)

// foreground is a process that we wait for: it gets our signals and, if it has
// a terminal, our own.
type foreground struct {
	relay   *checkpoint.Relay
	master  *os.File
	restore func()
	signals chan os.Signal
}

// processFiles are the descriptors of a process of run or exec, which may be in
// the foreground.
func (r *invocation) processFiles(p *specs.Process, o *createOptions) (*runOptions, *foreground, error) {
	if o.detach {
		opts, err := processOptions(p, o.consoleSocket, o.preserveFDs)
		return opts, nil, err
	}
	fg := &foreground{restore: func() {}, signals: make(chan os.Signal, 64)}
	// The process is to be our child once its own parent is gone.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, nil, err
	}
	signal.Notify(fg.signals)
	if !p.Terminal || o.consoleSocket != "" {
		opts, err := processOptions(p, o.consoleSocket, o.preserveFDs)
		return opts, fg, err
	}
	p.Terminal = false // which nobody else gets the other end of
	opts, err := processOptions(p, "", o.preserveFDs)
	p.Terminal = true
	if err == nil {
		err = opts.openTerminal(p)
	}
	if err != nil {
		return nil, nil, err
	}
	fg.begin(opts)
	return opts, fg, nil
}

// end gives the caller's terminal back. It may be called more than once, and of
// none.
func (fg *foreground) end() {
	if fg != nil {
		fg.restore()
	}
}

// begin joins our terminal and the process's.
func (fg *foreground) begin(opts *runOptions) {
	fg.master = opts.master
	opts.master = nil // ours until the end
	fg.resize()
	if old, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		raw := *old
		raw.Iflag &^= unix.BRKINT | unix.ICRNL | unix.INPCK | unix.ISTRIP | unix.IXON
		raw.Lflag &^= unix.ECHO | unix.ICANON | unix.IEXTEN | unix.ISIG
		raw.Oflag &^= unix.OPOST
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		if unix.IoctlSetTermios(0, unix.TCSETS, &raw) == nil {
			fg.restore = func() { _ = unix.IoctlSetTermios(0, unix.TCSETS, old) }
		}
	}
	fg.relay = checkpoint.NewRelay(fg.master, os.Stdin, os.Stdout)
}

func (fg *foreground) resize() {
	if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil && fg.master != nil && ws.Row > 0 {
		_ = checkpoint.SetSize(fg.master, int(ws.Row), int(ws.Col))
	}
}

// wait passes signals on until the process has ended, and returns its status as
// a shell has it.
func (fg *foreground) wait(pid int) int {
	done := make(chan int, 1)
	go func() {
		for {
			var st unix.WaitStatus
			got, err := unix.Wait4(-1, &st, 0, nil) // we may be given its orphans, too
			switch {
			case errors.Is(err, unix.EINTR):
			case err != nil:
				done <- 255
				return
			case got == pid && st.Signaled():
				done <- 128 + int(st.Signal())
				return
			case got == pid && st.Exited():
				done <- st.ExitStatus()
				return
			}
		}
	}()
	defer fg.end()
	for {
		select {
		case code := <-done:
			if fg.relay != nil {
				fg.relay.Drain()
			}
			return code
		case s := <-fg.signals:
			sig, _ := s.(unix.Signal)
			switch sig {
			case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE:
			case unix.SIGWINCH:
				fg.resize()
			default:
				_ = unix.Kill(pid, sig) // it is our child and not reaped yet, or just now
			}
		}
	}
}

func verbRun(r *invocation, f *flagSet, args []string) error {
	o := &createOptions{}
	o.flags(f)
	f.flag(&o.detach, "detach", "d", "do not wait for its end")
	f.flag(&o.keep, "keep", "", "do not delete the container at its end")
	f.flag(&o.noSubreaper, "no-subreaper", "", "ignored")
	id, err := r.one(f, "run", args)
	if err != nil {
		return err
	}
	o.id = id
	return r.run(r.ctx, o)
}

func (r *invocation) run(ctx context.Context, o *createOptions) error {
	var fg *foreground
	defer func() { fg.end() }() // also if it never runs
	c, err := r.createWith(ctx, o, func(p *specs.Process) (*runOptions, error) {
		opts, g, err := r.processFiles(p, o)
		fg = g
		return opts, err
	})
	if err != nil {
		return err
	}
	defer c.close()
	if err := r.start(ctx, c); err != nil {
		return errors.Join(err, r.delete(c, true))
	}
	if o.detach {
		return nil
	}
	c.unlock() // others may want to stop it
	r.code = fg.wait(c.Process.PID)
	if o.keep {
		return nil
	}
	again, err := findContainer(r.root, o.id, true)
	if errors.Is(err, errNoContainer) {
		return nil
	}
	if err != nil {
		return err
	}
	defer again.close()
	again.req = c.req
	return r.delete(again, true)
}
