package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/request"
	"pgregory.net/rapid"
)

// small is a model without anything that takes a privilege.
func small(t testing.TB) *fuzz.Model {
	t.Helper()
	m := &fuzz.Machine{CPUs: []int{0}, Dir: "/tmp/dir", Tag: "a"}
	for i := range m.Rlimits {
		m.Rlimits[i] = [2]uint64{1 << 30, 1 << 30}
	}
	md, err := fuzz.NewModel(m)
	if err != nil {
		t.Fatal(err)
	}
	return md
}

// faults launch nothing: they fail where they are told to.
func faults(md *fuzz.Model, planted map[string]map[string]string) func(context.Context, fuzz.Assignment, *request.Request) *Verdict {
	return func(_ context.Context, a fuzz.Assignment, _ *request.Request) *Verdict {
		v := &Verdict{Judged: true}
		words := md.Words(a)
		for key, values := range planted {
			all := true
			for k, x := range values {
				all = all && words[k] == x
			}
			if all {
				v.Keys = append(v.Keys, key)
			}
		}
		slices.Sort(v.Keys)
		return v
	}
}

var planted = map[string]map[string]string{
	"a: weaker": {"session": "on"},
	"b: late":   {"umask": "077", "nice": "on"},
	"c: leaked": {"env": "ten", "args": "one", "no new privileges": "on"},
}

