// Soak launches random requests one after the other, verifies each, and looks
// for what they leave behind. See package fuzz for what is drawn.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/harness/witness"
	"golang.org/x/sys/unix"
)

type settings struct {
	n, parallel, maxFindings int
	seed                     uint64
	only                     int64
	out, dir, without        string
	dry, freeze, witness     bool
}

func main() {
	var s settings
	flag.IntVar(&s.n, "n", 10000, "how many launches")
	flag.Uint64Var(&s.seed, "seed", 0, "seed of the campaign (default: a random one)")
	flag.IntVar(&s.parallel, "parallel", 2*runtime.NumCPU(), "launches in flight")
	flag.Int64Var(&s.only, "only", -1, "launch just the case with this number, and print its report")
	flag.IntVar(&s.maxFindings, "max-findings", 20, "stop after so many cases that were not constrained")
	flag.StringVar(&s.out, "out", "", "directory for the cases that were not constrained, as JSON")
	flag.StringVar(&s.dir, "dir", "", "where to put the workload and its root (default: a temporary directory)")
	flag.StringVar(&s.without, "without", "", "dimensions to leave out, separated by semicolons")
	flag.BoolVar(&s.freeze, "freeze", false, "hold each workload at its entry point and read it a second time there")
	flag.BoolVar(&s.witness, "witness", false, "launch the witness in place of the program, and compare what it says")
	flag.BoolVar(&s.dry, "list", false, "list the dimensions that this machine can do, and end")
	flag.Parse()
	if s.seed == 0 {
		s.seed = rand.Uint64()>>1 | 1
	}
	ok, err := s.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(harness.ExitFault)
	}
	if !ok {
		os.Exit(harness.ExitFinding)
	}
}

func (s *settings) run() (ok bool, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp(s.dir, "holdshort-soak-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := fuzz.Prepare(dir); err != nil {
		return false, err
	}
	m, err := fuzz.Detect(dir)
	if err != nil {
		return false, err
	}
	for name := range strings.SplitSeq(s.without, ";") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !fuzz.Known(name) {
			return false, fmt.Errorf("no dimension %q; -list shows them", name)
		}
		m.Without = append(m.Without, name)
	}
	if s.dry {
		fmt.Println(strings.Join(fuzz.Dimensions(m), "\n"))
		return true, nil
	}
	answerer, err := m.Answer()
	if err != nil {
		return false, err
	}
	defer answerer.Close()
	c, err := newCampaign(s, m)
	if err != nil {
		return false, err
	}
	if s.only >= 0 {
		defer c.close()
		return c.single(ctx, uint64(s.only))
	}
	fmt.Printf("seed %d, %d launches, %d in flight\n", s.seed, s.n, s.parallel)
	return c.all(ctx)
}

// campaign is one run of the command.
type campaign struct {
	*settings
	m      *fuzz.Machine
	runner *harness.Runner
	files  []*os.File
	tty    bool

	mu     sync.Mutex
	counts map[string]int // by verdict, and "error"
	dims   map[string]int
	done   int
	begun  time.Time
	rss    []uint64 // at each tenth
}

func newCampaign(s *settings, m *fuzz.Machine) (*campaign, error) {
	c := &campaign{settings: s, m: m, counts: map[string]int{}, dims: map[string]int{}}
	if st, err := os.Stdout.Stat(); err == nil {
		c.tty = st.Mode()&os.ModeCharDevice != 0
	}
	for i := range fuzz.MaxPassed {
		f, err := os.CreateTemp(m.Dir, "passed-"+strconv.Itoa(i)+"-")
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
	}
	var err error
	if c.runner, err = harness.NewRunner(context.Background(), &harness.RunnerOptions{Freeze: s.freeze}); err != nil {
		return nil, err
	}
	if c.runner.ProbesErr != nil {
		c.close()
		return nil, fmt.Errorf("cannot verify here: %w", c.runner.ProbesErr)
	}
	return c, nil
}

