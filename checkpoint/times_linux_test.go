package checkpoint

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func monotonicNow() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// TestTimes: every step has a time, in the order of the plan, between the moments
// before and after the launch, whoever took it.
func TestTimes(t *testing.T) {
	needRoot(t)
	cfg := &Config{
		Args: []string{"/bin/true"}, Namespaces: all(), UIDMap: rootMap(), GIDMap: rootMap(), Hostname: Some("box"),
		TimeOffsets: TimeOffsets{Boottime: 1000 * time.Hour}, Network: Network{LoopbackUp: true},
		Mounts: []Mount{{Target: "/proc", Type: "proc"}}, Umask: Some[uint32](0o27), NoNewPrivs: true,
	}
	l := newLauncher(t)
	for name, start := range map[string]func(o *Options) (*Workload, error){
		"parked": func(o *Options) (*Workload, error) {
			w, err := l.Spawn(bg, cfg, o)
			if err == nil {
				err = w.Proceed(bg)
			}
			return w, err
		},
		"in one go": func(o *Options) (*Workload, error) { return l.Go(bg, cfg, o) },
	} {
		t.Run(name, func(t *testing.T) {
			before := monotonicNow()
			w, err := start(&Options{Times: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Wait(bg); err != nil {
				t.Fatal(err)
			}
			after := monotonicNow()
			times := w.Times()
			last := before
			var got []Stage
			for i := range times {
				s := &times[i]
				if s.Done < last || s.Done > after {
					t.Errorf("%s: at %d, the one before at %d, all from %d to %d", s, s.Done, last, before, after)
				}
				last = s.Done
				got = append(got, s.Stage)
			}
			// What was planned was done, but execve, which leaves no trace in the child.
			var want []Stage
			for _, s := range w.Steps() {
				if s.Stage != StageExec {
					want = append(want, s.Stage)
				}
			}
			for _, s := range []Stage{StageClone, StageMaps, StageHostname, StageUmask, StageNNP} {
				if !slices.Contains(got, s) {
					t.Errorf("no %s in %s", s, got)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s\nplanned %s", got, want)
			}
			if got[0] != StageClone {
				t.Errorf("first: %s", got[0])
			}
		})
	}
	w, err := l.Go(bg, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Wait(bg); err != nil || w.Times() != nil {
		t.Errorf("%v, times that nobody asked for: %v", err, w.Times())
	}
}
