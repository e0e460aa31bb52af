package engines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// refuses is the field of a difference between engines of which some do not run
// the request at all.
const refuses = "refuses"

// Differ puts the same random requests through several engines.
type Differ struct {
	N    int
	Seed uint64
	// Names are of engines that [engine.ByName] knows, and "native".
	Names []string
	// Out is where requests with what is not explained go, made small, each
	// with a script that needs the engines alone; empty is nowhere.
	Out string
	// Told is called after each request; it may be nil.
	Told func(done int)

	bench    *Bench
	list     []*engine.Foreign // nil is native
	native   *harness.Runner
	features map[string]*features.Features
}

// Group is one kind of difference.
type Group struct {
	Field   string            `json:"field"`
	Engines map[string]string `json:"engines"` // what it is with each
	Count   int               `json:"count"`
	First   int               `json:"first"` // index of the request
	// Why explains it; empty is a finding.
	Why string `json:"why,omitempty"`
	// Says is what the check says, of the first engine that is not explained.
	Says string `json:"says,omitempty"`
	// Bundle is where it was written to.
	Bundle string `json:"bundle,omitempty"`
}

// key is the same for the same kind.
func (g *Group) key(names []string) string {
	var b strings.Builder
	b.WriteString(g.Field)
	for _, n := range names {
		fmt.Fprintf(&b, " %s=%s", n, g.Engines[n])
	}
	return b.String()
}

// Differences are the result.
type Differences struct {
	Engines  []string       `json:"engines"`
	Seed     uint64         `json:"seed"`
	Requests int            `json:"requests"`
	Launches map[string]int `json:"launches"`
	Unknown  map[string]int `json:"unknown"`
	Refused  map[string]int `json:"refused"`
	Groups   []*Group       `json:"groups"`
}

// Unexplained counts the groups without a reason.
func (d *Differences) Unexplained() (n int) {
	for _, g := range d.Groups {
		if g.Why == "" {
			n++
		}
	}
	return n
}

// outcome is what became of a request with one engine.
type outcome struct {
	name     string
	ran      bool
	unknown  bool
	said     string
	findings map[string]found
	asked    map[string]bool // fields that the request decides, with this engine
}

type found struct {
	outcome oracle.Outcome
	says    string
}

