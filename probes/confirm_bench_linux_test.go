package probes

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/internal/exitzero"
)

// BenchmarkConfirm measures what the optional hooks add: to an observed launch,
// with a breakpoint that stays and with one of its own; to opening an observer;
// and to an exec of somebody else. The time in their programs is as the kernel
// counts it.
func BenchmarkConfirm(b *testing.B) {
	path, done, err := canaryFile()
	if err != nil {
		b.Skip(err)
	}
	defer done()
	launch := func(b *testing.B, o *Observer, own bool) {
		b.Helper()
		defer o.KeepAttached()()
		ctx := context.Background()
		kids, err := o.WatchChildrenOf(ctx, os.Getpid(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer kids.Close()
		for b.Loop() {
			release := func() {}
			if own {
				if release, err = o.Breakpoint(exitzero.Entry); err != nil {
					b.Skip(err)
				}
			}
			c := exec.Command(path)
			if err := c.Run(); err != nil {
				b.Fatal(err)
			}
			w, err := kids.Take(ctx, c.Process.Pid)
			if err != nil {
				b.Fatal(err)
			}
			if r, err := w.Record(ctx); err != nil || !r.Complete() || len(r.Contradictions()) > 0 {
				b.Fatal(r, err)
			}
			_ = w.Close()
			release()
		}
	}
	elsewhere := func(b *testing.B) {
		b.Helper()
		for b.Loop() {
			if err := exec.Command(path).Run(); err != nil {
				b.Fatal(err)
			}
		}
	}
	plain, confirm := observer(b), confirming(b)
	b.Run("without", func(b *testing.B) { launch(b, plain, false) })
	b.Run("with", func(b *testing.B) { launch(b, confirm, false) })
	b.Run("with a breakpoint of its own", func(b *testing.B) { launch(b, confirm, true) })
	b.Run("not observed", elsewhere)
	b.Run("programs", func(b *testing.B) {
		c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			b.Skip(err)
		}
		defer c.Close()
		before := witnessStats(b, confirm)
		launch(b, confirm, true)
		for name, after := range witnessStats(b, confirm) {
			if n := after.count - before[name].count; n > 0 {
				b.ReportMetric(float64((after.time-before[name].time).Nanoseconds())/float64(n), name+"-ns")
			}
		}
	})
	for name, opts := range map[string]*Options{"open without": nil, "open with": {Confirm: true}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				o, err := Open(context.Background(), opts)
				if err != nil {
					b.Fatal(err)
				}
				_ = o.Close()
			}
		})
	}
}

func witnessStats(b *testing.B, o *Observer) map[string]progStat {
	b.Helper()
	m := map[string]progStat{}
	for _, c := range o.hooks.wits.colls {
		for name, p := range c.Programs {
			s, err := p.Stats()
			if err != nil {
				b.Fatal(err)
			}
			m[name] = progStat{s.Runtime, s.RunCount}
		}
	}
	return m
}
