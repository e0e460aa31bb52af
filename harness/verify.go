package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
)

// Verifier judges workloads that other engines start: any command that ends up
// executing the program of a request. Its methods may be called from several
// goroutines.
type Verifier struct {
	observer *probes.Observer
	children *probes.Children
	release  func()
	machine  *machine
}

// NewVerifier opens the observer and watches every process that this process
// starts from now on, with all that descend from it. It fails where the observer
// cannot be opened: see [probes.Open]. The caller closes the Verifier.
func NewVerifier(ctx context.Context, opts *probes.Options) (*Verifier, error) {
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	o, err := probes.Open(ctx, opts)
	if err != nil {
		return nil, err
	}
	c, err := o.WatchChildrenOf(ctx, os.Getpid(), &probes.WatchOptions{
		Want: []probes.At{probes.AtReturn, probes.AtFirst, probes.AtExit}, Exec: probes.AllExecs, Descendants: true,
	})
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return &Verifier{observer: o, children: c, release: o.KeepAttached(), machine: m}, nil
}

// Close ends the observation.
func (v *Verifier) Close() error {
	v.release()
	return errors.Join(v.children.Close(), v.observer.Close())
}

// Verify runs an engine's command, which shall start the program of req, waits
// until it has ended, and judges every execution of that program among its
// descendants: the one that is worst decides, and the report says how many there
// were. The engine's own posture when it began stands for the caller's, with
// which what was not asked for is compared.
//
// What no posture shows (mounts, sysctls, limits of cgroups) has no evidence
// here, and makes the verdict unknown if it was asked for. So does a program
// that was never seen, and one that outlives the engine.
//
// If ctx ends first the command is killed, as [exec.CommandContext] does if cmd
// was made by it.
func (v *Verifier) Verify(ctx context.Context, req *request.Request, cmd *exec.Cmd) (*Case, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	begun := monotonic()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("harness: start the engine: %w", err)
	}
	w, err := v.children.Take(ctx, cmd.Process.Pid)
	ended := cmd.Wait()
	if err != nil {
		return nil, errors.Join(err, ended)
	}
	defer w.Close()
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	first, err := w.Final(short)
	if err != nil {
		return nil, err
	}
	e := &engineRun{v: v, req: req, begun: begun, status: ended}
	e.caller = postureAt(first, probes.AtExec)
	e.what()
	e.take(first)
	for _, d := range w.Descendants() {
		rec, err := d.Final(short)
		_ = d.Close()
		if err != nil && rec == nil {
			return nil, err
		}
		e.take(rec)
	}
	return e.judge(cmd), nil
}

// engineRun is one Verify.
type engineRun struct {
	v      *Verifier
	req    *request.Request
	begun  int64
	status error
	caller *posture.Posture
	lost   uint64
	args   []string
	script []string // nil if it is none
	exe    posture.Value[posture.Inode]
	found  []execution
	alike  []execution // of the same file, with other arguments
}

// execution is one exec of the program that was asked for.
type execution struct {
	rec *probes.Record
	n   int // which exec of its process
}

func postureAt(rec *probes.Record, at probes.At) *posture.Posture {
	for i := range rec.Snapshots {
		if rec.Snapshots[i].At == at {
			return rec.Snapshots[i].Posture()
		}
	}
	return &posture.Posture{}
}

// take looks through the executions of one process.
func (e *engineRun) take(rec *probes.Record) {
	e.lost += rec.Lost
	for i := range rec.Snapshots {
		s := &rec.Snapshots[i]
		if s.At != probes.AtExec {
			continue
		}
		p := s.Posture()
		if args, ok := p.Exec.Args.Get(); ok && (slices.Equal(args, e.args) || slices.Equal(args, e.script)) {
			e.found = append(e.found, execution{rec, s.Exec})
		} else if exe, ok := p.Exec.Exe.Get(); ok && posture.Known(exe) == e.exe {
			e.alike = append(e.alike, execution{rec, s.Exec})
		}
	}
}

// what is the program to look for: by its arguments, or those that execve makes
// of a script's, and if none has them by the file.
func (e *engineRun) what() {
	l := e.launch()
	_ = l.foresee()
	e.args, e.exe = e.req.Process().Args, l.facts.Exe
	if i := l.prog.Interpreter; i != nil {
		e.script = slices.Concat(i, []string{l.prog.Path}, e.args[1:])
	}
}

