package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// Launcher starts workloads through one agent. Its methods may be called from
// any number of goroutines.
type Launcher struct {
	agent *agent.Agent
	env   *environment
}

// New starts an agent. Every workload inherits from it what its Config does
// not change, and the agent from the caller: credentials, limits, scheduling,
// cgroup and namespaces, as they are now. Signal dispositions and mask, session
// and open files are not passed on.
//
// It needs Linux 5.10 and /proc. Close ends the agent.
func New(ctx context.Context) (*Launcher, error) {
	env, err := readEnvironment()
	if err != nil {
		return nil, fail(StageAgent, "", err)
	}
	a, err := agent.Start(ctx)
	if err != nil {
		return nil, fail(StageAgent, "", err)
	}
	return &Launcher{agent: a, env: env}, nil
}

func readEnvironment() (*environment, error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return nil, fmt.Errorf("capget: %w", err)
	}
	join := func(lo, hi uint32) CapSet { return CapSet(lo) | CapSet(hi)<<32 }
	e := &environment{
		caps: join(d[0].Permitted, d[1].Permitted), effective: join(d[0].Effective, d[1].Effective),
		inherit: join(d[0].Inheritable, d[1].Inheritable),
		uid:     uint32(unix.Geteuid()), gid: uint32(unix.Getegid()), landlock: LandlockABI(),
	}
	for n := range 64 {
		v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break
		}
		e.all |= 1 << n
		if v == 1 {
			e.bounding |= 1 << n
		}
	}
	return e, nil
}

// AgentPID is the process id of the agent, the parent of every workload.
func (l *Launcher) AgentPID() int { return l.agent.PID() }

// Live is the number of workloads that have not ended yet. It may lag a moment
// behind what Wait has answered.
func (l *Launcher) Live() int { return l.agent.Live() }

// Close ends the agent. Workloads that are still there are killed.
func (l *Launcher) Close() error { return l.agent.Close() }

// Spawn brings a workload to the checkpoint: the process exists, in its
// namespaces and cgroup, with everything on it that does not have to be last,
// and is parked before execve. Ids, capabilities, limits, no_new_privs and
// seccomp follow when it proceeds.
//
// If ctx ends first the child is killed. A nil opts is the zero Options.
func (l *Launcher) Spawn(ctx context.Context, cfg *Config, opts *Options) (*Workload, error) {
	w, err := l.prepare(cfg, opts)
	if err != nil {
		return nil, err
	}
	return w.toCheckpoint(ctx)
}

func (w *Workload) toCheckpoint(ctx context.Context) (*Workload, error) {
	if err := w.spawn(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// Start is Spawn and Proceed in one; without a step for the host in between it
// takes a single message to the agent.
func (l *Launcher) Start(ctx context.Context, cfg *Config, opts *Options) (*Workload, error) {
	w, err := l.prepare(cfg, opts)
	if err != nil {
		return nil, err
	}
	return w.begin(ctx)
}

func (w *Workload) begin(ctx context.Context) (*Workload, error) {
	if w.needsHost() {
		if err := w.spawn(ctx); err != nil {
			return nil, err
		}
		return w, w.Proceed(ctx)
	}
	if err := w.launch(w.plan.steps(), true); err != nil {
		return nil, err
	}
	return w, w.awaitRunning(ctx)
}

// Run starts a workload and waits until it has ended; see [Workload.Wait] for
// the result. If ctx ends first the workload is killed, and the result says so.
func (l *Launcher) Run(ctx context.Context, cfg *Config, opts *Options) (Result, error) {
	w, err := l.Go(ctx, cfg, opts)
	if err != nil {
		return Result{}, err
	}
	return w.runOut(ctx), nil
}

// runOut waits for the end, which is brought about if ctx ends.
func (w *Workload) runOut(ctx context.Context) Result {
	w.launched.Spin()
	select {
	case <-w.done:
	case <-ctx.Done():
		_ = w.launched.Kill(unix.SIGKILL)
		<-w.done
	}
	return *w.result
}

// Go is Start without waiting for execve: the workload proceeds as soon as it
// can, stays Proceeding until it has ended, and takes no Signal but Kill. What
// goes wrong on the way is in the result.
func (l *Launcher) Go(ctx context.Context, cfg *Config, opts *Options) (*Workload, error) {
	w, err := l.prepare(cfg, opts)
	if err != nil {
		return nil, err
	}
	return w.leap(ctx)
}

func (w *Workload) leap(ctx context.Context) (*Workload, error) {
	if w.needsHost() {
		if err := w.spawn(ctx); err != nil {
			return nil, err
		}
		return w, w.Proceed(ctx)
	}
	// Phases can only be told apart where execve is reported.
	return w, w.launch(w.plan.steps(), w.plan.opts.Timeouts != Timeouts{})
}

// Begin is Spawn without waiting: the workload is on its way to the checkpoint.
// It can be aborted there, signals for it can be kept, and AwaitParked says when
// it has arrived, or why it never will.
func (l *Launcher) Begin(cfg *Config, opts *Options) (*Workload, error) {
	w, err := l.prepare(cfg, opts)
	if err != nil {
		return nil, err
	}
	w.ready = make(chan struct{})
	if err := w.bear(); err != nil {
		return nil, err
	}
	go func() {
		w.arrival = w.bringUp(context.Background())
		close(w.ready)
	}()
	return w, nil
}

// AwaitParked waits until a workload of Begin is parked. Any number of
// goroutines may wait. If ctx ends first the workload is left alone.
func (w *Workload) AwaitParked(ctx context.Context) error {
	if w.ready == nil {
		return nil // the other verbs answer once it is
	}
	select {
	case <-w.ready:
		return w.arrival
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *Launcher) prepare(cfg *Config, opts *Options) (*Workload, error) {
	if opts == nil {
		opts = &Options{}
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	own := *cfg // Apply changes it
	into, err := l.targetOf(&own, opts)
	if err != nil {
		return nil, err
	}
	trees, err := l.idTrees(&own)
	if err != nil {
		into.close()
		return nil, err
	}
	p, err := compile(&own, opts, l.env, trees, into)
	if err != nil {
		if p != nil {
			err = errors.Join(err, p.undo())
		}
		return nil, err
	}
	if faulty {
		misorder(l, p)
	}
	return newWorkload(l, p), nil
}

func (o *Options) validate() error {
	seen := map[int]bool{}
	for i, f := range o.Files {
		if f.File == nil || f.Number < 3 || f.Number >= 1<<16 || seen[f.Number] {
			return fail(StageConfig, "", fmt.Errorf("files[%d]: number %d: %w", i, f.Number, unix.EINVAL))
		}
		seen[f.Number] = true
	}
	if err := o.Timeouts.validate(); err != nil {
		return err
	}
	if n := o.ProgramNumber; n != 0 && (o.Program == nil || n < 3 || n >= 1<<16 || seen[n]) {
		return fail(StageConfig, "", fmt.Errorf("program number %d: %w", n, unix.EINVAL))
	}
	if o.Terminal && o.Stdin == nil {
		return fail(StageConfig, "", fmt.Errorf("terminal without stdin: %w", unix.EINVAL))
	}
	return nil
}

func (o *Options) orphan() uint32 {
	if o.Orphan < 0 {
		return agent.Linger
	}
	return uint32(min(o.Orphan/time.Millisecond, 1<<31-1))
}
