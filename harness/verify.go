package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
	"golang.org/x/sys/unix"
)

// VerifierOptions are the settings of a [Verifier]; the zero value is a good
// choice.
type VerifierOptions struct {
	// Freeze stops every program that an engine executes at its entry point,
	// for as long as it takes to see that it is not the workload, and the
	// workload until it was read there a second time, from /proc, with what no
	// posture shows: mounts, masks, sysctls, devices, limits of cgroups. Its
	// parent, the engine, may be told of the stop. It takes CAP_SYS_PTRACE.
	//
	// Precondition: this process starts nothing else at the very moment at
	// which an engine is started: it would be stopped, too.
	Freeze bool
	// Probes are the observer's settings; nil is a good choice.
	Probes *probes.Options
}

// Verifier judges workloads that other engines start: any command that ends up
// executing the program of a request. Its methods may be called from several
// goroutines.
type Verifier struct {
	observer *probes.Observer
	births   sync.Mutex // one engine is born at a time
	release  func()
	machine  *machine
	proc     *procfs.Reader // nil unless workloads are frozen
}

// watchAll is how the processes of an engine are watched.
func watchAll(freeze bool) *probes.WatchOptions {
	return &probes.WatchOptions{
		Want: []probes.At{probes.AtCaller, probes.AtReturn, probes.AtFirst, probes.AtExit}, Exec: probes.AllExecs, Descendants: true, Freeze: freeze,
	}
}

// NewVerifier opens the observer. It fails where the observer
// cannot be opened: see [probes.Open]. The caller closes the Verifier.
func NewVerifier(ctx context.Context, opts *VerifierOptions) (*Verifier, error) {
	v, err := openVerifier(ctx, opts)
	if err != nil {
		return nil, err
	}
	v.release = v.observer.KeepAttached()
	return v, nil
}

// openVerifier opens the observer, and watches nobody.
func openVerifier(ctx context.Context, opts *VerifierOptions) (*Verifier, error) {
	if opts == nil {
		opts = &VerifierOptions{}
	}
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	v := &Verifier{machine: m, release: func() {}}
	if opts.Freeze {
		if v.proc, err = procfs.New(); err != nil {
			return nil, err
		}
	}
	if v.observer, err = probes.Open(ctx, opts.Probes); err != nil {
		return nil, err
	}
	return v, nil
}

// Close ends the observation.
func (v *Verifier) Close() error {
	v.release()
	return v.observer.Close()
}

// VerifyOptions say more about one engine's command.
type VerifyOptions struct {
	// Engine is its name in the report; empty is "other".
	Engine string
	// Profile says what the engine documents; nil is an engine of which only
	// the runtime-spec is known.
	Profile *oracle.Profile
	// Binary is the engine's own file, where the command begins with another
	// program that starts it. The caller's posture is then that in which this
	// file is first executed.
	Binary string
	// PID is the engine's own word on which process the workload is or, with
	// Below, descends from. It is asked when the first candidate is seen and
	// again when the engine has ended. An error means that the engine has not
	// said yet; then it is told by what is executed.
	PID   func() (int, error)
	Below bool
	// Clean makes it a finding (inherited) if the workload has something from
	// the engine's caller that a fresh process has not, though nobody asked
	// for either: a nice value, an affinity, a score for the OOM killer.
	Clean bool
	// Started is told the engine's process once it runs. It may be nil.
	Started func(*os.Process)
	// Decide is asked, of a frozen workload, whether it may go on; if not it
	// is killed before its first instruction. Nil lets all go on.
	Decide func(*Case) bool
	// Undecided is asked in place of Decide if a workload that stopped could
	// not be read. Nil lets it go on.
	Undecided func(error) bool
}

// Verify is VerifyWith for an engine of which nothing is known.
func (v *Verifier) Verify(ctx context.Context, req *request.Request, cmd *exec.Cmd) (*Case, error) {
	return v.VerifyWith(ctx, req, cmd, nil)
}

