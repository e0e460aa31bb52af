package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

type settings struct {
	floor, workload string
	perCase         time.Duration // for each contestant of a case
	rounds          int
	parked          int
	heaps           []int // MiB
	inFlight        []int
	onlyFuzzing     bool
	holdshort       string // the command
	shimTurns       int
}

func main() {
	short := flag.Bool("short", false, "a quick look: few rounds, figures only roughly right")
	only := flag.Bool("fuzzing", false, "only the cases of fuzzing")
	onlyShim := flag.Bool("shim", false, "only what the shim adds to a runtime's own time")
	jsonPath := flag.String("json", "bench.json", "where to write the figures; empty for nowhere")
	var s settings
	flag.StringVar(&s.floor, "floor", "", "the C floor, built from bench/c/floor.c")
	flag.StringVar(&s.workload, "workload", "", "the workload, built from bench/c/true.c")
	flag.StringVar(&s.holdshort, "holdshort", "bin/holdshort", "the command, for -shim")
	flag.DurationVar(&s.perCase, "per-case", 3*time.Second, "time for each contestant of each case")
	flag.Parse()
	if s.floor == "" || s.workload == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: -floor and -workload are needed: run make bench")
		os.Exit(64)
	}
	s.shimTurns = 100
	if *short {
		s.shimTurns = 10
	}
	s.rounds, s.parked, s.heaps, s.inFlight = 30, 1000, []int{10, 1024}, []int{1, 2, 4, 8, 16, 32}
	if *short {
		s.perCase, s.rounds, s.parked, s.heaps, s.inFlight = 200*time.Millisecond, 5, 200, []int{10, 64}, []int{1, 4}
	}
	s.onlyFuzzing = *only
	if err := run(&s, *jsonPath, *onlyShim); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(s *settings, jsonPath string, onlyShim bool) error {
	dir, err := os.MkdirTemp("", "holdshort-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Reached by every contestant through the same path, also by ids that
	// cannot read the checkout.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(s.workload)
	if err != nil {
		return err
	}
	s.workload = filepath.Join(dir, "true")
	if err := os.WriteFile(s.workload, program, 0o755); err != nil {
		return err
	}
	r := newResults(os.Stdout)
	if onlyShim {
		if s.holdshort, err = filepath.Abs(s.holdshort); err != nil {
			return err
		}
		return errors.Join(shimOverhead(s, r, dir), writeTo(r, jsonPath))
	}
	if s.onlyFuzzing {
		return errors.Join(fuzzing(s, r), writeTo(r, jsonPath))
	}
	for _, ns := range namespaceSets {
		if err := latency(s, r, "latency, "+ns.title, ns, contestants(s, dir)); err != nil {
			return err
		}
	}
	for _, ns := range namespaceSets {
		if err := throughput(s, r, ns, contestants(s, dir)); err != nil {
			return err
		}
	}
	if err := fuzzing(s, r); err != nil {
		return err
	}
	for _, mib := range s.heaps {
		if err := heap(s, r, dir, mib); err != nil {
			return err
		}
	}
	if err := parked(s, r); err != nil {
		return err
	}
	return writeTo(r, jsonPath)
}

func writeTo(r *results, path string) error {
	if path == "" {
		return nil
	}
	return r.write(path)
}