func (c *campaign) close() {
	if c.runner != nil {
		_ = c.runner.Close()
	}
	for _, f := range c.files {
		f.Close()
	}
}

func (c *campaign) options(n int) *checkpoint.Options {
	o := &checkpoint.Options{}
	for i := range n {
		o.Files = append(o.Files, checkpoint.PassedFile{Number: 3 + i, File: c.files[i]})
	}
	return o
}

func (c *campaign) run(ctx context.Context, req *request.Request) (*harness.Case, error) {
	if c.witness {
		cs, err := c.runner.Witness(ctx, req, c.options(req.Ext.PassFDs))
		if !errors.Is(err, errors.ErrUnsupported) {
			return cs, err
		}
	}
	return c.runner.Run(ctx, req, c.options(req.Ext.PassFDs))
}

// single launches one case and shows everything.
func (c *campaign) single(ctx context.Context, index uint64) (bool, error) {
	req := fuzz.Draw(c.seed, index, c.m)
	fmt.Printf("asks for: %s\n", strings.Join(fuzz.Of(req), "; "))
	cs, err := c.run(ctx, req)
	if err != nil {
		return false, err
	}
	cs.Meta.Seed, cs.Meta.Index = c.seed, index
	if err := cs.Report().Text(os.Stdout, harness.Style{}); err != nil {
		return false, err
	}
	c.failed(index, cs, nil)
	return cs.Verdict == harness.Constrained, nil
}

func (c *campaign) all(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// What first uses open (the netpoller, a thread's namespace handles) is no leak.
	// Their numbers are no case's, since names derive from it and a device outlives its launch a little.
	for i := range uint64(8) {
		i += 1 << 32
		req := fuzz.Draw(c.seed^1, i, c.m)
		if _, err := c.run(ctx, req); err != nil && ctx.Err() == nil {
			fmt.Printf("first launches: %v\n", err)
		}
	}
	before := takeCensus(c.m)
	c.begun = time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, c.parallel) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(c.n) {
					return
				}
				c.one(ctx, uint64(i))
				if c.bad() >= c.maxFindings {
					cancel()
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(c.begun)
	if c.tty {
		fmt.Print("\r\x1b[K")
	}
	left := before.settle(c.m)
	c.close()
	left = append(left, afterClose(c.m)...)
	return c.summary(took, left), nil
}

func (c *campaign) bad() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done - c.counts[string(harness.Constrained)]
}

