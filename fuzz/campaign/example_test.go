package campaign

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"pgregory.net/rapid"
)

func drawExample(t *rapid.T) *Example {
	values := map[string]string{}
	for _, k := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4).Draw(t, "on") {
		values[k] = "on"
	}
	state := map[string]string{"user": rapid.SampledFrom([]string{"0", "other", "none"}).Draw(t, "state")}
	return &Example{
		ID: hash(state), State: state, Values: values, Kernel: rapid.SampledFrom([]string{"6.1", "6.12"}).Draw(t, "kernel"),
		Index: rapid.Uint64Range(0, 3).Draw(t, "index"),
	}
}

// TestCorpusIsASet: which examples a corpus has does not depend on the order of
// files, nor on how often each is read; each state has one, of the fewest
// parameters.
func TestCorpusIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawExample), 0, 12).Draw(t, "examples")
		write := func(list []*Example) string {
			r := &Results{}
			for _, e := range list {
				if err := r.Add(&Line{Schema: Schema, Example: e}); err != nil {
					t.Fatal(err)
				}
			}
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			again := &Results{}
			if err := again.Read(bytes.NewReader(b.Bytes())); err != nil {
				t.Fatal(err)
			}
			merged := &Results{}
			for _, x := range []*Results{r, again, r} {
				if err := merged.Merge(x); err != nil {
					t.Fatal(err)
				}
			}
			var m bytes.Buffer
			if err := merged.WriteExamples(&m); err != nil || m.String() != b.String() {
				t.Fatalf("%v: merged it is\n%s\nnot\n%s", err, m.String(), b.String())
			}
			for _, e := range r.Examples() {
				for _, x := range list {
					if x.ID == e.ID && len(x.Values) < len(e.Values) {
						t.Fatalf("%v is in, though %v has less on", e, x)
					}
				}
			}
			return b.String()
		}
		want := write(list)
		other := append(slices.Clone(list), list...)
		slices.Reverse(other)
		if got := write(other); got != want {
			t.Fatalf("%s\nin another order:\n%s", want, got)
		}
	})
}

// TestCorpusIsNeeded: cases that were derived from a corpus are not computed
// without it, nor from another.
func TestCorpusIsNeeded(t *testing.T) {
	md := small(t)
	list := md.Fitting(fuzz.Parents{{md.Parameters()[0].Name: md.Parameters()[0].Values[1]}, {}})
	info := Info{Model: md.Hash(), Seed: 1, Strength: 1, Corpus: list.ID()}
	r := &Results{}
	if _, err := r.Of(info).Sequence(md); err == nil {
		t.Error("without the corpus")
	}
	if err := r.Add(&Line{Schema: Schema, Campaign: info.ID(), Corpus: list[:1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Of(info).Sequence(md); err == nil {
		t.Error("with a part of it")
	}
	r = &Results{}
	if err := r.Add(&Line{Schema: Schema, Campaign: info.ID(), Corpus: list}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Of(info).Sequence(md); err != nil {
		t.Error(err)
	}
	c := &Campaign{Info: info, Model: md}
	if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "corpus") {
		t.Errorf("a campaign without its parents: %v", err)
	}
}

func TestExampleDiffers(t *testing.T) {
	e := &Example{State: map[string]string{"user": "0", "seccomp": "true", "landlock": "true"}}
	got := e.Differs(map[string]string{"user": "0", "seccomp": "false", "root": "x"})
	want := []string{`landlock: "true" there, "" here`, `seccomp: "true" there, "false" here`, `root: not known there, "x" here`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := e.Differs(e.State); got != nil {
		t.Errorf("the same: %q", got)
	}
}
