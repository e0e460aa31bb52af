package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// execOptions are those of exec.
type execOptions struct {
	createOptions
	process      string
	tty          bool
	cwd          string
	env          []string
	user         string
	groups       []string
	caps         []string
	noNewPrivs   bool
	apparmor     string
	label        string
	cgroup       []string
	ignorePaused bool
	args         []string
}

func (o *execOptions) flags(f *flagSet) {
	f.text(&o.process, "process", "p", "file with the process, as in config.json")
	f.flag(&o.tty, "tty", "t", "give it a terminal")
	f.flag(&o.detach, "detach", "d", "do not wait for its end")
	f.text(&o.cwd, "cwd", "", "working directory")
	f.list(&o.env, "env", "e", "NAME=VALUE, may be given more than once")
	f.text(&o.user, "user", "u", "UID[:GID], in numbers")
	f.list(&o.groups, "additional-gids", "g", "further group, may be given more than once")
	f.list(&o.caps, "cap", "c", "add a capability, may be given more than once")
	f.flag(&o.noNewPrivs, "no-new-privs", "", "set no_new_privs")
	f.text(&o.apparmor, "apparmor", "", "profile of AppArmor")
	f.text(&o.label, "process-label", "", "label of SELinux")
	f.list(&o.cgroup, "cgroup", "", "refused: the process is in the container's cgroups")
	f.flag(&o.ignorePaused, "ignore-paused", "", "also in a paused container")
	f.text(&o.consoleSocket, "console-socket", "", "unix socket that gets the master of the terminal")
	f.text(&o.pidFile, "pid-file", "", "file to write the pid to")
	f.number(&o.preserveFDs, "preserve-fds", "", "pass this many further descriptors, from 3 on")
	f.flag(&o.noSubreaper, "no-subreaper", "", "ignored, as by runc")
}

func verbExec(r *invocation, f *flagSet, args []string) error {
	o := &execOptions{}
	o.flags(f)
	rest, err := f.parse(args, 1)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return wrongArgs("exec", "a container ID")
	}
	if len(rest) > 1 && rest[1] == "--" {
		rest = slices.Delete(rest, 1, 2)
	}
	o.id, o.args = rest[0], rest[1:]
	if (o.process == "") == (len(o.args) == 0) {
		return wrongArgs("exec", "either a command or --process")
	}
	if err := o.alone(f); err != nil {
		return err
	}
	if len(o.cgroup) > 0 {
		return errors.New("--cgroup: not supported: the process is in the container's cgroups")
	}
	// Not locked while it runs: its container can be stopped and deleted.
	c, err := findContainer(r.root, o.id, false)
	if err != nil {
		return err
	}
	defer c.close()
	return r.exec(r.ctx, c, o)
}

// besideProcess are the flags that say nothing about what --process has.
var besideProcess = []string{
	"process", "p", "tty", "t", "detach", "d", "console-socket", "pid-file", "preserve-fds", "no-subreaper", "ignore-paused", "cgroup",
}

// alone refuses flags that a file with the process would overrule in silence.
func (o *execOptions) alone(f *flagSet) error {
	if o.process == "" {
		return nil
	}
	var errs []error
	for _, name := range f.given() {
		if !slices.Contains(besideProcess, name) {
			errs = append(errs, fmt.Errorf("--%s together with --process: the file says what the process has; put it there", name))
		}
	}
	return errors.Join(errs...)
}

// process is what is to be run: the container's own process with other
// arguments, or the one of a file.
func (o *execOptions) spec(req *request.Request) (*specs.Process, error) {
	if o.process != "" {
		b, err := os.ReadFile(o.process)
		if err != nil {
			return nil, err
		}
		p := &specs.Process{}
		return p, json.Unmarshal(b, p)
	}
	p := *req.Process()
	p.Args, p.Terminal = o.args, o.tty
	p.Env = append(slices.Clone(p.Env), o.env...)
	if o.cwd != "" {
		p.Cwd = o.cwd
	}
	if o.apparmor != "" {
		p.ApparmorProfile = o.apparmor
	}
	if o.label != "" {
		p.SelinuxLabel = o.label
	}
	p.NoNewPrivileges = p.NoNewPrivileges || o.noNewPrivs
	if err := o.setUser(&p); err != nil {
		return nil, err
	}
	return &p, o.addCaps(&p)
}

func (o *execOptions) setUser(p *specs.Process) error {
	number := func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == 1<<32-1 {
			return 0, fmt.Errorf("%q is no id: only numbers are known here", s)
		}
		return uint32(n), nil
	}
	if o.user != "" {
		uid, gid, both := strings.Cut(o.user, ":")
		var err error
		if p.User.UID, err = number(uid); err != nil {
			return fmt.Errorf("--user: %w", err)
		}
		if both {
			if p.User.GID, err = number(gid); err != nil {
				return fmt.Errorf("--user: %w", err)
			}
		}
	}
	for _, g := range o.groups {
		n, err := number(g)
		if err != nil {
			return fmt.Errorf("--additional-gids: %w", err)
		}
		p.User.AdditionalGids = append(slices.Clip(p.User.AdditionalGids), n)
	}
	return nil
}