// Run runs the requests.
func (d *Differ) Run(ctx context.Context) (*Differences, error) {
	if err := d.open(ctx); err != nil {
		return nil, err
	}
	defer d.close()
	res := &Differences{Engines: d.Names, Seed: d.Seed, Launches: map[string]int{}, Unknown: map[string]int{}, Refused: map[string]int{}}
	groups := map[string]*Group{}
	for i := 0; i < d.N && ctx.Err() == nil; i++ {
		req := d.bench.drawFor(d.Seed, uint64(i), d.foreign())
		all, err := d.all(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		res.Requests++
		for _, o := range all {
			res.Launches[o.name]++
			if !o.ran {
				res.Refused[o.name]++
			}
			if o.unknown {
				res.Unknown[o.name]++
			}
		}
		for _, g := range d.compare(req, all) {
			k := g.key(d.Names)
			if groups[k] == nil {
				g.First = i
				groups[k] = g
				res.Groups = append(res.Groups, g)
				if g.Why == "" && d.Out != "" {
					if g.Bundle, err = d.export(ctx, req, g); err != nil {
						return nil, err
					}
				}
			}
			groups[k].Count++
		}
		if d.Told != nil {
			d.Told(i + 1)
		}
	}
	slices.SortStableFunc(res.Groups, func(a, b *Group) int { return strings.Compare(a.Field, b.Field) })
	return res, ctx.Err()
}

func (d *Differ) open(ctx context.Context) (err error) {
	if len(d.Names) < 2 {
		return errors.New("a comparison takes two engines")
	}
	d.features = map[string]*features.Features{}
	for _, n := range d.Names {
		if n == "native" {
			d.list = append(d.list, nil)
			continue
		}
		e, err := engine.ByName(n)
		if err != nil {
			return err
		}
		if _, err := exec.LookPath(e.Binary); err != nil {
			return fmt.Errorf("%s: %w", n, errors.Join(errors.ErrUnsupported, err))
		}
		if e.OCIRuntime() {
			d.features[n] = declared(ctx, e.Binary)
		}
		d.list = append(d.list, e)
	}
	if d.bench, err = Open(ctx, true); err != nil {
		return err
	}
	if slices.Contains(d.Names, "native") {
		if d.native, err = harness.NewRunner(ctx, &harness.RunnerOptions{Freeze: true}); err != nil {
			return errors.Join(err, d.bench.Close())
		}
	}
	return nil
}

func (d *Differ) close() {
	if d.native != nil {
		_ = d.native.Close()
	}
	_ = d.bench.Close()
}

func (d *Differ) foreign() []*engine.Foreign {
	return slices.DeleteFunc(slices.Clone(d.list), func(e *engine.Foreign) bool { return e == nil })
}

// all runs one request through every engine.
func (d *Differ) all(ctx context.Context, req *request.Request) ([]*outcome, error) {
	out := make([]*outcome, len(d.list))
	for i, e := range d.list {
		o := &outcome{name: d.Names[i], findings: map[string]found{}, asked: map[string]bool{}}
		out[i] = o
		var c *harness.Case
		var err error
		if e == nil {
			c, err = d.native.Run(ctx, req, nil)
			if err != nil {
				if !harness.Unsupported(err) {
					return nil, err
				}
				o.said, c = err.Error(), nil
			}
		} else {
			var left []string
			if c, left, err = d.bench.One(ctx, e, req, false, false); err != nil {
				return nil, err
			}
			if o.said = d.bench.said; c == nil {
				o.said = strings.Join(left, "; ")
			} else if c.Meta.Executions == 0 {
				c = nil
			}
		}
		if c == nil {
			continue
		}
		o.ran, o.unknown = true, c.Verdict == harness.Unknown
		for j := range c.Checks {
			k := &c.Checks[j]
			o.asked[k.Name()] = k.Class() != oracle.Kept
			if k.Outcome.Finding() {
				o.findings[k.Name()] = found{k.Outcome, k.Why}
			}
		}
	}
	return out, nil
}

// compare lists what differs: from what was asked for, with at least one engine.
func (d *Differ) compare(req *request.Request, all []*outcome) []*Group {
	var out []*Group
	var ran, not []*outcome
	fields := map[string]bool{}
	for _, o := range all {
		if !o.ran {
			not = append(not, o)
			continue
		}
		ran = append(ran, o)
		for f := range o.findings {
			fields[f] = true
		}
	}
	if len(ran) > 0 && len(not) > 0 {
		g := &Group{Field: refuses, Engines: map[string]string{}}
		for _, o := range ran {
			g.Engines[o.name] = "runs"
		}
		var whys []string
		for _, o := range not {
			g.Engines[o.name] = "refuses"
			g.Says = lastLine(o.said)
			whys = append(whys, d.explain(o.name, req, refuses, oracle.Refused, o.said))
		}
		g.Why = together(whys)
		out = append(out, g)
	}
	for f := range fields {
		g := &Group{Field: f, Engines: map[string]string{}}
		var whys []string
		asked := slices.ContainsFunc(ran, func(o *outcome) bool { return o.asked[f] })
		for _, o := range all {
			x, is := o.findings[f]
			switch {
			case !o.ran:
				g.Engines[o.name] = "refuses"
			case is:
				g.Engines[o.name] = string(x.outcome)
				why := d.explain(o.name, req, f, x.outcome, x.says)
				if whys = append(whys, why); why == "" && g.Says == "" {
					g.Says = o.name + ": " + x.says
				}
			case asked && !o.asked[f]:
				g.Engines[o.name] = "has no words"
			default:
				g.Engines[o.name] = "holds"
			}
		}
		g.Why = together(whys)
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *Group) int { return strings.Compare(a.Field, b.Field) })
	return out
}

func (d *Differ) explain(name string, req *request.Request, field string, o oracle.Outcome, says string) string {
	if why := undeclared(d.features[name], req, field); why != "" {
		return name + ": " + why
	}
	if why := Explain(name, field, o, says); why != "" {
		return name + ": " + why
	}
	return ""
}

// together is empty if one is.
func together(whys []string) string {
	if slices.Contains(whys, "") {
		return ""
	}
	slices.Sort(whys)
	return strings.Join(slices.Compact(whys), "; ")
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Config is the JSON of a request.
func config(req *request.Request) ([]byte, error) { return json.MarshalIndent(req, "", "\t") }

// Text writes the result for people.
func (d *Differences) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, seed %d\n", d.Requests, d.Seed)
	for _, n := range d.Engines {
		fmt.Fprintf(&b, "  %-16s %d launches, %d refused, %d unknown\n", n, d.Launches[n], d.Refused[n], d.Unknown[n])
	}
	for _, explained := range []bool{false, true} {
		head := "not explained"
		if explained {
			head = "explained"
		}
		for _, g := range d.Groups {
			if (g.Why != "") != explained {
				continue
			}
			if head != "" {
				fmt.Fprintf(&b, "\n%s\n", head)
				head = ""
			}
			fmt.Fprintf(&b, "  %4d %s:", g.Count, g.Field)
			for _, n := range d.Engines {
				fmt.Fprintf(&b, " %s %s,", n, g.Engines[n])
			}
			fmt.Fprintf(&b, " first in %d", g.First)
			for _, more := range []string{g.Why, g.Says, g.Bundle} {
				if more != "" {
					fmt.Fprintf(&b, "\n       %s", more)
				}
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
