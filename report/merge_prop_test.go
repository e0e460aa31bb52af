package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"pgregory.net/rapid"
)

func draw(t *rapid.T) string {
	index := rapid.Uint64Range(0, 200).Draw(t, "index")
	key := rapid.SampledFrom([]string{"a: weaker", "refused: exec: ENOENT"}).Draw(t, "key")
	values := map[string]string{"p": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value")}
	info := campaign.Info{Model: "00", Seed: rapid.Uint64Range(1, 2).Draw(t, "seed"), Engine: "native"}
	l := &campaign.Line{Schema: campaign.Schema, Campaign: info.ID()}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 8:
		l.Corpus = fuzz.Parents{values}
	case 9:
		state := map[string]string{"user": key}
		l.Campaign, l.Example = "", &campaign.Example{ID: campaign.StateID(state), State: state, Values: values, Index: index}
	case 0:
		l.Info = &info
	case 1:
		l.Block = &campaign.Block{First: index / 64 * 64, Judged: campaign.Bits(rapid.Uint64().Draw(t, "judged")), Others: campaign.Bits(rapid.Uint64().Draw(t, "others"))}
	case 2:
		class := rapid.SampledFrom([]campaign.Class{campaign.Finding, campaign.Flaky, campaign.Unknown}).Draw(t, "class")
		l.Incident = &campaign.Incident{Index: index, Class: class, Key: key, Hits: rapid.IntRange(1, 5).Draw(t, "hits"), Runs: 5, Values: values}
	case 3:
		l.Minimal = &campaign.Minimal{Index: index, Key: key, Values: values, Executions: rapid.IntRange(1, 5).Draw(t, "executions")}
	case 4:
		l.Signature = &campaign.Signature{ID: key, Index: index, Values: values}
	case 5:
		l.Timeline = &campaign.Timeline{Index: index, Key: key, Events: []campaign.Moment{{What: "exec", NS: int64(index)}}}
	case 6:
		return rapid.SampledFrom([]string{
			`{"schema":1,"campa`, `{"schema":1,"campa{"schema":1,"campaign":"x","block":{"first":64,"judged":"00000000000000ff","others":"0000000000000000"}}`,
			"\x00\x00\x00", `{"schema":99,"campaign":"x","block":{}}`, `{"schema":1,"campaign":"x","later":{}}`, `{}`, "",
		}).Draw(t, "broken")
	case 7:
		return rapid.SampledFrom([]string{
			`{"schema":1,"verdict":"violated","kernel":"6.1","checks":[{"field":"fs.umask","outcome":"ignored"}]}`,
			`{"schema":1,"verdict":"unknown","cause":"evidence-lost"}`,
		}).Draw(t, "case")
	}
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type file struct {
	name  string
	lines []string
}

func drawFile(t *rapid.T) file {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")
	return file{name, rapid.SliceOfN(rapid.Custom(draw), 0, 8).Draw(t, "lines")}
}

func (f *file) set(t testing.TB) *Set {
	t.Helper()
	s := &Set{}
	var b bytes.Buffer
	for _, l := range f.lines {
		b.WriteString(l + "\n")
	}
	if err := s.Read(f.name, &b); err != nil {
		t.Fatal(err)
	}
	return s
}

func everything(t testing.TB, s *Set) string {
	t.Helper()
	var b bytes.Buffer
	d := s.Document()
	for _, write := range []func() error{
		func() error { return d.JSON(&b) },
		func() error { return d.HTML(&b) },
		func() error { return d.SARIF(&b, "") },
		func() error { return d.JUnit(&b) },
		func() error { return d.Markdown(&b) },
		func() error { return d.Text(&b) },
		func() error { return s.WriteLines(&b) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// fatal lets a rapid.T be a testing.TB where only failing is needed.
type fatal struct {
	testing.TB
	t *rapid.T
}

func (f fatal) Helper()           {}
func (f fatal) Fatal(args ...any) { f.t.Fatal(args...) }

// TestMerge: files are a set. In any order, in any grouping, any number of
// times they come to the same, whatever is in them.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb := fatal{t: t}
		files := rapid.SliceOfN(rapid.Custom(drawFile), 1, 4).Draw(t, "files")
		of := func(list ...*Set) *Set {
			s := &Set{}
			for _, x := range list {
				if err := s.Merge(x); err != nil {
					t.Fatal(err)
				}
			}
			return s
		}
		var sets []*Set
		for _, f := range files {
			sets = append(sets, f.set(tb))
		}
		want := everything(tb, of(sets...))
		if got := everything(tb, of(rapid.Permutation(sets).Draw(t, "order")...)); got != want {
			t.Fatalf("in another order:\n%s\n---\n%s", got, want)
		}
		if got := everything(tb, of(append(slices.Clone(sets), sets...)...)); got != want {
			t.Fatalf("twice:\n%s\n---\n%s", got, want)
		}
		at := rapid.IntRange(0, len(sets)).Draw(t, "at")
		if got := everything(tb, of(of(sets[:at]...), of(sets[at:]...))); got != want {
			t.Fatalf("in groups:\n%s\n---\n%s", got, want)
		}
		one := &Set{} // read into one set
		for _, f := range files {
			var b bytes.Buffer
			for _, l := range f.lines {
				b.WriteString(l + "\n")
			}
			if err := one.Read(f.name, &b); err != nil {
				t.Fatal(err)
			}
		}
		if got := everything(tb, one); got != want {
			t.Fatalf("read one after the other:\n%s\n---\n%s", got, want)
		}
	})
}

// described is a small model, and what computes cases of it.
func described(t testing.TB) (*fuzz.Description, *fuzz.Model) {
	t.Helper()
	d := &fuzz.Description{Hash: "0011223344556677", Parameters: []fuzz.Parameter{}}
	for i := range 12 {
		d.Parameters = append(d.Parameters, fuzz.Parameter{Name: fmt.Sprintf("parameter %d", i), Values: []string{"off", "on", "x", "y"}[:2+i%3]})
	}
	d.Parameters[3].Needs = []string{"parameter 1"}
	md, err := d.Model()
	if err != nil {
		t.Fatal(err)
	}
	return d, md
}

// results writes what shard i of n has found of a fault in cases with two of the
// parameters on.
func results(t testing.TB, shard, shards int) []byte {
	t.Helper()
	d, md := described(t)
	info := campaign.Info{Model: d.Hash, Seed: 5, Strength: 1, Kernel: "6.1", Engine: "native"}
	seq, err := md.Sequence(info.Seed, info.Strength)
	if err != nil {
		t.Fatal(err)
	}
	r := &campaign.Results{}
	add := func(l *campaign.Line) {
		l.Schema, l.Campaign = campaign.Schema, info.ID()
		if err := r.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	add(&campaign.Line{Info: &info})
	add(&campaign.Line{Model: d})
	for block := shard; block < 70; block += shards {
		b := &campaign.Block{First: uint64(block * 64)}
		for i := b.First; i < b.First+64; i++ {
			b.Judged |= 1 << (i - b.First)
			a := seq.At(i)
			add(&campaign.Line{Signature: &campaign.Signature{ID: fmt.Sprint(a[0], a[1]), Index: i, Values: md.Words(a)}})
			if a[2] > 0 && a[4] > 0 {
				add(&campaign.Line{Incident: &campaign.Incident{Index: i, Class: campaign.Finding, Key: "fs.umask: ignored", Hits: 3, Runs: 3, Values: md.Words(a)}})
				add(&campaign.Line{Minimal: &campaign.Minimal{Index: i, Key: "fs.umask: ignored", Executions: 9, Values: map[string]string{"parameter 2": "on", "parameter 4": "on"}}})
			}
		}
		add(&campaign.Line{Block: b})
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestShardsComeToTheWhole: 64 shards have the findings and the coverage of one.
func TestShardsComeToTheWhole(t *testing.T) {
	document := func(shards int) *Document {
		s := &Set{}
		for i := range shards {
			if err := s.Read(fmt.Sprintf("%d of %d", i, shards), bytes.NewReader(results(t, i, shards))); err != nil {
				t.Fatal(err)
			}
		}
		d := s.Document()
		for _, g := range d.Groups { // where it stands is another file
			for _, f := range g.Findings {
				if f.Place == nil || f.Repeat == "" {
					t.Errorf("%s: no place", f.Key)
				}
				f.Place, f.Repeat = nil, ""
			}
		}
		d.Files = nil
		return d
	}
	text := func(d *Document) string {
		var b bytes.Buffer
		if err := d.JSON(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	whole := document(1)
	if a, b := text(whole), text(document(64)); a != b {
		t.Errorf("one shard:\n%.3000s\n64 shards:\n%.3000s", a, b)
	}
	c := whole.Campaigns[0].Coverage
	if whole.Findings == 0 || whole.Judged != 70*64 || c.Pairs != c.AllPairs || c.Pairs == 0 || c.Triples == 0 || c.States < 2 || len(c.Holes) != 0 {
		t.Errorf("%s; %s; holes %v", whole.Summary(), c, c.Holes)
	}
}

// TestCoverageOfOtherCases: what another version computed is in no coverage.
func TestCoverageOfOtherCases(t *testing.T) {
	s := &Set{}
	if err := s.Read("a", bytes.NewReader(results(t, 0, 1))); err != nil {
		t.Fatal(err)
	}
	id := s.Document().Campaigns[0].ID
	other := &campaign.Line{Campaign: id, Incident: &campaign.Incident{Index: 1, Class: campaign.Flaky, Key: "x", Values: map[string]string{"parameter 0": "never"}, Oracle: "z"}}
	if err := s.Read("b", lines(t, other)); err != nil {
		t.Fatal(err)
	}
	if c := s.Document().Campaigns[0].Coverage; c.Why == "" || c.Pairs != 0 {
		t.Errorf("%s", c)
	}
}
