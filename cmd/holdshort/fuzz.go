package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

type fuzzCmd struct {
	N        uint64        `short:"n" name:"cases" help:"How many cases, of all shards together (default 1000 without --for)." placeholder:"N"`
	For      time.Duration `help:"Run for so long." placeholder:"DURATION"`
	Seed     uint64        `help:"Seed of the campaign (default: that of --resume, or a random one)." placeholder:"S"`
	Strength int           `help:"Begin with all combinations of so many parameters: 2, 3 or 4, which takes thousands of cases; 1 is none (default 2)." placeholder:"T"`
	Shard    string        `help:"Run part I of N, counted from 1; auto asks Slurm, Kubernetes, GitLab, or HOLDSHORT_SHARD_INDEX and HOLDSHORT_SHARDS." placeholder:"I/N|auto[/N]" default:"1/1"`
	Parallel int           `short:"j" help:"Launches at a time (default: eight times the processors, since most of a launch is waiting for the kernel)." placeholder:"N"`
	Freeze   bool          `help:"Hold each workload at its first instruction and read everything a second time there."`
	Without  []string      `help:"Leave parameters out; repeatable." sep:";" placeholder:"NAME"`
	Oracles  string        `help:"What judges beside the expectation: all, none, or names, each with a stroke and a number for one of so many cases, as \"twice/4 monotone\" (default: that of --resume, or all)." placeholder:"NAMES"`
	Corpus   string        `help:"What some cases are derived from: a file or directory of examples, of \"holdshort corpus\" or results; none is nothing (default: that of --resume, or the built-in ones)." placeholder:"PATH"`
	Max      int           `name:"max-findings" help:"End after so many cases with findings; 0 is never." default:"20" placeholder:"N"`
	NoShrink bool          `help:"Do not make findings small."`
	Engine   []string      `help:"Put each request through these engines (two or more of native, runc, crun, bwrap and the others of verify --engine) and compare them; with -n, --seed, --json, and --out as a directory for what is not explained." placeholder:"NAME,…" sep:","`
	Out      string        `help:"Write results to a new file, as JSON lines." type:"path" placeholder:"FILE" xor:"file"`
	Results  string        `help:"As --resume if the file is there, else as --out: for parts that may be started again." type:"path" placeholder:"FILE" xor:"file"`
	Resume   string        `help:"Go on with the campaign in this file." type:"path" placeholder:"FILE" xor:"file"`
	JSON     bool          `name:"json" help:"Print the results as JSON lines on stdout."`
	Quiet    bool          `short:"q" help:"Do not tell how far it is."`

	ListParameters bool `help:"Show the parameters that this machine can do, and end."`
}

// Help is the long text of "fuzz --help".
func (fuzzCmd) Help() string {
	return `Random requests are launched and verified. Case I of a campaign depends on the seed, the strength and what this machine can do, and on nothing else. The first cases cover all pairs (or triples, or fours) of values, the others are drawn at random, or near examples of states that were seen before. What is found is run again, up to five times, and then made small.

Exit status: 0 clean, 1 a finding, 2 only findings that come and go, 3 unsupported here, 4 evidence was lost, or a fault of ours.

Examples:
  holdshort fuzz -n 2000 --out results.jsonl
  holdshort fuzz --for 1h --strength 3 --seed 7 --shard 3/16 --out 3.jsonl
  holdshort fuzz --resume results.jsonl -n 10000
  holdshort fuzz --shard auto --seed 7 -n 100000 --results "$DIR/$JOB_COMPLETION_INDEX.jsonl"
  holdshort fuzz --engine runc,crun,bwrap,native -n 200 --seed 7 --out differences
  holdshort fuzz --list-parameters`
}