func (c *campaign) one(ctx context.Context, index uint64) {
	req := fuzz.Draw(c.seed, index, c.m)
	// An interrupt lets the launches under way end on their own: they are short.
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	cs, err := c.run(run, req)
	cancel()
	if cs != nil {
		cs.Meta.Seed, cs.Meta.Index = c.seed, index
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	for _, d := range fuzz.Of(req) {
		c.dims[d]++
	}
	verdict := "error"
	switch {
	case err != nil:
	case cs.Launch.Err != nil:
	default:
		verdict = string(cs.Verdict)
	}
	c.counts[verdict]++
	if verdict != string(harness.Constrained) {
		c.failed(index, cs, err)
		if err != nil && c.out != "" {
			c.write(index, map[string]any{"error": err.Error(), "config": req})
		}
	}
	c.progress()
}

// failed prints one case that was not constrained, on one line.
func (c *campaign) failed(index uint64, cs *harness.Case, err error) {
	what, verdict := "", "error"
	if err != nil {
		what = strings.ReplaceAll(err.Error(), "\n", "; ")
	} else {
		verdict = string(cs.Verdict)
		var fields []string
		for i := range cs.Checks {
			if ch := &cs.Checks[i]; ch.Outcome.Finding() {
				fields = append(fields, fmt.Sprintf("%s %s", ch.Name(), ch.Outcome))
			}
		}
		for _, a := range cs.Answers {
			if a.Standing == witness.Disagrees {
				fields = append(fields, fmt.Sprintf("witness: %s: wanted %s, got %s", a.Question, a.Want, a.Got))
			}
		}
		what = strings.Join(append(fields, cs.Reasons...), "; ")
		if c.out != "" && cs.Verdict != harness.Constrained {
			c.write(index, cs.Report())
		}
		if cs.Verdict == harness.Constrained && c.only >= 0 {
			return
		}
	}
	if c.tty {
		fmt.Print("\r\x1b[K")
	}
	again := fmt.Sprintf("go run ./internal/cmd/soak -seed %d -only %d", c.seed, index)
	if c.freeze {
		again += " -freeze"
	}
	if c.witness {
		again += " -witness"
	}
	if c.without != "" {
		again += fmt.Sprintf(" -without %q", c.without)
	}
	fmt.Printf("%d: %s: %s   # %s\n", index, verdict, what, again)
}

func (c *campaign) write(index uint64, v any) {
	b, err := json.MarshalIndent(v, "", "\t")
	if err == nil {
		err = os.MkdirAll(c.out, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.out, fmt.Sprintf("%d-%d.json", c.seed, index)), append(b, '\n'), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
}

func (c *campaign) progress() {
	tenth := c.done*10/c.n > (c.done-1)*10/c.n
	if tenth {
		c.rss = append(c.rss, rss())
	}
	if c.tty {
		fmt.Printf("\r%d of %d, %d not constrained, %.0f/s ", c.done, c.n, c.done-c.counts[string(harness.Constrained)], float64(c.done)/time.Since(c.begun).Seconds())
	} else if tenth {
		fmt.Printf("%3d%%: %d launches, %d not constrained, %.1f MB resident\n", c.done*100/c.n, c.done,
			c.done-c.counts[string(harness.Constrained)], float64(c.rss[len(c.rss)-1])/1e6)
	}
}

// growth is what memory may grow by from the first tenth to the end.
const growth = 8 << 20

func (c *campaign) summary(took time.Duration, left []string) bool {
	possible := fuzz.Dimensions(c.m)
	var never []string
	for _, d := range possible {
		if c.dims[d] == 0 {
			never = append(never, d)
		}
	}
	fmt.Println("launches that asked for:")
	for _, d := range slices.Sorted(maps.Keys(c.dims)) {
		fmt.Printf("  %6d  %s\n", c.dims[d], d)
	}
	good := c.counts[string(harness.Constrained)]
	flat := true
	memory := "not measured"
	if n := len(c.rss); n > 1 {
		first, last := c.rss[0], c.rss[n-1]
		memory = fmt.Sprintf("%.1f MB at 10%%, %.1f MB at %d%%", float64(first)/1e6, float64(last)/1e6, n*10)
		flat = last < first+growth
	}
	if !flat {
		fmt.Printf("memory grew: %s\n", memory)
	}
	for _, l := range left {
		fmt.Printf("left behind: %s\n", l)
	}
	short := c.done < c.n
	if short {
		fmt.Printf("ended early: %d of %d\n", c.done, c.n)
	}
	if len(never) > 0 {
		fmt.Printf("never asked for: %s\n", strings.Join(never, "; "))
	}
	fmt.Printf("seed %d: %d launches: %d constrained, %d violated, %d unknown, %d errors; %d left behind; memory %s; %.0f/s; %d of %d dimensions\n",
		c.seed, c.done, good, c.counts[string(harness.Violated)], c.counts[string(harness.Unknown)], c.counts["error"],
		len(left), memory, float64(c.done)/took.Seconds(), len(possible)-len(never), len(possible))
	return good == c.done && len(left) == 0 && flat && !short
}

// rss is our own resident memory after a garbage collection, so that it shows
// what is kept.
func rss() uint64 {
	runtime.GC()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	n, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return n * uint64(os.Getpagesize())
}
