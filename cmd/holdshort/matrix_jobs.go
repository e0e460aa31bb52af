package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/fuzz/compare"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/internal/exitzero"
	"github.com/holdshort/holdshort/vm"
	"github.com/holdshort/holdshort/vm/matrix"
)

// inGuest is where a guest has this command.
const inGuest = "/usr/local/bin/holdshort"

// ours are the jobs that this command itself does on each kernel. The first
// tells the kernel's features.
func (c *matrixCmd) ours(m *matrix.Matrix, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	job := func(name string, read func(*matrix.Row, *matrix.Ran, []byte) error, args ...string) {
		m.Jobs = append(m.Jobs, matrix.Job{Name: name, Argv: append([]string{inGuest}, args...), Host: self, Dir: "/", Read: read})
	}
	job("doctor", readDoctor, "doctor", "--json")
	if slices.Contains(c.What, "fuzz") {
		floor, err := c.floor(dir)
		if err != nil {
			return err
		}
		m.Jobs = append(m.Jobs, floor...)
		job("fuzz", readFuzz, "fuzz", "--cases", strconv.FormatUint(c.Cases, 10), "--seed", strconv.FormatUint(c.Seed, 10), "--json", "--quiet")
		m.Jobs = append(m.Jobs, floor...) // before and after: the machine is shared
	}
	for _, f := range c.Replay {
		abs, err := filepath.Abs(f)
		if err != nil {
			return err
		}
		job("replay "+f, nil, "replay", abs)
		m.Jobs[len(m.Jobs)-1].Files = []string{abs}
	}
	if slices.Contains(c.What, "compare") {
		list := &c.comparing
		list.of = map[string]*compare.Recording{}
		var mu sync.Mutex
		job("compare", func(row *matrix.Row, ran *matrix.Ran, out []byte) error {
			r, err := compare.Read(row.Kernel, bytes.NewReader(out))
			if err != nil {
				return err
			}
			ran.Last = fmt.Sprintf("%d cases", len(r.Cases))
			mu.Lock()
			list.of[row.Kernel] = r
			mu.Unlock()
			return nil
		}, "compare", "--seed", strconv.FormatUint(c.Seed, 10), "--cases", "400")
		m.Compare = list.compare
	}
	return nil
}

// floor are the jobs that measure the floor, none without one.
func (c *matrixCmd) floor(dir string) ([]matrix.Job, error) {
	if c.Floor == "" {
		return nil, nil
	}
	program, err := filepath.Abs(c.Floor)
	if err != nil {
		return nil, err
	}
	workload := filepath.Join(dir, "exitzero")
	if err := os.WriteFile(workload, exitzero.ELF(), 0o755); err != nil {
		return nil, err
	}
	sh, err := vm.LookPath("sh")
	if err != nil {
		return nil, err
	}
	return []matrix.Job{{
		Name: "floor", Dir: "/", Files: []string{program, workload}, Read: readFloor,
		Argv: []string{sh, "-c", `echo "fork five 300" | "$0" "$1"`, program, workload},
	}}, nil
}

func readFloor(row *matrix.Row, ran *matrix.Ran, out []byte) error {
	var took []float64
	for word := range strings.FieldsSeq(string(out)) {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return fmt.Errorf("the floor answered %.40q", out)
		}
		took = append(took, n)
	}
	if len(took) == 0 {
		return errors.New("the floor said nothing")
	}
	slices.Sort(took)
	median := took[len(took)/2] / 1000
	ran.Last = fmt.Sprintf("%.0f µs per start in five namespaces (median of %d)", median, len(took))
	row.Floor = append(row.Floor, matrix.Floor{Micros: median})
	if f := row.Fuzz; f != nil && f.Judged > 0 { // the second one, after the campaign
		sum := 0.0
		for _, x := range row.Floor {
			sum += x.Micros
		}
		f.Floors = f.Seconds * 1e6 / float64(f.Judged) / (sum / float64(len(row.Floor)))
	}
	return nil
}

func readDoctor(row *matrix.Row, ran *matrix.Ran, out []byte) error {
	var d harness.Diagnosis
	if err := json.Unmarshal(out, &d); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	for _, part := range []struct {
		prefix string
		list   []harness.Finding
	}{{"", d.Kernels}, {"launch: ", d.Launch}, {"hook: ", d.Hooks}, {"field: ", d.Unseen}} {
		for _, f := range part.list {
			row.Features = append(row.Features, matrix.Feature{Name: part.prefix + f.Name, OK: f.OK, Detail: f.Detail})
		}
	}
	ran.Last = fmt.Sprintf("%d features", len(row.Features))
	if !d.CanVerify {
		return errors.New("no verdicts can be given on this kernel")
	}
	return nil
}

func readFuzz(row *matrix.Row, ran *matrix.Ran, out []byte) error {
	var r campaign.Results
	if err := r.Read(bytes.NewReader(out)); err != nil {
		return err
	}
	all := r.Outcomes()
	if len(all) != 1 {
		return fmt.Errorf("%d campaigns where one was due", len(all))
	}
	o := all[0]
	f := &matrix.Fuzz{Seed: o.Info.Seed, Model: o.Info.Model, Seconds: ran.Seconds}
	if o.Model != nil {
		f.Parameters = len(o.Model.Parameters)
	}
	f.Judged, f.Unjudged = o.Counts()
	line := func(i *campaign.Incident) string {
		values := i.Values
		if m := o.Explain(i); m != nil {
			values = m.Values
		}
		return fmt.Sprintf("case %d: %s: %s", i.Index, i.Key, fuzz.Words(values))
	}
	for _, i := range o.Incidents(campaign.Finding) {
		f.Findings = append(f.Findings, line(i))
	}
	for _, i := range o.Incidents(campaign.Flaky) {
		f.Flaky = append(f.Flaky, line(i))
	}
	row.Fuzz = f
	ran.Last = fmt.Sprintf("%d cases judged, %d not, %d with findings, %d flaky; %.0f/s", f.Judged, f.Unjudged, len(f.Findings), len(f.Flaky), float64(f.Judged)/max(ran.Seconds, 0.001))
	if ran.Outcome != matrix.Pass {
		lines := slices.Concat(f.Findings, f.Flaky)
		for _, i := range o.Incidents(campaign.Unknown) {
			lines = append(lines, line(i))
		}
		ran.Tail = strings.Join(lines[:min(len(lines), 20)], "\n")
	}
	return nil
}

// comparing are the recordings of all kernels, and what comes out.
type comparing struct {
	of     map[string]*compare.Recording
	result *compare.Comparison
}

func (c *comparing) compare(rep *matrix.Report) []string {
	var list []*compare.Recording
	for _, row := range rep.Rows {
		if r := c.of[row.Kernel]; r != nil {
			list = append(list, r)
		}
	}
	if len(list) < 2 {
		return nil // one kernel differs from none
	}
	c.result = compare.Compare(list)
	out := slices.Clone(c.result.Faults)
	for i := range c.result.Differences {
		if d := &c.result.Differences[i]; d.Fact == nil {
			out = append(out, d.String())
		}
	}
	b, err := json.Marshal(c.result)
	if err != nil {
		return append(out, err.Error())
	}
	rep.Comparison = b
	return out
}
