package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

type verifyCmd struct {
	Bundle  string `help:"OCI bundle: a directory with config.json." placeholder:"DIR" xor:"source"`
	Config  string `help:"What was asked for: an OCI config.json, with our extension under \"holdshort\"; - is standard input." placeholder:"FILE" xor:"source"`
	Engine  string `help:"Translate the request for this engine and run it: runc, crun, youki, bwrap, unshare, firejail, systemd-nspawn, lxc-execute, minijail, nsjail, podman." placeholder:"NAME"`
	Binary  string `help:"The engine's file, or a program that ends up executing it, instead of what is found in PATH." placeholder:"FILE"`
	Partial bool   `help:"Leave out what the engine cannot express, say so, and judge the rest."`
	Strict  bool   `help:"Refuse fields that we do not know; an engine ignores them." negatable:""`

	Freeze  bool          `help:"Hold the workload at its first instruction and read there what no task shows: mounts, masks, sysctls, devices, limits of cgroups. The engine sees it stop."`
	Enforce bool          `help:"With --freeze: kill the workload before its first instruction unless the verdict is constrained by then."`
	Clean   bool          `help:"What the workload inherits from the engine's caller without being asked (nice, affinity, OOM score …) is a finding."`
	Timeout time.Duration `help:"Kill the engine after this long." placeholder:"DURATION"`
	Quiet   bool          `short:"q" help:"No report for people."`
	Verbose bool          `short:"v" help:"List every check."`
	Report  string        `help:"Write the report as JSON to a file." placeholder:"FILE" type:"path"`
	JSON    bool          `name:"json" help:"Print the report as JSON on stdout; the workload's stdout goes to stderr."`
	Print   bool          `help:"Print the engine's command line and end, running nothing."`
	Explain string        `help:"Print what is judged of a field of a report or a request, where it comes from and how engines differ, and end; \"all\" lists the fields." placeholder:"FIELD"`

	Args []string `arg:"" optional:"" passthrough:"partial" help:"After --: the engine's command or, with --engine, the program in place of process.args." name:"cmd"`
}

// Help is the long text of "verify --help".
func (verifyCmd) Help() string {
	return `Runs somebody else's engine and judges its workload at the first instruction, field by field, against what was asked for and against the engine's own caller.

The workload owns stdin, stdout and stderr; signals go to the engine; the report goes to stderr once it has ended. Exit status: the engine's own if everything held; 1 a finding; 3 not expressible or not observable here; 4 evidence lost, among it that the program was never seen; 64 usage.

Examples:
  holdshort verify --bundle DIR --engine runc --freeze
  holdshort verify --config config.json -- bwrap --unshare-all --ro-bind / / /bin/true
  holdshort run --ns mnt,pid,net --print -- /bin/true > c.json && holdshort verify --config c.json --engine bwrap
  holdshort verify --explain capabilities.effective`
}

func (c *verifyCmd) Run(ctx context.Context, s *streams) error {
	if c.Explain != "" {
		return explain(s, c.Explain)
	}
	req, err := c.load()
	if err != nil {
		return usage(err)
	}
	cmd, opts, done, err := c.command(req)
	if err != nil {
		if errors.Is(err, engine.ErrUnsupported) {
			return &exit{harness.ExitUnsupported, err}
		}
		return usage(err)
	}
	defer done()
	if c.Print {
		_, err := fmt.Fprintln(s.out, shellWords(cmd.command.Args))
		return err
	}
	if c.Enforce && !c.Freeze {
		return usage(errors.New("--enforce needs --freeze: only a workload that is held can be kept from running"))
	}
	v, err := harness.NewVerifier(context.WithoutCancel(ctx), &harness.VerifierOptions{Freeze: c.Freeze})
	if err != nil {
		if harness.Unsupported(err) {
			return &exit{harness.ExitUnsupported, err}
		}
		return err
	}
	defer v.Close()
	if c.Enforce {
		opts.Decide = func(cs *harness.Case) bool { return cs.Verdict == harness.Constrained }
		opts.Undecided = func(error) bool { return false } // what cannot be read is not constrained
	}
	run, cancel := context.WithoutCancel(ctx), context.CancelFunc(func() {})
	if c.Timeout > 0 {
		run, cancel = context.WithTimeout(run, c.Timeout)
	}
	defer cancel()
	x := c.process(run, cmd)
	started, stop := forward()
	opts.Started = started
	cs, err := v.VerifyWith(run, cmd.command.Request, x, opts)
	stop()
	if err != nil {
		return err
	}
	return c.report(s, cs, cmd)
}

