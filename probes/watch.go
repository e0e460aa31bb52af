package probes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
)

// WatchOptions say what to observe of a process. The zero value asks for the
// first exec, with snapshots at exec, return and first instruction.
type WatchOptions struct {
	// Want lists the snapshots wanted besides the one at exec: any of
	// AtReturn, AtFirst, AtExit and, for children of a watched parent,
	// AtCaller. Nil means AtReturn and AtFirst.
	Want []At
	// Exec is the number of the exec to observe, counted from 1 since the
	// watch began; 0 means 1. With AllExecs every exec is observed, and a
	// record is complete when the process has ended.
	Exec int
	// Descendants watches the children of the process too, from their birth
	// and with the same options, and their children. See [Watch.Descendants].
	Descendants bool
	// Freeze stops the process with SIGSTOP at the exec, so that it comes to
	// rest at its entry point after the return snapshot: see [Watch.Frozen].
	// Its parent sees it stop. Package procfs reads it there, and continues it
	// so that nothing of the stop is left; SIGCONT continues it, too, and
	// stays pending where it is blocked.
	Freeze bool
	// Changes tells who does what to the process after its exec: see
	// [Record.Changes]. While such a watch is there each system call of the
	// machine costs some tens of nanoseconds more.
	Changes bool
}

// AllExecs as WatchOptions.Exec asks for every exec.
const AllExecs = -1

func (w *WatchOptions) wants(at At) bool {
	if w.Want == nil {
		return at == AtReturn || at == AtFirst
	}
	return slices.Contains(w.Want, at)
}

func (w *WatchOptions) validate() error {
	for _, at := range w.Want {
		switch at {
		case AtCaller, AtExec, AtReturn, AtFirst, AtExit:
		default:
			return &Error{Op: "watch", Err: fmt.Errorf("no such snapshot: %q: %w", at, unix.EINVAL)}
		}
	}
	if w.Exec < AllExecs {
		return &Error{Op: "watch", Err: fmt.Errorf("exec number %d: %w", w.Exec, unix.EINVAL)}
	}
	return nil
}

func (w *WatchOptions) kernel(cookie uint64) bpf.ProbesWatch {
	k := bpf.ProbesWatch{Cookie: cookie, Nth: uint32(max(w.Exec, 1))}
	set := func(on bool, f bpf.ProbesWatchFlag) {
		if on {
			k.Flags |= uint32(f)
		}
	}
	set(w.wants(AtReturn), bpf.ProbesWatchFlagWATCH_RETURN)
	set(w.wants(AtFirst), bpf.ProbesWatchFlagWATCH_FIRST)
	set(w.wants(AtExit), bpf.ProbesWatchFlagWATCH_EXIT)
	set(w.wants(AtCaller), bpf.ProbesWatchFlagWATCH_CALLER)
	set(w.Descendants, bpf.ProbesWatchFlagWATCH_DESCENDANTS)
	set(w.Exec == AllExecs, bpf.ProbesWatchFlagWATCH_ALL_EXECS)
	set(w.Freeze, bpf.ProbesWatchFlagWATCH_FREEZE)
	set(w.Changes, bpf.ProbesWatchFlagWATCH_CHANGES)
	return k
}

// key is the true name of a process: a number is reused, the pair is not.
type key struct {
	tgid  uint32
	start uint64
}

// group is everything that one cookie stands for: one watched process, or the
// children of one watched parent, with their descendants.
type group struct {
	o      *Observer
	cookie uint64
	opts   WatchOptions
	hot    bool // holds the hot hooks
	blind  []string
	procs  map[key]*process
	newest map[uint32]*process // by pid in the observer's namespace
	idle   []*process          // ended without an exec, the oldest first
	stir   chan struct{}       // closed, and replaced, when one goes to rest at an entry, or ends
	closed bool
}

