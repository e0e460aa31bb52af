package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
	"golang.org/x/sys/unix"
)

// RunnerOptions are the settings of a [Runner]; the zero value is a good choice.
type RunnerOptions struct {
	// Unobserved launches without probes: every verdict is unknown.
	Unobserved bool
	// Freeze holds every workload at its entry point, reads its posture there
	// a second time from /proc, and judges there what no posture shows,
	// instead of while it is parked. It takes CAP_SYS_PTRACE. The workload
	// does not notice.
	Freeze bool
	// Drift listens to who changes a workload while it runs, and makes a
	// change that comes from outside a finding (drifted), because the
	// constraint did not last. Without it what has changed at the workload's
	// end is told all the same, but not by whom, and is no finding.
	Drift bool
	// Confirm opens the observer's optional hooks, as far as this machine has
	// them: see [probes.Options].Confirm. What they say must agree with the
	// snapshots, or the verdict is unknown, with the cause [Contradiction].
	Confirm bool
	// Plan puts into each case, and so into its report, what the launch
	// consisted of, step by step.
	Plan bool
	// Probes are the observer's settings; nil is a good choice.
	Probes *probes.Options
}

// Runner launches requests through the checkpoint, observes each, and judges
// it. Its methods may be called from several goroutines.
type Runner struct {
	launcher *checkpoint.Launcher
	observer *probes.Observer
	children *probes.Children
	release  func()
	borrowed bool // the observer is another runner's
	machine  *machine
	expected oracle.Cache
	inUse    inUse
	proc     *procfs.Reader // nil unless workloads are frozen
	drift    bool
	confirm  bool
	plan     bool

	// ProbesErr says why there is no observer; every verdict is then unknown.
	ProbesErr error

	// The tests of this package plant faults with these: tamper changes what
	// is launched behind the request's back, parked acts on the workload
	// directly before it proceeds, stopped and held on the frozen one before and
	// while it is held, falsify changes what was seen of it.
	tamper  func(*checkpoint.Config, *checkpoint.Options)
	parked  func(*checkpoint.Workload)
	stopped func(pid int)
	held    func(pid int)
	falsify func([]Snapshot)
}

