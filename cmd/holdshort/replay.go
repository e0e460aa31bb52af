package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/report"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

type replayCmd struct {
	Files  []string `arg:"" help:"Results of fuzz, or directories of them." type:"path"`
	Times  int      `help:"Launch each so often." default:"3" placeholder:"N"`
	Bundle string   `help:"Launch nothing; write an OCI bundle of the one finding to a new directory." type:"path" placeholder:"DIR"`
	Case   int64    `help:"Only the finding of this case." default:"-1" placeholder:"I"`
	Freeze bool     `help:"Hold each workload at its first instruction, too, if its campaign did not."`
}

// Help is the long text of "replay --help".
func (replayCmd) Help() string {
	return `Every finding that fuzz has made small is launched again, from the request in the file: neither the model nor the machine need be the same. So is every example of a corpus ("holdshort corpus"), of which it says in what it is another than it was; that alone is no finding. Exit status 1 if one was seen again every time, or something else that the file does not have, 2 if only now and then, 3 or 4 if a launch could not be judged, 0 if all were and none was seen: it is fixed, or this kernel does not have it.

Examples:
  holdshort replay results.jsonl
  holdshort replay findings/
  holdshort replay fuzz/corpus
  holdshort replay results.jsonl --case 12 --bundle ./bundle && cd bundle && runc run test`
}

// found is a finding of a file.
type found struct {
	file string
	info campaign.Info
	*campaign.Minimal
}

func (c *replayCmd) Run(ctx context.Context, s *streams) error {
	list, large, corpus, err := findings(c.Files, c.Case)
	if err != nil {
		return usage(err)
	}
	if c.Bundle != "" {
		if len(list) != 1 {
			return usage(fmt.Errorf("%d findings: --case chooses one", len(list)))
		}
		return writeBundle(s, c.Bundle, list[0].Minimal)
	}
	b, err := openBench(ctx, c.Freeze || slices.ContainsFunc(list, func(f found) bool { return f.info.Freeze }))
	if err != nil {
		return err
	}
	defer b.Close()
	code := harness.ExitClean
	if large > 0 {
		fmt.Fprintf(s.err, "holdshort: %d findings that were not made small are left out; \"holdshort shrink\" makes them\n", large)
		code = harness.ExitFault
	}
	if len(corpus) > 0 {
		worst, err := c.examples(ctx, s, b, corpus)
		if err != nil {
			return err
		}
		code = report.Worst(code, worst)
	}
	for _, f := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		hits, judged, others := 0, 0, map[string]bool{}
		req, err := moved(f.Request, f.Dir, b.Dir)
		if err != nil {
			return fmt.Errorf("%s, case %d: %w", f.file, f.Index, err)
		}
		for range max(1, c.Times) {
			v, err := again(campaign.WithCaller(ctx, f.Caller), b, req, f.Minimal)
			if err != nil {
				return fmt.Errorf("%s, case %d: %w", f.file, f.Index, err)
			}
			if v.Judged {
				judged++
			}
			if slices.Contains(v.Keys, f.Key) {
				hits++
			}
			for _, k := range v.Keys {
				if k != f.Key {
					others[k] = true
				}
			}
		}
		fmt.Fprintf(s.out, "case %d: %s: seen %d of %d times (%s)\n", f.Index, f.Key, hits, max(1, c.Times), fuzz.Words(f.Values))
		if f.info.Kernel != b.Kernel {
			fmt.Fprintf(s.out, "  it was found on Linux %s, this is %s\n", f.info.Kernel, b.Kernel)
		}
		for _, k := range slices.Sorted(maps.Keys(others)) {
			fmt.Fprintf(s.out, "  and not in the file: %s\n", k)
		}
		code = report.Worst(code, replayed(hits, judged, max(1, c.Times), others))
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// replayed is the exit status for one finding that was launched again: it is
// fixed only if all launches were judged, and nothing else was seen in them.
func replayed(hits, judged, times int, others map[string]bool) int {
	unjudged := func(k string) bool { return strings.Contains(k, "unknown") || strings.HasPrefix(k, "error: ") }
	violated := slices.ContainsFunc(slices.Collect(maps.Keys(others)), func(k string) bool { return !unjudged(k) })
	switch {
	case hits == times || violated:
		return harness.ExitFinding
	case hits > 0:
		return harness.ExitFlaky
	case judged < times:
		if slices.ContainsFunc(slices.Collect(maps.Keys(others)), func(k string) bool {
			return !strings.HasSuffix(k, "unknown: "+string(harness.CannotObserve)) && !strings.HasSuffix(k, "unknown: "+string(harness.CannotApply))
		}) || len(others) == 0 {
			return harness.ExitFault
		}
		return harness.ExitUnsupported
	}
	return harness.ExitClean
}

// again launches a finding in the way that it was found.
func again(ctx context.Context, b *campaign.Bench, req *request.Request, m *campaign.Minimal) (*campaign.Verdict, error) {
	if m.Must != nil {
		return b.Refuse(ctx, m.Index, req, *m.Must), nil
	}
	if m.Oracle == "" {
		return b.Run(ctx, req, req), nil
	}
	list, _, err := b.Oracles(m.Oracle)
	if err != nil {
		return nil, err
	}
	v := &campaign.Verdict{}
	for seed := range uint64(4) { // what it tries is drawn
		keys, ok := list[0].Check(ctx, req, seed, nil)
		v.Judged = v.Judged || ok
		for _, k := range keys {
			if k = m.Oracle + ": " + k; !slices.Contains(v.Keys, k) {
				v.Keys = append(v.Keys, k)
			}
		}
	}
	return v, nil
}

func openBench(ctx context.Context, freeze bool) (*campaign.Bench, error) {
	b, err := campaign.Open(context.WithoutCancel(ctx), "", freeze)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, &exit{harness.ExitUnsupported, err}
	}
	return b, err
}

