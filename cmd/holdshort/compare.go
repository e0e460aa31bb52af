package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/compare"
	"github.com/holdshort/holdshort/harness"
)

type compareCmd struct {
	N      uint64   `short:"n" name:"cases" help:"How many cases to launch, twice each." default:"300" placeholder:"N"`
	Seed   uint64   `help:"Seed: with the same one the cases are the same on every kernel." default:"1" placeholder:"S"`
	Case   int64    `help:"Launch only this case, and print the request as well." default:"-1" placeholder:"I"`
	JSON   bool     `name:"json" help:"Of a comparison: print one JSON document."`
	Record []string `arg:"" optional:"" help:"Recordings to compare, each NAME=FILE or FILE; without, one is made and printed."`
}

// Help is the long text of "compare --help".
func (compareCmd) Help() string {
	return `Without arguments, launches cases that are the same requests on every machine that can do them, and writes what the kernel made of each as JSON lines. With recordings of several kernels, says in what they differ: each difference is either explained by a known fact about a feature that was probed on each, or a finding (exit status 1). "holdshort matrix --what compare" does both.

The first cases try one parameter each, in all its values; later ones combine several.

Examples:
  holdshort compare -n 500 > here.jsonl
  holdshort vm exec -k 5.10 -- holdshort compare -n 500 > 5.10.jsonl
  holdshort compare 5.10.jsonl here.jsonl`
}

func (c *compareCmd) Run(ctx context.Context, s *streams) error {
	if len(c.Record) == 0 {
		return c.record(ctx, s)
	}
	var list []*compare.Recording
	for _, arg := range c.Record {
		name, file, ok := strings.Cut(arg, "=")
		if !ok {
			name, file = strings.TrimSuffix(filepath.Base(arg), filepath.Ext(arg)), arg
		}
		f, err := os.Open(file)
		if err != nil {
			return usage(err)
		}
		r, err := compare.Read(name, f)
		f.Close()
		if err != nil {
			return usage(err)
		}
		list = append(list, r)
	}
	x := compare.Compare(list)
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(x); err != nil {
			return err
		}
	} else if err := x.Text(s.out); err != nil {
		return err
	}
	switch {
	case x.Unexplained() > 0:
		return &exit{code: harness.ExitFinding}
	case len(x.Faults) > 0 || x.Compared == 0:
		return &exit{harness.ExitFault, fmt.Errorf("not everything could be compared")}
	}
	return nil
}

func (c *compareCmd) record(ctx context.Context, s *streams) error {
	b, err := openBench(ctx, false)
	if err != nil {
		return err
	}
	defer b.Close()
	m := b.Machine
	k := compare.Kernel{Release: b.Kernel, Arch: runtime.GOARCH, Seed: c.Seed, Features: compare.Probe(ctx, m)}
	if c.Case >= 0 {
		x := compare.One(ctx, c.Seed, uint64(c.Case), m, b.Case)
		return json.NewEncoder(s.out).Encode(map[string]any{"case": x, "request": fuzz.PortableCase(c.Seed, uint64(c.Case), m).Request})
	}
	return compare.Record(ctx, s.out, k, m, c.N, b.Case)
}
