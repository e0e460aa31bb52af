package probes

import (
	"errors"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Every exec of a family stops, wherever in it, and is told once.
func TestNextFrozen_WholeFamily(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, &WatchOptions{Descendants: true, Exec: AllExecs, Freeze: true})
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "/bin/true; (exec /bin/echo x) >/dev/null; exec /bin/true y")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := kids.Take(ctx, cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	var comms []string
	for {
		f, err := w.NextFrozen(ctx)
		if errors.Is(err, unix.ESRCH) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Now()
		if err != nil {
			t.Fatal(err)
		}
		if r.Passed() {
			t.Error("it ran before it was let go")
		}
		c, _ := r.Snapshot(AtExec).Posture().Exec.Comm.Get()
		comms = append(comms, c)
		if f.PID() != cmd.Process.Pid && !f.DescendsFrom(w) {
			t.Errorf("%s does not descend from the root", c)
		}
		_ = unix.Kill(f.PID(), unix.SIGCONT)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if want := []string{"sh", "true", "echo", "true"}; !slices.Equal(comms, want) {
		t.Errorf("stopped %v; want %v", comms, want)
	}
}

// A process that only forked is forgotten; who descends from it is not.
func TestDescendants_BeyondTheForgotten(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	kids := children(ctx, t, o, &WatchOptions{Descendants: true, Exec: AllExecs})
	// The outer subshell goes on after its child, so it forks; a hundred more
	// push it out of what is kept.
	const script = `( ( /bin/echo x & wait ) >/dev/null & wait ) ; i=0; while [ $i -lt 100 ]; do ( : ); i=$((i+1)); done`
	w, _ := run(ctx, t, kids, "/bin/sh", "-c", script)
	found := slices.ContainsFunc(w.Descendants(), func(d *Watch) bool {
		r, err := d.Now()
		return err == nil && r.Snapshot(AtExec) != nil
	})
	if !found {
		t.Error("the program is not among the descendants")
	}
}

// What was sealed has nothing more to end: the next watch of the same parent is
// another's.
func TestSeal_CloseLeavesTheNextWatch(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	first := children(ctx, t, o, nil)
	if err := first.Seal(); err != nil {
		t.Fatal(err)
	}
	second := children(ctx, t, o, nil)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if w, _ := run(ctx, t, second, "/bin/true"); w == nil {
		t.Error("not seen")
	}
}
