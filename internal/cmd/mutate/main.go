// Command mutate changes our own code, one operator at a time, and runs a
// package's own tests on each change: is there a test that fails? See
// docs/mutants.md.
//
// All changes of a package are compiled into one test binary, in which a number
// chooses the one that counts, so that a change costs a run of the tests and no
// build. (Gremlins 0.6.0 builds for each; and with --test-cpu it hands "-cpu 1" to
// go test as one word, so that no test runs and every change passes for noticed.)
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

var (
	files   = flag.String("files", "", "only files whose name matches this regular expression")
	lived   = flag.String("lived", "docs/mutants-lived.txt", "changes that make no difference, with the reason")
	workers = flag.Int("j", 1, "runs at a time")
	verbose = flag.Bool("v", false, "tell of every change")
	least   = flag.Int("least", 90, "of a hundred changes so many must be noticed")
)

func main() {
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "mutate [flags] PACKAGE-DIRECTORY [-- flags of its tests]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() < 1 {
		flag.Usage()
		os.Exit(64)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	args := flag.Args()[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	ok, err := run(ctx, flag.Arg(0), args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(4)
	}
	if !ok {
		os.Exit(1)
	}
}

// survivor is a change that no test noticed.
type survivor struct {
	change
	why string // it makes no difference
}

func run(ctx context.Context, dir string, args []string) (bool, error) {
	only, err := regexp.Compile(*files)
	if err != nil {
		return false, err
	}
	tmp, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)
	changes, err := rewrite(dir, tmp, only)
	if err != nil {
		return false, err
	}
	bin, err := compile(ctx, dir, tmp)
	if err != nil {
		return false, err
	}
	reasons, err := readExplained(*lived)
	if err != nil {
		return false, err
	}
	begun := time.Now()
	if out, err := test(ctx, bin, dir, 0, 10*time.Minute, args); err != nil {
		return false, fmt.Errorf("without any change: %w\n%s", err, out)
	}
	limit := 20*time.Since(begun) + 20*time.Second // one that does not end is noticed, too

	next := make(chan change)
	var mu sync.Mutex
	var left []survivor
	var wg sync.WaitGroup
	for range max(1, *workers) {
		wg.Go(func() {
			for c := range next {
				_, err := test(ctx, bin, dir, c.id, limit, args)
				mu.Lock()
				if err == nil {
					left = append(left, survivor{change: c})
				} else if *verbose {
					fmt.Printf("noticed   %s\n", c.text())
				}
				mu.Unlock()
			}
		})
	}
	for _, c := range changes {
		if ctx.Err() != nil {
			break
		}
		next <- c
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	slices.SortFunc(left, func(a, b survivor) int { return a.id - b.id })
	stale := reasons.divide(dir, only, left)
	return report(dir, changes, left, stale), nil
}

// counts are those of a file, or of all.
type counts struct{ changes, explained, lives int }

func (c *counts) add(n counts) {
	c.changes, c.explained, c.lives = c.changes+n.changes, c.explained+n.explained, c.lives+n.lives
}

func (c *counts) String() string {
	of := c.changes - c.explained
	return fmt.Sprintf("%d changes, %d of them make no difference; of the other %d, %d are noticed (%.1f %%)",
		c.changes, c.explained, of, of-c.lives, float64(of-c.lives)*100/float64(max(of, 1)))
}

func report(dir string, changes []change, left []survivor, stale []string) bool {
	files := map[string]*counts{}
	for _, c := range changes {
		if files[c.file] == nil {
			files[c.file] = &counts{}
		}
		files[c.file].changes++
	}
	for _, s := range left {
		if s.why == "" {
			files[s.file].lives++
			fmt.Printf("lives     %s\n", s.text())
			continue
		}
		files[s.file].explained++
		fmt.Printf("explained %s # %s\n", s.text(), s.why)
	}
	slices.Sort(stale)
	for _, k := range stale {
		fmt.Printf("stale     %s: explained in %s, and there is no such change, or a test notices it\n", k, *lived)
	}
	var all counts
	for _, f := range slices.Sorted(maps.Keys(files)) {
		fmt.Printf("%s: %s\n", f, files[f])
		all.add(*files[f])
	}
	fmt.Printf("%s: %s\n", dir, &all)
	of := all.changes - all.explained
	return len(stale) == 0 && of > 0 && (of-all.lives)*100 >= of**least
}

// compile builds the test binary with all changes.
func compile(ctx context.Context, dir, tmp string) (string, error) {
	replace := map[string]string{}
	list, err := os.ReadDir(filepath.Join(tmp, "src"))
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, f := range list {
		replace[filepath.Join(abs, f.Name())] = filepath.Join(tmp, "src", f.Name())
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay, bin := filepath.Join(tmp, "overlay.json"), filepath.Join(tmp, "test")
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, "./"+filepath.Clean(dir)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
}

// test runs the tests with one change, or with none for number 0.
func test(ctx context.Context, bin, dir string, id int, limit time.Duration, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, slices.Concat([]string{"-test.failfast", "-test.count=1"}, args)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), envNumber+"="+strconv.Itoa(id), "GOMAXPROCS=1", "GOMEMLIMIT=2GiB")
	return cmd.CombinedOutput()
}
