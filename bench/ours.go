package main

import (
	"context"
	"fmt"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ours are holdshort's own ways to launch.
func ours(s *settings) []contestant {
	l, err := checkpoint.New(context.Background())
	if err != nil {
		return []contestant{skipped{"holdshort", err}}
	}
	return []contestant{
		&launcher{inProcess{name: "holdshort", launch: func(ns namespaces) error {
			r, err := l.Run(context.Background(), config(s.workload, ns), nil)
			return outcome(r, err)
		}, close: func() { l.Close() }}, l, s.workload},
		prepared(l, s.workload),
		&inProcess{name: "holdshort, held and released", launch: func(ns namespaces) error {
			ctx := context.Background()
			w, err := l.Spawn(ctx, config(s.workload, ns), nil)
			if err != nil {
				return err
			}
			if err := w.Proceed(ctx); err != nil {
				return err
			}
			return outcome(w.Wait(ctx))
		}},
		verified(s, "holdshort, verified", nil, (*harness.Runner).Run),
		verified(s, "holdshort, verified and frozen", &harness.RunnerOptions{Freeze: true}, (*harness.Runner).Run),
		verified(s, "holdshort, the witness", nil, (*harness.Runner).Witness),
	}
}

// prepared launches from a plan for each set of namespaces, compiled once.
func prepared(l *checkpoint.Launcher, workload string) contestant {
	plans := map[string]*checkpoint.Plan{}
	for _, ns := range namespaceSets {
		p, err := l.Prepare(config(workload, ns), nil)
		if err != nil {
			return skipped{"holdshort, prepared", err}
		}
		plans[ns.name] = p
	}
	return &inProcess{name: "holdshort, prepared", launch: func(ns namespaces) error {
		return outcome(plans[ns.name].Run(context.Background()))
	}}
}

// way is how a runner launches.
type way = func(*harness.Runner, context.Context, *request.Request, *checkpoint.Options) (*harness.Case, error)

// verified launches, observes and judges: snapshots at exec, return, first
// instruction and exit, compared with what the oracle expects of each of the
// hundred fields. The hooks stay attached for the whole case, so all contestants
// pay their few nanoseconds for each system call; turning them on and off would
// hit whoever is next much harder. There are three such contestants and so three
// sets of hooks: one holds each workload at its entry point and reads it a second
// time there, one launches the witness, which makes a few hundred system calls.
func verified(s *settings, name string, opts *harness.RunnerOptions, run way) contestant {
	ctx := context.Background()
	r, err := harness.NewRunner(ctx, opts)
	if err == nil && r.ProbesErr != nil {
		r.Close()
		err = r.ProbesErr
	}
	if err != nil {
		return skipped{name, err}
	}
	requests := map[string]*request.Request{}
	for _, ns := range namespaceSets {
		requests[ns.name] = asRequest(s.workload, ns)
	}
	return &inProcess{name: name, launch: func(ns namespaces) error {
		c, err := run(r, ctx, requests[ns.name], nil)
		if err != nil {
			return err
		}
		if c.Verdict != harness.Constrained {
			return fmt.Errorf("verdict %s: %v", c.Verdict, c.Reasons)
		}
		return outcome(c.Launch, nil)
	}, close: func() { r.Close() }}
}

func asRequest(workload string, ns namespaces) *request.Request {
	req := request.New(workload)
	types := []specs.LinuxNamespaceType{
		specs.MountNamespace, specs.PIDNamespace, specs.NetworkNamespace, specs.UTSNamespace, specs.IPCNamespace,
	}
	switch ns.name {
	case "none":
		return req
	case "eight":
		types = append(types, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace)
		req.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		req.Spec.Linux.GIDMappings = req.Spec.Linux.UIDMappings
		req.Ext.KeepIDs = false
	}
	for _, t := range types {
		req.Spec.Linux.Namespaces = append(req.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: t})
	}
	return req
}

func outcome(r checkpoint.Result, err error) error {
	if err == nil && (!r.Ran || r.ExitCode != 0 || r.Signal != 0) {
		return fmt.Errorf("workload ended with: %s", r)
	}
	return err
}

func config(workload string, ns namespaces) *checkpoint.Config {
	c := &checkpoint.Config{Args: []string{workload}}
	kinds := []checkpoint.NamespaceKind{
		checkpoint.Mnt, checkpoint.PID, checkpoint.Net, checkpoint.UTS, checkpoint.IPC,
	}
	switch ns.name {
	case "none":
		return c
	case "eight":
		kinds = append(kinds, checkpoint.User, checkpoint.Cgroups, checkpoint.Time)
		c.UIDMap = []checkpoint.IDMap{{Inside: 0, Outside: 100000, Count: 65536}}
		c.GIDMap = c.UIDMap
	}
	for _, k := range kinds {
		c.Namespaces = append(c.Namespaces, checkpoint.Namespace{Kind: k})
	}
	return c
}

// launcher can hold children too.
type launcher struct {
	inProcess
	l        *checkpoint.Launcher
	workload string
}

func (c *launcher) Park(n int, held func()) error {
	ctx := context.Background()
	all := make([]*checkpoint.Workload, 0, n)
	defer func() {
		for _, w := range all {
			_ = w.Abort(ctx)
		}
		for _, w := range all {
			_, _ = w.Wait(ctx)
		}
	}()
	for range n {
		w, err := c.l.Spawn(ctx, config(c.workload, namespaceSets[0]), nil)
		if err != nil {
			return err
		}
		all = append(all, w)
	}
	held()
	return nil
}