func (o *Observer) newGroup(opts *WatchOptions) (*group, error) {
	if opts == nil {
		opts = &WatchOptions{}
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	g := &group{
		o: o, cookie: o.cookies.Add(1), opts: *opts,
		procs: map[key]*process{}, newest: map[uint32]*process{}, stir: make(chan struct{}),
	}
	g.hot = opts.wants(AtReturn) || opts.wants(AtFirst)
	if g.hot {
		o.acquire()
	}
	if opts.Changes {
		g.blind = o.acquireChanges()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return nil, &Error{Op: "watch", Err: errClosed} // its hooks are gone with the observer
	}
	o.groups[g.cookie] = g
	return g, nil
}

// drop ends a group: its events are no longer kept.
func (g *group) drop() {
	g.o.mu.Lock()
	if g.closed {
		g.o.mu.Unlock()
		return
	}
	g.closed = true
	delete(g.o.groups, g.cookie)
	var alive []key
	for k, p := range g.procs {
		if !p.rec.Ended {
			alive = append(alive, k)
		}
	}
	done := g.o.done
	g.o.mu.Unlock()
	if done {
		return
	}
	for _, k := range alive {
		if w, ok := g.o.kernelWatch(k.tgid); ok && w.Cookie == g.cookie {
			_ = g.o.objs.watches.Delete(k.tgid)
		}
	}
	if g.hot {
		g.o.release()
	}
	if g.opts.Changes {
		g.o.releaseChanges()
	}
}

// Watch is the observation of one process.
type Watch struct {
	p    *process
	own  bool // closing it ends the group
	once sync.Once
}

// Watch observes a process that exists already, typically one that is parked
// before its exec. pid is its number in the caller's pid namespace. It fails
// with ESRCH if there is no such process, or if it ended meanwhile. The caller
// closes the Watch.
func (o *Observer) Watch(ctx context.Context, pid int, opts *WatchOptions) (*Watch, error) {
	op := fmt.Sprintf("watch process %d", pid)
	if pid <= 0 {
		return nil, &Error{Op: op, Err: unix.EINVAL}
	}
	g, err := o.newGroup(opts)
	if err != nil {
		return nil, err
	}
	k, head, err := o.identify(ctx, op, pid)
	if err != nil {
		g.drop()
		return nil, err
	}
	o.mu.Lock()
	p := g.process(k)
	p.noExec = head.parent&pfForkNoExec != 0
	p.rec.PID = pid
	p.lostBefore = o.lostCounters().Total()
	o.mu.Unlock()

	w := g.opts.kernel(g.cookie)
	w.Start, w.PidHere = k.start, uint32(pid)
	if err := o.objs.watches.Update(k.tgid, &w, ebpf.UpdateAny); err != nil {
		g.drop()
		return nil, explain(op, err)
	}
	// If it ended before the entry was there, nobody will remove the entry.
	if again, _, err := o.identify(ctx, op, pid); err != nil || again != k {
		g.drop()
		return nil, &Error{Op: op, Err: unix.ESRCH}
	}
	return &Watch{p: p, own: true}, nil
}

// identify returns the true name of a living process.
func (o *Observer) identify(ctx context.Context, op string, pid int) (key, head, error) {
	r, err := o.peek(ctx, pid, 0)
	if err != nil {
		return key{}, head{}, err
	}
	if r.head.flags&bpf.ProbesHeadFlagHEAD_FOUND == 0 || r.head.exec == 0 {
		return key{}, head{}, &Error{Op: op, Err: unix.ESRCH}
	}
	return key{r.head.tgid, r.head.start}, r.head, nil
}

// Children is the observation of all children that one process creates from now
// on, each from its birth.
type Children struct {
	g    *group
	tgid uint32
	once sync.Once

	// Once only: after it the kernel's entry for the parent may be another's.
	seal    sync.Once
	sealErr error
}

// WatchChildrenOf observes every child that the process with this number in the
// caller's pid namespace creates from now on. Each is watched from within its
// creation, before it can run. A parent can be watched once at a time: a second
// call fails with EEXIST. What was seen of a child is kept until its [Watch], or
// the Children, is closed. The caller closes the Children.
func (o *Observer) WatchChildrenOf(ctx context.Context, pid int, opts *WatchOptions) (*Children, error) {
	op := fmt.Sprintf("watch the children of process %d", pid)
	if pid <= 0 {
		return nil, &Error{Op: op, Err: unix.EINVAL}
	}
	g, err := o.newGroup(opts)
	if err != nil {
		return nil, err
	}
	k, _, err := o.identify(ctx, op, pid)
	if err != nil {
		g.drop()
		return nil, err
	}
	w := g.opts.kernel(g.cookie)
	w.Start = k.start
	if err := o.objs.parents.Update(k.tgid, &w, ebpf.UpdateNoExist); err != nil {
		g.drop()
		if errors.Is(err, ebpf.ErrKeyExist) {
			return nil, &Error{Op: op, Err: fmt.Errorf("its children are being watched already: %w", unix.EEXIST)}
		}
		return nil, explain(op, err)
	}
	return &Children{g: g, tgid: k.tgid}, nil
}

// Take returns the watch of a child by its number in the caller's pid namespace.
// The child must have been created before the call; it may have ended since,
// and its number may have belonged to earlier children. Each child can be taken
// once. It fails with ESRCH if no birth of such a child was seen.
func (c *Children) Take(ctx context.Context, pid int) (*Watch, error) {
	g, o := c.g, c.g.o
	// A living child can be named exactly by the kernel's own entry, without
	// waiting for the reader.
	if o.facts.initialPIDNS {
		if w, ok := o.kernelWatch(uint32(pid)); ok && w.Cookie == g.cookie && w.Start != 0 {
			o.mu.Lock()
			p := g.process(key{uint32(pid), w.Start})
			taken := p.taken
			p.taken = true
			o.mu.Unlock()
			if !taken {
				return &Watch{p: p}, nil
			}
		}
	}
	if err := o.drain(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p := g.newest[uint32(pid)]
	if p == nil || p.taken {
		err := error(unix.ESRCH)
		if o.lostCounters().Total() > 0 {
			err = errors.Join(ErrEvidence, err)
		}
		return nil, &Error{Op: fmt.Sprintf("take child %d", pid), Err: err}
	}
	p.taken = true
	return &Watch{p: p}, nil
}

// Close stops watching: children not yet born are no longer observed, and the
// watches taken from here end; their records stay valid. It may be called twice.
func (c *Children) Close() error {
	c.once.Do(func() {
		c.g.o.mu.Lock()
		done := c.g.o.done
		c.g.o.mu.Unlock()
		if !done {
			_ = c.Seal()
		}
		c.g.drop()
	})
	return nil
}

// Close ends the observation of the process. Its records stay valid. It may be
// called twice.
func (w *Watch) Close() error {
	w.once.Do(func() {
		if w.own {
			w.p.g.drop()
			return
		}
		w.p.g.forget(w.p)
	})
	return nil
}

// forget drops one process of a group.
func (g *group) forget(p *process) {
	g.o.mu.Lock()
	delete(g.procs, p.key)
	if n := uint32(p.rec.PID); g.newest[n] == p {
		delete(g.newest, n)
	}
	gone := p.rec.Ended || g.closed || g.o.done
	g.o.mu.Unlock()
	if gone {
		return
	}
	if w, ok := g.o.kernelWatch(p.key.tgid); ok && w.Cookie == g.cookie && w.Start == p.key.start {
		_ = g.o.objs.watches.Delete(p.key.tgid)
	}
}

// PID is the process's number in the observer's pid namespace, as far as known.
func (w *Watch) PID() int {
	w.p.g.o.mu.Lock()
	defer w.p.g.o.mu.Unlock()
	return w.p.rec.PID
}

// Descendants returns the watches of the processes that descend from this one
// and were seen so far, in no order. They end with this Watch.
func (w *Watch) Descendants() []*Watch {
	g := w.p.g
	g.o.mu.Lock()
	defer g.o.mu.Unlock()
	var list []*Watch
	for _, p := range g.procs {
		if p != w.p && p.descendsFrom(w.p) {
			list = append(list, &Watch{p: p})
		}
	}
	return list
}

// Record waits until every wanted snapshot has arrived, or is known not to come
// because the first instruction has passed or the process has ended. If ctx ends
// first it returns what there is so far, along with ctx's error.
//
// That evidence is missing is no error here: see [Record.Complete].
func (w *Watch) Record(ctx context.Context) (*Record, error) { return w.wait(ctx, false) }

// Final waits like Record, but until the process has ended.
func (w *Watch) Final(ctx context.Context) (*Record, error) { return w.wait(ctx, true) }

// Frozen waits until an exec of the process has returned and SIGSTOP is about to
// stop it at its entry point ([WatchOptions].Freeze), and returns the record so
// far. With AllExecs each call waits for another exec. It fails with ESRCH if
// the process ends first.
func (w *Watch) Frozen(ctx context.Context) (*Record, error) {
	select {
	case <-w.p.frozen:
		return w.p.record(), nil
	default:
	}
	r, err := w.await(ctx, w.p.frozen, w.p.ended)
	if err != nil {
		return r, err
	}
	select {
	case <-w.p.frozen: // the end may have come right after
	default:
		if r.Ended {
			return r, &Error{Op: "wait for the process to freeze", Err: unix.ESRCH}
		}
	}
	return r, nil
}

// Now returns what has been seen up to now.
func (w *Watch) Now() (*Record, error) {
	err := w.p.g.o.drain()
	return w.p.record(), err
}

func (w *Watch) wait(ctx context.Context, end bool) (*Record, error) {
	if end {
		return w.await(ctx, w.p.ended, nil)
	}
	return w.await(ctx, w.p.ready, nil)
}

// await waits for one of two channels.
func (w *Watch) await(ctx context.Context, ch, or <-chan struct{}) (*Record, error) {
	p, o := w.p, w.p.g.o
	if err := o.drain(); err != nil {
		return p.record(), err
	}
	select {
	case <-ch:
		return p.record(), nil
	case <-or:
		return p.record(), nil
	default:
	}
	o.await(1)
	defer o.await(-1)
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		if err := o.drain(); err != nil {
			return p.record(), err
		}
		select {
		case <-ch:
			return p.record(), nil
		case <-or:
			return p.record(), nil
		case <-ctx.Done():
			return p.record(), ctx.Err()
		case <-o.closed:
			return p.record(), o.readerError()
		case <-timer.C:
			timer.Reset(pollEvery)
			if err := o.check(p); err != nil {
				return p.record(), err
			}
		}
	}
}

// pollEvery is how often a waiting call looks whether its process is still
// there, or stands still, which matters only when the event of it did not come.
const pollEvery = 10 * time.Millisecond

// check finds out whether a process from which nothing is heard is still
// watched by the kernel. If not, and its end is not among the events sent so
// far, the event was lost.
func (o *Observer) check(p *process) error {
	w, ok := o.kernelWatch(p.key.tgid)
	if ok && w.Cookie == p.g.cookie && w.Start == p.key.start {
		return o.checkRest(p)
	}
	if err := o.drain(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p.vanish()
	return nil
}
