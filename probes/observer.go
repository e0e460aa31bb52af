package probes

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
)

// Options are the settings of an [Observer]. The zero value is a good choice.
type Options struct {
	// RingBufferBytes is the size of the buffer between kernel and reader,
	// rounded up to a power of two and to a page; 0 means 8 MiB, which holds
	// about two thousand snapshots. What does not fit is lost and counted.
	RingBufferBytes int
	// MaxWatches is the number of processes that can be watched at one time;
	// 0 means 8192.
	MaxWatches int
	// Confirm opens the optional hooks too, as far as this kernel has them:
	// each says a few things of every observed exec, which must agree with the
	// snapshots. See [Record.Contradictions] and [Observer.Breakpoint]. What
	// that costs an observed exec is in docs/observation.md.
	Confirm bool

	skip     map[string]bool // tests: hooks to leave out
	portable bool            // tests: the programs for older kernels
}

// Observer reads the posture of processes from the kernel. Its methods may be
// called from several goroutines.
type Observer struct {
	objs   *objects
	facts  *kernelFacts
	reader *ringbuf.Reader
	closed chan struct{} // closed when the reader has ended
	stop   int           // an eventfd that ends the reader

	waitMu  sync.Mutex
	waiters uint32

	readMu   sync.Mutex // one reader at a time; taken before mu
	unmapped bool       // guarded by readMu: the ring buffer is gone
	rec      ringbuf.Record

	// misses reads how often the kernel did not run a program; tests put
	// their own numbers in. used is how many of them have explained something.
	misses func(program string) uint64
	used   map[string]uint64 // guarded by mu

	cookies atomic.Uint64
	noFault atomic.Bool // no hook at page faults could be attached

	hookMu  sync.Mutex
	hooks   *hookSet
	changes changeSet

	mu      sync.Mutex
	groups  map[uint64]*group
	waiting map[uint64]chan peeked // peeks and marks under way, by token
	failed  error                  // why the reader ended, if not by Close
	done    bool
}

// Open loads the programs, attaches them, and proves each hook live by a small
// process of its own. It fails with [ErrNotSupported] where the kernel has no
// type information (BTF), and with EPERM without CAP_BPF and CAP_PERFMON. The
// caller closes the Observer.
//
// A hook that is not live is no error: see [Observer.Hooks].
func Open(ctx context.Context, opts *Options) (*Observer, error) {
	if opts == nil {
		opts = &Options{}
	}
	o := &Observer{
		facts: newFacts(), closed: make(chan struct{}),
		groups: map[uint64]*group{}, waiting: map[uint64]chan peeked{}, used: map[string]uint64{},
	}
	o.misses = o.recursionMisses
	var err error
	if o.objs, err = load(ringSize(opts.RingBufferBytes), or(opts.MaxWatches, 8192), opts.portable, opts.skip[hookFault], o.facts); err != nil {
		return nil, err
	}
	defer o.objs.opened()
	o.hooks = newHookSet(o.objs, opts.skip)
	if o.reader, err = ringbuf.NewReader(o.objs.events); err != nil {
		o.objs.coll.Close()
		return nil, explain("map the ring buffer", err)
	}
	o.reader.SetDeadline(time.Unix(1, 0)) // never block
	if o.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		_ = o.reader.Close()
		o.objs.coll.Close()
		return nil, &Error{Op: "make an eventfd", Err: err}
	}
	go o.read()
	if err := o.hooks.attachFixed(); err != nil {
		_ = o.Close()
		return nil, err
	}
	if opts.Confirm {
		o.hooks.addWitnesses(ringSize(opts.RingBufferBytes), or(opts.MaxWatches, 8192))
	}
	o.facts.landlockWhy = o.calibrateLandlock(ctx)
	if err := o.canary(ctx); err != nil {
		_ = o.Close()
		return nil, err
	}
	return o, nil
}

func or(v, def int) int {
	if v <= 0 {
		return def
	}
	return v
}

// ringSize rounds up to what the kernel takes: a power of two of whole pages.
func ringSize(n int) int {
	n = max(or(n, 8<<20), os.Getpagesize())
	return 1 << bits.Len(uint(n-1))
}

func newFacts() *kernelFacts {
	f := &kernelFacts{noMergeBit29: mergeBitMoved()}
	n := possibleCPUs()
	if n > len(f.cpus)*64 {
		f.wideMask = fmt.Sprintf("the machine may have %d CPUs, of which %d can be read", n, len(f.cpus)*64)
	}
	for i := range min(n, len(f.cpus)*64) {
		f.cpus[i/64] |= 1 << (i % 64)
	}
	return f
}

// Hooks lists the hooks, with what the canary showed of each.
func (o *Observer) Hooks() []Hook {
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	return o.hooks.list()
}

// KeepAttached keeps the hooks on the paths of system calls and page faults
// attached until release is called, even while nothing is watched. Attaching
// costs milliseconds, being attached some tens of nanoseconds on each system
// call of the machine: use it around a batch.
func (o *Observer) KeepAttached() (release func()) {
	o.acquire()
	return sync.OnceFunc(o.release)
}

func (o *Observer) acquire() {
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	o.hooks.acquire()
	o.noFault.Store(!o.hooks.seesFaults())
}

func (o *Observer) release() {
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	o.hooks.release()
}

func (o *Observer) acquireChanges() (blind []string) {
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	o.changes.acquire(o.objs)
	return o.changes.blind
}

func (o *Observer) releaseChanges() {
	o.hookMu.Lock()
	defer o.hookMu.Unlock()
	o.changes.release()
}

