package harness

import (
	"context"
	"errors"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// Beside launches a request and holds it at the checkpoint: its namespaces,
// mounts, devices and cgroups are there, its program never runs. It says which
// process that is. What is held ends when end is called, which the caller has to
// do.
func (r *Runner) Beside(ctx context.Context, req *request.Request, opts *checkpoint.Options) (pid int, end func() error, err error) {
	req, _ = r.withCgroup(req, req)
	cfg, err := engine.Config(req, r.machine.engine())
	if err != nil {
		return 0, nil, err
	}
	o := checkpoint.Options{}
	if opts != nil {
		o = *opts
	}
	program, err := engine.OpenProgram(req)
	if err != nil {
		return 0, nil, err
	}
	if program != nil {
		o.Program, o.ProgramNumber = program, req.Ext.Program.Number
	}
	w, err := r.launcher.Spawn(ctx, cfg, &o)
	if err != nil {
		if program != nil {
			program.Close()
		}
		return 0, nil, err
	}
	return w.HostPID(), func() error {
		ctx := context.Background()
		err := w.Abort(ctx)
		if program != nil {
			err = errors.Join(err, program.Close())
		}
		return err
	}, nil
}

// Seen is what was seen of the workload at one instant; nil if nothing was.
func (r *Result) Seen(at At) *Snapshot {
	for i := range r.snaps {
		if s := &r.snaps[i]; s.At == at && s.Posture != nil {
			return s
		}
	}
	return nil
}

// Snapshots are all, in order of time. Callers must not change them.
func (r *Result) Snapshots() []Snapshot { return r.snaps }
