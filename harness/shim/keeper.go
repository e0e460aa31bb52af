package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// idle is how long a keeper with nothing to watch stays.
const idle = 5 * time.Minute

type keeper struct {
	v     *harness.Verifier
	guard *guard
	busy  sync.WaitGroup

	mu         sync.Mutex
	containers map[string]*container
	last       time.Time
	active     int
}

// container is one that was created or run.
type container struct {
	req     *request.Request
	policy  Policy
	ready   chan struct{} // closed when it is known whether it was created
	created *harness.Created
	pid     int
	err     error
}

// Keep is the keeper: it listens until it has had nothing to do for five
// minutes, or ctx ends. ready is told "ready", or what is wrong.
func Keep(ctx context.Context, ready *os.File) error {
	err := keep(ctx, func() {
		_, _ = ready.WriteString("ready")
		_ = ready.Close()
	})
	if err != nil {
		_, _ = ready.WriteString(err.Error())
	}
	return err
}

func keep(ctx context.Context, ready func()) error {
	dir := StateDir()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Uid != uint32(os.Geteuid()) || st.Mode&(unix.S_IFMT|0o077) != unix.S_IFDIR {
		return fmt.Errorf("%s is not a directory of ours alone", dir)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		// Another one was quicker: it is ready once it listens.
		return waitFor(ctx, ready)
	}
	leaveCgroups()
	v, err := harness.NewVerifier(ctx, &harness.VerifierOptions{Freeze: true})
	if err != nil {
		return err
	}
	defer v.Close()
	g, err := startGuard()
	if err != nil {
		return err
	}
	defer g.close()
	socket := filepath.Join(dir, "socket")
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer l.Close()
	k := &keeper{v: v, guard: g, containers: map[string]*container{}, last: time.Now()}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	go k.watchIdle(ctx, l)
	ready()
	for {
		c, err := l.Accept()
		if err != nil {
			k.busy.Wait()
			return nil //nolint:nilerr // it was closed
		}
		go k.serve(ctx, c)
	}
}

func waitFor(ctx context.Context, ready func()) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if c, err := dial(); err == nil {
			c.Close()
			ready()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("another keeper holds the lock and does not listen")
		}
	}
}

// leaveCgroups moves us to the root of each hierarchy, so that the caller can
// remove the cgroup in which we were started. Where that is not allowed we stay.
func leaveCgroups() {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); len(f) > 4 && strings.HasPrefix(after, "cgroup") && f[3] == "/" {
			_ = os.WriteFile(filepath.Join(f[4], "cgroup.procs"), []byte("0"), 0)
		}
	}
}

func (k *keeper) watchIdle(ctx context.Context, l net.Listener) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		k.mu.Lock()
		for id, c := range k.containers { // those whose process is gone
			if c.pid != 0 && unix.Kill(c.pid, 0) != nil {
				delete(k.containers, id)
			}
		}
		over := k.active == 0 && len(k.containers) == 0 && time.Since(k.last) > idle
		k.mu.Unlock()
		if over {
			l.Close()
			return
		}
	}
}

func (k *keeper) begin(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.active += n
	k.last = time.Now()
}

