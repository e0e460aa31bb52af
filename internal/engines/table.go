package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
)

// Settings are those of a table.
type Settings struct {
	N     int      // random requests for each engine
	Seed  uint64   // of them
	Trees []string // directories of trees, whose engines run as well
	NoOwn bool     // not those of this machine
	Only  string   // engines, separated by commas; empty is all that are installed
	Out   string   // a directory for the requests with an unexplained finding; may be empty
	Gate  bool     // fail on what is not explained, and on a known deviation that does not show
}

// count is how often a finding came, and where it came first.
type count struct {
	n     int
	first string
	why   string
}

// Run judges every engine that is installed in the fixed cases and in random
// requests, and prints a table. It reports whether all is well.
func (s *Settings) Run(ctx context.Context, out io.Writer) (bool, error) {
	b, err := Open(ctx, true)
	if err != nil {
		return false, err
	}
	defer b.Close()

	found := map[string]map[string]*count{} // engine, "field outcome"
	cells := map[string]map[string]string{} // case, engine
	unknown, refused, launches, missing := map[string]int{}, map[string]int{}, map[string]int{}, 0
	contestants, err := s.contestants()
	if err != nil {
		return false, err
	}
	var names []string
	engineOf := map[string]string{}
	for _, x := range contestants {
		e, label := x.engine, x.label
		b.tree = x.tree
		names = append(names, label)
		engineOf[label] = e.Name
		found[label] = map[string]*count{}
		note := func(where string, c *harness.Case, req *request.Request) {
			launches[label]++
			if c.Verdict == harness.Unknown {
				unknown[label]++
				fmt.Fprintf(out, "unknown: %s, %s: %s\n", label, where, strings.Join(c.Reasons, "; "))
			}
			for i := range c.Checks {
				k := &c.Checks[i]
				if !k.Outcome.Finding() {
					continue
				}
				key := k.Name() + " " + string(k.Outcome)
				if found[label][key] == nil {
					found[label][key] = &count{first: where, why: k.Why}
				}
				found[label][key].n++
				if Explain(e.Name, k.Name(), k.Outcome, k.Why) == "" {
					s.keep(where+"-"+e.Name, req)
				}
			}
		}
		var usual []string // what it has no words for in any case
		for _, k := range cases() {
			if cells[k.name] == nil {
				cells[k.name] = map[string]string{}
			}
			req := b.Base()
			k.ask(req)
			c, left, err := b.One(ctx, e, req, k.dirty, k.clean)
			if usual == nil {
				usual = append([]string{}, left...)
			}
			switch {
			case err != nil:
				cells[k.name][label] = "error: " + err.Error()
				continue
			case c == nil:
				cells[k.name][label] = "cannot say " + strings.Join(left, ", ")
				continue
			case c.Meta.Executions == 0:
				cells[k.name][label] = strings.TrimSuffix("refused: "+lastLine(b.said), ": ")
				if k.mustRun && x.tree == nil {
					missing++
				}
				refused[label]++
				continue
			}
			note(k.name, c, req)
			cells[k.name][label] = summary(c)
			if left = lacking(left, usual); len(left) > 0 {
				cells[k.name][label] = "no words for " + strings.Join(left, ", ") + "; else " + cells[k.name][label]
			}
			for _, want := range x.known(k.want[e.Name]) {
				if found[label][want] == nil {
					missing++
					fmt.Fprintf(out, "not found: %s, %s: %s\n", label, k.name, want)
				}
			}
		}
		for i := range s.N {
			req := b.Draw(s.Seed, uint64(i), e)
			c, _, err := b.One(ctx, e, req, false, false)
			if err != nil {
				return false, err
			}
			if c == nil || c.Meta.Executions == 0 {
				refused[label]++
				s.keep(fmt.Sprintf("refused-%d-%s", i, e.Name), req)
				continue
			}
			note(fmt.Sprintf("random request %d", i), c, req)
		}
	}
	b.table(out, names, cells)
	bad, lost := missing, 0
	for _, n := range names {
		fmt.Fprintf(out, "\n%s: %d launches judged, %d unknown, %d requests refused\n", n, launches[n], unknown[n], refused[n])
		lost += unknown[n]
		for _, key := range slices.Sorted(maps.Keys(found[n])) {
			c := found[n][key]
			field, outcome, _ := strings.Cut(key, " ")
			why := Explain(engineOf[n], field, oracle.Outcome(outcome), c.why)
			if why == "" {
				bad++
				why = "UNEXPLAINED: " + c.why
			}
			fmt.Fprintf(out, "  %4d %-40s first in %q: %s\n", c.n, key, c.first, why)
		}
	}
	if bad > 0 {
		fmt.Fprintf(out, "\n%d kinds of findings are not explained, or known ones did not show; the explanations are those of Debian 12's versions\n", bad)
	}
	return lost == 0 && (bad == 0 || !s.Gate), nil
}

// contestant is an engine, of this machine or of a tree.
type contestant struct {
	engine *engine.Foreign
	tree   *Tree
	label  string
}

// known is what has to show: it is known of this machine's versions alone.
func (c *contestant) known(list []string) []string {
	if c.tree != nil {
		return nil
	}
	return list
}

func (s *Settings) contestants() ([]contestant, error) {
	var out []contestant
	wanted := func(e *engine.Foreign) bool {
		return s.Only == "" || slices.Contains(strings.Split(s.Only, ","), e.Name)
	}
	for _, e := range engine.Engines() {
		if _, err := exec.LookPath(e.Binary); err == nil && wanted(e) && !s.NoOwn {
			out = append(out, contestant{e, nil, e.Name})
		}
	}
	for _, dir := range s.Trees {
		t, err := ReadTree(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range engine.Engines() {
			if _, _, ok := t.find(e); ok && wanted(e) {
				out = append(out, contestant{e, t, t.label(e)})
			}
		}
	}
	return out, nil
}

// keep writes a request down.
func (s *Settings) keep(name string, req *request.Request) {
	if s.Out == "" {
		return
	}
	if b, err := json.MarshalIndent(req, "", "\t"); err == nil && os.MkdirAll(s.Out, 0o755) == nil {
		_ = os.WriteFile(filepath.Join(s.Out, strings.ReplaceAll(name, " ", "-")+".json"), b, 0o644)
	}
}

// lacking is what is left out besides what usually is.
func lacking(left, usual []string) []string {
	return slices.DeleteFunc(slices.Clone(left), func(s string) bool { return slices.Contains(usual, s) })
}

// summary is a cell of the table.
func summary(c *harness.Case) string {
	var out []string
	for i := range c.Checks {
		if k := &c.Checks[i]; k.Outcome.Finding() {
			out = append(out, k.Name()+" "+string(k.Outcome))
		}
	}
	if len(out) == 0 {
		return string(c.Verdict)
	}
	if len(out) > 4 {
		out = append(out[:4], fmt.Sprintf("%d more", len(out)-4))
	}
	return strings.Join(out, ", ")
}

func (b *Bench) table(out io.Writer, names []string, cells map[string]map[string]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tengine\toutcome")
	for _, k := range cases() {
		for _, n := range names {
			fmt.Fprintf(w, "%s\t%s\t%s\n", k.name, n, cells[k.name][n])
		}
	}
	w.Flush()
}