// engineCommand is what is run.
type engineCommand struct {
	command *engine.Command
	name    string
}

func (c *verifyCmd) load() (*request.Request, error) {
	if c.Bundle == "" && c.Config == "" {
		return nil, errors.New("nothing to compare with: name the request with --config or --bundle (holdshort run --print writes one from flags)")
	}
	var args []string // of the request; without an engine's name they are the engine
	if c.Args = program(c.Args); c.Engine != "" {
		args, c.Args = c.Args, nil
	}
	return readRequest(c.Bundle, c.Config, c.Strict, args)
}

// command is the engine's command line: the one that was given, or the request
// translated.
func (c *verifyCmd) command(req *request.Request) (*engineCommand, *harness.VerifyOptions, func(), error) {
	if c.Engine == "" {
		if len(c.Args) == 0 {
			return nil, nil, nil, errors.New("no engine: name one with --engine, or its command after --")
		}
		name := filepath.Base(c.Args[0])
		return &engineCommand{&engine.Command{Args: c.Args, Request: req}, name}, &harness.VerifyOptions{Engine: name}, func() {}, nil
	}
	e, err := engine.ByName(c.Engine)
	if err != nil {
		return nil, nil, nil, err
	}
	cmd, err := e.Command(req, c.Partial)
	if err != nil {
		return nil, nil, nil, err
	}
	opts := &harness.VerifyOptions{Engine: e.Name, Profile: e.Profile, PID: cmd.PID, Below: cmd.Below}
	if path, err := exec.LookPath(e.Binary); err == nil {
		opts.Binary, _ = filepath.EvalSymlinks(path)
	}
	if c.Binary != "" {
		cmd.Args[0] = c.Binary
	}
	return &engineCommand{cmd, e.Name}, opts, cmd.Close, nil
}

// process connects the engine to our own descriptors.
func (c *verifyCmd) process(ctx context.Context, e *engineCommand) *exec.Cmd {
	a := e.command.Args
	x := exec.CommandContext(ctx, a[0], a[1:]...)
	x.Stdin, x.Stdout, x.Stderr = os.Stdin, os.Stdout, os.Stderr
	if c.JSON {
		x.Stdout = os.Stderr
	}
	x.Env, x.ExtraFiles = e.command.Env, e.command.Files
	if c.Bundle != "" && c.Engine != "" {
		x.Dir = c.Bundle
	}
	return x
}

// forward passes on to the engine, once it is started, what is sent to us alone:
// what the terminal sends goes to its whole process group anyway. What comes
// before is kept for it.
func forward() (started func(*os.Process), stop func()) {
	signal.Reset(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	engine, done := make(chan *os.Process, 1), make(chan struct{})
	go func() {
		var p *os.Process
		select {
		case p = <-engine:
		case <-done:
			return
		}
		for {
			select {
			case sig := <-ch:
				if !(fromTerminal(sig) && foreground()) {
					_ = p.Signal(sig)
				}
			case <-done:
				return
			}
		}
	}()
	return func(p *os.Process) { engine <- p }, func() { signal.Stop(ch); close(done) }
}

func fromTerminal(s os.Signal) bool {
	return s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGWINCH || s == unix.SIGHUP
}

// foreground: our process group is that of the terminal.
func foreground() bool {
	pgrp, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil && pgrp == syscall.Getpgrp()
}

func (c *verifyCmd) report(s *streams, cs *harness.Case, e *engineCommand) error {
	rep := cs.Report()
	rep.Unexpressed = e.command.Unexpressed
	st := style(s.err)
	st.Verbose = c.Verbose
	if err := errors.Join(tellReport(s, rep, c.Report, c.JSON), textReport(s, rep, c.Quiet, st)); err != nil {
		return err
	}
	code := rep.ExitCode()
	if rep.Verdict == harness.Constrained {
		if code = cs.Meta.Workload.ExitCode; cs.Meta.Workload.Signal != 0 {
			code = 128 + cs.Meta.Workload.Signal
		}
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// shellWords quotes a command line.
func shellWords(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; a == "" || strings.ContainsAny(a, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}
