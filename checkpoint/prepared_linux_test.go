package checkpoint_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"golang.org/x/sys/unix"
)

func newLauncher(t *testing.T) *checkpoint.Launcher {
	t.Helper()
	l, err := checkpoint.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestPlanIsShared launches from one plan in every way at the same time, and
// changes some of the workloads, which must not reach the others.
func TestPlanIsShared(t *testing.T) {
	l, ctx := newLauncher(t), context.Background()
	umask := func(n uint32) *checkpoint.Config {
		return &checkpoint.Config{Umask: checkpoint.Some(n)}
	}
	cfg := umask(0o12)
	cfg.Args = []string{"/bin/sh", "-c", "exit $(($(umask)))"}
	p, err := l.Prepare(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ended := func(w *checkpoint.Workload, err error, want int) {
		if err != nil {
			t.Error(err)
			return
		}
		if r, err := w.Wait(ctx); err != nil || r.State != checkpoint.Exited || r.ExitCode != want {
			t.Errorf("%s, %v; want exit status %d", r, err, want)
		}
	}
	for i := range 24 {
		all.Go(func() {
			switch i % 4 {
			case 0:
				w, err := p.Start(ctx)
				ended(w, err, 0o12)
			case 1:
				if r, err := p.Run(ctx); err != nil || r.ExitCode != 0o12 {
					t.Errorf("%s, %v; want exit status %d", r, err, 0o12)
				}
			case 2:
				w, err := p.Spawn(ctx)
				if err == nil {
					err = w.Proceed(ctx)
				}
				ended(w, err, 0o12)
			default:
				w, err := p.Spawn(ctx)
				if err == nil {
					err = errors.Join(w.Apply(ctx, umask(0o7)), w.Proceed(ctx))
				}
				ended(w, err, 0o7)
			}
		})
	}
	all.Wait()
}

// TestPlanWithFiles is of a request that each launch must compile by itself.
func TestPlanWithFiles(t *testing.T) {
	l := newLauncher(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := l.Prepare(&checkpoint.Config{Args: []string{"/bin/echo", "hi"}}, &checkpoint.Options{Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if r, err := p.Run(context.Background()); err != nil || r.ExitCode != 0 {
			t.Fatalf("%s, %v", r, err)
		}
	}
	w.Close()
	if b, _ := io.ReadAll(r); string(b) != strings.Repeat("hi\n", 3) {
		t.Fatalf("wrote %q", b)
	}
}

func TestPlanRefuses(t *testing.T) {
	l := newLauncher(t)
	for name, c := range map[string]*checkpoint.Config{
		"pure":   {},
		"impure": {Root: checkpoint.Root{Path: "relative"}},
	} {
		if _, err := l.Prepare(c, nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v; want EINVAL", name, err)
		}
	}
}