// addCaps adds to all sets but ambient and, unless the container's process has
// some there, inheritable, which would give them to its children too.
func (o *execOptions) addCaps(p *specs.Process) error {
	if len(o.caps) == 0 {
		return nil
	}
	if _, err := request.CapSet(o.caps); err != nil {
		return fmt.Errorf("--cap: %w", err)
	}
	c := specs.LinuxCapabilities{}
	if p.Capabilities != nil {
		c = *p.Capabilities
	}
	c.Bounding = append(slices.Clip(c.Bounding), o.caps...)
	c.Permitted = append(slices.Clip(c.Permitted), o.caps...)
	c.Effective = append(slices.Clip(c.Effective), o.caps...)
	p.Capabilities = &c
	return nil
}

// entering is the configuration of a process that joins a container: what the
// container has, and of the process what its own description says.
func entering(req *request.Request, p *specs.Process) (*checkpoint.Config, []string, error) {
	affinity := p.ExecCPUAffinity
	own := *p
	own.ExecCPUAffinity = nil
	warnings, err := adaptProcess(&own)
	if err != nil {
		return nil, nil, err
	}
	sub := &request.Request{
		Spec: &specs.Spec{Version: req.Spec.Version, Process: &own, Linux: &specs.Linux{Seccomp: req.Linux().Seccomp, Personality: req.Linux().Personality, MemoryPolicy: req.Linux().MemoryPolicy}},
		Dir:  req.Dir,
	}
	if err := sub.Validate(); err != nil {
		return nil, nil, err
	}
	cfg, err := engine.Config(sub, engine.Host{})
	if err != nil {
		return nil, nil, err
	}
	if affinity != nil && affinity.Final != "" {
		list, err := request.CPUNumbers(affinity.Final)
		if err != nil {
			return nil, nil, fmt.Errorf("process.execCPUAffinity.final: %w", err)
		}
		cfg.Affinity = list
	}
	if affinity != nil && affinity.Initial != "" {
		return nil, nil, &engine.UnsupportedError{Field: "process.execCPUAffinity.initial", Why: "the process is born with its final affinity; there is no time before it joins the cgroup"}
	}
	cfg.Enter = &checkpoint.Enter{Skip: []checkpoint.Aspect{
		checkpoint.TakeLimits, checkpoint.TakeCredentials, checkpoint.TakeCwd, checkpoint.TakeUmask, checkpoint.TakeSeccomp,
	}}
	launcherNeeds(cfg, false)
	return cfg, warnings, nil
}

func (r *invocation) exec(ctx context.Context, c *container, o *execOptions) error {
	switch s := c.status(); {
	case s == specs.StateStopped || s == specs.StateCreating:
		return fmt.Errorf("cannot exec in a %s container", s)
	case s == statusPaused && !o.ignorePaused:
		return errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	agent := startSoon(ctx)
	defer agent.drop()
	req, err := c.spec()
	if err != nil {
		return err
	}
	p, err := o.spec(req)
	if err != nil {
		return err
	}
	// Held before anything is taken from it: it is the container's or none.
	fd, err := c.hold()
	if err != nil {
		return err
	}
	target := os.NewFile(uintptr(fd), "pidfd")
	defer target.Close()
	cfg, warnings, err := entering(req, p)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		r.warn("%s", w)
	}
	opts, relay, err := r.processFiles(p, &o.createOptions)
	if err != nil {
		return err
	}
	defer opts.close()
	defer relay.end() // also if it never runs
	opts.Target, opts.Stay = target, true
	if cfg.Seccomp != nil && engine.ListenerPath(req) != "" {
		opts.Notify = func(*checkpoint.Workload, *os.File) error { return nil }
	}
	left, err := launch(ctx, agent, cfg, opts, o.pidFile, func(orphan *checkpoint.Orphan, pid int) error {
		if err := c.enterRDT(pid); err != nil {
			return err
		}
		var notify func(*os.File) error
		if opts.Notify != nil {
			notify = func(f *os.File) error {
				return engine.SendListenerOf(req, c.state(c.status()), pid, f)
			}
		}
		return orphan.Proceed(ctx, notify)
	})
	if err != nil || o.detach {
		return err
	}
	r.code = relay.wait(left.PID)
	return nil
}

// launch starts a process and leaves it to its new parent, who is to wait for
// its end. It proceeds while the agent is still there, which ends it if we are
// killed on the way, since nobody else would know of a parked one; the agent
// does not reap what is to be left.
func launch(ctx context.Context, agent *soon, cfg *checkpoint.Config, opts *runOptions, pidFile string, proceed func(o *checkpoint.Orphan, pid int) error) (*checkpoint.LeftProcess, error) {
	l, err := agent.take()
	if err != nil {
		return nil, err
	}
	left, err := depart(ctx, l, cfg, opts, pidFile, proceed)
	if err != nil {
		return nil, errors.Join(err, l.Close()) // and so ends the process
	}
	return left, l.Leave()
}

func depart(ctx context.Context, l *checkpoint.Launcher, cfg *checkpoint.Config, opts *runOptions, pidFile string, proceed func(o *checkpoint.Orphan, pid int) error) (*checkpoint.LeftProcess, error) {
	w, err := l.Spawn(ctx, cfg, &opts.Options)
	if err != nil {
		return nil, err
	}
	if err := checkProgram(w.HostPID(), cfg); err != nil {
		return nil, err
	}
	left, err := w.Leave(ctx)
	if err != nil {
		return nil, err
	}
	if err := opts.sendConsole(); err != nil {
		return nil, err
	}
	if err := writePIDFile(pidFile, left.PID); err != nil {
		return nil, err
	}
	orphan, err := checkpoint.Adopt(left)
	if err != nil {
		return nil, err
	}
	defer orphan.Close()
	return left, proceed(orphan, left.PID)
}
