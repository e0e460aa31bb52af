package oci

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
)

// createOptions are those of create and run.
type createOptions struct {
	id            string
	bundle        string
	consoleSocket string
	pidFile       string
	preserveFDs   int
	noPivot       bool
	noNewKeyring  bool
	noSubreaper   bool
	detach        bool // run
	keep          bool // run
}

func (o *createOptions) flags(f *flagSet) {
	f.text(&o.bundle, "bundle", "b", "the bundle's directory, with config.json (default: here)")
	f.text(&o.consoleSocket, "console-socket", "", "unix socket that gets the master of the terminal")
	f.text(&o.pidFile, "pid-file", "", "file to write the pid to")
	f.number(&o.preserveFDs, "preserve-fds", "", "pass this many further descriptors, from 3 on")
	f.flag(&o.noPivot, "no-pivot", "", "refused: the root is always changed by pivot_root(2)")
	f.flag(&o.noNewKeyring, "no-new-keyring", "", "keep the caller's session keyring")
}

// create makes a container and leaves it parked.
func (r *invocation) create(ctx context.Context, o *createOptions) (*container, error) {
	return r.createWith(ctx, o, func(p *specs.Process) (*runOptions, error) {
		return processOptions(p, o.consoleSocket, o.preserveFDs)
	})
}

func (r *invocation) createWith(ctx context.Context, o *createOptions, files func(*specs.Process) (*runOptions, error)) (*container, error) {
	if err := checkID(o.id); err != nil {
		return nil, err
	}
	if o.noPivot {
		return nil, errors.New("--no-pivot: not supported: without pivot_root the host's root would stay reachable; use a root on a file system that can be pivoted to (not the initramfs)")
	}
	bundle, err := filepath.Abs(o.bundle)
	if err != nil {
		return nil, err
	}
	agent := startSoon(ctx)
	defer agent.drop()
	req, saved, err := loadSpec(filepath.Join(bundle, configFile), bundle)
	if err != nil {
		return nil, err
	}
	version, annotations := req.Spec.Version, maps.Clone(req.Spec.Annotations) // before compile leaves some out
	noProcess := req.Spec.Process == nil
	opts, err := files(req.Process()) // which may add to its environment
	if err != nil {
		return nil, err
	}
	defer opts.close()
	cc, err := compile(req, o.id, o)
	if err != nil {
		return nil, err
	}
	for _, w := range cc.warnings {
		r.warn("%s", w)
	}
	c, err := makeContainer(r.root, o.id)
	if err != nil {
		return nil, err
	}
	c.Version, c.Bundle, c.Annotations, c.NoProcess = version, bundle, annotations, noProcess
	c.req = req
	c.Plain = len(cc.hooks.StartContainer)+len(cc.hooks.Poststart)+len(cc.hooks.Poststop) == 0 && engine.ListenerPath(req) == ""
	c.Rootfs, c.Cgroups = cc.cfg.Root.Path, cgroupsOf(cc.cfg)
	if err := r.bring(ctx, c, cc, o, opts, saved, agent); err != nil {
		return nil, errors.Join(err, r.discard(c, cc))
	}
	return c, nil
}

func cgroupsOf(cfg *checkpoint.Config) map[string]string {
	out := map[string]string{}
	maps.Copy(out, cfg.Cgroup.V1)
	if cfg.Cgroup.V2 != "" {
		out[""] = cfg.Cgroup.V2
	}
	return out
}

// discard takes back what a create that failed has done. The hooks that end a
// container are due all the same (runtime.md, Lifecycle).
func (r *invocation) discard(c *container, cc *compiled) error {
	defer c.close()
	err := c.destroy()
	c.poststop(r, cc.hooks.Poststop)
	return err
}