// judge has the worst execution decide.
func (e *engineRun) judge(cmd *exec.Cmd) *Case {
	var worst *Case
	if len(e.found) == 0 && e.exe.IsKnown() {
		e.found = e.alike
	}
	for _, x := range e.found {
		c := e.one(x)
		if worst == nil || rank(c.Verdict) > rank(worst.Verdict) || c.Verdict == worst.Verdict && c.Findings > worst.Findings {
			worst = c
		}
	}
	if worst == nil {
		exp := oracle.Expect(e.req, e.caller, e.v.machine.features(e.launch())).With(&oracle.Facts{})
		worst = &Case{Result: Judge(exp, nil, nil, e.lost), Meta: e.meta()}
		worst.Reasons = append([]string{fmt.Sprintf("no execution of %q was seen among the descendants of %s (%s)", e.req.Process().Args, cmd.Args[0], cmd.ProcessState)}, worst.Reasons...)
	}
	worst.Meta.Executions = len(e.found)
	worst.Meta.Workload.ExitCode = cmd.ProcessState.ExitCode()
	return worst
}

func rank(v Verdict) int { return slices.Index([]Verdict{Constrained, Unknown, Violated}, v) }

func (e *engineRun) meta() Meta {
	return Meta{Kernel: e.v.machine.release, Engine: "other", Workload: Workload{Argv: e.req.Process().Args}}
}

// launch is what the native engine would make of the request, as far as it
// goes: for what files and namespaces are meant.
func (e *engineRun) launch() *launch {
	// Which cgroup it is that the engine takes is not known, and not asked here.
	cfg, err := engine.Config(engine.WithCgroup(e.req, &e.v.machine.host, "/any"), e.v.machine.engine())
	if err != nil {
		p := e.req.Process()
		cfg = &checkpoint.Config{Args: p.Args, Env: p.Env, Cwd: p.Cwd}
		if root := e.req.Spec.Root; root != nil {
			cfg.Root.Path = root.Path
		}
	}
	return &launch{
		r: &Runner{machine: e.v.machine, observer: e.v.observer}, req: e.req, cfg: cfg, begun: e.begun, meta: e.meta(),
	}
}

func (e *engineRun) one(x execution) *Case {
	l := e.launch()
	reason := l.foresee()
	// The identity of the engine's own descriptors is not known here, and the
	// cgroups that it made are gone.
	l.facts.Files = []posture.File{{FD: 0}, {FD: 1}, {FD: 2}}
	for i := range e.req.Ext.PassFDs {
		l.facts.Files = append(l.facts.Files, posture.File{FD: int32(3 + i)})
	}
	l.facts.PID = posture.Known(uint32(x.rec.TGID))
	l.facts.Parent = posture.Known(uint32(x.rec.Parent))
	// A C library lets nobody reset its own two signals, 32 and 33, so what an
	// engine was started with it passes on; GNU make ignores them.
	ignored, _ := e.caller.Signals.Ignored.Get()
	l.facts.Ignorable = ignored & (3 << 31)
	snaps, lost := l.snapshots(only(x.rec, x.n))
	l.meta.Workload.HostPID, l.meta.Workload.PID = x.rec.PID, insidePID(snaps)
	features := e.v.machine.features(l)
	exp := oracle.Expect(e.req, e.caller, features).With(&l.facts)
	c := &Case{Result: Judge(exp, snaps, nil, lost+e.lost), Meta: l.meta}
	c.ConfirmedBy = x.rec.ConfirmedBy(x.n)
	if !x.rec.Ended && c.Verdict == Constrained {
		c.Verdict = Unknown
		c.doubt(EvidenceLost, "the program outlives its engine")
	}
	if reason != nil {
		c.Reasons = append(c.Reasons, reason.Error())
	}
	return c
}

// only is the part of a record that is about one exec.
func only(rec *probes.Record, n int) *probes.Record {
	r := *rec
	r.Snapshots, r.Missing = nil, nil
	for i := range rec.Snapshots {
		if s := &rec.Snapshots[i]; s.Exec == n {
			r.Snapshots = append(r.Snapshots, *s)
		}
	}
	for _, m := range rec.Missing {
		if m.Exec == n {
			r.Missing = append(r.Missing, m)
		}
	}
	return &r
}