// NewRunner starts the agent and, unless told otherwise, the observer. That
// the observer cannot be opened here is no error: see [Runner.ProbesErr].
func NewRunner(ctx context.Context, opts *RunnerOptions) (*Runner, error) {
	if opts == nil {
		opts = &RunnerOptions{}
	}
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	l, err := checkpoint.New(ctx)
	if err != nil {
		return nil, err
	}
	m.labels = labelsOf(l.AgentPID())
	r := &Runner{launcher: l, machine: m, drift: opts.Drift, confirm: opts.Confirm, plan: opts.Plan}
	if opts.Unobserved {
		r.ProbesErr = errors.New("observation was not asked for")
		return r, nil
	}
	if opts.Freeze {
		if r.proc, err = procfs.New(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	if err := r.observe(ctx, opts.Probes); err != nil {
		r.ProbesErr = err
	}
	return r, nil
}

func (r *Runner) freezes() bool { return r.proc != nil && r.observer != nil }

func (r *Runner) observe(ctx context.Context, opts *probes.Options) error {
	if r.confirm {
		own := probes.Options{}
		if opts != nil {
			own = *opts
		}
		own.Confirm = true
		opts = &own
	}
	o, err := probes.Open(ctx, opts)
	if err != nil {
		return err
	}
	c, err := r.watch(ctx, o)
	if err != nil {
		o.Close()
		return err
	}
	r.observer, r.children, r.release = o, c, o.KeepAttached()
	return nil
}

func (r *Runner) watch(ctx context.Context, o *probes.Observer) (*probes.Children, error) {
	want := []probes.At{probes.AtCaller, probes.AtReturn, probes.AtFirst, probes.AtExit}
	return o.WatchChildrenOf(ctx, r.launcher.AgentPID(), &probes.WatchOptions{Want: want, Freeze: r.proc != nil, Changes: r.drift})
}

// Hooks lists the observer's hooks; none without one.
func (r *Runner) Hooks() []probes.Hook {
	if r.observer == nil {
		return nil
	}
	return r.observer.Hooks()
}

// Launcher is the checkpoint that the runner uses.
func (r *Runner) Launcher() *checkpoint.Launcher { return r.launcher }

// Close ends observer and agent, and with it every workload still there.
func (r *Runner) Close() error {
	err := r.launcher.Close()
	switch {
	case r.observer == nil:
	case r.borrowed:
		err = errors.Join(err, r.children.Close())
	default:
		r.release()
		err = errors.Join(err, r.children.Close(), r.observer.Close())
	}
	return err
}

// Case is one launch and what was found.
type Case struct {
	*Result
	Meta   Meta
	Launch checkpoint.Result
	// Timeline is when what happened, if the launch's Options.Times asked for it.
	Timeline []Moment
}

// Report writes the case down.
func (c *Case) Report() *Report {
	r := NewReport(c.Result, c.Meta)
	r.Timeline = c.Timeline
	return r
}

// Run launches req, waits until it has ended, and judges it. A request that the
// kernel or the checkpoint refuses is a case too, with the verdict unknown; the
// error is then in Launch. An error is returned for what is wrong with the
// request itself, or with the machine.
//
// If ctx ends first the workload is killed and judged as far as it was seen.
func (r *Runner) Run(ctx context.Context, req *request.Request, opts *checkpoint.Options) (*Case, error) {
	return r.Plant(ctx, req, req, opts)
}

// Plant launches one request and judges it against another: a planted fault.
// With it a suite shows that it would notice a launcher that does not do what it
// is asked to; what is launched must be seen as violating what was asked for.
// The program and the descriptors are those of launched.
func (r *Runner) Plant(ctx context.Context, asked, launched *request.Request, opts *checkpoint.Options) (*Case, error) {
	if opts == nil {
		opts = &checkpoint.Options{}
	}
	planted := launched != asked
	asked, launched = r.withCgroup(asked, launched)
	cfg, err := engine.Config(asked, r.machine.engine())
	if err != nil {
		return nil, err
	}
	program, err := engine.OpenProgram(launched)
	if err != nil {
		return nil, err
	}
	if program != nil {
		defer program.Close()
		o := *opts
		o.Program, o.ProgramNumber = program, launched.Ext.Program.Number
		opts = &o
	}
	run := &launch{r: r, req: asked, cfg: cfg, opts: opts, asked: *opts}
	if path := engine.ListenerPath(launched); path != "" && opts.Notify == nil {
		o := *opts
		o.Notify = func(w *checkpoint.Workload, listener *os.File) error {
			return engine.SendListener(launched, w.HostPID(), listener)
		}
		opts, run.opts = &o, &o
	}
	run.meta = Meta{Kernel: r.machine.release, Engine: "native", Workload: Workload{Argv: asked.Process().Args}}
	run.launched = cfg
	if planted {
		if run.launched, err = engine.Config(launched, r.machine.engine()); err != nil {
			return nil, err
		}
	}
	if r.tamper != nil {
		o := *opts
		run.opts = &o
		if run.launched, err = engine.Config(launched, r.machine.engine()); err != nil {
			return nil, err
		}
		r.tamper(run.launched, run.opts)
	}
	return run.run(ctx)
}

// withCgroup names one cgroup for both requests, if they leave it to us.
func (r *Runner) withCgroup(asked, launched *request.Request) (*request.Request, *request.Request) {
	path := fmt.Sprintf("/holdshort-%d-%08x", os.Getpid(), rand.Uint32())
	return engine.WithCgroup(asked, &r.machine.host, path), engine.WithCgroup(launched, &r.machine.host, path)
}

// launch is one Run under way.
type launch struct {
	r     *Runner
	req   *request.Request
	cfg   *checkpoint.Config // what the request comes to
	asked checkpoint.Options
	meta  Meta

	launched *checkpoint.Config // what is launched: the same, unless a test tampers
	opts     *checkpoint.Options

	others map[uint32]int // namespaces in use before it, by number, with a process
	booted int64          // CLOCK_BOOTTIME then

	begun    int64 // CLOCK_MONOTONIC when it was released
	facts    oracle.Facts
	prog     oracle.Program
	evidence []Evidence
	watch    *probes.Watch // taken already, of a frozen one
	frozen   *Snapshot
	ownStop  bool     // it was stopped as a job, which its parent may have seen
	target   *entered // the process that is entered
	entry    uint64   // the address of the first instruction, 0 unless it is known
}

func (l *launch) run(ctx context.Context) (*Case, error) {
	beyond := oracle.Asked(l.req)
	l.lookAround()
	if err := l.foresee(); err != nil {
		return nil, err
	}
	if err := l.holdTarget(ctx); err != nil {
		return nil, err
	}
	defer l.target.close()
	defer l.listen()()
	var w *checkpoint.Workload
	var err error
	switch {
	case l.cfg.Cgroup.Freeze || l.launched.Cgroup.Freeze:
		w, err = l.inSteps(ctx, beyond) // to see it frozen, and to thaw it
	case l.r.freezes():
		w, err = l.inFreezer(ctx, beyond)
	case len(beyond) > 0 || l.r.parked != nil || l.cfg.Cgroup.Create || l.cfg.Enter != nil || l.hasPathRules():
		w, err = l.inSteps(ctx, beyond)
	default:
		l.begun = monotonic()
		w, err = l.r.launcher.Go(ctx, l.launched, l.opts)
	}
	if w == nil {
		return l.refused(err)
	}
	if l.r.plan {
		l.meta.Plan = w.Steps()
	}
	stop := context.AfterFunc(ctx, func() { _ = w.Kill() })
	defer stop()
	res, _ := w.Wait(context.Background())
	l.ended(&res)
	l.unstop(&res)
	if res.State == checkpoint.Failed {
		c, err := l.refused(res.Err)
		if c != nil {
			c.Timeline = timeline(w.Times(), l.begun, nil)
		}
		return c, err
	}
	return l.judge(w, res)
}

// evidenceAt is for evidence that is gathered at one of two instants. It is made
// before the launch: what a device was on the host is seen only then.
func (l *launch) evidenceAt(at At) held {
	h := held{
		at: at, frozen: at == AtFrozen, cfg: l.cfg, req: l.req, dir: l.req.Dir, host: l.r.machine.host, stdin: l.asked.Stdin,
		own: len(l.req.Ext.Cgroup.Limits), ownLinks: len(l.req.Ext.Network.Links), observer: l.r.observer,
	}
	h.devicesBefore(l.req)
	return h
}

// inSteps stops at the checkpoint, to look at what only the parked workload
// shows.
func (l *launch) inSteps(ctx context.Context, beyond []oracle.Beyond) (*checkpoint.Workload, error) {
	h := l.evidenceAt(AtHeld)
	h.mountsBefore(needsTable(l.req))
	w, err := l.r.launcher.Spawn(ctx, l.launched, l.opts)
	if err != nil {
		return nil, err
	}
	h.pid = w.HostPID()
	if l.req.Ext.Cgroup.Freeze {
		h.cgroupFrozen, h.cgroupFrozenErr = w.Cgroup().Frozen()
	}
	l.evidence = h.gather(beyond)
	l.placed(h.pid)
	if l.r.parked != nil {
		l.r.parked(w)
	}
	l.begun = monotonic()
	if l.launched.Cgroup.Freeze {
		_ = w.Cgroup().Thaw() // what it does not let go of, the end of ctx does
	}
	if err := w.Proceed(ctx); err == nil && l.r.freezes() { // else what went wrong is in the result
		l.afterSteps(ctx, w, &h, beyond)
	}
	return w, nil
}

// placed identifies what is known only once the workload is in its place: files
// behind its mounts, and cgroups.
func (l *launch) placed(pid int) {
	root := l.facts.Root
	dir := "/proc/" + strconv.Itoa(pid)
	l.resolve(dir+"/root", dir+"/mountinfo")
	if l.cfg.Root.Path != "" {
		l.facts.Root = root // what was asked for, not where the workload is
	}
	l.cgroups()
}

func (l *launch) ended(res *checkpoint.Result) {
	l.meta.Workload.HostPID = res.HostPID
	l.meta.Workload.ExitCode = res.ExitCode
	l.meta.Workload.Signal = int(res.Signal)
}

// refused is the case of a launch that did not come about.
func (l *launch) refused(err error) (*Case, error) {
	var e *checkpoint.Error
	if !errors.As(err, &e) || errors.Is(err, checkpoint.ErrAgentDied) {
		return nil, err
	}
	exp := oracle.Expect(l.req, &posture.Posture{}, l.r.machine.features(l)).With(&l.facts)
	return &Case{Result: Refuse(exp, string(e.Stage), e.Error()), Meta: l.meta, Launch: checkpoint.Result{State: checkpoint.Failed, Err: err}}, nil
}

// judge compares what was seen with what had to be.
func (l *launch) judge(w *checkpoint.Workload, res checkpoint.Result) (*Case, error) {
	rec, err := l.record(res.HostPID)
	caller := &posture.Posture{}
	var snaps []Snapshot
	var lost uint64
	if rec != nil {
		snaps, lost = l.snapshots(rec)
		snaps = l.addFrozen(snaps)
		if l.r.falsify != nil {
			l.r.falsify(snaps)
		}
		if rec.Caller != nil {
			caller = rec.Caller.Posture()
			l.facts.Parent = posture.Known(uint32(rec.Caller.TGID))
		}
		l.facts.PID = posture.Known(uint32(rec.TGID))
		l.meta.Workload.PID = insidePID(snaps)
	}
	features := l.r.machine.features(l)
	caller = l.beside(caller)
	exp := l.r.expected.Expect(l.req, caller, &features).With(&l.facts)
	result := Judge(exp, snaps, l.evidence, lost)
	if faulty {
		result = misjudge(l, result, exp, caller, snaps, lost)
	}
	if result.rec = rec; rec != nil {
		result.ConfirmedBy = confirmed(rec)
	}
	l.notNew(result)
	if l.r.drift {
		result.drifted()
	}
	l.targetDoubts(result)
	if err != nil && result.Verdict == Unknown {
		cause := EvidenceLost
		if l.r.observer == nil {
			cause = CannotObserve
			result.Cause = NoCause
		}
		result.doubt(cause, err.Error())
	}
	if !res.Ran && result.Verdict == Unknown {
		result.Reasons = append([]string{"the workload was " + res.String()}, result.Reasons...)
	}
	return &Case{Result: result, Meta: l.meta, Launch: res, Timeline: timeline(w.Times(), l.begun, snaps)}, nil
}

// record takes what the kernel said about the workload.
func (l *launch) record(pid int) (*probes.Record, error) {
	if l.r.observer == nil {
		return nil, fmt.Errorf("not observed: %w", l.r.ProbesErr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	w, err := l.watch, error(nil)
	if w == nil {
		w, err = l.r.children.Take(ctx, pid)
	}
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.Final(ctx)
}

func (l *launch) snapshots(rec *probes.Record) ([]Snapshot, uint64) {
	snaps := make([]Snapshot, 0, len(rec.Snapshots))
	for i := range rec.Snapshots {
		s := &rec.Snapshots[i]
		n := Snapshot{At: At(s.At), Posture: s.Posture(), NSSinceProceed: int64(s.TimeNS) - l.begun}
		if s.IPKnown {
			n.IPIsEntry = posture.Known(s.IPIsEntry)
		} else {
			n.IPIsEntry = posture.Unreadable[bool]("this kernel does not show the saved registers")
		}
		snaps = append(snaps, n)
	}
	dispute(rec, snaps)
	lost := rec.Lost
	for _, m := range rec.Missing {
		if !m.Harmless {
			lost++
		}
	}
	return snaps, lost
}

func insidePID(snaps []Snapshot) int {
	for _, s := range snaps {
		if s.Posture == nil { // it was not held where it should have been
			continue
		}
		if n, ok := s.Posture.Process.PIDInside.Get(); ok {
			return int(n)
		}
	}
	return 0
}

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// fileFact identifies an open file.
func fileFact(number int, f *os.File) (posture.File, error) {
	var st unix.Stat_t
	raw, err := f.SyscallConn()
	if err != nil {
		return posture.File{}, err
	}
	var e error
	if err := raw.Control(func(fd uintptr) { e = unix.Fstat(int(fd), &st) }); err != nil {
		return posture.File{}, err
	}
	return posture.File{FD: int32(number), Inode: posture.Inode{Dev: st.Dev, Ino: st.Ino}}, e
}