// serve answers one front.
func (k *keeper) serve(ctx context.Context, c net.Conn) {
	k.begin(1)
	defer k.begin(-1)
	defer c.Close()
	who, err := peer(c)
	if err != nil || who.Uid != uint32(os.Geteuid()) {
		return
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	var m message
	if json.NewDecoder(c).Decode(&m) != nil {
		return
	}
	call := ParseCall(m.Args)
	call.in(m.Dir)
	j := &job{k: k, m: &m, call: call, front: int(who.Pid)}
	answer := func(err error) {
		var r reply
		if err != nil {
			r.Error = err.Error()
		}
		_ = json.NewEncoder(c).Encode(&r)
		c.Close()
	}
	k.busy.Add(1)
	defer k.busy.Done()
	switch call.Verb {
	case "create":
		err = j.create(ctx, answer)
	case "start":
		err = j.start(ctx, answer)
	case "run":
		err = j.run(ctx, answer)
	case "exec":
		err = j.exec(ctx, answer)
	}
	if err != nil {
		note(m.Policy.Reports, m.Args, err)
	}
}

// job is one call under way.
type job struct {
	k     *keeper
	m     *message
	call  *Call
	front int
}

func (j *job) key() string { return j.m.Runtime + "\x00" + j.call.Root + "\x00" + j.call.ID }

// options says how the workload of the call is judged. killed becomes true if it
// was not let go.
func (j *job) options(policy Policy, killed *bool) *harness.VerifyOptions {
	o := &harness.VerifyOptions{Engine: j.m.Engine, Binary: j.m.Runtime}
	if e, err := engine.ByName(j.m.Engine); err == nil {
		o.Profile = e.Profile
	}
	if j.call.PIDFile != "" {
		began := time.Now()
		o.PID = func() (int, error) { return pidIn(j.call.PIDFile, began) }
	}
	if policy.Enforce {
		o.Decide = func(c *harness.Case) bool {
			*killed = c.Verdict == harness.Violated || c.Verdict == harness.Unknown && policy.Closed
			return !*killed
		}
		o.Undecided = func(error) bool {
			*killed = policy.Closed
			return !*killed
		}
	}
	return o
}

// pidIn reads a pid file, if it is not an older one.
func pidIn(file string, began time.Time) (int, error) {
	st, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	if st.ModTime().Before(began.Add(-time.Second)) {
		return 0, errors.New("an older pid file")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func (j *job) create(ctx context.Context, answer func(error)) error {
	req, err := j.call.container()
	if err != nil {
		answer(err)
		return err
	}
	killed := new(bool)
	opts := j.options(j.m.Policy, killed)
	a, err := j.k.v.Attach(ctx, req, j.front, false, opts)
	if err != nil {
		answer(err)
		return err
	}
	defer a.Close()
	c := &container{req: req, policy: j.m.Policy, ready: make(chan struct{})}
	j.k.mu.Lock()
	j.k.containers[j.key()] = c
	j.k.mu.Unlock()
	answer(nil)
	pid := 0
	err = a.Ended(ctx)
	if err == nil {
		pid, err = j.pid()
	}
	if err == nil {
		j.k.mu.Lock()
		c.pid = pid
		j.k.mu.Unlock()
		j.k.guard.add(pid, j.m.Policy.Closed)
		c.created, err = a.Created(ctx, pid, j.m.Policy.Freeze || j.m.Policy.Enforce)
	}
	if c.err = err; err != nil {
		j.k.forget(j.key(), c)
		close(c.ready)
		return fmt.Errorf("no container came of it, or none that can be found: %w", err)
	}
	close(c.ready)
	defer j.k.guard.remove(pid)
	defer c.created.Close()
	cs, err := c.created.Wait(ctx)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil // it was deleted before it was started
	case err != nil:
		return err
	}
	return j.write(cs, "start", *killed)
}

func (k *keeper) forget(key string, c *container) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.containers[key] == c {
		delete(k.containers, key)
	}
}

// pid asks the runtime which process it has created.
func (j *job) pid() (int, error) {
	if j.call.PIDFile != "" {
		return pidIn(j.call.PIDFile, time.Now().Add(-time.Minute))
	}
	var args []string
	if j.call.Root != "" {
		args = append(args, "--root", j.call.Root)
	}
	cmd := exec.Command(j.m.Runtime, append(args, "state", j.call.ID)...)
	cmd.Args[0] = j.m.Arg0
	b, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s state %s: %w", j.m.Engine, j.call.ID, err)
	}
	var s struct{ PID int }
	if err := json.Unmarshal(b, &s); err != nil {
		return 0, err
	}
	if s.PID <= 0 {
		return 0, errors.New("the runtime names no process")
	}
	return s.PID, nil
}

// start waits until the created process is watched.
func (j *job) start(ctx context.Context, answer func(error)) error {
	j.k.mu.Lock()
	c := j.k.containers[j.key()]
	j.k.mu.Unlock()
	if c == nil {
		err := errors.New("nobody saw this container being created")
		answer(err)
		return err
	}
	select {
	case <-c.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	answer(c.err)
	return nil // its report is that of create
}

func (j *job) run(ctx context.Context, answer func(error)) error {
	req, err := j.call.container()
	if err != nil {
		answer(err)
		return err
	}
	c := &container{req: req, policy: j.m.Policy, ready: make(chan struct{})}
	close(c.ready)
	j.k.mu.Lock()
	j.k.containers[j.key()] = c
	j.k.mu.Unlock()
	detached := false // it goes on, and others may be started in it
	defer func() {
		if !detached {
			j.k.forget(j.key(), c)
		}
	}()
	return j.whole(ctx, req, "run", answer, func(pid int) {
		if detached = pid > 0 && unix.Kill(pid, 0) == nil; detached {
			j.k.mu.Lock()
			c.pid = pid
			j.k.mu.Unlock()
		}
	})
}

// exec is one more process in a container.
func (j *job) exec(ctx context.Context, answer func(error)) error {
	j.k.mu.Lock()
	c := j.k.containers[j.key()]
	pid := 0
	if c != nil {
		pid = c.pid
	}
	j.k.mu.Unlock()
	if c == nil {
		err := errors.New("nobody saw this container being created")
		answer(err)
		return err
	}
	var err error
	if pid == 0 {
		pid, err = (&job{k: j.k, m: j.m, call: &Call{ID: j.call.ID, Root: j.call.Root}}).pid()
	}
	if err != nil {
		answer(err)
		return err
	}
	req, err := j.call.inside(c.req, pid)
	if err != nil {
		answer(err)
		return err
	}
	return j.whole(ctx, req, "exec", answer, nil)
}

// whole verifies what one call starts, from its beginning to its end.
// seen, if it is not nil, is told the workload's process.
func (j *job) whole(ctx context.Context, req *request.Request, what string, answer func(error), seen func(pid int)) error {
	killed := new(bool)
	held := j.m.Policy.Enforce || j.m.Policy.Freeze
	a, err := j.k.v.Attach(ctx, req, j.front, held, j.options(j.m.Policy, killed))
	if err != nil {
		answer(err)
		return err
	}
	defer a.Close()
	j.k.guard.add(j.front, j.m.Policy.Closed)
	defer j.k.guard.remove(j.front)
	answer(nil)
	cs, err := a.Wait(ctx)
	if err != nil {
		return err
	}
	if seen != nil {
		seen(cs.Meta.Workload.HostPID)
	}
	return j.write(cs, what, *killed)
}
