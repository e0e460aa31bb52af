package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Bench is all that launches on this machine need.
type Bench struct {
	Model  *fuzz.Model
	Kernel string
	Dir    string // of the files that requests name
	// Machine is what was found here; callers must not change it.
	Machine *fuzz.Machine
	// Removed is what killed benches had left, and is gone now.
	Removed []string

	// Sabotage launches another request than it is judged by, where it
	// returns one: a planted fault. It is for tests.
	Sabotage func(a fuzz.Assignment, asked *request.Request) *request.Request

	runner   *harness.Runner
	answerer *fuzz.Answerer
	files    []*os.File
	nets     netPool
	callers  Callers
	pending  *pending
	lock     *os.File // of Dir
	host     host

	// mangle is a fault of launcher and expectation alike: what it returns is
	// launched and expected. It is for tests.
	mangle func(*request.Request) *request.Request
	// accept changes a request that must be refused, and afterRefusal leaves
	// something of it; likewise.
	accept       func(*request.Request) *request.Request
	afterRefusal func(index uint64)

	launches   atomic.Uint64
	neighbours atomic.Int32 // containers that are held beside
}

// Open prepares a directory below the given one ("" for the system's temporary
// one), looks at the machine, and starts launcher and observer. Dimensions in
// without are left out. It matches errors.ErrUnsupported if nothing can be
// observed here.
func Open(ctx context.Context, dir string, freeze bool, without ...string) (b *Bench, err error) {
	b = &Bench{pending: newPending()}
	defer func() {
		if err != nil {
			b.Close()
			b = nil
		}
	}()
	if dir == "" {
		dir = os.TempDir()
	}
	if b.Removed, err = RemoveLeftovers(dir); err != nil {
		return b, fmt.Errorf("what a killed run has left cannot be removed: %w", err)
	}
	if b.Dir, err = os.MkdirTemp(dir, dirPrefix); err != nil {
		return b, fmt.Errorf("%w: TMPDIR says where the files of the cases go", err)
	}
	if err := fuzz.Prepare(b.Dir); err != nil {
		return b, err
	}
	m, err := fuzz.Detect(b.Dir)
	if err != nil {
		return b, err
	}
	if b.lock, err = own(b.Dir, m.Tag); err != nil {
		return b, err
	}
	for _, name := range without {
		if !fuzz.Known(name) {
			return b, fmt.Errorf("no parameter %q: fuzz --list-parameters shows them", name)
		}
	}
	m.Without, b.Machine = without, m
	if b.answerer, err = m.Answer(); err != nil {
		return b, err
	}
	if b.Model, err = fuzz.NewModel(m); err != nil {
		return b, err
	}
	for i := range fuzz.MaxPassed {
		f, err := os.Create(filepath.Join(b.Dir, "passed"+strconv.Itoa(i)))
		if err != nil {
			return b, err
		}
		b.files = append(b.files, f)
	}
	if b.host, err = hostNamespaces(); err != nil {
		return b, err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return b, err
	}
	b.Kernel = unix.ByteSliceToString(u.Release[:])
	if b.runner, err = harness.NewRunner(ctx, &harness.RunnerOptions{Freeze: freeze}); err != nil {
		return b, err
	}
	if b.runner.ProbesErr != nil {
		return b, fmt.Errorf("%w: cannot verify here: %w", errors.ErrUnsupported, b.runner.ProbesErr)
	}
	return b, nil
}

// Close ends launcher and observer, and removes the directory.
func (b *Bench) Close() error {
	var errs []error
	errs = append(errs, b.callers.Close())
	if b.runner != nil {
		errs = append(errs, b.runner.Close())
	}
	b.nets.close()
	if b.answerer != nil {
		errs = append(errs, b.answerer.Close())
	}
	for _, f := range b.files {
		f.Close()
	}
	if b.Dir != "" {
		errs = append(errs, os.RemoveAll(b.Dir))
	}
	if b.lock != nil {
		b.lock.Close()
	}
	b.runner, b.answerer, b.files, b.Dir = nil, nil, nil, ""
	return errors.Join(errs...)
}

// Run launches and judges one request. [WithCaller] says for whom.
func (b *Bench) Run(ctx context.Context, asked, launched *request.Request) *Verdict {
	if b.mangle != nil {
		if r := b.mangle(asked); r != nil {
			asked, launched = r, r
		}
	}
	o := &checkpoint.Options{Files: b.passed(launched)}
	if launched.Namespace(specs.NetworkNamespace).Fresh() {
		b.pending.wait(ctx)
	}
	asked, launched = b.ownKeyring(asked, launched)
	both, back, err := b.nets.lend(b.Dir, asked, launched)
	if err != nil {
		return Of(nil, err)
	}
	v := b.plant(ctx, both[0], both[1], o)
	for _, what := range back() {
		v.Keys = append(v.Keys, "residue: pooled network namespace: "+what)
	}
	return v
}

func (b *Bench) plant(ctx context.Context, asked, launched *request.Request, o *checkpoint.Options) *Verdict {
	runner, wrong, done, err := b.from(ctx)
	if err != nil {
		return Of(nil, err)
	}
	defer done()
	v := Of(runner.Plant(ctx, asked, launched, o))
	v.Keys = append(v.Keys, wrong...)
	return v
}

// ownKeyring gives a named keyring another name in each launch. Names are those of
// the whole machine, and the kernel collects a keyring that nobody uses any more on
// its own time (security/keys/gc.c): a second launch would be refused or get the
// first one's, with the permissions that this has.
func (b *Bench) ownKeyring(asked, launched *request.Request) (a, l *request.Request) {
	if asked.Ext.Keyring == nil && launched.Ext.Keyring == nil {
		return asked, launched
	}
	suffix := "-" + strconv.FormatUint(b.launches.Add(1), 36)
	named := func(r *request.Request) *request.Request {
		if r.Ext.Keyring == nil {
			return r
		}
		c, k := *r, *r.Ext.Keyring
		k.Name += suffix
		c.Ext.Keyring = &k
		return &c
	}
	if a = named(asked); asked == launched {
		return a, a
	}
	return a, named(launched)
}

// Signature is [Campaign].Signature.
func (b *Bench) Signature(p *posture.Posture) map[string]string { return b.host.signature(p) }

func (b *Bench) passed(r *request.Request) (files []checkpoint.PassedFile) {
	for i := range min(r.Ext.PassFDs, len(b.files)) {
		files = append(files, checkpoint.PassedFile{Number: 3 + i, File: b.files[i]})
	}
	return files
}

// Launch is [Campaign.Launch].
func (b *Bench) Launch(ctx context.Context, a fuzz.Assignment, r *request.Request) *Verdict {
	launched := r
	if b.Sabotage != nil {
		if l := b.Sabotage(a, r); l != nil {
			launched = l
		}
	}
	return b.Run(ctx, r, launched)
}