func (c *fuzzCmd) Run(ctx context.Context, s *streams) error {
	if len(c.Engine) > 0 {
		return c.differ(ctx, s)
	}
	shard, err := parseShard(c.Shard, os.Getenv)
	if err != nil {
		return usage(err)
	}
	if shard.of > 1 && c.Seed == 0 && c.Resume == "" && !c.ListParameters {
		return usage(errors.New("the parts of one campaign have the same --seed"))
	}
	if c.Strength < 0 || c.Strength > 4 {
		return usage(fmt.Errorf("--strength %d: 1, 2, 3 and 4 are possible", c.Strength))
	}
	b, err := campaign.Open(context.WithoutCancel(ctx), "", c.Freeze, c.Without...)
	if errors.Is(err, errors.ErrUnsupported) {
		return &exit{harness.ExitUnsupported, err}
	}
	if err != nil {
		return err
	}
	defer b.Close()
	told(s, b)
	if c.ListParameters {
		return c.list(s, b.Model)
	}
	// What lives is a few megabytes: the collector would run every few cases.
	debug.SetGCPercent(400)
	run := &campaign.Campaign{
		Info:  campaign.Info{Model: b.Model.Hash(), Seed: c.Seed, Strength: c.Strength, Kernel: b.Kernel, Engine: "native", Freeze: c.Freeze},
		Model: b.Model, N: c.N, Shard: shard.index, Shards: shard.of, Parallel: c.Parallel, MaxFindings: c.Max, Launch: b.Launch, Trace: b.Trace, Dir: b.Dir,
	}
	if run.N == 0 && c.For == 0 {
		run.N = 1000
	}
	if run.Parallel == 0 {
		run.Parallel = 8 * runtime.NumCPU()
	}
	run.Signature, run.Refuse = b.Signature, b.Refuse
	if c.Oracles != "" {
		if run.Oracles, run.Info.Oracles, err = b.Oracles(c.Oracles); err != nil {
			return usage(err)
		}
	}
	out, err := c.files(run)
	if err != nil {
		return err
	}
	if c.Oracles == "" {
		text := run.Info.Oracles
		switch {
		case run.Before == nil || len(run.Before.Outcomes()) == 0:
			text = "all"
		case text == "":
			text = "none"
		}
		if run.Oracles, run.Info.Oracles, err = b.Oracles(text); err != nil {
			return fmt.Errorf("%s: %w", c.Resume, err)
		}
	}
	if out != nil {
		defer out.Close()
	}
	if err := c.parents(run); err != nil {
		return usage(err)
	}
	return c.campaign(ctx, s, run, shard)
}

// parents reads what cases are derived from, unless the campaign is gone on with.
func (c *fuzzCmd) parents(run *campaign.Campaign) error {
	var err error
	if run.Before == nil || len(run.Before.Outcomes()) == 0 {
		run.Parents, err = parents(run.Model, c.Corpus)
		run.Info.Corpus = run.Parents.ID()
		return err
	}
	if run.Info.Corpus != "" {
		run.Parents = run.Before.Of(run.Info).Corpus
		if run.Parents.ID() != run.Info.Corpus {
			return fmt.Errorf("%s does not have its corpus, so its cases are not known", c.Resume)
		}
	}
	if c.Corpus == "" {
		return nil
	}
	p, err := parents(run.Model, c.Corpus)
	if err == nil && p.ID() != run.Info.Corpus {
		err = fmt.Errorf("%s has another corpus than %s: a new file is needed", c.Resume, c.Corpus)
	}
	return err
}

// files opens what results go to, and reads what is there.
func (c *fuzzCmd) files(run *campaign.Campaign) (*os.File, error) {
	var out *os.File
	var err error
	if c.Results != "" {
		// One that was killed before it had written anything is as good as none.
		if st, err := os.Stat(c.Results); err == nil && st.Size() > 0 {
			c.Resume = c.Results
		} else if out, err = os.OpenFile(c.Results, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
			return nil, usage(err)
		}
	}
	if c.Out != "" {
		if out, err = os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
			if errors.Is(err, fs.ErrExist) {
				err = fmt.Errorf("%w: --resume goes on with it", err)
			}
			return nil, usage(err)
		}
		if err = resultFile(out); err != nil {
			return nil, usage(err)
		}
	}
	if c.Resume != "" {
		if out, err = os.OpenFile(c.Resume, os.O_RDWR|os.O_APPEND|unix.O_NONBLOCK, 0); err != nil {
			return nil, usage(err)
		}
		if err = resultFile(out); err != nil {
			return nil, usage(err)
		}
		before := &campaign.Results{}
		if err = before.Read(out); err == nil && (c.Results == "" || len(before.Outcomes()) > 0) {
			err = adopt(run, before)
		}
		if err == nil {
			err = endLine(out)
		}
		if err != nil {
			out.Close()
			return nil, usage(fmt.Errorf("%s: %w", c.Resume, err))
		}
		run.Before = before
	}
	if run.Seed == 0 {
		run.Seed = rand.Uint64()>>1 | 1
	}
	if run.Strength == 0 {
		run.Strength = 2
	}
	if out != nil {
		run.Out = out
	}
	return out, nil
}

