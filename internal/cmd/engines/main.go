// Engines judges other people's engines, as far as they are installed: a table
// of fixed cases, in which each known deviation has to show by itself, and
// random valid requests, in which nothing else may.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/internal/engines"
)

func main() {
	var s engines.Settings
	flag.IntVar(&s.N, "n", 30, "how many random requests for each engine")
	flag.Uint64Var(&s.Seed, "seed", 1, "seed of the random requests")
	flag.StringVar(&s.Only, "engines", "", "engines, separated by commas (default: all that are installed)")
	flag.StringVar(&s.Out, "out", "", "directory for the requests with an unexplained finding")
	flag.BoolVar(&s.Gate, "gate", false, "fail on an unexplained finding, and on a known deviation that does not show: for the versions of Debian 12")
	flag.Parse()
	ok, err := s.Run(context.Background(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(harness.ExitFault)
	}
	if !ok {
		os.Exit(harness.ExitFinding)
	}
}