// VerifyWith runs an engine's command, which shall start the program of req,
// waits until it has ended, and judges every execution of that program among its
// descendants: the one that is worst decides, and the report says how many there
// were. The engine's own posture when it began stands for the caller's, with
// which what was not asked for is compared.
//
// Without [VerifierOptions].Freeze, what no posture shows (mounts, sysctls,
// limits of cgroups) has no evidence, and makes the verdict unknown if it was
// asked for. So does a program that was never seen, and one that outlives the
// engine.
//
// If ctx ends first the command is killed, as [exec.CommandContext] does if cmd
// was made by it.
func (v *Verifier) VerifyWith(ctx context.Context, req *request.Request, cmd *exec.Cmd, opts *VerifyOptions) (*Case, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	e := v.engineRun(req, opts)
	w, end, err := v.start(ctx, cmd)
	if err != nil {
		return nil, err
	}
	defer end()
	if e.opts.Started != nil {
		e.opts.Started(cmd.Process)
	}
	stop := e.holdAll(ctx, w)
	ended(cmd.Process.Pid)
	_ = cmd.Wait()
	stop()
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := e.collect(short, w); err != nil {
		return nil, err
	}
	c := e.judge(cmd.Args[0] + " (" + cmd.ProcessState.String() + ")")
	c.Meta.Workload.ExitCode = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(interface{ Signaled() bool }); ok && ws.Signaled() {
		c.Meta.Workload.Signal = signalOf(cmd.ProcessState)
	}
	return c, nil
}

// start starts an engine that is watched from its birth.
func (v *Verifier) start(ctx context.Context, cmd *exec.Cmd) (*probes.Watch, func(), error) {
	v.births.Lock()
	defer v.births.Unlock()
	kids, err := v.observer.WatchChildrenOf(ctx, os.Getpid(), watchAll(v.proc != nil))
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*probes.Watch, func(), error) {
		return nil, nil, errors.Join(err, kids.Close())
	}
	// With a frozen engine Start still returns: its exec is over by then.
	if err := cmd.Start(); err != nil {
		return fail(fmt.Errorf("harness: start the engine: %w", err))
	}
	w, err := kids.Take(ctx, cmd.Process.Pid)
	if err == nil {
		err = kids.Seal()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return fail(errors.Join(err, cmd.Wait()))
	}
	return w, func() { w.Close(); kids.Close() }, nil
}

// ended waits until a child has ended, and reaps nothing. A child that is traced
// while it is read has its stops reported to whichever thread waits for it
// (wait_consider_task, kernel/exit.c), and package os takes any report for the
// end. A pidfd becomes readable at the end alone.
func ended(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(p, -1); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// collect takes the records of the engine and of all that descend from it.
func (e *engineRun) collect(ctx context.Context, w *probes.Watch) error {
	all, err := family(w, func(d *probes.Watch) (*probes.Record, error) {
		if d == w {
			return d.Final(ctx)
		}
		// One that goes on after its engine is looked at as far as it came.
		rec, err := d.Now()
		if err == nil && !rec.Ended && e.program(rec) {
			rec, err = d.Final(ctx)
		}
		if rec != nil {
			err = nil
		}
		return rec, err
	})
	e.records = append(e.records, all...)
	return err
}

// family reads a process and then, as they are by that time, all that descend
// from it. One of which there is neither a record nor an error is left out.
func family(root *probes.Watch, read func(*probes.Watch) (*probes.Record, error)) ([]observed, error) {
	var out []observed
	add := func(w *probes.Watch) error {
		rec, err := read(w)
		if err == nil && rec != nil {
			out = append(out, observed{w, rec})
		}
		return err
	}
	if err := add(root); err != nil {
		return out, err
	}
	for _, d := range root.Descendants() {
		if err := add(d); err != nil {
			return out, err
		}
	}
	return out, nil
}

// observed is a process and what was observed of it.
type observed struct {
	watch *probes.Watch
	rec   *probes.Record
}

// postureAt is the first posture of a kind, nil if there is none.
func postureAt(rec *probes.Record, at probes.At) *posture.Posture {
	for i := range rec.Snapshots {
		if rec.Snapshots[i].At == at {
			return rec.Snapshots[i].Posture()
		}
	}
	return nil
}
