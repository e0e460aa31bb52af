package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/holdshort/holdshort/fuzz/caller"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

type callerKey struct{}

// WithCaller says what the launcher's caller is to be in launches with this
// context: names of package caller, none for as we are.
func WithCaller(ctx context.Context, names []string) context.Context {
	if len(names) == 0 {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, names)
}

func callerOf(ctx context.Context) []string {
	names, _ := ctx.Value(callerKey{}).([]string)
	return names
}

// Callers keeps launchers of callers that are not as we are. Each has an agent
// of its own, which takes some milliseconds to start, so those used last are kept.
// The zero value has none.
type Callers struct {
	mu    sync.Mutex
	tick  uint64
	known map[string]*fromCaller
}

// keptCallers is how many agents are kept beside those in use.
const keptCallers = 48

type fromCaller struct {
	ready  chan struct{}
	runner *harness.Runner
	// wrong is what the launcher passes on that it should not, or the reverse,
	// when nothing is asked for: keys of findings.
	wrong []string
	err   error
	uses  int
	last  uint64
}

// from is [Callers.From] for what the context says.
func (b *Bench) from(ctx context.Context) (r *harness.Runner, wrong []string, back func(), err error) {
	return b.callers.From(ctx, b.runner, b.Dir, callerOf(ctx))
}

// From is a runner that launches as a caller with the names, and sees as base
// does; without names it is base itself. wrong is what the launcher passes on
// without being asked and should not, or the reverse: findings of all its
// launches. back has to be called once the runner is not used any more. dir has
// the files of requests.
func (p *Callers) From(ctx context.Context, base *harness.Runner, dir string, names []string) (r *harness.Runner, wrong []string, back func(), err error) {
	if len(names) == 0 {
		return base, nil, func() {}, nil
	}
	names = slices.Sorted(slices.Values(names))
	key := strings.Join(names, "; ")
	p.mu.Lock()
	if p.known == nil {
		p.known = map[string]*fromCaller{}
	}
	f, there := p.known[key]
	if !there {
		f = &fromCaller{ready: make(chan struct{})}
		p.known[key] = f
	}
	p.tick++
	f.uses, f.last = f.uses+1, p.tick
	p.mu.Unlock()
	if !there {
		f.start(context.WithoutCancel(ctx), base, dir, names)
		close(f.ready)
	}
	<-f.ready
	back = func() { p.give(key, f) }
	if f.err != nil {
		back()
		return nil, nil, nil, f.err
	}
	return f.runner, f.wrong, back, nil
}

// give takes a runner back, and ends the one that was not used for longest if
// there are too many.
func (p *Callers) give(key string, f *fromCaller) {
	p.mu.Lock()
	f.uses--
	var ended []*fromCaller
	if f.err != nil && f.uses == 0 && p.known[key] == f {
		delete(p.known, key) // another time it may be possible
	}
	for len(p.known) > keptCallers {
		oldest := ""
		for k, o := range p.known {
			if o.uses == 0 && (oldest == "" || o.last < p.known[oldest].last) {
				oldest = k
			}
		}
		if oldest == "" {
			break // all are in use
		}
		ended = append(ended, p.known[oldest])
		delete(p.known, oldest)
	}
	p.mu.Unlock()
	for _, o := range ended {
		_ = o.close()
	}
}

func (f *fromCaller) close() error {
	if f.runner == nil {
		return nil
	}
	return f.runner.Close()
}

// Close ends them all; none may be in use.
func (p *Callers) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, f := range p.known {
		errs = append(errs, f.close())
	}
	p.known = nil
	return errors.Join(errs...)
}

func (f *fromCaller) start(ctx context.Context, base *harness.Runner, dir string, names []string) {
	l, err := caller.Launcher(ctx, names)
	if err != nil {
		f.err = err
		return
	}
	if f.runner, f.err = base.With(ctx, l); f.err != nil {
		return
	}
	f.wrong, f.err = plain(ctx, f.runner, dir, names)
	if f.err != nil {
		f.err = errors.Join(fmt.Errorf("a launch without any request by a caller with %s: %w", strings.Join(names, ", "), f.err), f.runner.Close())
		f.runner = nil
	}
}

// plain launches what asks for nothing. What the expectation takes from the agent
// is held against what the caller was made: the agent may have changed it.
func plain(ctx context.Context, r *harness.Runner, dir string, names []string) ([]string, error) {
	v := Of(r.Run(ctx, request.New(dir+"/workload"), nil))
	if !v.Judged {
		return nil, errors.Join(fmt.Errorf("not judged: %v", v.Keys), v.Err)
	}
	if len(v.Keys) > 0 {
		return prefixed("caller: ", v.Keys), nil
	}
	if v.Seen == nil {
		return nil, errors.New("not seen")
	}
	return notPassedOn(v.Seen, names), nil
}

// notPassedOn are the fields that are not what the kinds of caller say.
func notPassedOn(p *posture.Posture, names []string) []string {
	var out []string
	for _, name := range names {
		k, _ := caller.Find(name)
		for _, field := range posture.Fields() {
			want, kept := k.Kept[field.Path]
			if !kept || !field.Known(p) {
				continue
			}
			got := field.Format(p)
			if got != want && !(strings.HasPrefix(field.Path, "rlimits.") && strings.HasPrefix(got, want+"/")) {
				out = append(out, fmt.Sprintf("caller: %s: not passed on", field.Path))
			}
		}
	}
	return out
}

func prefixed(with string, keys []string) []string {
	var out []string
	for _, k := range keys {
		out = append(out, with+k)
	}
	return out
}
