package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// stopped is what was read of an execution while it was held at its entry point.
type stopped struct {
	launch   *launch // with what was looked up there
	snapshot *Snapshot
	evidence []Evidence
	killed   *Case // the judgement for which it was not let go
}

// holdAll holds each execution of the engine's at its entry point for as long as
// it takes. The returned function ends that, once no more is to come.
func (e *engineRun) holdAll(ctx context.Context, w *probes.Watch) (stop func()) {
	if e.v.proc == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := w.NextFrozen(ctx)
			if err != nil {
				return
			}
			e.stand(ctx, w, f)
		}
	}()
	return func() {
		// Those that go on without the engine may still be stopping.
		t := time.AfterFunc(time.Second, cancel)
		<-done
		t.Stop()
		cancel()
		for _, d := range w.Descendants() {
			if rec, err := d.Now(); err == nil && !rec.Ended {
				_ = unix.Kill(rec.PID, unix.SIGCONT)
			}
		}
	}
}

// stand deals with one that stops at its entry point.
func (e *engineRun) stand(ctx context.Context, root, f *probes.Watch) {
	rec, err := f.Now()
	var s *probes.Snapshot
	if err == nil {
		s = rec.Snapshot(probes.AtExec)
	}
	switch {
	case s == nil:
		e.undecided(f.PID(), errors.Join(err, errUnseen))
		return
	case !e.maybe(root, f, s):
		// It may be stopped already or still stopping: SIGCONT ends the one and
		// takes back the other.
		_ = unix.Kill(f.PID(), unix.SIGCONT)
		return
	}
	c := &candidate{observed: observed{f, rec}, n: s.Exec, at: s.TimeNS}
	e.holdOne(ctx, root, c)
}

// holdOne holds one that is taken for the workload's, and keeps what was read.
func (e *engineRun) holdOne(ctx context.Context, root *probes.Watch, c *candidate) {
	st, err := e.hold(ctx, root, c)
	if err != nil {
		st = &stopped{snapshot: &Snapshot{At: AtFrozen, Void: err.Error(), Denied: errors.Is(err, unix.EPERM)}}
		e.undecided(c.watch.PID(), err)
	}
	e.mu.Lock()
	e.frozen[c.key()] = st
	e.mu.Unlock()
}

var errUnseen = errors.New("harness: it stopped, and its exec was not seen")

// undecided lets a process go on that stopped and could not be read, or kills it
// if that is what is wanted of such a one.
func (e *engineRun) undecided(pid int, err error) {
	if e.opts.Undecided != nil && !e.opts.Undecided(err) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	_ = unix.Kill(pid, unix.SIGCONT)
}

// maybe reports whether an execution may turn out to be the workload's.
func (e *engineRun) maybe(root, f *probes.Watch, s *probes.Snapshot) bool {
	if e.match(s.Posture()) != noMatch {
		return true
	}
	pid := e.word()
	switch {
	case pid == 0:
		return false
	case f.PID() == pid:
		return true
	case !e.opts.Below:
		return false
	}
	for _, d := range append(root.Descendants(), root) {
		if d.PID() == pid {
			return f.DescendsFrom(d)
		}
	}
	return false
}

// hold reads one that stops, has it judged if somebody wants to decide, and lets
// it go on or kills it.
func (e *engineRun) hold(ctx context.Context, root *probes.Watch, c *candidate) (*stopped, error) {
	ctx, cancel := context.WithTimeout(ctx, freezeWithin)
	defer cancel()
	standing := func() error {
		now, err := c.watch.Now()
		if err == nil && now.Passed() {
			err = errPassed
		}
		return err
	}
	pid := c.watch.PID()
	task, err := e.v.proc.Hold(ctx, pid, standing)
	if err != nil {
		return nil, err
	}
	at := monotonic()
	pending := uint64(0)
	if s := c.rec.Snapshot(probes.AtExec); s != nil {
		pending, _ = s.Posture().Signals.Pending.Get()
	}
	err = standing()
	if ip, ok := task.IP().Get(); ok && err == nil {
		if s := c.rec.Latest(); s == nil || s.IPKnown && s.Entry != ip {
			err = errNotEntry
		}
	}
	st := &stopped{}
	if err == nil {
		e.read(st, pid)
		err = standing() // the files were this process's all along
	}
	go_ := err != nil || e.opts.Decide == nil
	if err == nil {
		st.snapshot = &Snapshot{At: AtFrozen, Posture: task.Posture(), IPIsEntry: posture.Known(true), NSSinceProceed: at - e.begun}
		if ip := task.IP(); !ip.IsKnown() {
			st.snapshot.IPIsEntry = posture.Unreadable[bool](ip.Why())
		}
		if !go_ {
			cs := e.provisional(root, c, st)
			if go_ = e.opts.Decide(cs); !go_ {
				st.killed = cs // later snapshots would show our own signal
			}
		}
	}
	if !go_ {
		_ = unix.Kill(pid, unix.SIGKILL) // it is held, so the number is its own
	}
	if e := task.Continue(pending); err == nil && e != nil && go_ {
		if err = e; errors.Is(e, unix.ESRCH) {
			err = errKilled
		}
	}
	return st, err
}