// Lost counts what the kernel could not deliver since Open.
type Lost struct {
	Events  uint64 `json:"events"`  // the ring buffer was full
	Buffers uint64 `json:"buffers"` // no buffer was free to put a snapshot together
	Watches uint64 `json:"watches"` // a process could not be watched: too many at once
	Skipped uint64 `json:"skipped"` // the kernel did not run a program, because it was running already
}

// Total is the sum of all losses.
func (l Lost) Total() uint64 { return l.Events + l.Buffers + l.Watches + l.Skipped }

// Lost returns the losses since Open, of all watches together.
func (o *Observer) Lost() Lost {
	l := o.lostCounters()
	for _, p := range o.objs.coll.Programs {
		if i, err := p.Stats(); err == nil {
			l.Skipped += i.RecursionMisses
		}
	}
	return l
}

// recursionMisses is how often the kernel left a program out because it was
// running already on the same CPU: since 7.0 a program may be preempted, and the
// task that runs then meets the same hook (bpf_prog_get_recursion_context,
// kernel/trace/bpf_trace.c). Since 5.12 the kernel counts it.
func (o *Observer) recursionMisses(program string) uint64 {
	p := o.objs.program(program)
	if p == nil {
		return 0
	}
	i, err := p.Stats()
	if err != nil {
		return 0
	}
	return i.RecursionMisses
}

// skipped reports whether the kernel left a program out once more than was asked
// for: each time explains one event that did not come. The mutex is held.
func (o *Observer) skipped(program string) bool {
	if o.misses(program) <= o.used[program] {
		return false
	}
	o.used[program]++
	return true
}

func (o *Observer) lostCounters() Lost {
	var c bpf.ProbesCounters
	if err := o.objs.counters.Get(&c); err != nil {
		return Lost{Events: 1} // closed, or broken: certainly not "nothing lost"
	}
	return Lost{Events: c.Lost, Buffers: c.NoSlot, Watches: c.WatchesFull}
}

// Close detaches everything. Waiting calls return an error. It may be called
// twice.
func (o *Observer) Close() error {
	o.mu.Lock()
	if o.done {
		o.mu.Unlock()
		return nil
	}
	o.done = true
	o.mu.Unlock()
	o.hookMu.Lock()
	o.hooks.close()
	o.changes.close()
	o.hookMu.Unlock()
	var one [8]byte
	one[0] = 1
	_, err := unix.Write(o.stop, one[:])
	<-o.closed
	o.readMu.Lock()
	defer o.readMu.Unlock()
	o.unmapped = true
	err = errors.Join(err, o.reader.Close(), unix.Close(o.stop))
	o.objs.coll.Close()
	return err
}

var errClosed = errors.New("observer is closed")

// readAtLeast is how often the ring buffer is emptied if nobody waits for a
// record and it does not fill up.
const readAtLeast = 100 * time.Millisecond

// read empties the ring buffer when it fills, or now and then. Everything else
// is read by those who wait, see drain.
func (o *Observer) read() {
	defer close(o.closed)
	fds := []unix.PollFd{
		{Fd: int32(o.objs.events.FD()), Events: unix.POLLIN},
		{Fd: int32(o.stop), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, int(readAtLeast.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			o.fail(err)
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if err := o.drain(); err != nil {
			return
		}
	}
}

// drain handles every event that was sent before the call. It is called by
// whoever waits for one: so most launches need no wake-up of another thread.
func (o *Observer) drain() error {
	o.readMu.Lock()
	defer o.readMu.Unlock()
	if o.unmapped {
		return o.readerError()
	}
	for o.reader.AvailableBytes() > 0 {
		err := o.reader.ReadInto(&o.rec)
		switch {
		case err == nil:
			o.handle(o.rec.RawSample)
		case errors.Is(err, os.ErrDeadlineExceeded): // the reader's "empty for now"
		default:
			o.fail(err)
			return o.readerError()
		}
	}
	return nil
}

// await tells the kernel that somebody waits for a record, or no longer does.
func (o *Observer) await(n int) {
	o.waitMu.Lock()
	defer o.waitMu.Unlock()
	o.waiters += uint32(n)
	_ = o.objs.waiters.Set(o.waiters) // on failure the reader comes round by itself
}

func (o *Observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
}

func (o *Observer) handle(b []byte) {
	if len(b) < headSize {
		return
	}
	h := readHead(b)
	b = b[headSize:]
	o.mu.Lock()
	defer o.mu.Unlock()
	switch h.at {
	case bpf.ProbesAtAT_MARK, bpf.ProbesAtAT_PEEK:
		if ch := o.waiting[h.info]; ch != nil {
			delete(o.waiting, h.info)
			p := peeked{head: h}
			if h.flags&bpf.ProbesHeadFlagHEAD_BODY != 0 {
				p.body, p.err = splitBody(b, h.flags&bpf.ProbesHeadFlagHEAD_CODE != 0, o.facts)
			}
			if h.flags&bpf.ProbesHeadFlagHEAD_BLOB != 0 && len(b) > coreSize {
				p.blob = slices.Clone(b[coreSize:])
			}
			ch <- p
		}
	default:
		if g := o.groups[h.cookie]; g != nil {
			g.event(&h, b)
		}
	}
}

func (o *Observer) readerError() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return &Error{Op: "read events", Err: errors.Join(ErrEvidence, o.failed)}
	}
	return &Error{Op: "read events", Err: errClosed}
}

// kernelWatch returns the kernel's entry of a thread group.
func (o *Observer) kernelWatch(tgid uint32) (w bpf.ProbesWatch, ok bool) {
	err := o.objs.watches.Lookup(tgid, &w)
	return w, err == nil
}

// faultHook reports whether entry faults can be seen. It is called with the
// mutex held, so it must not take the hooks' one: the answer never changes.
func (o *Observer) faultHook() bool { return !o.noFault.Load() }