func run(t *testing.T, c *Campaign) *Results {
	t.Helper()
	r, err := c.Run(t.Context())
	if err == nil {
		err = c.Shrink(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func show(t *testing.T, r *Results) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlantedFaultsAreFoundAndShrunk(t *testing.T) {
	md := small(t)
	c := &Campaign{Info: Info{Model: md.Hash(), Seed: 3, Strength: 3}, Model: md, N: 400, Parallel: 4, Launch: faults(md, planted)}
	o := run(t, c).Of(c.Info)
	found := map[string]string{}
	for _, m := range o.Findings() {
		found[m.Key] = fmt.Sprint(m.Values)
	}
	for k, v := range planted {
		if found[k] != fmt.Sprint(v) {
			t.Errorf("%s: planted for %v, found for %s", k, v, found[k])
		}
	}
	if len(o.Findings()) != len(planted) {
		t.Errorf("%d findings", len(o.Findings()))
	}
	if p, all := c.prog.Triples, c.prog.AllTriples; p != all || all == 0 {
		t.Errorf("%d of %d triples after the array of strength 3", p, all)
	}
}

// near is a corpus.
func near(md *fuzz.Model) fuzz.Parents {
	var all fuzz.Parents
	for i := range uint64(20) {
		all = append(all, md.Words(md.Space().Random(cover.NewStream(i))))
	}
	return md.Fitting(all)
}

// TestShardsFindTheSame: what one process finds, 64 find together, whatever the
// number of processors.
func TestShardsFindTheSame(t *testing.T) {
	md := small(t)
	corpus := near(md)
	info := Info{Model: md.Hash(), Seed: 5, Strength: 2, Corpus: corpus.ID()}
	const n = 64 * 70
	whole := run(t, &Campaign{Info: info, Model: md, Parents: corpus, N: n, Parallel: 3, Launch: faults(md, planted)})
	merged := &Results{}
	for shard := range 64 {
		before := runtime.GOMAXPROCS(1 + shard%3)
		r := run(t, &Campaign{Info: info, Model: md, Parents: corpus, N: n, Parallel: 1 + shard%4, Shard: shard, Shards: 64, Launch: faults(md, planted)})
		runtime.GOMAXPROCS(before)
		if err := merged.Read(bytes.NewReader([]byte(show(t, r)))); err != nil {
			t.Fatal(err)
		}
	}
	list := func(r *Results) string {
		o := r.Of(info)
		var all []string
		for _, m := range o.Findings() {
			all = append(all, fmt.Sprint(m.Index, m.Key, m.Values))
		}
		judged, others := o.Counts()
		incidents, _ := json.Marshal(o.Incidents(Finding))
		return fmt.Sprint(all, judged, others, string(incidents))
	}
	if a, b := list(whole), list(merged); a != b {
		t.Errorf("one shard:\n%.2000s\n64 shards:\n%.2000s", a, b)
	}
}

func TestInterruptedAndResumed(t *testing.T) {
	md := small(t)
	corpus := near(md)
	info := Info{Model: md.Hash(), Seed: 8, Strength: 2, Corpus: corpus.ID()}
	full := run(t, &Campaign{Info: info, Model: md, Parents: corpus, N: 500, Launch: faults(md, planted)})
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	launches := atomic.Int64{}
	counted := func(stop int64) func(context.Context, fuzz.Assignment, *request.Request) *Verdict {
		return func(c context.Context, a fuzz.Assignment, r *request.Request) *Verdict {
			if launches.Add(1) == stop {
				cancel()
			}
			return faults(md, planted)(c, a, r)
		}
	}
	c := &Campaign{Info: info, Model: md, Parents: corpus, N: 500, Parallel: 3, Launch: counted(300), Out: &out}
	if _, err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	before := &Results{}
	// As if the process had been killed in the middle of a line.
	if err := before.Read(bytes.NewReader(append(slices.Clip(out.Bytes()), `{"schema":1,"campai`...))); err != nil {
		t.Fatal(err)
	}
	judged, _ := before.Of(info).Counts()
	if judged == 0 || judged >= 500 {
		t.Fatalf("%d cases before the interrupt", judged)
	}
	launches.Store(0)
	again := run(t, &Campaign{Info: info, Model: md, Parents: corpus, N: 500, Before: before, Launch: counted(-1)})
	if a, b := show(t, full), show(t, again); a != b {
		t.Errorf("without interrupt:\n%.1500s\nwith it:\n%.1500s", a, b)
	}
}

func TestFlakyIsKeptApart(t *testing.T) {
	md := small(t)
	n := 0
	c := &Campaign{Info: Info{Model: md.Hash(), Seed: 1, Strength: 1}, Model: md, N: 1, Launch: func(context.Context, fuzz.Assignment, *request.Request) *Verdict {
		if n++; n == 1 {
			return &Verdict{Judged: true, Keys: []string{"x: weaker"}}
		}
		return &Verdict{Judged: true}
	}}
	o := run(t, c).Of(c.Info)
	if f := o.Incidents(Flaky); len(f) != 1 || f[0].Hits != 1 || f[0].Runs != 4 || len(o.Findings()) != 0 {
		t.Errorf("flaky: %+v, findings: %+v", f, o.Findings())
	}
}

// TestLostEvidenceIsNoPass: a case that is never judged is in no coverage.
func TestLostEvidenceIsNoPass(t *testing.T) {
	md := small(t)
	c := &Campaign{Info: Info{Model: md.Hash(), Seed: 1, Strength: 2}, Model: md, N: 40, Launch: func(context.Context, fuzz.Assignment, *request.Request) *Verdict {
		return &Verdict{Keys: []string{"unknown: evidence-lost"}}
	}}
	o := run(t, c).Of(c.Info)
	judged, others := o.Counts()
	if judged != 0 || others != 40 || c.prog.Pairs != 0 || len(o.Incidents(Unknown)) != 40 {
		t.Errorf("%d judged, %d not, %d pairs", judged, others, c.prog.Pairs)
	}
}

type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestFullDiskEndsIt(t *testing.T) {
	md := small(t)
	c := &Campaign{Info: Info{Model: md.Hash(), Seed: 1, Strength: 1}, Model: md, Out: &full{2000}, Launch: faults(md, nil)}
	if _, err := c.Run(t.Context()); err == nil {
		t.Error("no error, although results are lost")
	}
}

func drawLine(t *rapid.T) *Line {
	i := Info{Seed: rapid.Uint64Range(1, 2).Draw(t, "seed")}
	l := &Line{Schema: Schema, Campaign: i.ID()}
	index := rapid.Uint64Range(0, 200).Draw(t, "index")
	key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
	values := map[string]string{"p": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value")}
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		l.Info = &i
	case 1:
		l.Block = &Block{
			First: index / blockSize * blockSize, Judged: Bits(rapid.Uint64().Draw(t, "judged")), Others: Bits(rapid.Uint64().Draw(t, "others")),
			Checked: map[string]Bits{rapid.SampledFrom([]string{"m", "n"}).Draw(t, "oracle"): Bits(rapid.Uint64().Draw(t, "checked"))},
		}
	case 2:
		l.Incident = &Incident{Index: index, Class: Finding, Key: key, Hits: rapid.IntRange(3, 5).Draw(t, "hits"), Runs: 5, Values: values}
	case 3:
		l.Minimal = &Minimal{Index: index, Key: key, Values: values, Executions: rapid.IntRange(1, 5).Draw(t, "executions")}
	case 4:
		l.Signature = &Signature{ID: key, Index: index, State: values}
	case 5:
		l.Timeline = &Timeline{Index: index, Key: key, Events: []Moment{{What: "exec", NS: int64(rapid.IntRange(1, 5).Draw(t, "ns"))}}}
	case 6:
		l.Model = &fuzz.Description{Hash: key}
	}
	return l
}

// TestMerge: results are a set. In any order, in any grouping, any number of
// times they come to the same.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(drawLine), 1, 20).Draw(t, "lines")
		text := func(r *Results) string {
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		of := func(lists ...[]*Line) *Results {
			r := &Results{}
			for _, l := range lists {
				for _, x := range l {
					if err := r.Add(x); err != nil {
						t.Fatal(err)
					}
				}
			}
			return r
		}
		want := text(of(lines))
		other := rapid.Permutation(lines).Draw(t, "order")
		if got := text(of(other)); got != want {
			t.Fatalf("in another order:\n%s\n%s", got, want)
		}
		if got := text(of(lines, other)); got != want {
			t.Fatalf("twice:\n%s\n%s", got, want)
		}
		at := rapid.IntRange(0, len(lines)).Draw(t, "at")
		left, right := text(of(lines[:at])), text(of(lines[at:]))
		r := &Results{}
		for _, s := range []string{right, left} {
			if err := r.Read(bytes.NewReader([]byte(s))); err != nil {
				t.Fatal(err)
			}
		}
		if got := text(r); got != want {
			t.Fatalf("merged from two files:\n%s\n%s", got, want)
		}
	})
}

// TestExitCodes: a finding counts before a flaky one, that before one that was
// not judged, and lost evidence is never clean.
func TestExitCodes(t *testing.T) {
	incident := func(index uint64, c Class, key string) *Line {
		return &Line{Schema: Schema, Campaign: Info{}.ID(), Incident: &Incident{Index: index, Class: c, Key: key}}
	}
	lost, unseen := incident(1, Unknown, "unknown: evidence-lost"), incident(2, Unknown, "unknown: cannot-observe")
	flaky, finding := incident(3, Flaky, "x"), incident(4, Finding, "x")
	for name, c := range map[string]struct {
		lines []*Line
		want  int
	}{
		"clean":           {nil, 0},
		"finding":         {[]*Line{lost, flaky, finding}, 1},
		"flaky":           {[]*Line{lost, flaky}, 2},
		"not observable":  {[]*Line{unseen}, 3},
		"lost":            {[]*Line{unseen, lost}, 4},
		"lost, then seen": {[]*Line{lost, {Schema: Schema, Campaign: Info{}.ID(), Block: &Block{Judged: 1 << 1}}}, 0},
	} {
		r := &Results{}
		for _, l := range c.lines {
			if err := r.Add(l); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.Of(Info{}).ExitCode(); got != c.want {
			t.Errorf("%s: exit status %d, want %d", name, got, c.want)
		}
	}
}

// TestExplainsItself: a case that was made small to smaller values than it has
// is not one that was not made small.
func TestExplainsItself(t *testing.T) {
	r := &Results{}
	for _, l := range []*Line{
		{Incident: &Incident{Index: 1, Class: Finding, Key: "k", Values: map[string]string{"p": "big", "q": "on"}}},
		{Incident: &Incident{Index: 2, Class: Finding, Key: "k", Values: map[string]string{"p": "big"}}},
		{Minimal: &Minimal{Index: 1, Key: "k", Values: map[string]string{"p": "small"}}},
	} {
		l.Schema, l.Campaign = Schema, Info{}.ID()
		if err := r.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	list, by := r.Of(Info{}).Explained(Finding)
	if len(list) != 2 || by[0] == nil || by[1] != nil {
		t.Errorf("explained: %v", by)
	}
}
