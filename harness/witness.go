package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/harness/witness"
	"github.com/holdshort/holdshort/internal/cbpf"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Witness launches req with the witness in place of its program, judges the
// launch like any other, and compares what the witness found out from inside
// with the posture of its first instruction and with what the request implies.
// An answer that disagrees makes the verdict violated; the case then carries
// the answers. Standard output is the witness's own.
func (r *Runner) Witness(ctx context.Context, req *request.Request, opts *checkpoint.Options) (*Case, error) {
	req, _ = r.withCgroup(req, req)
	plan, err := r.witnessPlan(req)
	if err != nil {
		return nil, err
	}
	file, err := witnessFile()
	if err != nil {
		return nil, err
	}
	defer os.Remove(file)
	q, err := r.withProgram(req, file, plan)
	if err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	o := checkpoint.Options{}
	if opts != nil {
		o = *opts
	}
	o.Stdout = in
	written := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(out, 8<<20))
		written <- b
	}()
	begun := monotonic()
	c, err := r.Run(ctx, q, &o)
	in.Close()
	text := <-written
	if err != nil {
		return nil, err
	}
	c.witnessed(plan, text, &witness.Facts{Begun: begun, Ended: monotonic(), Boot: boottime() - monotonic(), MAC: mandatory()})
	return c, nil
}

// witnessPlan asks everything that this request gives an answer to.
func (r *Runner) witnessPlan(req *request.Request) (*witness.Plan, error) {
	cfg, err := engine.Config(req, r.machine.engine())
	if err != nil {
		return nil, err
	}
	var filters [][]cbpf.Instruction
	if cfg.Seccomp != nil {
		p, err := cfg.Seccomp.Compile(seccomp.Options{})
		if err != nil {
			return nil, fmt.Errorf("harness: witness: %w", err)
		}
		filters = append(filters, p.Instructions)
	}
	return witness.NewPlan(slices.Concat(witness.Self(), witness.Powers(), witness.Filtered(filters), witness.Requested(req),
		witness.Landlock(req.Ext.Landlock, r.machine.landlock, sameRoot(req))), filters)
}

// withProgram is a copy of a request with the witness for its program. It is
// executed by descriptor, so that it need not be in the workload's root, unless
// the filter forbids that.
func (r *Runner) withProgram(req *request.Request, path string, plan *witness.Plan) (*request.Request, error) {
	q := *req
	spec, process := *req.Spec, *req.Process()
	process.Args = append([]string{"witness"}, plan.Args()...)
	spec.Process = &process
	q.Spec = &spec
	q.Ext.Path, q.Ext.SearchPath = "", false
	q.Ext.Program = &request.Program{Host: path, Memfd: true}
	if plan.Allows(unix.SYS_EXECVEAT) {
		return &q, nil
	}
	if !sameRoot(req) {
		return nil, fmt.Errorf("harness: the filter forbids execveat(2), and there is no witness in the workload's root: %w", errors.ErrUnsupported)
	}
	q.Ext.Path, q.Ext.Program = path, nil
	return &q, nil
}

// sameRoot reports that the workload has the root and the mounts of this
// process.
func sameRoot(req *request.Request) bool {
	root := req.Spec.Root
	return (root == nil || root.Path == "") && len(req.Spec.Mounts) == 0 && !req.Namespace(specs.MountNamespace).Joined()
}

func witnessFile() (string, error) {
	if witness.ELF() == nil {
		return "", fmt.Errorf("harness: no witness for this architecture: %w", errors.ErrUnsupported)
	}
	f, err := os.CreateTemp("", "holdshort-witness-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(witness.ELF())
	err = errors.Join(err, f.Chmod(0o755), f.Close())
	return f.Name(), err
}

// witnessed takes in what the witness wrote.
func (c *Case) witnessed(plan *witness.Plan, text []byte, f *witness.Facts) {
	for i := range c.snaps {
		if c.snaps[i].At != AtExit {
			f.Posture = c.snaps[i].Posture
		}
	}
	if f.Posture == nil {
		c.doubt(EvidenceLost, "the witness's posture was not seen")
		if c.Verdict == Constrained {
			c.Verdict = Unknown
		}
		return
	}
	var end bool
	if c.Answers, end = plan.Judge(text, f); !end {
		c.doubt(EvidenceLost, "the witness ended before it had answered everything")
		if c.Verdict == Constrained {
			c.Verdict = Unknown
		}
	}
	for _, a := range c.Answers {
		if a.Standing == witness.Disagrees {
			c.Verdict, c.Cause = Violated, NoCause
			c.Findings++
		}
	}
}

// mandatory reports whether a security module is active that may refuse what
// capabilities allow.
func mandatory() bool {
	b, err := os.ReadFile("/sys/kernel/security/lsm")
	for name := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		switch name {
		case "", "capability", "yama", "landlock", "bpf", "lockdown", "safesetid", "loadpin", "integrity", "ima", "evm", "ipe":
		default:
			return true
		}
	}
	return err != nil
}

func boottime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return ts.Nano()
}
