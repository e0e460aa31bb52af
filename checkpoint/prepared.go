package checkpoint

import (
	"context"
	"errors"
	"slices"
)

// Plan is a request that was checked and compiled once, to launch any number of
// workloads from. Its methods are those of [Launcher] with the same names, and
// may be called from any number of goroutines.
//
// Many parked workloads of one Plan share what was compiled, where nothing in
// it belongs to a single launch: no open file, cgroup or namespace of a path,
// no mounts, no step of the host's, no relay. Else each launch compiles its
// own, as [Launcher.Spawn] does, so a Plan can be used for any request.
type Plan struct {
	launcher *Launcher
	cfg      Config
	opts     Options
	shared   *plan // or nil
}

// Prepare compiles a request for many launches. The caller must not change
// what cfg and opts point to while the Plan is in use, and keeps the files of
// opts open.
//
// Its errors are those of [Launcher.Spawn] for a request that is not valid, and
// where it can be shared, also for one that cannot be compiled.
func (l *Launcher) Prepare(cfg *Config, opts *Options) (*Plan, error) {
	if opts == nil {
		opts = &Options{}
	}
	p := &Plan{launcher: l, cfg: *cfg, opts: *opts}
	if !p.pure() {
		return p, errors.Join(p.cfg.Validate(), p.opts.validate())
	}
	w, err := l.prepare(&p.cfg, &p.opts)
	if err != nil {
		return nil, err
	}
	if c := w.plan; c.listener >= 0 || len(c.fds)+len(c.opened)+len(c.first)+len(c.host)+len(c.last) > 0 {
		c.close() // namespaces by path, and steps of the host's
		return p, nil
	}
	p.shared = w.plan
	p.shared.share()
	return p, nil
}

// pure reports whether to compile the request has no effect, and reads nothing
// that may change before the next launch.
func (p *Plan) pure() bool {
	c, g, o := &p.cfg, &p.cfg.Cgroup, &p.opts
	files := len(c.Mounts) + len(c.Devices) + len(c.Symlinks) + len(c.MaskedPaths) + len(c.ReadOnlyPaths)
	return c.Enter == nil && c.Root == Root{} && files == 0 && !c.Console &&
		g.V2 == "" && len(g.V1)+len(g.Limits) == 0 && !g.Create && !g.Devices.Set && !g.Freeze && !g.Delegate &&
		o.Stdin == nil && o.Stdout == nil && o.Stderr == nil && len(o.Files) == 0 && o.Program == nil &&
		o.Target == nil && o.Relay == nil && o.Notify == nil && o.BeforeRoot == nil && !o.Stay
}

// share makes the plan one that launches only read.
func (p *plan) share() {
	p.whole = p.steps()
	p.shared = true
}

// steps are those of a launch that is not parked.
func (p *plan) steps() steps {
	if p.shared {
		return p.whole
	}
	return slices.Concat(p.setup.steps, p.final.steps)
}

// own gives the workload a plan that it may change.
func (w *Workload) own() *plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plan.shared {
		p := *w.plan
		p.shared, p.whole = false, nil
		p.fds, p.extra, p.rulesets, p.dropped = slices.Clip(p.fds), slices.Clip(p.extra), slices.Clip(p.rulesets), slices.Clip(p.dropped)
		w.plan = &p
	}
	return w.plan
}

func (p *Plan) workload() (*Workload, error) {
	if p.shared != nil {
		return newWorkload(p.launcher, p.shared), nil
	}
	return p.launcher.prepare(&p.cfg, &p.opts)
}

// Spawn is [Launcher.Spawn].
func (p *Plan) Spawn(ctx context.Context) (*Workload, error) {
	w, err := p.workload()
	if err != nil {
		return nil, err
	}
	return w.toCheckpoint(ctx)
}

// Start is [Launcher.Start].
func (p *Plan) Start(ctx context.Context) (*Workload, error) {
	w, err := p.workload()
	if err != nil {
		return nil, err
	}
	return w.begin(ctx)
}

// Go is [Launcher.Go].
func (p *Plan) Go(ctx context.Context) (*Workload, error) {
	w, err := p.workload()
	if err != nil {
		return nil, err
	}
	return w.leap(ctx)
}

// Run is [Launcher.Run].
func (p *Plan) Run(ctx context.Context) (Result, error) {
	w, err := p.Go(ctx)
	if err != nil {
		return Result{}, err
	}
	return w.runOut(ctx), nil
}
