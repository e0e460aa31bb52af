package probes

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sharedObserver is opened once: opening verifies all programs.
var sharedObserver = sync.OnceValues(func() (*Observer, error) { return Open(context.Background(), nil) })

// observer returns the shared observer, or skips the test with the reason.
func observer(t testing.TB) *Observer {
	t.Helper()
	o, err := sharedObserver()
	skipUnsupported(t, err)
	return o
}

func skipUnsupported(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case isVerifier(err): // which answers EACCES too
		t.Fatal(err)
	case errors.Is(err, ErrNotSupported):
		t.Skipf("needs a kernel with BTF: %v", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		t.Skipf("needs privilege: %v", err)
	default:
		t.Fatal(err)
	}
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a busy machine takes long to verify programs
	t.Cleanup(cancel)
	return ctx
}

func TestObserver_ThreeSnapshotsAgree(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids, err := o.WatchChildrenOf(ctx, os.Getpid(), &WatchOptions{Want: []At{AtCaller, AtReturn, AtFirst, AtExit}})
	if err != nil {
		t.Fatal(err)
	}
	defer kids.Close()
	c := exec.Command("/bin/true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Wait() }()
	w, err := kids.Take(ctx, c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Record(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Complete() || r.Caller == nil || len(r.Snapshots) != 4 {
		t.Fatalf("record is not complete: %+v", r)
	}
	for _, at := range []At{AtReturn, AtFirst} {
		s := r.Snapshot(at)
		if !s.IPIsEntry {
			t.Errorf("%s: ip %#x, entry %#x", at, s.IP, s.Entry)
		}
		if !s.Equal(r.Snapshot(AtExec)) {
			t.Errorf("%s differs from exec", at)
		}
	}
}
