// Engines judges other people's engines, as far as they are installed: a table
// of fixed cases, in which each known deviation has to show by itself, and
// random valid requests, in which nothing else may.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

type settings struct {
	n    int
	seed uint64
	only string
	out  string
	gate bool
}

func main() {
	var s settings
	flag.IntVar(&s.n, "n", 30, "how many random requests for each engine")
	flag.Uint64Var(&s.seed, "seed", 1, "seed of the random requests")
	flag.StringVar(&s.only, "engines", "", "engines, separated by commas (default: all that are installed)")
	flag.StringVar(&s.out, "out", "", "directory for the requests with an unexplained finding")
	flag.BoolVar(&s.gate, "gate", false, "fail on an unexplained finding, and on a known deviation that does not show: for the versions of Debian 12")
	flag.Parse()
	ok, err := s.run(context.Background(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(harness.ExitFault)
	}
	if !ok {
		os.Exit(harness.ExitFinding)
	}
}

// bench is what all launches have in common.
type bench struct {
	v      *harness.Verifier
	root   string // of the workloads
	conf   string // of podman: what its runtime is
	hybrid bool   // cgroup version 1 and a version 2 that has controllers, which crun refuses
}

// count is how often a finding came, and where it came first.
type count struct {
	n     int
	first string
	why   string
}

func (s *settings) run(ctx context.Context, out io.Writer) (bool, error) {
	for fd := 3; fd < 1024; fd++ { // what we were started with is nobody's business
		unix.CloseOnExec(fd)
	}
	dir, err := os.MkdirTemp("", "holdshort-engines-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	b := &bench{root: filepath.Join(dir, "rootfs"), conf: filepath.Join(dir, "containers.conf")}
	if err := os.WriteFile(b.conf, []byte("[engine]\nruntime = \"runc\"\n"), 0o644); err != nil {
		return false, err
	}
	if err := b.makeRoot(); err != nil {
		return false, err
	}
	b.hybrid = hybrid()
	if b.v, err = harness.NewVerifier(ctx, &harness.VerifierOptions{Freeze: true}); err != nil {
		return false, err
	}
	defer b.v.Close()

	found := map[string]map[string]*count{} // engine, "field outcome"
	cells := map[string]map[string]string{} // case, engine
	unknown, refused, launches, missing := map[string]int{}, map[string]int{}, map[string]int{}, 0
	var names []string
	for _, e := range engine.Engines() {
		if _, err := exec.LookPath(e.Binary); err != nil || s.only != "" && !slices.Contains(strings.Split(s.only, ","), e.Name) {
			continue
		}
		names = append(names, e.Name)
		found[e.Name] = map[string]*count{}
		note := func(where string, c *harness.Case, req *request.Request) {
			launches[e.Name]++
			if c.Verdict == harness.Unknown {
				unknown[e.Name]++
				fmt.Fprintf(out, "unknown: %s, %s: %s\n", e.Name, where, strings.Join(c.Reasons, "; "))
			}
			for i := range c.Checks {
				k := &c.Checks[i]
				if !k.Outcome.Finding() {
					continue
				}
				key := k.Name() + " " + string(k.Outcome)
				if found[e.Name][key] == nil {
					found[e.Name][key] = &count{first: where, why: k.Why}
				}
				found[e.Name][key].n++
				if explain(e.Name, k.Name(), k.Outcome, k.Why) == "" {
					s.keep(where+"-"+e.Name, req)
				}
			}
		}
		var usual []string // what it has no words for in any case
		for _, k := range cases() {
			if cells[k.name] == nil {
				cells[k.name] = map[string]string{}
			}
			req := b.base()
			k.ask(req)
			c, left, err := b.one(ctx, e, req, k.dirty, k.clean)
			if usual == nil {
				usual = append([]string{}, left...)
			}
			switch {
			case err != nil:
				cells[k.name][e.Name] = "error: " + err.Error()
				continue
			case c == nil:
				cells[k.name][e.Name] = "cannot say " + strings.Join(left, ", ")
				continue
			case c.Meta.Executions == 0:
				cells[k.name][e.Name] = "refused"
				if k.mustRun {
					missing++
				}
				refused[e.Name]++
				continue
			}
			note(k.name, c, req)
			cells[k.name][e.Name] = summary(c)
			if left = lacking(left, usual); len(left) > 0 {
				cells[k.name][e.Name] = "no words for " + strings.Join(left, ", ") + "; else " + cells[k.name][e.Name]
			}
			for _, want := range k.want[e.Name] {
				if found[e.Name][want] == nil {
					missing++
					fmt.Fprintf(out, "not found: %s, %s: %s\n", e.Name, k.name, want)
				}
			}
		}
		for i := range s.n {
			req := b.draw(s.seed, uint64(i), e)
			c, _, err := b.one(ctx, e, req, false, false)
			if err != nil {
				return false, err
			}
			if c == nil || c.Meta.Executions == 0 {
				refused[e.Name]++
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
			why := explain(n, field, outcomeOf(outcome), c.why)
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
	return lost == 0 && (bad == 0 || !s.gate), nil
}

// keep writes a request down.
func (s *settings) keep(name string, req *request.Request) {
	if s.out == "" {
		return
	}
	if b, err := json.MarshalIndent(req, "", "\t"); err == nil && os.MkdirAll(s.out, 0o755) == nil {
		_ = os.WriteFile(filepath.Join(s.out, strings.ReplaceAll(name, " ", "-")+".json"), b, 0o644)
	}
}

// one runs one request. It returns no case if the engine cannot be told.
func (b *bench) one(ctx context.Context, e *engine.Foreign, req *request.Request, dirty, clean bool) (*harness.Case, []string, error) {
	if err := req.Validate(); err != nil {
		return nil, nil, err
	}
	cmd, err := e.Command(req, true)
	if err != nil {
		return nil, []string{err.Error()}, nil
	}
	defer cmd.Close()
	path, err := exec.LookPath(e.Binary)
	if err != nil {
		return nil, nil, err
	}
	cmd.Args[0] = path
	args := cmd.Args
	if e.Name == "crun" && b.hybrid {
		args = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `umount /sys/fs/cgroup/unified; exec "$@"`, "sh"}, args...)
	}
	if dirty {
		args = append([]string{"/bin/sh", "-c", dirtyCaller, "sh"}, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	x := exec.CommandContext(ctx, args[0], args[1:]...)
	x.Env, x.ExtraFiles = cmd.Env, cmd.Files
	if x.Env == nil {
		x.Env = []string{"PATH=" + os.Getenv("PATH"), "CONTAINERS_CONF=" + b.conf}
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, nil, err
	}
	c, err := b.v.VerifyWith(ctx, cmd.Request, x, &harness.VerifyOptions{
		Engine: e.Name, Profile: e.Profile, PID: cmd.PID, Below: cmd.Below, Binary: real, Clean: clean,
	})
	return c, cmd.Unexpressed, err
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

func (b *bench) table(out io.Writer, names []string, cells map[string]map[string]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tengine\toutcome")
	for _, k := range cases() {
		for _, n := range names {
			fmt.Fprintf(w, "%s\t%s\t%s\n", k.name, n, cells[k.name][n])
		}
	}
	w.Flush()
}

// makeRoot makes a root file system of one static program.
func (b *bench) makeRoot() error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("needs a static busybox: %w", err)
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	for _, d := range []string{"bin", "proc", "dev", "sys", "tmp", "etc", "mnt", "usr", "root"} {
		if err := os.MkdirAll(filepath.Join(b.root, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Dir(b.root), 0o755); err != nil {
		return err
	}
	// systemd-nspawn starts nothing without.
	if err := os.WriteFile(filepath.Join(b.root, "etc", "os-release"), []byte("ID=holdshort\n"), 0o644); err != nil {
		return err
	}
	for _, name := range []string{"true", "sh"} {
		if err := os.WriteFile(filepath.Join(b.root, "bin", name), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// hybrid reports version 1 hierarchies beside a version 2 that has controllers.
func hybrid() bool {
	b, err := os.ReadFile("/sys/fs/cgroup/unified/cgroup.controllers")
	return err == nil && strings.TrimSpace(string(b)) != ""
}
