// Engines judges other people's engines, as far as they are installed: a table
// of fixed cases, in which each known deviation has to show by itself, and
// random valid requests, in which nothing else may.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/internal/engines"
	"github.com/holdshort/holdshort/vm"
)

func main() {
	var s engines.Settings
	flag.IntVar(&s.N, "n", 30, "how many random requests for each engine")
	flag.Uint64Var(&s.Seed, "seed", 1, "seed of the random requests")
	flag.StringVar(&s.Only, "engines", "", "engines, separated by commas (default: all that are installed)")
	flag.StringVar(&s.Out, "out", "", "directory for the requests with an unexplained finding")
	flag.BoolVar(&s.Gate, "gate", false, "fail on an unexplained finding, and on a known deviation that does not show: for the versions of Debian 12")
	trees := flag.String("trees", "", "directories with the engines of other systems, separated by commas, which run as well")
	flag.BoolVar(&s.NoOwn, "no-own", false, "not the engines of this machine")
	fetch := flag.String("fetch", "", "instead: fill this directory with a tree for each of -suites, with apt")
	suites := flag.String("suites", "bullseye,bookworm,trixie,sid", "suites of -fetch, separated by commas")
	flag.Parse()
	if *fetch != "" {
		if err := fetchTrees(context.Background(), *fetch, strings.Split(*suites, ",")); err != nil {
			fmt.Fprintln(os.Stderr, "engines:", err)
			os.Exit(harness.ExitFault)
		}
		return
	}
	if *trees != "" {
		s.Trees = strings.Split(*trees, ",")
	}
	ok, err := s.Run(context.Background(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(harness.ExitFault)
	}
	if !ok {
		os.Exit(harness.ExitFinding)
	}
}

// fetchTrees makes a tree for each suite. One that is there is left alone.
func fetchTrees(ctx context.Context, dir string, suites []string) error {
	for _, suite := range suites {
		t := &engines.Tree{Name: suite, Dir: filepath.Join(dir, suite)}
		if _, err := engines.ReadTree(t.Dir); err == nil {
			continue
		}
		var err error
		if t.Versions, err = vm.Packages(ctx, suite, runtime.GOARCH, filepath.Join(dir, "apt"), t.Dir, engines.Packages()...); err != nil {
			return err
		}
		if err := t.Keep(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "engines: %s has", suite)
		for _, n := range engines.Packages() {
			fmt.Fprintf(os.Stderr, " %s %s", n, t.Versions[n])
		}
		fmt.Fprintln(os.Stderr)
	}
	return nil
}
