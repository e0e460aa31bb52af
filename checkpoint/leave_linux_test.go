package checkpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint/seccomp/notify"
	"golang.org/x/sys/unix"
)

// leaveParked runs in a process of its own, which leaves a workload parked and
// ends: nothing of ours is left that could help whoever adopts it.
func leaveParked(t *testing.T) {
	t.Helper()
	cfg := &Config{}
	if err := json.Unmarshal([]byte(os.Getenv("HOLDSHORT_TEST_LEAVE")), cfg); err != nil {
		t.Fatal(err)
	}
	l, err := New(bg)
	if err != nil {
		t.Fatal(err)
	}
	opts := &Options{Stay: true, Stdout: os.NewFile(3, "output"), Notify: func(*Workload, *os.File) error { return nil }}
	w, err := l.Spawn(bg, cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	left, err := w.Leave(bg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Leave(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(left)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.NewFile(4, "left").Write(b); err != nil {
		t.Fatal(err)
	}
}

// left starts such a process and returns what it has left, and what its program
// writes. We are the next parent.
func left(t *testing.T, cfg Config) (*LeftProcess, *os.File) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	b, err := json.Marshal(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	out, theirs := pipe(t)
	said, tell := pipe(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLeave$")
	cmd.Env = append(os.Environ(), "HOLDSHORT_TEST_LEAVE="+string(b))
	cmd.ExtraFiles = []*os.File{theirs, tell}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	theirs.Close()
	tell.Close()
	p := &LeftProcess{}
	if b, err = io.ReadAll(said); err == nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil {
		t.Fatalf("%v: %q", err, b)
	}
	t.Cleanup(func() { _ = unix.Kill(p.PID, unix.SIGKILL) })
	return p, out
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func adopt(t *testing.T, p *LeftProcess) *Orphan {
	t.Helper()
	o, err := Adopt(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// reaped waits for a child that we were given.
func reaped(t *testing.T, pid int) unix.WaitStatus {
	t.Helper()
	var st unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &st, 0, nil); err == nil {
			return st
		} else if !errors.Is(err, unix.EINTR) {
			t.Fatalf("wait for %d: %v", pid, err)
		}
	}
}

func TestLeave(t *testing.T) {
	if os.Getenv("HOLDSHORT_TEST_LEAVE") != "" {
		leaveParked(t)
		return
	}
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	t.Run("runs when it is told to", func(t *testing.T) {
		p, out := left(t, Config{Args: []string{"/bin/sh", "-c", "echo $$; exit 7"}})
		o := adopt(t, p)
		if err := o.Proceed(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if st := reaped(t, p.PID); st.ExitStatus() != 7 {
			t.Errorf("status %v", st)
		}
		if b, _ := io.ReadAll(out); strings.TrimSpace(string(b)) == "" {
			t.Error("no output")
		}
		if _, err := Adopt(p); !errors.Is(err, ErrGone) {
			t.Errorf("adopted once more: %v", err)
		}
	})
	t.Run("has nothing of ours left", func(t *testing.T) {
		p, out := left(t, Config{Args: []string{"/bin/sh", "-c", "ls /proc/self/fd | wc -l; exec sleep 1000"}})
		o := adopt(t, p)
		if err := o.Proceed(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Adopt(p); !errors.Is(err, ErrNotParked) {
			t.Errorf("adopted while it runs: %v", err)
		}
		n, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || strings.TrimSpace(n) != "4" { // and ls has the directory open
			t.Errorf("%q descriptors, %v", n, err)
		}
		_ = unix.Kill(p.PID, unix.SIGKILL)
		reaped(t, p.PID)
	})
	t.Run("says what failed", func(t *testing.T) {
		p, _ := left(t, Config{Args: []string{"/no/such"}})
		var e *Error
		if err := adopt(t, p).Proceed(ctx, nil); !errors.As(err, &e) || e.Stage != StageExec || !errors.Is(err, unix.ENOENT) || e.Object != "/no/such" {
			t.Errorf("%v", err)
		}
		reaped(t, p.PID)
	})
	t.Run("is let go once", func(t *testing.T) {
		p, _ := left(t, Config{Args: []string{"/bin/sleep", "1000"}})
		a, b := adopt(t, p), adopt(t, p)
		if err := a.Proceed(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if err := b.Proceed(ctx, nil); !errors.Is(err, ErrNotParked) {
			t.Errorf("a second time: %v", err)
		}
		_ = unix.Kill(p.PID, unix.SIGKILL)
		reaped(t, p.PID)
	})
	t.Run("killed while parked", func(t *testing.T) {
		p, _ := left(t, Config{Args: []string{"/bin/true"}})
		o := adopt(t, p)
		_ = unix.Kill(p.PID, unix.SIGKILL)
		reaped(t, p.PID)
		if err := o.Proceed(ctx, nil); !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
		if _, err := Adopt(p); !errors.Is(err, ErrGone) {
			t.Errorf("adopted: %v", err)
		}
	})
	t.Run("another process of that number", func(t *testing.T) {
		p, _ := left(t, Config{Args: []string{"/bin/true"}})
		q := *p
		q.Started++
		if _, err := Adopt(&q); !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
		_ = unix.Kill(p.PID, unix.SIGKILL)
		reaped(t, p.PID)
	})
	t.Run("with a seccomp listener", func(t *testing.T) {
		p, _ := left(t, Config{NoNewPrivs: true, Args: []string{"/bin/mkdir", "/no/such/directory"}, Seccomp: notifyOf("mkdir", "mkdirat")})
		asked := make(chan bool, 1)
		answer := answering(t, func(l *notify.Listener, n *notify.Notification) error {
			asked <- true
			return l.Fail(n, unix.EDOM)
		})
		if err := adopt(t, p).Proceed(ctx, func(f *os.File) error { return answer(nil, f) }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-asked:
		case <-ctx.Done():
			t.Fatal("nobody asked")
		}
		if st := reaped(t, p.PID); st.ExitStatus() != 1 {
			t.Errorf("status %v", st)
		}
	})
}

// TestProceedBeforeTheAgentLeaves: what is left may proceed and end while the
// agent is still there, and its new parent is told of its end all the same.
func TestProceedBeforeTheAgentLeaves(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	l, err := New(bg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := l.Spawn(bg, &Config{Args: []string{"/bin/sh", "-c", "exit 7"}}, &Options{Stay: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Leave(bg)
	if err != nil {
		t.Fatal(err)
	}
	o := adopt(t, p)
	if err := o.Proceed(bg, nil); err != nil {
		t.Fatal(err)
	}
	if !endedWithin(o.pidfd, time.Minute) {
		t.Fatal("it does not end")
	}
	<-w.Done() // the agent has seen it, and so has the launcher
	if err := l.Leave(); err != nil {
		t.Fatal(err)
	}
	if st := reaped(t, p.PID); st.ExitStatus() != 7 {
		t.Errorf("status %v", st)
	}
}

// TestNotLaunched: what was made for a child that the agent was not even asked
// for is taken back, and no clock runs for it.
func TestNotLaunched(t *testing.T) {
	l, err := New(bg)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cgroup := withController(t, "", "").group(t, Cgroup{}) // which sees to it that it does not stay
	leavesNothing(t, func() {
		for _, stay := range []bool{false, true} {
			w, err := l.prepare(&Config{Args: []string{"/bin/true"}, Cgroup: cgroup}, &Options{Stay: stay, Timeouts: Timeouts{Spawn: time.Hour}})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.bear(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("launched by an agent that was ended: %v", err)
			}
			if w.clock != nil {
				w.clock.Stop()
				t.Error("a clock runs")
			}
		}
	})
}
