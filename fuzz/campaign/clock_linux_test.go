package campaign

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// TestClockJump: a campaign whose machine has its clock set, a day ahead and two
// back, again and again, takes as long as it was told to, and what it writes down
// of times is as if nothing had been. It sets the clock of the machine, which no
// namespace has of its own, so it is for a guest:
//
//	HOLDSHORT_SET_CLOCK=1 go test -exec 'holdshort vm exec -k 6.12 --' ./fuzz/campaign -run ClockJump
func TestClockJump(t *testing.T) {
	if os.Getenv("HOLDSHORT_SET_CLOCK") == "" {
		t.Skip("needs a machine whose clock may be set: HOLDSHORT_SET_CLOCK=1")
	}
	b := bench(t)
	md := b.Model
	b.Sabotage = func(a fuzz.Assignment, asked *request.Request) *request.Request {
		if md.Words(a)["umask"] != "077" {
			return nil
		}
		l, spec, process := *asked, *asked.Spec, *asked.Spec.Process
		process.User.Umask = new(uint32(0o26))
		spec.Process, l.Spec = &process, &spec
		return &l
	}
	var mono, real unix.Timespec
	for clock, at := range map[int32]*unix.Timespec{unix.CLOCK_MONOTONIC: &mono, unix.CLOCK_REALTIME: &real} {
		if err := unix.ClockGettime(clock, at); err != nil {
			t.Fatal(err)
		}
	}
	now := func() int64 {
		var ts unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		return ts.Nano()
	}
	set := func(days int64) error {
		ts := unix.NsecToTimespec(real.Nano() + now() - mono.Nano() + days*24*int64(time.Hour))
		return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
	}
	if err := set(0); err != nil {
		t.Skip("needs CAP_SYS_TIME: ", err)
	}
	const long = 20 * time.Second
	var out bytes.Buffer
	jumps, worst := int64(0), time.Duration(0)
	c := &Campaign{
		Info: Info{Model: md.Hash(), Seed: 11, Strength: 2, Kernel: b.Kernel, Engine: "native"}, Model: md,
		Parallel: 2, Launch: b.Launch, Trace: b.Trace, Dir: b.Dir, Out: &out,
	}
	c.Tell = func(p *Progress) {
		worst = max(worst, time.Since(p.Begun)) // what "left" and the rate are computed from
		if time.Since(p.Begun) < 0 {
			t.Error("it has begun in the future")
		}
		jumps++
		if err := set([]int64{1, -1}[jumps%2]); err != nil {
			t.Error(err)
		}
	}
	defer func() {
		if err := set(0); err != nil {
			t.Error(err)
		}
	}()
	begun := now()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	r, err := c.Run(ctx)
	took := time.Duration(now() - begun)
	if err != nil {
		t.Fatal(err)
	}
	if took < long || jumps < 10 {
		t.Errorf("it ended after %v, was to take %v, with %d jumps", took, long, jumps)
	}
	if worst > took {
		t.Errorf("it said that it took %v, and took %v", worst, took)
	}
	if err := c.Shrink(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := &Results{}
	if err := again.Read(bytes.NewReader(out.Bytes())); err != nil {
		t.Fatal(err)
	}
	o := again.Of(c.Info)
	judged, others := o.Counts()
	if judged < 10 || others > 0 || len(o.Incidents(Unknown)) > 0 || len(o.Findings()) == 0 {
		t.Errorf("%d judged, %d not, %d findings", judged, others, len(o.Findings()))
	}
	if len(o.Timelines()) == 0 {
		t.Error("there is no timeline")
	}
	for _, l := range append(o.Timelines(), r.Of(c.Info).Timelines()...) {
		if !slices.IsSortedFunc(l.Events, func(a, b Moment) int { return int(max(-1, min(1, a.NS-b.NS))) }) {
			t.Errorf("not in order: %v", l.Events)
		}
		for _, e := range l.Events {
			if e.NS < 0 || e.NS > int64(time.Hour) {
				t.Errorf("%s after %v", e.What, time.Duration(e.NS))
			}
		}
	}
	t.Logf("%d cases, %d jumps, %v", judged, jumps, took)
}