// bring makes the container's process and leaves it.
func (r *invocation) bring(ctx context.Context, c *container, cc *compiled, o *createOptions, opts *runOptions, saved []byte, agent *soon) (err error) {
	if err := c.write(configFile, saved); err != nil {
		return err
	}
	if err := c.makeCgroups(cc.cfg); err != nil {
		return err
	}
	// One that was there already may have limits that only leave one order.
	cc.cfg.Cgroup.Limits = ordered(cc.cfg.Cgroup.Limits, c.readLimit)
	launcher, err := agent.take()
	if err != nil {
		return err
	}
	left := false
	defer func() {
		if !left {
			err = errors.Join(err, launcher.Close())
		}
	}()
	if engine.ListenerPath(cc.req) != "" {
		opts.Notify = func(*checkpoint.Workload, *os.File) error { return nil } // start has its own
	}
	opts.Stay = true
	if h := cc.hooks; len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0 { //nolint:staticcheck // prestart is deprecated, and still to be run
		opts.BeforeRoot = func(w *checkpoint.Workload) error { return createHooks(ctx, launcher, c, &h, w) }
	}
	w, err := launcher.Spawn(ctx, cc.cfg, &opts.Options)
	if err != nil {
		return err
	}
	if err := c.checkTaken(cc.cfg.Cgroup.Limits); err != nil {
		return err
	}
	if rdt := cc.req.Linux().IntelRdt; rdt != nil {
		if err := c.joinRDT(rdt, cc.resctrl, w.HostPID()); err != nil {
			return err
		}
	}
	if !c.NoProcess {
		if err := checkProgram(w.HostPID(), cc.cfg); err != nil {
			return err
		}
	}
	if c.Process, err = w.Leave(ctx); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	if err := opts.sendConsole(); err != nil {
		return err
	}
	if err := writePIDFile(o.pidFile, c.Process.PID); err != nil {
		return err
	}
	left = true
	return launcher.Leave()
}

func createHooks(ctx context.Context, l *checkpoint.Launcher, c *container, h *specs.Hooks, w *checkpoint.Workload) error {
	// "created" is after step 2 of the lifecycle, of which these hooks are the
	// next (runtime.md, State).
	state := c.state(specs.StateCreated)
	state.Pid = w.HostPID()
	if err := runHooks(ctx, "prestart", h.Prestart, state, onHost(c.Bundle)); err != nil { //nolint:staticcheck // deprecated, and still to be run
		return err
	}
	if err := runHooks(ctx, "createRuntime", h.CreateRuntime, state, onHost(c.Bundle)); err != nil {
		return err
	}
	if len(h.CreateContainer) == 0 {
		return nil
	}
	pidfd, err := w.PIDFD()
	if err != nil {
		return err
	}
	defer pidfd.Close()
	return runHooks(ctx, "createContainer", h.CreateContainer, state, inside(l, pidfd))
}

func writePIDFile(path string, pid int) error {
	if path == "" {
		return nil
	}
	if err := replaceFile(path, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// destroy ends the process, if there is one, and removes what was made. The
// record goes last, and only once nothing is left that it tells of.
func (c *container) destroy() error {
	if err := c.end(); err != nil {
		return err
	}
	if err := errors.Join(c.removeCgroups(), c.leaveRDT()); err != nil {
		return err
	}
	return c.forget()
}

// end kills the container's process and waits for its end.
func (c *container) end() error {
	fd, err := c.hold()
	if err != nil {
		return nil //nolint:nilerr // it has ended
	}
	defer closeFD(fd)
	c.thaw()
	if err := sendSignal(fd, kill); err != nil && !errors.Is(err, errNotRunning) {
		return err
	}
	if !waitEnd(fd) {
		return fmt.Errorf("process %d: %w", c.Process.PID, errNoEnd)
	}
	return nil
}

// errNoEnd: a process in a system call that cannot be interrupted, or the first
// of a pid namespace in which a zombie is left for somebody to reap.
var errNoEnd = errors.New("was killed and has not ended after 10 s; see /proc/PID/stack for what it waits for, and try again")

// waitEnd waits until a process has ended; somebody else reaps it. It reports
// false if that takes longer than 10 s.
func waitEnd(pidfd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 10_000)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}
