//go:build mutants

package mutants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// Bench launches the cases of one campaign, one at a time. Several benches have
// the same model, but files and names of their own.
type Bench struct {
	Model   *fuzz.Model
	Machine *fuzz.Machine

	dir      string
	runner   *harness.Runner
	answerer *fuzz.Answerer
	files    []*os.File
	others   []*checkpoint.Workload
	scene    Scene
	callers  campaign.Callers
}

var opened atomic.Int32

// Open starts launcher and observer. It matches errors.ErrUnsupported where
// nothing can be observed.
func Open(ctx context.Context) (b *Bench, err error) {
	b = &Bench{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "holdshort-mutants-"); err != nil {
		return b, err
	}
	if err := fuzz.Prepare(b.dir); err != nil {
		return b, err
	}
	m, err := fuzz.Detect(b.dir)
	if err != nil {
		return b, err
	}
	// Benches of one process, too, must have names of their own.
	b.Machine = m
	m.Tag = strconv.FormatInt(int64(os.Getpid())%(36*36*36), 36) + string("abcdefghijklmnopqrstuvwxyz"[opened.Add(1)%26])
	if b.answerer, err = m.Answer(); err != nil {
		return b, err
	}
	if b.Model, err = fuzz.NewModel(m); err != nil {
		return b, err
	}
	for i := range fuzz.MaxPassed {
		f, err := os.Create(filepath.Join(b.dir, "passed"+strconv.Itoa(i)))
		if err != nil {
			return b, err
		}
		b.files = append(b.files, f)
	}
	if b.runner, err = harness.NewRunner(ctx, nil); err != nil {
		return b, err
	}
	if b.runner.ProbesErr != nil {
		return b, fmt.Errorf("%w: cannot verify here: %w", errors.ErrUnsupported, b.runner.ProbesErr)
	}
	cfg := &checkpoint.Config{Args: []string{"/bin/sleep", "100000"}}
	for _, k := range []checkpoint.NamespaceKind{checkpoint.Net, checkpoint.UTS, checkpoint.IPC, checkpoint.Cgroups} {
		cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: k})
	}
	own := *cfg
	own.Namespaces = append(slices.Clone(own.Namespaces), checkpoint.Namespace{Kind: checkpoint.User})
	own.UIDMap = []checkpoint.IDMap{{Count: 1<<32 - 1}}
	own.GIDMap = own.UIDMap
	for _, c := range []*checkpoint.Config{cfg, &own, cfg} {
		w, err := b.runner.Launcher().Start(ctx, c, nil)
		if err != nil {
			return b, err
		}
		b.others = append(b.others, w)
	}
	b.scene.Sibling = b.others[0].HostPID()
	kept, err := os.Open(fmt.Sprintf("/proc/%d/ns/uts", b.others[1].HostPID()))
	if err != nil {
		return b, err
	}
	b.files = append(b.files, kept) // after those that are passed
	b.scene.Kept = fmt.Sprintf("/proc/self/fd/%d", kept.Fd())
	if err := b.others[1].Kill(); err != nil {
		return b, err
	}
	// A bench runs one case at a time, so a pool of one will do.
	pool := fuzz.PooledNet(b.dir)
	if err := os.MkdirAll(filepath.Dir(pool), 0o755); err != nil {
		return b, err
	}
	return b, os.Symlink(fmt.Sprintf("/proc/%d/ns/net", b.others[2].HostPID()), pool)
}

// Close ends launcher and observer, and removes the files.
func (b *Bench) Close() error {
	var errs []error
	for _, w := range b.others {
		errs = append(errs, w.Kill())
		_, _ = w.Wait(context.Background())
	}
	errs = append(errs, b.callers.Close())
	if b.runner != nil {
		errs = append(errs, b.runner.Close())
	}
	if b.answerer != nil {
		errs = append(errs, b.answerer.Close())
	}
	for _, f := range b.files {
		errs = append(errs, f.Close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// launch runs one case with a fault, or without, and says what was found: of
// each field the outcome, what was refused, and why nothing can be said.
func (b *Bench) launch(ctx context.Context, a fuzz.Assignment, seed, index uint64, f *harness.Fault) ([]string, error) {
	asked, launched := b.Model.Build(a, seed, index), b.Model.Build(a, seed, index)
	if err := settle(ctx, asked); err != nil {
		return nil, err
	}
	o := &checkpoint.Options{}
	for i := range min(asked.Ext.PassFDs, fuzz.MaxPassed) {
		o.Files = append(o.Files, checkpoint.PassedFile{Number: 3 + i, File: b.files[i]})
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	runner, wrong, done, err := b.callers.From(ctx, b.runner, b.dir, b.Model.Caller(a))
	if err != nil {
		return nil, err
	}
	defer done()
	runner.Misbehave(f)
	defer runner.Misbehave(nil)
	c, err := runner.Plant(ctx, asked, launched, o)
	if err != nil {
		return nil, err
	}
	var refused *checkpoint.Error
	if errors.As(c.Launch.Err, &refused) && refused.Stage == checkpoint.StageConfig {
		return nil, refused // the fault makes a request of it that nobody could have asked for
	}
	return append(keys(c), wrong...), nil
}

func keys(c *harness.Case) []string {
	if refused, ok := errors.AsType[*checkpoint.Error](c.Launch.Err); ok {
		name := "no errno"
		if e, ok := errors.AsType[unix.Errno](refused); ok {
			name = unix.ErrnoName(e)
		}
		return []string{"refused: " + string(refused.Stage) + ": " + name}
	}
	var out []string
	for i := range c.Checks {
		if ch := &c.Checks[i]; ch.Outcome.Finding() {
			out = append(out, ch.Name()+": "+string(ch.Outcome))
		}
	}
	if c.Verdict == harness.Unknown {
		out = append(out, "unknown: "+string(c.Cause))
	}
	if c.Verdict == harness.Violated && out == nil {
		out = append(out, "violated")
	}
	return out
}

// settle waits until the host's ends of the pairs of an earlier launch of the
// same case are gone, which the kernel takes down after the last process of their
// namespace has ended.
func settle(ctx context.Context, r *request.Request) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for slices.ContainsFunc(r.Ext.Network.Links, func(l request.Link) bool {
		_, err := os.Lstat("/sys/class/net/" + l.Host)
		return l.Host != "" && err == nil
	}) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the devices of the launch before are still there: %w", context.Cause(ctx))
		}
	}
	return nil
}