// read gathers, of the one that is held, what no posture shows.
func (e *engineRun) read(st *stopped, pid int) {
	req := e.placedRequest(pid)
	l := e.launchOf(req, "/any")
	_ = l.foresee()
	l.placed(pid)
	st.launch = l
	h := e.before // the table of mounts as it was before is shared, and only read
	h.pid, h.cfg, h.req = pid, l.cfg, req
	h.devicesAllowed, h.mountsAllowed = e.profile().Devices, e.profile().Mounts
	h.own, h.ownLinks = len(req.Ext.Cgroup.Limits), len(req.Ext.Network.Links)
	if in, err := os.OpenFile(h.proc("fd/0"), unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil && e.req.Process().Terminal {
		defer in.Close()
		h.stdin = in
	}
	st.evidence = h.gather(oracle.AskedOfEngine(e.req))
}

// placedRequest is the request with the cgroups that the engine has chosen, if
// the choice was its own: their limits are those that were asked for all the
// same.
func (e *engineRun) placedRequest(pid int) *request.Request {
	l, x := e.req.Linux(), &e.req.Ext.Cgroup
	if l.Resources == nil || strings.HasPrefix(l.CgroupsPath, "/") || x.V2 != "" || len(x.V1) > 0 {
		return e.req
	}
	own, err := cgroupsOf(strconv.Itoa(pid))
	if err != nil {
		return e.req
	}
	q, spec, linux := *e.req, *e.req.Spec, *l
	linux.CgroupsPath = ""
	spec.Linux, q.Spec = &linux, &spec
	host := &e.v.machine.host
	if at, ok := own[""]; ok && host.CgroupV2 != "" && len(host.ControllersV2) > 0 {
		q.Ext.Cgroup.V2 = path.Join(host.CgroupV2, at)
	}
	for _, c := range slices.Sorted(maps.Keys(host.CgroupV1)) {
		if at, ok := own[c]; ok {
			if q.Ext.Cgroup.V1 == nil {
				q.Ext.Cgroup.V1 = map[string]string{}
			}
			q.Ext.Cgroup.V1[c] = path.Join(host.CgroupV1[c], at)
		}
	}
	return &q
}

// provisional is the judgement of one that has not run yet: all that can be
// known before its first instruction.
func (e *engineRun) provisional(root *probes.Watch, c *candidate, st *stopped) *Case {
	rec := *c.rec
	rec.Missing = slices.DeleteFunc(slices.Clone(rec.Missing), func(m probes.Missing) bool { return m.At == probes.AtFirst })
	records := slices.Clone(e.records) // of an engine that has ended
	all, _ := family(root, func(w *probes.Watch) (*probes.Record, error) {
		rec, err := w.Now()
		if err != nil {
			rec = nil // one that cannot be read is no reason to forget the others
		}
		return rec, nil
	})
	records = append(records, all...)
	var caller *posture.Posture
	if len(records) > 0 {
		caller = e.callerOf(records, c)
	}
	cs := e.weigh(c, only(&rec, c.n), st, caller)
	cs.certain(records)
	cs.Meta.Executions = 1
	cs.Reasons = append(cs.Reasons, fmt.Sprintf("process %d stands at its first instruction", rec.PID))
	return cs
}
