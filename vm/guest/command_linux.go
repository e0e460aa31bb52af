package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainLimit is how long output is still read once the command and everything
// that it left behind are dead.
const drainLimit = 10 * time.Second

// command runs a command and reaps whatever becomes ours, as process 1 must.
// All that the command leaves running is killed when it ends.
func (m *machine) command(c *Command) (end Ending) {
	files, drain, err := m.streams()
	if err != nil {
		return Ending{Error: err.Error()}
	}
	sys := &syscall.SysProcAttr{Setsid: true}
	if m.task.Terminal {
		sys.Setctty, sys.Ctty = true, 0
	}
	var fds []uintptr
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	before := oomKills()
	start := time.Now()
	pid, err := syscall.ForkExec(c.Argv[0], c.Argv, &syscall.ProcAttr{Dir: c.Dir, Env: c.Env, Files: fds, Sys: sys})
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		end.Error = fmt.Sprintf("start %s: %v", c.Argv[0], err)
	} else {
		var late atomic.Bool
		if c.LimitMS > 0 {
			t := time.AfterFunc(time.Duration(c.LimitMS)*time.Millisecond, func() {
				late.Store(true)
				_ = unix.Kill(-1, unix.SIGKILL)
			})
			defer t.Stop()
		}
		status := reapUntil(pid)
		end.Started, end.MS, end.TimedOut = true, time.Since(start).Milliseconds(), late.Load()
		if status.Signaled() {
			end.Signal = int(status.Signal())
		} else {
			end.Exit = status.ExitStatus()
		}
	}
	_ = unix.Kill(-1, unix.SIGKILL)
	drain()
	end.OOMKills = oomKills() - before
	return end
}

// streams are a command's standard files, and a function that waits until
// what was written to them is recorded.
func (m *machine) streams() (files []*os.File, drain func(), err error) {
	if m.task.Terminal {
		con, err := os.OpenFile("/dev/"+consoleDevice(), os.O_RDWR|unix.O_NOCTTY, 0)
		return []*os.File{con, con, con}, func() {}, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	files = []*os.File{null}
	var pumps sync.WaitGroup
	for _, k := range []Kind{Stdout, Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		files = append(files, w)
		pumps.Go(func() { m.pump(k, r) })
	}
	return files, func() {
		drained := make(chan struct{})
		go func() { pumps.Wait(); close(drained) }()
		select {
		case <-drained:
		case <-time.After(drainLimit):
			m.warn("output still open %v after the command and all its processes were killed", drainLimit)
		}
	}, nil
}

func (m *machine) pump(k Kind, r *os.File) {
	defer r.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		if n > 0 {
			_ = m.out.Write(k, b[:n])
		}
		if err != nil {
			return
		}
	}
}

// consoleDevice is the device behind /dev/console: only the real one can be
// a controlling terminal.
func consoleDevice() string {
	b, _ := os.ReadFile("/sys/class/tty/console/active")
	if f := strings.Fields(string(b)); len(f) > 0 {
		return f[len(f)-1]
	}
	return "console"
}

// sweep reaps what is dead and removes what a command left in the cgroup tree
// and as programs, so that the next command finds the machine as the first did.
func sweep() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
			break
		}
	}
	var dirs []string
	_ = filepath.WalkDir(cgroupRoot, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != cgroupRoot {
			dirs = append(dirs, p)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		_ = os.Remove(d)
	}
}

// reapUntil reaps until the process pid has ended.
func reapUntil(pid int) unix.WaitStatus {
	for {
		var s unix.WaitStatus
		got, err := unix.Wait4(-1, &s, 0, nil)
		if err == nil && got == pid && (s.Exited() || s.Signaled()) {
			return s
		}
		if errors.Is(err, unix.ECHILD) { // impossible while pid lives
			return s
		}
	}
}

// oomKills reads how many processes the kernel has killed for memory.
func oomKills() int64 {
	f, err := os.Open("/proc/vmstat")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, 1<<20)); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "oom_kill "); ok {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}
