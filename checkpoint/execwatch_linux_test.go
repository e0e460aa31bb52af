package checkpoint_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
)

// Of many that are parked, only the first have the exec pipe from the start.
// For the others too, Proceed returns once the program runs.
func TestExecPipe_OfMany(t *testing.T) {
	const many = 80 // more than have it from the start
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all := make([]*checkpoint.Workload, many)
	for i := range all {
		if all[i], err = l.Spawn(ctx, &checkpoint.Config{Args: []string{"/bin/sleep", "1000"}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := pipes(t, all[0].HostPID()); n == 0 {
		t.Errorf("the first has no pipe")
	}
	last := all[many-1]
	if n := pipes(t, last.HostPID()); n != 0 {
		t.Errorf("the last has %d pipes while it is parked; want none", n)
	}
	for _, w := range all {
		if err := w.Proceed(ctx); err != nil {
			t.Fatal(err)
		}
		if s := w.Info().State; s != checkpoint.Running {
			t.Fatalf("%s after Proceed", s)
		}
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", last.HostPID())); err != nil || strings.Contains(exe, "holdshort") {
		t.Errorf("%q runs, %v", exe, err)
	}
	if n := pipes(t, last.HostPID()); n != 0 {
		t.Errorf("the program got %d pipes", n)
	}
	for _, w := range all {
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		if r, err := w.Wait(ctx); err != nil || r.State != checkpoint.Signaled || !r.Ran {
			t.Fatalf("%s, %v", r, err)
		}
	}
}

// pipes counts the descriptors of pid that are pipes, and that the test was not
// started with.
func pipes(t *testing.T, pid int) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range list {
		if len(e.Name()) == 1 && e.Name() <= "2" {
			continue
		}
		if to, err := os.Readlink(dir + e.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}