// results reads files, and all that are named .json or .jsonl in directories.
func results(paths []string, f func(file string, r *campaign.Results) error) error {
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path != root && !strings.HasPrefix(filepath.Ext(path), ".json") {
				return err
			}
			in, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a fifo is not waited for
			if err != nil {
				return err
			}
			defer in.Close()
			if st, err := in.Stat(); err == nil && !st.Mode().IsRegular() {
				return fmt.Errorf("%s is no regular file", path)
			}
			r := &campaign.Results{}
			if err := r.Read(in); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return f(path, r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findings are those that were made small, how many were not, and the examples of
// corpora.
func findings(paths []string, index int64) (out []found, large int, examples []*campaign.Example, err error) {
	all := &campaign.Results{}
	err = results(paths, func(file string, r *campaign.Results) error {
		if err := all.Merge(r); err != nil {
			return err
		}
		for _, o := range r.Outcomes() {
			for _, m := range o.Findings() {
				if index < 0 || m.Index == uint64(index) {
					out = append(out, found{file, o.Info, m})
				}
			}
			for _, i := range o.Incidents(campaign.Finding) {
				if o.Explain(i) == nil && (index < 0 || i.Index == uint64(index)) {
					large++
				}
			}
		}
		return nil
	})
	if index < 0 {
		examples = all.Examples()
	}
	if err == nil && len(out) == 0 && len(examples) == 0 {
		err = errors.New("no finding that was made small; \"holdshort shrink\" does that")
	}
	return out, large, examples, err
}

// moved is the request with its files elsewhere.
func moved(r *request.Request, from, to string) (*request.Request, error) {
	if r == nil || from == "" {
		return nil, errors.New("the finding has no request")
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return request.Parse(bytes.ReplaceAll(b, []byte(from), []byte(to)), true)
}

type shrinkCmd struct {
	File string `arg:"" help:"Results of fuzz; what is made small is added to it." type:"existingfile"`
}

// Help is the long text of "shrink --help".
func (shrinkCmd) Help() string {
	return `Makes the findings in a file small that are not yet, as fuzz does itself unless it is told not to, or is interrupted. It takes the same model: the machine, or one like it.`
}

func (c *shrinkCmd) Run(ctx context.Context, s *streams) error {
	f, err := os.OpenFile(c.File, os.O_RDWR|os.O_APPEND|unix.O_NONBLOCK, 0)
	if err == nil {
		err = resultFile(f)
	}
	if err != nil {
		return usage(err)
	}
	defer f.Close()
	before := &campaign.Results{}
	if err := before.Read(f); err != nil {
		return usage(err)
	}
	if err := endLine(f); err != nil {
		return err
	}
	b, err := openBench(ctx, slices.ContainsFunc(before.Outcomes(), func(o *campaign.Outcome) bool { return o.Info.Freeze }))
	if err != nil {
		return err
	}
	defer b.Close()
	code := harness.ExitClean
	for _, o := range before.Outcomes() {
		if o.Info.Model != b.Model.Hash() {
			fmt.Fprintf(s.err, "holdshort: seed %d: of model %s, this machine's is %s: left as it is\n", o.Info.Seed, o.Info.Model, b.Model.Hash())
			code = report.Worst(code, harness.ExitUnsupported)
			continue
		}
		run := &campaign.Campaign{Info: o.Info, Model: b.Model, Before: before, Out: f, Launch: b.Launch, Refuse: b.Refuse, Trace: b.Trace, Dir: b.Dir}
		if run.Oracles, _, err = b.Oracles(o.Info.Oracles); err != nil {
			return err
		}
		if err := run.Shrink(ctx); err != nil {
			return err
		}
		if err := o.Text(s.out); err != nil {
			return err
		}
		code = report.Worst(code, o.ExitCode())
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// writeBundle writes a directory that OCI engines can run. They ignore what is
// under "holdshort", so what the finding needs of that is lost on them.
func writeBundle(s *streams, dir string, m *campaign.Minimal) error {
	if _, err := os.Lstat(dir); err == nil {
		return usage(fmt.Errorf("%s is there already", dir))
	}
	if err := fuzz.Prepare(dir); err != nil {
		return err
	}
	r, err := moved(m.Request, m.Dir, dir)
	if err != nil {
		return err
	}
	ext := r.Ext
	ext.KeepIDs = false
	if r.Spec.Root == nil {
		// Engines want a root of its own; what was asked for of paths below the old one is the same in it.
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b = bytes.ReplaceAll(b, []byte(`"`+dir+`/point`), []byte(`"/point`))
		b = bytes.ReplaceAll(b, []byte(`"`+dir+`/work`), []byte(`"/work`)) // and so the program
		if r, err = request.Parse(b, true); err != nil {
			return err
		}
		if !r.Namespace(specs.MountNamespace).Asked {
			r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.MountNamespace})
		}
		r.Spec.Root = &specs.Root{}
	}
	prepare := ""
	for i := range r.Linux().Namespaces {
		if n := &r.Spec.Linux.Namespaces[i]; n.Path == fuzz.PooledNet(dir) {
			name := fmt.Sprintf("holdshort-%d", m.Index)
			n.Path, prepare = "/run/netns/"+name, "ip netns add "+name+"\n"
		}
	}
	r.Spec.Root.Path = "root"
	r.Spec.Version = "1.0.2" // which older engines take, too
	if !slices.ContainsFunc(r.Spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/proc" }) {
		// Engines look at it from inside.
		r.Spec.Mounts = slices.Insert(r.Spec.Mounts, 0, specs.Mount{Destination: "/proc", Type: "proc", Source: "proc"})
	}
	if r.Spec.Process.Cwd == "" {
		r.Spec.Process.Cwd = "/"
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "finding: %s (%s)\n", m.Key, fuzz.Words(m.Values))
	fmt.Fprint(s.out, prepare)
	fmt.Fprintf(s.out, "holdshort run --bundle %s\ncd %s && runc run holdshort-%d\ncd %s && crun run holdshort-%d\n", dir, dir, m.Index, dir, m.Index)
	if len(m.Caller) > 0 {
		fmt.Fprintf(s.out, "a bundle cannot say who starts it; the finding takes a caller with: %s\n", strings.Join(m.Caller, ", "))
	}
	if b, err := json.Marshal(ext); err == nil && string(b) != "{}" {
		fmt.Fprintf(s.out, "other engines than ours do not know what it asks for beyond OCI: %s\n", b)
	}
	return nil
}
