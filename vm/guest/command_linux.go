package guest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainLimit is how long output is still read once the command and everything
// that it left behind are dead.
const drainLimit = 10 * time.Second

// command runs the task's command and reaps whatever becomes ours, as process
// 1 must. All that the command leaves running is killed when it ends.
func (m *machine) command() (end Ending) {
	if len(m.task.Argv) == 0 { // it was only asked whether the machine boots
		return Ending{Started: true}
	}
	fail := func(err error) Ending { return Ending{Error: err.Error()} }
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fail(err)
	}
	defer null.Close()
	var pumps sync.WaitGroup
	var ends []*os.File
	pipe := func(k Kind) (uintptr, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		ends = append(ends, w)
		pumps.Go(func() {
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
		})
		return w.Fd(), nil
	}
	out, err := pipe(Stdout)
	if err != nil {
		return fail(err)
	}
	errs, err := pipe(Stderr)
	if err != nil {
		return fail(err)
	}
	before := oomKills()
	start := time.Now()
	pid, err := syscall.ForkExec(m.task.Argv[0], m.task.Argv, &syscall.ProcAttr{
		Dir: m.task.Dir, Env: m.task.Env, Files: []uintptr{null.Fd(), out, errs},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	for _, f := range ends {
		f.Close()
	}
	if err != nil {
		end.Error = fmt.Sprintf("start %s: %v", m.task.Argv[0], err)
	} else {
		status := reapUntil(pid)
		end.Started, end.MS = true, time.Since(start).Milliseconds()
		if status.Signaled() {
			end.Signal = int(status.Signal())
		} else {
			end.Exit = status.ExitStatus()
		}
		_ = unix.Kill(-1, unix.SIGKILL)
	}
	drained := make(chan struct{})
	go func() { pumps.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(drainLimit):
		m.warn("output still open %v after the command and all its processes were killed", drainLimit)
	}
	end.OOMKills = oomKills() - before
	return end
}

// reapUntil reaps until the process pid has ended.
func reapUntil(pid int) unix.WaitStatus {
	for {
		var s unix.WaitStatus
		got, err := unix.Wait4(-1, &s, 0, nil)
		if err == nil && got == pid && (s.Exited() || s.Signaled()) {
			return s
		}
		if err == unix.ECHILD { // impossible while pid lives
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
