package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/internal/engines"
)

// differ puts the same requests through several engines.
func (c *fuzzCmd) differ(ctx context.Context, s *streams) error {
	if c.For != 0 || c.Resume != "" || c.Results != "" || c.Shard != "1/1" {
		return usage(errors.New("--engine goes with -n, --seed, --out, --json and --quiet"))
	}
	d := &engines.Differ{N: int(c.N), Seed: c.Seed, Names: c.Engine, Out: c.Out}
	if d.N == 0 {
		d.N = 100
	}
	if d.Seed == 0 {
		d.Seed = rand.Uint64()>>1 | 1
	}
	if len(d.Names) < 2 {
		return usage(errors.New("--engine: name two or more, as runc,crun,native"))
	}
	if !c.Quiet {
		fmt.Fprintf(s.err, "seed %d, %d requests through %s\n", d.Seed, d.N, strings.Join(d.Names, ", "))
	}
	res, err := d.Run(ctx)
	if err != nil {
		if harness.Unsupported(err) {
			return &exit{harness.ExitUnsupported, err}
		}
		return err
	}
	if c.JSON {
		b, err := json.Marshal(res)
		if err == nil {
			_, err = fmt.Fprintln(s.out, string(b))
		}
		if err != nil {
			return err
		}
	} else if err := res.Text(s.out); err != nil {
		return err
	}
	unknown := 0
	for _, n := range res.Unknown {
		unknown += n
	}
	switch {
	case res.Unexplained() > 0:
		return &exit{code: harness.ExitFinding}
	case unknown > 0:
		return &exit{code: harness.ExitFault}
	}
	return nil
}
