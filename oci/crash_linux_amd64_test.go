package oci

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestMain lets this program be the command itself.
func TestMain(m *testing.M) {
	if text := os.Getenv("HOLDSHORT_TEST_OCI"); text != "" {
		var args []string
		if json.Unmarshal([]byte(text), &args) != nil {
			os.Exit(99)
		}
		os.Exit(Main(context.Background(), args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// dull are system calls that change nothing outside of the process: to be
// killed there is to be killed at the next one.
var dull = []uint64{
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT, unix.SYS_BRK,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_TGKILL,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_FCNTL, unix.SYS_FSTAT, unix.SYS_NEWFSTATAT, unix.SYS_READ, unix.SYS_PREAD64,
	unix.SYS_ARCH_PRCTL, unix.SYS_SCHED_GETAFFINITY, unix.SYS_PRLIMIT64, unix.SYS_GETRLIMIT, unix.SYS_CAPGET, unix.SYS_GETDENTS64, unix.SYS_CLOCK_GETTIME, unix.SYS_UNAME,
	unix.SYS_GETRANDOM, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_PRCTL, unix.SYS_READLINKAT, unix.SYS_RESTART_SYSCALL, unix.SYS_GETEUID, unix.SYS_GETUID,
	unix.SYS_GETEGID, unix.SYS_GETGID, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, unix.SYS_SET_TID_ADDRESS, unix.SYS_STATFS,
}

// killAt runs the command and kills it when it enters its nth system call that
// is not dull. It reports whether it came to that.
func killAt(t *testing.T, args []string, n int) bool {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "HOLDSHORT_TEST_OCI="+string(text))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	cmd.SysProcAttr = &unix.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	var st unix.WaitStatus
	if _, err := unix.Wait4(pid, &st, unix.WALL, nil); err != nil || !st.Stopped() {
		t.Fatalf("first stop: %v, %v", st, err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		t.Fatal(err)
	}
	inside := map[int]bool{} // threads that are within a system call
	_ = unix.PtraceSyscall(pid, 0)
	for count := 0; ; {
		tid, err := unix.Wait4(-1, &st, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false
		case tid == pid && (st.Exited() || st.Signaled()):
			return false
		case !st.Stopped():
			continue
		}
		sig := int(st.StopSignal())
		switch {
		case sig == int(unix.SIGTRAP)|0x80:
			if inside[tid] = !inside[tid]; inside[tid] {
				var regs unix.PtraceRegs
				if unix.PtraceGetRegs(tid, &regs) == nil && !slices.Contains(dull, callOf(&regs)) {
					if count++; count == n {
						_ = unix.Kill(pid, unix.SIGKILL)
						for {
							got, err := unix.Wait4(-1, &st, unix.WALL|unix.WNOTHREAD, nil)
							if err != nil && !errors.Is(err, unix.EINTR) || got == pid && (st.Exited() || st.Signaled()) {
								return true
							}
						}
					}
				}
			}
			sig = 0
		case sig == int(unix.SIGTRAP), sig == int(unix.SIGSTOP):
			sig = 0 // a new thread, on either side
		}
		_ = unix.PtraceSyscall(tid, sig)
	}
}

// crashBundle has a hook of each kind, and limits, so that all is on the way.
func crashBundle(t *testing.T) string {
	t.Helper()
	limit := int64(100)
	hook := []specs.Hook{{Path: "/bin/true"}}
	return bundle(t, []string{"/bin/sleep", "1000"}, func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
		if os.Getenv("HOLDSHORT_TEST_HOOKS") != "" {
			s.Hooks = &specs.Hooks{CreateRuntime: hook, Poststop: hook}
		}
	})
}

// TestKilledAnywhere: whenever a verb is killed, the container can be looked at,
// and "delete --force" removes all that was made.
func TestKilledAnywhere(t *testing.T) {
	for _, verb := range []string{"create", "start", "kill", "delete", "delete --force", "exec", "run", "pause", "resume", "update"} {
		t.Run(verb, func(t *testing.T) {
			c := newCommand(t)
			dir := crashBundle(t)
			step := 1
			if testing.Short() {
				step = 7
			}
			killed, name := 0, id(t)
			for n := 1; ; n += step {
				id := name + strconv.Itoa(n)
				prepare(c, verb, dir, id)
				args := []string{"--root", c.root}
				switch verb {
				case "create":
					args = append(args, "create", "--bundle", dir, "--pid-file", filepath.Join(dir, "pid"), id)
				case "run":
					args = append(args, "run", "--detach", "--bundle", dir, id)
				case "kill":
					args = append(args, "kill", id, "KILL")
				case "delete --force":
					args = append(args, "delete", "--force", id)
				case "exec":
					args = append(args, "exec", "--detach", id, "/bin/sleep", "1000")
				case "update":
					args = append(args, "update", "--pids-limit", "50", id)
				default:
					args = append(args, verb, id)
				}
				was := killAt(t, args, n)
				if verb == "exec" {
					c.nobodyParked(id, n)
				}
				if c.lookAndRemove(verb, id, n); t.Failed() {
					return
				}
				if !was {
					break
				}
				killed++
			}
			t.Logf("killed at %d system calls", killed)
			if killed < 1 {
				t.Errorf("killed at %d system calls only", killed)
			}
		})
	}
}

func prepare(c *command, verb, dir, id string) {
	c.t.Helper()
	if verb == "create" || verb == "run" {
		return
	}
	c.must("create", "--bundle", dir, id)
	switch verb {
	case "start":
		return
	case "delete":
		pid := c.state(id).Pid
		c.must("kill", id, "KILL")
		reap(c.t, pid)
		return
	}
	c.must("start", id)
	if verb == "resume" {
		c.must("pause", id)
	}
}

// nobodyParked: a process that exec has not let go is of no use to anybody, and
// nobody knows of it.
func (c *command) nobodyParked(id string, n int) {
	c.t.Helper()
	k, err := findContainer(c.root, id, false)
	if err != nil {
		c.t.Fatal(err)
	}
	defer k.close()
	for end := time.Now().Add(time.Minute); ; {
		reapAll()
		pids, err := k.pids()
		if err != nil {
			c.t.Fatal(err)
		}
		parked := slices.DeleteFunc(pids, func(pid int) bool {
			s, err := readStat(pid)
			return err != nil || s.flags&forkNoExec == 0
		})
		if len(parked) == 0 {
			return
		}
		if time.Now().After(end) { // an agent that lost its host may still be at it
			c.t.Errorf("exec, killed at %d: %v are parked", n, parked)
			return
		}
		ts := unix.NsecToTimespec(1e6)
		_ = unix.Nanosleep(&ts, nil)
	}
}

func (c *command) lookAndRemove(verb, id string, n int) {
	c.t.Helper()
	if code, out, err := c.run("state", id); code == 0 {
		s := &specs.State{}
		if e := json.Unmarshal([]byte(out), s); e != nil || s.ID != id {
			c.t.Errorf("%s, killed at %d: state %q", verb, n, out)
		}
	} else if !strings.Contains(err, "does not exist") {
		c.t.Errorf("%s, killed at %d: state: %s", verb, n, err)
	}
	// A pid namespace ends when its last zombie is reaped, which may be ours.
	deleted := make(chan struct{})
	go func() {
		defer close(deleted)
		if code, _, err := c.run("delete", "--force", id); code != 0 {
			c.t.Errorf("%s, killed at %d: delete --force: %s", verb, n, err)
		}
	}()
	for done := false; !done; {
		reapAll()
		select {
		case <-deleted:
			done = true
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := os.Lstat(filepath.Join(c.root, id)); err == nil {
		c.t.Errorf("%s, killed at %d: its state is left", verb, n)
	}
	host, err := readHost()
	if err != nil {
		c.t.Fatal(err)
	}
	dirs := []string{filepath.Join(host.CgroupV2, id)}
	for _, at := range host.CgroupV1 {
		dirs = append(dirs, filepath.Join(at, id))
	}
	// An agent that lost its host may still be at it.
	for end := time.Now().Add(time.Minute); ; {
		reapAll()
		left := slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool {
			_, err := os.Lstat(dir)
			return err != nil
		})
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			c.t.Errorf("%s, killed at %d: %v are left", verb, n, left)
			return
		}
		ts := unix.NsecToTimespec(1e6)
		_ = unix.Nanosleep(&ts, nil)
	}
}

// reapAll takes the children that have ended: what was left to us.
func reapAll() {
	for {
		var st unix.WaitStatus
		if pid, err := unix.Wait4(-1, &st, unix.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}
