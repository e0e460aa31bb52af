package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

type runCmd struct {
	Bundle string `help:"OCI bundle: a directory with config.json." placeholder:"DIR" xor:"source"`
	Config string `help:"OCI config.json, with our extension under \"holdshort\"; - is standard input." placeholder:"FILE" xor:"source"`
	Strict bool   `help:"Refuse fields that we do not know (default with flags only)." default:"true" negatable:""`

	requestFlags `group:""`

	FD       []int         `help:"Pass this open descriptor at its own number." placeholder:"N" group:"Process"`
	TTY      bool          `short:"t" help:"Give the workload a pseudo-terminal." group:"Process"`
	Timeout  time.Duration `help:"Kill the workload after this long." placeholder:"DURATION" group:"Process"`
	Freeze   bool          `help:"Hold the workload at its first instruction and read everything a second time from /proc there."`
	NoVerify bool          `help:"Launch without probes; the verdict is then unknown."`
	Confirm  bool          `help:"Open further hooks of the kernel, where it has them, that must agree with the snapshots (see doctor)."`
	Drift    bool          `help:"Listen to who changes the workload while it runs; what others change is a finding."`
	Plan     bool          `help:"Report every step of the launch, from clone3 to execve."`
	Witness  bool          `help:"Launch our witness in place of a program: it tries from inside what it can and cannot do."`
	Quiet    bool          `short:"q" help:"No report for people."`
	Report   string        `help:"Write the report as JSON to a file." placeholder:"FILE" type:"path"`
	JSON     bool          `name:"json" help:"Print the report as JSON on stdout; the workload's stdout goes to stderr."`
	Print    bool          `help:"Print the request as config.json and end, launching nothing."`

	Args []string `arg:"" optional:"" passthrough:"partial" help:"Program and arguments, after --." name:"cmd"`
}

// Help is the long text of "run --help".
func (runCmd) Help() string {
	return `The workload is described by flags, by an OCI bundle or by a config.json. It owns stdin, stdout and stderr; the report goes to stderr once it has ended.

Nothing is inherited that was not asked for: the environment is empty but for -e, descriptors but 0, 1 and 2 are closed, signal dispositions and mask are reset.

Examples:
  holdshort run -- /bin/true
  holdshort run --ns user,mnt,pid,net,uts,ipc,cgroup,time --cap-drop ALL -- /bin/true
  holdshort run --seccomp default --no-new-privs --rlimit nofile=64 -- /bin/sh -c 'ulimit -n'
  holdshort run --witness --ns user,mnt,pid,net --cap-drop ALL
  holdshort run --bundle /path/to/bundle --json`
}

func (c *runCmd) Run(ctx context.Context, s *streams) error {
	req, err := c.load()
	if err != nil {
		return usage(err)
	}
	if c.Print {
		b, err := json.MarshalIndent(req, "", "\t")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, string(b))
		return err
	}
	opts, done, err := c.options(req)
	if err != nil {
		return usage(err)
	}
	defer done()
	r, err := harness.NewRunner(context.WithoutCancel(ctx), &harness.RunnerOptions{Unobserved: c.NoVerify, Freeze: c.Freeze, Drift: c.Drift, Confirm: c.Confirm, Plan: c.Plan})
	if err != nil {
		return err
	}
	defer r.Close()
	// Of the workload, not of our own preparations.
	opts.Timeouts = checkpoint.Timeouts{Spawn: c.Timeout, Exec: c.Timeout, Run: c.Timeout}
	run := r.Run
	if c.Witness {
		run = r.Witness
	}
	cs, err := run(ctx, req, opts)
	if err != nil {
		return classify(err)
	}
	done()
	return c.report(s, cs)
}

// classify gives an error of a launch that never was its exit status.
func classify(err error) error {
	var e *checkpoint.Error
	switch {
	case errors.As(err, &e) && e.Stage == checkpoint.StageConfig, errors.As(err, &e) && e.Stage == checkpoint.StageExec:
		return usage(err) // the request, or the program that it names
	case errors.As(err, &e) && e.Stage == checkpoint.StageSeccomp && !e.Child:
		return usage(err) // the policy does not compile
	}
	if harness.Unsupported(err) {
		return &exit{harness.ExitUnsupported, err}
	}
	return err
}

