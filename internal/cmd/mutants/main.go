//go:build mutants

// Command mutants plants faults, one at a time, and counts the cases that a
// campaign needs to find each: see docs/mutants.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/holdshort/holdshort/fuzz/mutants"
	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

var (
	seed    = flag.Uint64("seed", 1, "seed of the campaign")
	derive  = flag.Uint64("derive", 1, "seed of the faults of more than one setting; 0 is none of them")
	budget  = flag.Duration("for", 5*time.Minute, "end after so long")
	most    = flag.Int("most", 200, "give a fault up after so many cases in which it was planted")
	only    = flag.String("run", "", "only the faults whose name matches this regular expression")
	workers = flag.Int("j", runtime.NumCPU(), "launches at a time")
	out     = flag.String("o", "", "write the table to this file, between its marks")
	check   = flag.Int("check", 0, "run so many faults a second time without leaving cases out: the numbers must be the same")
	list    = flag.Bool("list", false, "list the faults, and end")
	verbose = flag.Bool("v", false, "tell of each fault as it is decided")
)

func main() {
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer cancel()
	code, err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context) (int, error) {
	r := &mutants.Run{Seed: *seed, Budget: *budget, Most: *most}
	defer func() {
		for _, b := range r.Benches {
			if err := b.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "mutants:", err)
			}
		}
	}()
	for range *workers {
		b, err := mutants.Open(ctx)
		if errors.Is(err, errors.ErrUnsupported) {
			return harness.ExitUnsupported, err
		}
		if err != nil {
			return harness.ExitFault, err
		}
		r.Benches = append(r.Benches, b)
	}
	all := mutants.Basic()
	if *derive != 0 {
		all = append(all, mutants.Derived(r.Benches[0].Model, r.Benches[0].Machine, all, *derive)...)
	}
	if *list {
		for i := range all {
			f := &all[i]
			fmt.Printf("%d-way  %-9s %-16s %-50s %s\n", f.Way(), f.Where, f.Kind, f.Name, f.When)
		}
		return 0, nil
	}
	re, err := regexp.Compile(*only)
	if err != nil {
		return harness.ExitUsage, err
	}
	r.Faults = slices.DeleteFunc(slices.Clone(all), func(f mutants.Fault) bool {
		return !re.MatchString(f.Name) && !slices.ContainsFunc(all, func(o mutants.Fault) bool { return re.MatchString(o.Name) && o.Hides == f.Name })
	})
	if *verbose {
		r.Tell = func(row *mutants.Row) { fmt.Fprintln(os.Stderr, row.Text()) }
	}
	pace, findings, err := r.Pace(ctx, 128)
	if err != nil {
		return harness.ExitFault, err
	}
	if findings != nil {
		return harness.ExitFault, fmt.Errorf("without any fault there is something to be found: %v", findings)
	}
	if err := r.Run(ctx); err != nil {
		return harness.ExitFault, err
	}
	s := r.Summary(pace)
	fmt.Print(s.Text())
	if *out != "" {
		if err := s.Write(*out, os.Args[1:]); err != nil {
			return harness.ExitFault, err
		}
	}
	if *check > 0 {
		if err := r.Check(ctx, *check); err != nil {
			return harness.ExitFault, err
		}
		fmt.Printf("%d faults planted in every case: the same numbers\n", *check)
	}
	if !s.Met() {
		return harness.ExitFinding, errors.New("the goals are not met")
	}
	return 0, nil
}