// resultFile makes sure that a file can be read to its end and that no other run
// writes to it. It closes it if not.
func resultFile(f *os.File) error {
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file, which results must be in to go on with", f.Name())
	}
	if err == nil && unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK {
		err = fmt.Errorf("another run is writing to %s", f.Name())
	}
	if err != nil {
		f.Close()
	}
	return err
}

// adopt takes seed and strength from the one campaign in a file that goes with
// this model, kernel and mode.
func adopt(run *campaign.Campaign, before *campaign.Results) error {
	var fits []campaign.Info
	all := before.Outcomes()
	for _, o := range all {
		i := o.Info
		same := i.Model == run.Model.Hash() && i.Kernel == run.Kernel && i.Engine == run.Engine && i.Freeze == run.Freeze &&
			(run.Info.Oracles == "" || run.Info.Oracles == i.Oracles)
		if same && (run.Seed == 0 || run.Seed == i.Seed) && (run.Strength == 0 || run.Strength == i.Strength) {
			fits = append(fits, i)
		}
	}
	switch len(fits) {
	case 0:
		return fmt.Errorf("none of its %d campaigns is of this model (%s), kernel, mode and seed: a new file is needed", len(all), run.Model.Hash())
	case 1:
		run.Info = fits[0]
		return nil
	}
	return fmt.Errorf("%d of its campaigns fit: say --seed and --strength", len(fits))
}

// endLine ends a last line that was cut short, so that the next is one of its own.
func endLine(f *os.File) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return err
	}
	at, b := end, []byte{0}
	for at > 0 {
		if _, err := f.ReadAt(b, at-1); err != nil {
			return err
		}
		if b[0] == '\n' {
			break
		}
		at--
	}
	if at == end {
		return nil
	}
	return f.Truncate(at)
}

// told says what a killed run had left.
func told(s *streams, b *campaign.Bench) {
	if n := len(b.Removed); n > 0 {
		fmt.Fprintf(s.err, "holdshort: removed what a killed run had left: %s", b.Removed[n-1])
		if n > 1 {
			fmt.Fprintf(s.err, " and %d more", n-1)
		}
		fmt.Fprintln(s.err)
	}
}

func (c *fuzzCmd) list(s *streams, md *fuzz.Model) error {
	if c.JSON {
		e := json.NewEncoder(s.out)
		for _, p := range md.Parameters() {
			if err := e.Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range md.Parameters() {
		needs := ""
		if len(p.Needs) > 0 {
			needs = "  (needs " + strings.Join(p.Needs, ", ") + ")"
		}
		fmt.Fprintf(s.out, "%-24s %s%s\n", p.Name, strings.Join(p.Values, " | "), needs)
	}
	fmt.Fprintf(s.out, "%d parameters, model %s\n", len(md.Parameters()), md.Hash())
	return nil
}

func (c *fuzzCmd) campaign(ctx context.Context, s *streams, run *campaign.Campaign, shard part) error {
	p := &progressLine{w: s.err, width: style(s.err).Width, quiet: c.Quiet, total: shard.left(run), now: time.Now, limit: c.For}
	run.Tell = p.tell
	if !c.Quiet {
		fmt.Fprintf(s.err, "seed %d, strength %d, model %s, shard %s\n", run.Seed, run.Strength, run.Info.Model, shard)
	}
	runCtx, cancel := ctx, context.CancelFunc(func() {})
	if c.For > 0 {
		runCtx, cancel = context.WithTimeout(ctx, c.For)
	}
	defer cancel()
	results, err := run.Run(runCtx)
	if err == nil && !c.NoShrink && ctx.Err() == nil {
		err = run.Shrink(ctx)
	}
	p.clear()
	if results == nil {
		return err
	}
	o := results.Of(run.Info)
	if c.JSON {
		err = errors.Join(err, results.Write(s.out))
	} else {
		err = errors.Join(err, o.Text(s.out))
	}
	if !c.Quiet {
		fmt.Fprintln(s.err, p.coverage())
	}
	if err != nil {
		return err
	}
	code := o.ExitCode()
	if judged, _ := o.Counts(); judged == 0 && code == 0 && run.Any() {
		return fmt.Errorf("no case was judged: that is no pass")
	}
	if code == harness.ExitClean && ctx.Err() != nil {
		return errors.New("interrupted: what was done is clean, and not all was done")
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}