func (c *runCmd) load() (*request.Request, error) {
	if c.Bundle == "" && c.Config == "" {
		c.Args = program(c.Args)
		if c.Witness && len(c.Args) == 0 {
			c.Args = []string{"witness"}
		}
		if len(c.Args) == 0 {
			return nil, errors.New("no program: name it after --, or use --bundle or --config")
		}
		req, err := c.requestFlags.request(c.Args)
		if err != nil {
			return nil, err
		}
		return req, req.Validate()
	}
	return readRequest(c.Bundle, c.Config, c.Strict, c.Args)
}

// options connects the workload to our own descriptors.
func (c *runCmd) options(req *request.Request) (*checkpoint.Options, func(), error) {
	o := &checkpoint.Options{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Times: c.Report != "" || c.JSON}
	if c.JSON {
		o.Stdout = os.Stderr
	}
	for i, f := range []**os.File{&o.Stdin, &o.Stdout, &o.Stderr} {
		if _, err := unix.FcntlInt(uintptr(i), unix.F_GETFD, 0); err != nil {
			*f = nil // closed: the workload gets /dev/null
		}
	}
	for _, n := range c.FD {
		flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
		if err != nil || n < 3 || flags&unix.FD_CLOEXEC != 0 {
			return nil, nil, fmt.Errorf("--fd %d: not an open descriptor that was passed to us", n)
		}
		o.Files = append(o.Files, checkpoint.PassedFile{Number: n, File: os.NewFile(uintptr(n), "fd "+strconv.Itoa(n))})
	}
	done := func() {}
	if c.TTY || req.Process().Terminal {
		p := req.Spec.Process
		t, err := openTerminal(o, p.ConsoleSize)
		if err != nil {
			return nil, nil, err
		}
		if !t.ours && !c.TTY && !c.Quiet {
			fmt.Fprintf(os.Stderr, "holdshort: process.terminal: our standard input is no terminal, so the workload gets a new one of %d rows and %d columns"+
				" with our input and output behind it; for plain pipes set \"terminal\": false, and to type to it start holdshort on a terminal\n", t.rows, t.cols)
		}
		p.Terminal = true
		if p.ConsoleSize == nil {
			p.ConsoleSize = &specs.Box{Height: uint(t.rows), Width: uint(t.cols)}
		}
		done = t.close
	}
	return o, done, nil
}

func (c *runCmd) report(s *streams, cs *harness.Case) error {
	rep := cs.Report()
	err := tellReport(s, rep, c.Report, c.JSON)
	launchErr := cs.Launch.Err
	if launchErr != nil && cs.Launch.State == checkpoint.Failed {
		if err != nil {
			fmt.Fprintln(s.err, "holdshort:", err)
		}
		return classify(launchErr)
	}
	if cs.Launch.Timeout != nil {
		fmt.Fprintln(s.err, "holdshort:", cs.Launch)
	}
	if err := errors.Join(err, textReport(s, rep, c.Quiet, style(s.err))); err != nil {
		return err
	}
	code := rep.ExitCode()
	if rep.Verdict == harness.Constrained || c.NoVerify && rep.Verdict == harness.Unknown {
		code = cs.Launch.ExitCode
		if cs.Launch.State == checkpoint.Signaled {
			code = 128 + int(cs.Launch.Signal)
		}
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// tellReport writes a report for programs: to a file, if one is named, and to
// stdout.
func tellReport(s *streams, rep *harness.Report, file string, asJSON bool) error {
	var errs []error
	if file != "" {
		errs = append(errs, writeReport(file, rep))
	}
	if asJSON {
		b, err := json.Marshal(rep)
		if err == nil {
			_, err = fmt.Fprintln(s.out, string(b))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// textReport writes one for people, to stderr.
func textReport(s *streams, rep *harness.Report, quiet bool, st harness.Style) error {
	if quiet {
		return nil
	}
	return rep.Text(s.err, st)
}

// writeReport replaces the file as a whole, so that no half of one is ever seen.
func writeReport(path string, rep *harness.Report) error {
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".holdshort-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// style is colour and width for a terminal, neither for a pipe.
func style(w io.Writer) harness.Style {
	f, ok := w.(*os.File)
	if !ok {
		return harness.Style{}
	}
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return harness.Style{}
	}
	return harness.Style{Color: os.Getenv("NO_COLOR") == "" && !strings.HasPrefix(os.Getenv("TERM"), "dumb"), Width: int(ws.Col)}
}
