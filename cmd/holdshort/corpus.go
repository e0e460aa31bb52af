package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/fuzz/corpus"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/report"
)

type corpusCmd struct {
	Files    []string `arg:"" help:"Results of fuzz and corpora, or directories of them." type:"path"`
	Out      string   `help:"Write to this file instead of stdout; it is replaced once all is there." type:"path" placeholder:"FILE"`
	Most     int      `help:"Leave out those with more parameters on; 0 is none." placeholder:"N"`
	Requests bool     `help:"Put the requests in, which machines with another model need: of the campaigns with this machine's model."`
}

// Help is the long text of "corpus --help".
func (corpusCmd) Help() string {
	return `Of each state that workloads were seen in one example is written, that with the fewest parameters on. A campaign derives some of its cases from a corpus ("fuzz --corpus"), and "replay" launches it again and says what differs.

Examples:
  holdshort corpus results/ --out corpus.jsonl
  holdshort fuzz --corpus corpus.jsonl -n 10000 --out more.jsonl
  holdshort replay corpus.jsonl`
}

func (c *corpusCmd) Run(ctx context.Context, s *streams) error {
	all := &campaign.Results{}
	if err := results(c.Files, func(_ string, r *campaign.Results) error { return all.Merge(r) }); err != nil {
		return usage(err)
	}
	var build func(campaign.Info, fuzz.Assignment, *campaign.Example)
	if c.Requests {
		b, err := openBench(ctx, false)
		if err != nil {
			return err
		}
		defer b.Close()
		build = func(info campaign.Info, a fuzz.Assignment, e *campaign.Example) {
			if info.Model == b.Model.Hash() {
				e.Request, e.Dir = b.Model.Build(a, e.Seed, e.Index), b.Dir
			}
		}
	}
	for _, err := range all.Collect(build) {
		fmt.Fprintf(s.err, "holdshort: the states of one campaign are left out: %v\n", err)
	}
	all.Keep(func(e *campaign.Example) bool { return c.Most == 0 || len(e.Values) <= c.Most })
	if len(all.Examples()) == 0 {
		return usage(errors.New("no state was seen in any case of these files"))
	}
	if c.Out == "" {
		return all.WriteExamples(s.out)
	}
	f, err := os.CreateTemp(filepath.Dir(c.Out), ".corpus-")
	if err != nil {
		return usage(err)
	}
	defer os.Remove(f.Name())
	err = errors.Join(f.Chmod(0o644), all.WriteExamples(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.Out)
	}
	return err
}

// parents reads what --corpus names.
func parents(md *fuzz.Model, text string) (fuzz.Parents, error) {
	switch text {
	case "none":
		return nil, nil
	case "":
		list, err := corpus.Seeds()
		return corpus.Parents(md, list), err
	}
	all := &campaign.Results{}
	if err := results([]string{text}, func(_ string, r *campaign.Results) error { return all.Merge(r) }); err != nil {
		return nil, err
	}
	all.Collect(nil) // of results, what they can give
	list := all.Examples()
	p := corpus.Parents(md, list)
	if len(p) == 0 {
		return nil, fmt.Errorf("%s: none of its %d examples is of this machine's model", text, len(list))
	}
	return p, nil
}

// examples launches those of a corpus again.
func (c *replayCmd) examples(ctx context.Context, s *streams, b *campaign.Bench, list []*campaign.Example) (code int, err error) {
	same, other, impossible := 0, 0, 0
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return code, err
		}
		req, caller, err := exampleRequest(b, e)
		if err != nil {
			impossible++
			fmt.Fprintf(s.out, "state %s: not possible here: %v (%s)\n", e.ID, err, fuzz.Words(e.Values))
			continue
		}
		keys := map[string]int{}
		var v *campaign.Verdict
		tries := 0
		for tries < max(1, c.Times) {
			tries++
			v = b.Run(campaign.WithCaller(ctx, caller), req, req)
			for _, k := range v.Keys {
				keys[k]++
			}
			if v.Clean() {
				break
			}
		}
		if !v.Clean() {
			code = report.Worst(code, notConstrained(v, keys, tries))
			fmt.Fprintf(s.out, "state %s: %s (%s)\n", e.ID, strings.Join(v.Keys, "; "), fuzz.Words(e.Values))
			continue
		}
		var differs []string
		if v.Seen != nil {
			differs = e.Differs(b.Signature(v.Seen))
		}
		if differs == nil {
			same++
			continue
		}
		other++
		fmt.Fprintf(s.out, "state %s: constrained, and in another state than on Linux %s: %s (%s)\n", e.ID, e.Kernel, strings.Join(differs, "; "), fuzz.Words(e.Values))
	}
	fmt.Fprintf(s.out, "%d examples: %d as they were, %d constrained in another state, %d not possible here, %d not constrained\n",
		len(list), same, other, impossible, len(list)-same-other-impossible)
	if impossible == len(list) {
		code = report.Worst(code, harness.ExitUnsupported)
	}
	return code, nil
}

// notConstrained is the exit status for an example that was tried so often, and
// had these keys so often.
func notConstrained(last *campaign.Verdict, keys map[string]int, tries int) int {
	worst := 0
	others := map[string]bool{}
	judged := tries
	for k, n := range keys {
		others[k] = true
		if strings.HasPrefix(k, "unknown") || strings.HasPrefix(k, "error: ") {
			judged -= n
			continue
		}
		worst = max(worst, n)
	}
	switch {
	case worst == tries:
		return harness.ExitFinding
	case worst > 0:
		return harness.ExitFlaky
	case last.Judged:
		return harness.ExitClean
	}
	return replayed(0, max(judged, 0), tries, others)
}

// exampleRequest is the request of an example, and its caller: the one that is
// written down, or what this machine makes of its parameters, with the details of
// the model that it is of.
func exampleRequest(b *campaign.Bench, e *campaign.Example) (*request.Request, []string, error) {
	if e.Request != nil {
		r, err := moved(e.Request, e.Dir, b.Dir)
		return r, e.Caller, err
	}
	a, err := b.Model.Assign(e.Values)
	if err != nil {
		return nil, nil, err
	}
	r, err := b.Model.BuildAs(e.Model, a, e.Seed, e.Index)
	return r, b.Model.Caller(a), err
}
