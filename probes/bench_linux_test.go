package probes

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// BenchmarkLaunch measures what the observation of one launch costs: the time
// in our programs as the kernel counts it, and the whole launch with and
// without a watch: with the record asked for when the process has ended, or
// while it still runs ("awaited").
func BenchmarkLaunch(b *testing.B) {
	o, ctx := observer(b), testContext(b)
	path, done, err := canaryFile()
	if err != nil {
		b.Skip(err)
	}
	defer done()
	launch := func(b *testing.B) *os.Process {
		b.Helper()
		p, err := os.StartProcess(path, []string{"canary"}, &os.ProcAttr{Env: []string{"A=b"}})
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			p := launch(b)
			_, _ = p.Wait()
		}
	})
	watched := func(b *testing.B, early, decode, stats bool) {
		b.Helper()
		defer o.KeepAttached()()
		if stats {
			c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
			if err != nil {
				b.Skip(err)
			}
			defer c.Close()
		}
		before := progStats(b, o)
		kids, err := o.WatchChildrenOf(ctx, os.Getpid(), &WatchOptions{Want: []At{AtCaller, AtReturn, AtFirst}})
		if err != nil {
			b.Fatal(err)
		}
		defer kids.Close()
		b.ResetTimer()
		for b.Loop() {
			p := launch(b)
			if !early {
				_, _ = p.Wait()
			}
			w, err := kids.Take(ctx, p.Pid)
			if err != nil {
				b.Fatal(err)
			}
			r, err := w.Record(ctx)
			if err != nil || !r.Complete() {
				b.Fatal(err, r)
			}
			if decode {
				_ = r.Snapshot(AtFirst).Posture()
			}
			if early {
				_, _ = p.Wait()
			}
			_ = w.Close()
		}
		b.StopTimer()
		if stats {
			var sum time.Duration
			for name, after := range progStats(b, o) {
				n := after.count - before[name].count
				if n == 0 {
					continue
				}
				d := after.time - before[name].time
				sum += d
				b.ReportMetric(float64(d.Nanoseconds())/float64(b.N), name+"-ns/op")
			}
			b.ReportMetric(float64(sum.Nanoseconds())/float64(b.N), "bpf-ns/op")
		}
	}
	b.Run("watched", func(b *testing.B) { watched(b, false, false, false) })
	b.Run("decoded", func(b *testing.B) { watched(b, false, true, false) })
	b.Run("awaited", func(b *testing.B) { watched(b, true, true, false) })
	b.Run("stats", func(b *testing.B) { watched(b, false, true, true) })
}

type progStat struct {
	time  time.Duration
	count uint64
}

func progStats(b *testing.B, o *Observer) map[string]progStat {
	b.Helper()
	m := map[string]progStat{}
	for name, p := range o.objs.coll.Programs {
		s, err := p.Stats()
		if err != nil {
			b.Fatal(err)
		}
		m[name] = progStat{s.Runtime, s.RunCount}
	}
	return m
}

// BenchmarkEvent measures the reader's part: taking one event that equals the
// one before, taking one that does not, and decoding.
func BenchmarkEvent(b *testing.B) {
	o, ctx := observer(b), testContext(b)
	s, err := o.Self(ctx)
	if err != nil {
		b.Fatal(err)
	}
	raw := s.body.raw
	b.Run("equal", func(b *testing.B) {
		other := append([]byte(nil), raw...)
		for b.Loop() {
			if !s.body.same(other) {
				b.Fatal("differs")
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := splitBody(raw, false, o.facts); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, _ := splitBody(raw, false, o.facts)
			c.posture()
		}
	})
}

// BenchmarkSelf measures a snapshot of the calling thread.
func BenchmarkSelf(b *testing.B) {
	o, ctx := observer(b), testContext(b)
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		b.Skip(err)
	}
	defer c.Close()
	before := progStats(b, o)["on_peek"]
	for b.Loop() {
		if _, err := o.Self(ctx); err != nil {
			b.Fatal(err)
		}
	}
	a := progStats(b, o)["on_peek"]
	b.ReportMetric(float64((a.time-before.time).Nanoseconds())/float64(a.count-before.count), "bpf-ns")
}

// BenchmarkSyscall measures what the attached hooks cost each system call of the
// machine while no watched process is between its exec and its first call.
func BenchmarkSyscall(b *testing.B) {
	o := observer(b)
	b.Run("detached", func(b *testing.B) {
		for b.Loop() {
			_ = unix.Getppid()
		}
	})
	b.Run("attached", func(b *testing.B) {
		defer o.KeepAttached()()
		for b.Loop() {
			_ = unix.Getppid()
		}
	})
	b.Run("attach and detach", func(b *testing.B) {
		for b.Loop() {
			o.KeepAttached()()
		}
	})
}

// BenchmarkLandlock measures the snapshot at the exec of a process in a Landlock
// domain with no, few and as many rules as can be read, against those of
// one without.
func BenchmarkLandlock(b *testing.B) {
	o, ctx := observer(b), testContext(b)
	if _, err := sys.LandlockABI(); err != nil {
		b.Skipf("needs Landlock: %v", err)
	}
	path, done, err := canaryFile()
	if err != nil {
		b.Skip(err)
	}
	defer done()
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		b.Skip(err)
	}
	defer c.Close()
	defer o.KeepAttached()()
	const readDir = 1 << 3
	dir := b.TempDir()
	for _, rules := range []int{-1, 0, 4, posture.MaxLandlockRules} {
		name := "no domain"
		if rules >= 0 {
			name = strconv.Itoa(rules) + " rules"
		}
		var list []sys.LandlockRule
		for i := range rules {
			path := filepath.Join(dir, strconv.Itoa(i))
			if err := os.MkdirAll(path, 0o700); err != nil {
				b.Fatal(err)
			}
			list = append(list, sys.LandlockRule{Path: path, Access: readDir})
		}
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread() // and never unlocked
			if rules >= 0 {
				if err := sys.LandlockRestrict(readDir, 0, list); err != nil {
					b.Fatal(err)
				}
			}
			kids, err := o.WatchChildrenOf(ctx, os.Getpid(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer kids.Close()
			before := progStats(b, o)
			for b.Loop() {
				if _, err := launched(ctx, kids, path); err != nil {
					b.Fatal(err)
				}
			}
			d := progStats(b, o)["on_exec"].time - before["on_exec"].time
			b.ReportMetric(float64(d.Nanoseconds())/float64(b.N), "on_exec-ns/op")
		})
	}
}
