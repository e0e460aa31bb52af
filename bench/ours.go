package main

import (
	"context"
	"fmt"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/probes"
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
		observed(s),
	}
}

// observed launches under the eyes of the kernel: snapshots at exec, return and
// first instruction, read back, for each launch. The hooks stay attached for
// the whole case, so all contestants pay their few nanoseconds for each system
// call; turning them on and off would hit whoever is next much harder.
//
// It has a launcher of its own, since all children of that one are watched.
func observed(s *settings) contestant {
	const name = "holdshort, observed"
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		return skipped{name, err}
	}
	o, err := probes.Open(ctx, nil)
	if err != nil {
		l.Close()
		return skipped{name, err}
	}
	children, err := o.WatchChildrenOf(ctx, l.AgentPID(), nil)
	if err != nil {
		o.Close()
		l.Close()
		return skipped{name, err}
	}
	return &inProcess{name: name, launch: func(ns namespaces) error {
		w, err := l.Start(ctx, config(s.workload, ns), nil)
		if err != nil {
			return err
		}
		watch, err := children.Take(ctx, w.HostPID())
		if err != nil {
			return err
		}
		defer watch.Close()
		record, err := watch.Record(ctx)
		if err != nil {
			return err
		}
		if !record.Complete() || record.Snapshot(probes.AtExec) == nil {
			return fmt.Errorf("evidence is missing: %+v", record.Missing)
		}
		return outcome(w.Wait(ctx))
	}, close: func() {
		children.Close()
		o.Close()
		l.Close()
	}}
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
