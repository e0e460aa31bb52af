package checkpoint

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// 10: a command that raced the child's death was answered with "agent died"
// instead of what became of the child.
func TestDefect10_RaceWithDeathTellsTheTruth(t *testing.T) {
	l := newLauncher(t)
	for range 100 {
		w := spawn(t, l, Config{}, nil)
		killed := make(chan error, 1)
		go func() { killed <- unix.Kill(w.HostPID(), unix.SIGKILL) }()
		err := w.Proceed(bg)
		if e := <-killed; e != nil {
			t.Fatal(e)
		}
		r := result(t, w)
		if errors.Is(err, ErrAgentDied) || r.State != Signaled || r.Signal != unix.SIGKILL {
			t.Fatalf("proceed said %v, the result is %+v", err, r)
		}
		if err != nil && !strings.Contains(err.Error(), "SIGKILL") {
			t.Fatalf("proceed said %v; want what killed the child", err)
		}
	}
}

// 15: the child was charged to the agent's cgroup before it was moved.
func TestDefect15_BornInItsCgroup(t *testing.T) {
	dir := testCgroup()
	if dir == "" {
		t.Skip("needs root and a version 2 cgroup hierarchy")
	}
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/sleep", "1000"}, Cgroup: Cgroup{V2: dir, Create: true}}
	p, err := compile(&cfg, &Options{}, l.env, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	for _, s := range slices.Concat(p.agent.steps, p.setup.steps) {
		if s.stage == StageCgroup {
			t.Errorf("the child is moved after its birth: %+v", s)
		}
	}
	if p.cgroupFD < 0 {
		t.Error("clone is not given the cgroup")
	}
	w := spawn(t, l, cfg, nil)
	b, err := os.ReadFile("/proc/" + itoa(w.HostPID()) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if want := "0::" + dir[strings.LastIndexByte(dir, '/'):] + "\n"; !strings.Contains(string(b), want) {
		t.Errorf("cgroups %q; want %q", b, want)
	}
	// removed at the end although it was made twice
	if err := w.Abort(bg); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(dir)
}

// 21: verbs on a session that was gone crashed the caller.
func TestDefect21_VerbsOnTheDead(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	result(t, w)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for name, err := range map[string]error{
		"proceed": w.Proceed(bg), "abort": w.Abort(bg), "apply": w.Apply(bg, &Config{Nice: Some(1)}), "signal": w.Signal(unix.SIGTERM),
	} {
		if err == nil {
			t.Errorf("%s on an ended workload succeeded", name)
		}
	}
	if err := w.Kill(); err != nil {
		t.Errorf("kill of an ended workload: %v", err)
	}
	if _, err := w.Wait(ctx); err != nil {
		t.Errorf("wait after the end: %v", err)
	}
	if _, err := w.PIDFD(); err == nil {
		t.Error("a pidfd of nobody")
	}
	if i := w.Info(); !i.State.ended() {
		t.Errorf("info %+v", i)
	}
	if _, err := l.Spawn(bg, &Config{Args: []string{"/bin/true"}}, nil); err == nil {
		t.Error("spawn on a closed launcher succeeded")
	}
}
