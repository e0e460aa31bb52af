package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// spec reads the configuration as it was when the container was made.
func (c *container) spec() (*request.Request, error) {
	if c.req == nil {
		req, _, err := loadSpec(filepath.Join(c.path(), configFile), c.Bundle)
		if err != nil {
			return nil, err
		}
		c.req = req
	}
	return c.req, nil
}

func hooksOf(req *request.Request) specs.Hooks {
	if h := req.Spec.Hooks; h != nil {
		return *h
	}
	return specs.Hooks{}
}

// start lets a container go.
func (r *invocation) start(ctx context.Context, c *container) error {
	switch s := c.status(); {
	case s == specs.StateStopped:
		return errors.New("cannot start a container that has stopped")
	case s == statusPaused: // it would not go, and be waited for with the lock that resume needs
		return errors.New("cannot start a container in the paused state: resume it first")
	case s != specs.StateCreated:
		return fmt.Errorf("cannot start a container in the %s state", s)
	case c.NoProcess:
		return errors.New("cannot start a container whose configuration has no process")
	}
	var req *request.Request
	var hooks specs.Hooks
	if !c.Plain {
		var err error
		if req, err = c.spec(); err != nil {
			return err
		}
		hooks = hooksOf(req)
	}
	o, err := checkpoint.Adopt(c.Process)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := startHooks(ctx, c, &hooks, o); err != nil {
		return errors.Join(err, c.end())
	}
	var notify func(*os.File) error
	if req != nil && engine.ListenerPath(req) != "" {
		notify = func(f *os.File) error {
			return engine.SendListenerOf(req, c.state(specs.StateCreating), c.Process.PID, f)
		}
	}
	if err := o.Proceed(ctx, notify); err != nil {
		return errors.Join(err, c.end())
	}
	if err := runHooks(ctx, "poststart", hooks.Poststart, c.state(specs.StateRunning), onHost(c.Bundle)); err != nil {
		return errors.Join(err, c.end())
	}
	return nil
}

// startHooks runs what is to run inside before the program does.
func startHooks(ctx context.Context, c *container, h *specs.Hooks, o *checkpoint.Orphan) error {
	if len(h.StartContainer) == 0 {
		return nil
	}
	pidfd, err := o.PIDFD()
	if err != nil {
		return err
	}
	defer pidfd.Close()
	l, err := checkpoint.New(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return runHooks(ctx, "startContainer", h.StartContainer, c.state(specs.StateCreated), inside(l, pidfd))
}
