// Scale measures how much one host can hold and how long it lasts: the memory
// of many workloads parked at once, and growth over many launches.
//
//	scale -parked 10000        # memory of each parked workload
//	scale -launches 100000     # memory, descriptors, goroutines over launches
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/internal/exitzero"
)

func main() {
	parked := flag.Int("parked", 0, "park so many workloads at once")
	launches := flag.Int("launches", 0, "launch so many, one after the other, in one process")
	limit := flag.Int("max", 50, "fail above so many kB for each parked workload")
	flag.Parse()
	if err := run(*parked, *launches, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(parked, launches, limit int) error {
	acct, err := newAccount()
	if err != nil {
		return err
	}
	defer acct.close()
	dir, err := os.MkdirTemp("", "holdshort-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "exitzero")
	if err := os.WriteFile(program, exitzero.ELF(), 0o755); err != nil {
		return err
	}
	l, err := checkpoint.New(context.Background())
	if err != nil {
		return err
	}
	defer l.Close()
	cfg := &checkpoint.Config{Args: []string{program}}
	if parked > 0 {
		if err := park(l, cfg, parked, limit, acct); err != nil {
			return err
		}
	}
	if launches > 0 {
		return launch(l, cfg, launches)
	}
	return nil
}

func park(l *checkpoint.Launcher, cfg *checkpoint.Config, n, limit int, acct *account) error {
	ctx := context.Background()
	runtime.GC()
	before, own := acct.bytes(), private(os.Getpid())
	begun := time.Now()
	ws := make([]*checkpoint.Workload, n)
	plan, err := l.Prepare(cfg, nil)
	if err != nil {
		return err
	}
	for i := range ws {
		if ws[i], err = plan.Spawn(ctx); err != nil {
			return fmt.Errorf("workload %d: %w", i, err)
		}
	}
	took := time.Since(begun)
	runtime.GC()
	after, grown := acct.bytes(), private(os.Getpid())-own
	each := float64(after-before) / float64(n) / 1000
	fmt.Printf("%d parked in %s; %.1f kB for each, of which %.1f kB are memory of the host's alone (%s)\n",
		n, took.Round(time.Millisecond), each, float64(grown)/float64(n)/1000, acct.how)
	begun = time.Now()
	for _, w := range ws {
		if err := w.Proceed(ctx); err != nil {
			return err
		}
	}
	for i, w := range ws {
		if r, err := w.Wait(ctx); err != nil || r.State != checkpoint.Exited || r.ExitCode != 0 {
			return fmt.Errorf("workload %d: %s %w", i, r, err)
		}
	}
	fmt.Printf("all of them ran in %s\n", time.Since(begun).Round(time.Millisecond))
	if each > float64(limit) {
		return fmt.Errorf("%.1f kB for each parked workload, more than %d", each, limit)
	}
	return nil
}

// sample is what must not grow.
type sample struct {
	heap       uint64
	host       int64
	agent      int64
	fds        int
	agentFDs   int
	goroutines int
}

func take(l *checkpoint.Launcher) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{
		m.HeapAlloc, resident(os.Getpid()), resident(l.AgentPID()), descriptors(os.Getpid()), descriptors(l.AgentPID()), runtime.NumGoroutine(),
	}
}

func launch(l *checkpoint.Launcher, cfg *checkpoint.Config, n int) error {
	ctx := context.Background()
	var first sample
	begun := time.Now()
	for i := range n {
		var r checkpoint.Result
		var err error
		switch i % 4 {
		case 0: // parked, then let go
			var w *checkpoint.Workload
			if w, err = l.Spawn(ctx, cfg, nil); err == nil {
				if err = w.Proceed(ctx); err == nil {
					r, err = w.Wait(ctx)
				}
			}
		case 1:
			var w *checkpoint.Workload
			if w, err = l.Start(ctx, cfg, nil); err == nil {
				r, err = w.Wait(ctx)
			}
		default:
			r, err = l.Run(ctx, cfg, nil)
		}
		if err != nil || r.State != checkpoint.Exited || r.ExitCode != 0 {
			return fmt.Errorf("launch %d: %s %w", i, r, err)
		}
		if i == n/10 {
			first = take(l)
		}
	}
	took := time.Since(begun)
	last := take(l)
	fmt.Printf("%d launches in %s, %.0f a second\n", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	fmt.Printf("at 10%%:  %+v\nat 100%%: %+v\n", first, last)
	const slack = 1 << 20 // of memory: what a collector does not give back
	if last.fds > first.fds || last.agentFDs > first.agentFDs || last.goroutines > first.goroutines+1 ||
		last.heap > first.heap+slack || last.agent > first.agent+slack || last.host > first.host+4*slack {
		return fmt.Errorf("it grows")
	}
	return nil
}

func descriptors(pid int) int {
	list, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	return len(list)
}

// resident is the resident memory of a process in bytes.
func resident(pid int) int64 { return pages(pid, 1) }

// private is what of it is no file's and not shared: the arena is, and the
// child would be counted with it.
func private(pid int) int64 { return pages(pid, 1) - pages(pid, 2) }

// pages is a field of /proc/PID/statm in bytes.
func pages(pid, field int) int64 {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	f := strings.Fields(string(b))
	if len(f) <= field {
		return 0
	}
	n, _ := strconv.ParseInt(f[field], 10, 64)
	return n * int64(os.Getpagesize())
}
