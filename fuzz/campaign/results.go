package campaign

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
)

// Info is what makes two campaigns the same: their cases are, and what judges
// them.
type Info struct {
	Model    string `json:"model"`
	Seed     uint64 `json:"seed"`
	Strength int    `json:"strength"`
	Kernel   string `json:"kernel"`
	Engine   string `json:"engine"`
	Freeze   bool   `json:"freeze,omitempty"`
	// Oracles are the names of what judges beside the expectation, and for how
	// many cases, as "identity/4 order/8": sorted, empty for none.
	Oracles string `json:"oracles,omitempty"`
	// Corpus is what some cases are derived from ([fuzz.Parents.ID]); empty for
	// nothing.
	Corpus string `json:"corpus,omitempty"`
}

// ID is short for the whole.
func (i Info) ID() string {
	b, err := json.Marshal(i)
	if err != nil {
		panic(err) // of numbers and words
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// blockSize is how many cases in a row a shard takes, and how many are written
// down together.
const blockSize = 64

// Block says what became of cases First to First+63: bit i is case First+i.
type Block struct {
	First  uint64 `json:"first"`
	Judged Bits   `json:"judged"` // launched, seen, and judged
	Others Bits   `json:"others"` // launched and not judged: evidence is missing
	// Negative are those of the judged cases that had to be refused. They
	// cover no combination of values.
	Negative Bits `json:"negative,omitempty"`
	// Checked are, for each oracle beside the expectation, the cases of which
	// it had enough evidence to judge them, too.
	Checked map[string]Bits `json:"checked,omitempty"`
	// Spared are the cases that such an oracle was asked to judge and could not,
	// by its name and why, as "enter: the container has …".
	Spared map[string]Bits `json:"spared,omitempty"`
}

// or is what two blocks of the same cases say together.
func (b Block) or(c Block) Block {
	return Block{
		c.First, b.Judged | c.Judged, b.Others | c.Others, b.Negative | c.Negative, union(b.Checked, c.Checked), union(b.Spared, c.Spared),
	}
}

func union(list ...map[string]Bits) map[string]Bits {
	var out map[string]Bits
	for _, from := range list {
		for k, v := range from {
			if out == nil {
				out = map[string]Bits{}
			}
			out[k] |= v
		}
	}
	return out
}

// Bits are 64 yes or no, in JSON as hexadecimal digits.
type Bits uint64

// MarshalText writes 16 digits.
func (b Bits) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(b)), nil }

// UnmarshalText reads them.
func (b *Bits) UnmarshalText(text []byte) error {
	var n [8]byte
	if len(text) != 16 {
		return fmt.Errorf("%q is not 16 hexadecimal digits", text)
	}
	if _, err := hex.Decode(n[:], text); err != nil {
		return err
	}
	*b = 0
	for _, x := range n {
		*b = *b<<8 | Bits(x)
	}
	return nil
}

// Class is what became of a case that was not simply constrained.
type Class string

// The classes.
const (
	Finding Class = "finding" // at least 3 times of 5
	Flaky   Class = "flaky"   // less often
	Unknown Class = "unknown" // not judged
)

// rank orders the classes: of two runs of a case, what was found counts, and not
// that evidence was lost another time.
var rank = map[Class]int{Finding: 3, Flaky: 2, Unknown: 1}

// Incident is one case that was not simply constrained.
type Incident struct {
	Index uint64 `json:"index"`
	Class Class  `json:"class"`
	// Oracle is what saw it; empty for the expectation.
	Oracle string `json:"oracle,omitempty"`
	// Negative names what is wrong with the request, if it had to be refused.
	Negative string `json:"negative,omitempty"`
	// Key names the difference, without anything that is another in each
	// run. Another difference in the same case is another incident; earlier
	// versions named those in Also.
	Key  string   `json:"key"`
	Also []string `json:"also,omitempty"`
	Hits int      `json:"hits"` // of so many runs
	Runs int      `json:"runs"`
	// Values are the parameters that are on.
	Values map[string]string `json:"values"`

	timeline []Moment // of one launch in which it was seen; a line of its own
}

// Minimal is a finding made small: a replay file has one of it.
type Minimal struct {
	Index      uint64            `json:"index"`
	Oracle     string            `json:"oracle,omitempty"`   // as of an [Incident]
	Negative   string            `json:"negative,omitempty"` // likewise
	Must       *fuzz.Refusal     `json:"must,omitempty"`     // how it must be refused, then
	Key        string            `json:"key"`
	Values     map[string]string `json:"values"`
	Executions int               `json:"executions"`
	Request    *request.Request  `json:"request"`
	// Caller is what of the launcher's caller it takes: see package caller.
	Caller []string `json:"caller,omitempty"`
	// Dir is where the request's files were.
	Dir string `json:"dir"`
}

// Signature is a state in which a workload was seen at its first instruction,
// in classes instead of numbers, and the first case that showed it.
type Signature struct {
	ID    string            `json:"id"` // hash of State
	Index uint64            `json:"index"`
	State map[string]string `json:"state"`
	// Values of that case may be left out: the model tells them.
	Values map[string]string `json:"values,omitempty"`
}

// Timeline is when what happened in one launch of an incident's case. It is
// nothing that is the same in each run, so it is apart from all else.
type Timeline struct {
	Index  uint64   `json:"index"`
	Oracle string   `json:"oracle,omitempty"`
	Key    string   `json:"key"`
	Events []Moment `json:"events"`
}

// Moment is one point of a [Timeline].
type Moment struct {
	What string `json:"what"` // as of a [harness.Moment]
	NS   int64  `json:"ns"`   // since the moment before the clone
	By   string `json:"by"`   // "host", "agent", "child" or "kernel"
}

// Line is one line of a result file; all but Campaign and one other are empty.
type Line struct {
	Schema    int               `json:"schema"`
	Campaign  string            `json:"campaign,omitempty"` // [Info.ID]
	Info      *Info             `json:"info,omitempty"`
	Model     *fuzz.Description `json:"model,omitempty"`
	Corpus    fuzz.Parents      `json:"corpus,omitempty"`
	Block     *Block            `json:"block,omitempty"`
	Incident  *Incident         `json:"incident,omitempty"`
	Minimal   *Minimal          `json:"minimal,omitempty"`
	Signature *Signature        `json:"signature,omitempty"`
	Timeline  *Timeline         `json:"timeline,omitempty"`
	// Example is of a corpus, and of no campaign.
	Example *Example `json:"example,omitempty"`
}

// Schema is the version of the form of result files.
const Schema = 1

// Results are any number of lines, of any number of campaigns, in any order and
// as often as one likes: what they say is the same.
type Results struct {
	campaigns map[string]*Outcome
	examples  map[string]*Example // by state
}

// Outcome is what is known of one campaign.
type Outcome struct {
	Info Info
	// Model is what the cases were computed from; nil if no line has it.
	Model *fuzz.Description
	// Corpus is what some of them were derived from; nil if no line has it.
	Corpus     fuzz.Parents
	blocks     map[uint64]Block
	incidents  map[string]*Incident  // by index, oracle and key
	minimal    map[string]*Minimal   // by key and index
	signatures map[string]*Signature // by hash
	timelines  map[string]*Timeline  // by index, oracle and key
}

// Add adds a line.
func (r *Results) Add(l *Line) error {
	if l.Schema < 1 || l.Schema > Schema {
		return fmt.Errorf("campaign: results of schema %d, this version reads up to %d", l.Schema, Schema)
	}
	if l.Example != nil {
		if hash(l.Example.State) != l.Example.ID {
			return fmt.Errorf("campaign: example %q is not of the state that it says it is", l.Example.ID)
		}
		r.example(l.Example)
		return nil
	}
	if r.campaigns == nil {
		r.campaigns = map[string]*Outcome{}
	}
	o := r.campaigns[l.Campaign]
	if o == nil {
		o = &Outcome{
			blocks: map[uint64]Block{}, incidents: map[string]*Incident{}, minimal: map[string]*Minimal{},
			signatures: map[string]*Signature{}, timelines: map[string]*Timeline{},
		}
		r.campaigns[l.Campaign] = o
	}
	if l.Info != nil {
		if l.Info.ID() != l.Campaign {
			return fmt.Errorf("campaign: %s is not the campaign that it says it is", l.Campaign)
		}
		o.Info = *l.Info
	}
	if b := l.Block; b != nil {
		if b.First%blockSize != 0 {
			return fmt.Errorf("campaign: a block starts at %d, not at a multiple of %d", b.First, blockSize)
		}
		o.blocks[b.First] = o.blocks[b.First].or(*b)
	}
	if m := l.Model; m != nil {
		o.Model = larger(o.Model, m)
	}
	switch {
	case l.Corpus == nil:
	case o.Corpus == nil:
		o.Corpus = l.Corpus
	default:
		o.Corpus = *larger(&o.Corpus, &l.Corpus)
	}
	if i := l.Incident; i != nil {
		k := order(i.Index, i.Oracle, i.Key)
		if was := o.incidents[k]; was == nil || rank[i.Class] > rank[was.Class] {
			o.incidents[k] = i
		} else if rank[i.Class] == rank[was.Class] {
			o.incidents[k] = larger(was, i)
		}
	}
	if m := l.Minimal; m != nil {
		k := order(m.Index, m.Oracle, m.Key)
		o.minimal[k] = larger(o.minimal[k], m)
	}
	if s := l.Signature; s != nil {
		if was := o.signatures[s.ID]; was == nil || s.Index < was.Index {
			o.signatures[s.ID] = s
		} else if s.Index == was.Index {
			o.signatures[s.ID] = larger(was, s)
		}
	}
	if t := l.Timeline; t != nil {
		k := order(t.Index, t.Oracle, t.Key)
		o.timelines[k] = larger(o.timelines[k], t)
	}
	return nil
}

// order is a key that sorts by case first.
func order(index uint64, more ...string) string {
	return fmt.Sprintf("%020d %s", index, strings.Join(more, "\x00"))
}

// larger chooses one of two that claim to be the same, whichever came first.
func larger[T any](a, b *T) *T {
	if a == nil {
		return b
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if bytes.Compare(x, y) >= 0 {
		return a
	}
	return b
}

// Read adds all lines of a file. A last line that was cut short is left out.
func (r *Results) Read(in io.Reader) error {
	b := bufio.NewReader(in)
	for n := 1; ; n++ {
		text, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // whatever is without an end was not written to its end
		}
		if err != nil {
			return fmt.Errorf("campaign: results: %w", err)
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			// Without it a case that had an incident may look clean, so it is
			// not just left out; up to here nothing is missing.
			return fmt.Errorf("campaign: results: line %d is damaged: %w: \"head -n %d\" of it is a file to go on with", n, err, n-1)
		}
		if err := r.Add(&l); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

// Write writes everything, sorted: equal results are equal files.
func (r *Results) Write(out io.Writer) error {
	e := json.NewEncoder(out)
	for _, id := range slices.Sorted(maps.Keys(r.campaigns)) {
		for _, l := range r.campaigns[id].lines(id) {
			if err := e.Encode(&l); err != nil {
				return fmt.Errorf("campaign: results: %w", err)
			}
		}
	}
	return r.WriteExamples(out)
}

// Merge adds all that others have.
func (r *Results) Merge(from *Results) error {
	for id, o := range from.campaigns {
		for _, l := range o.lines(id) {
			if err := r.Add(&l); err != nil {
				return err
			}
		}
	}
	for _, x := range from.examples {
		r.example(x)
	}
	return nil
}

// lines are all that there is of a campaign, sorted.
func (o *Outcome) lines(id string) []Line {
	var lines []Line
	if o.Info != (Info{}) {
		lines = append(lines, Line{Info: &o.Info})
	}
	if o.Model != nil {
		lines = append(lines, Line{Model: o.Model})
	}
	if o.Corpus != nil {
		lines = append(lines, Line{Corpus: o.Corpus})
	}
	for _, k := range slices.Sorted(maps.Keys(o.blocks)) {
		b := o.blocks[k]
		lines = append(lines, Line{Block: &b})
	}
	for _, k := range slices.Sorted(maps.Keys(o.incidents)) {
		lines = append(lines, Line{Incident: o.incidents[k]})
	}
	for _, k := range slices.Sorted(maps.Keys(o.minimal)) {
		lines = append(lines, Line{Minimal: o.minimal[k]})
	}
	for _, x := range o.Signatures() {
		lines = append(lines, Line{Signature: x})
	}
	for _, k := range slices.Sorted(maps.Keys(o.timelines)) {
		lines = append(lines, Line{Timeline: o.timelines[k]})
	}
	for i := range lines {
		lines[i].Schema, lines[i].Campaign = Schema, id
	}
	return lines
}

// WriteExamples is Write of the examples alone: a corpus.
func (r *Results) WriteExamples(out io.Writer) error {
	e := json.NewEncoder(out)
	for _, x := range r.Examples() {
		if err := e.Encode(&Line{Schema: Schema, Example: x}); err != nil {
			return fmt.Errorf("campaign: corpus: %w", err)
		}
	}
	return nil
}

// Sequence are the cases of a campaign, computed by a model that must be its own.
func (o *Outcome) Sequence(md *fuzz.Model) (*fuzz.Sequence, error) {
	if md.Hash() != o.Info.Model {
		return nil, errors.New("the model is not the campaign's")
	}
	if o.Info.Corpus != "" && o.Corpus.ID() != o.Info.Corpus {
		return nil, errors.New("the results do not have the corpus that cases were derived from")
	}
	var parents fuzz.Parents
	if o.Info.Corpus != "" {
		parents = o.Corpus
	}
	return md.SequenceFrom(parents, o.Info.Seed, o.Info.Strength)
}

// Outcomes are all campaigns, in a fixed order.
func (r *Results) Outcomes() []*Outcome {
	var out []*Outcome
	for _, id := range slices.Sorted(maps.Keys(r.campaigns)) {
		out = append(out, r.campaigns[id])
	}
	return out
}

// Of is the outcome of a campaign so far.
func (r *Results) Of(i Info) *Outcome {
	_ = r.Add(&Line{Schema: Schema, Campaign: i.ID(), Info: &i})
	return r.campaigns[i.ID()]
}

// Done reports whether a case has been judged.
func (o *Outcome) Done(index uint64) bool {
	return o.blocks[index/blockSize*blockSize].Judged>>(index%blockSize)&1 != 0
}

// Judged calls f for every case that was judged, in order.
func (o *Outcome) Judged(f func(index uint64)) { o.each(f, func(b Block) Bits { return b.Judged }) }

// Covering is [Outcome.Judged] without those that had to be refused, which cover
// no combination of values.
func (o *Outcome) Covering(f func(index uint64)) {
	o.each(f, func(b Block) Bits { return b.Judged &^ b.Negative })
}

func (o *Outcome) each(f func(index uint64), of func(Block) Bits) {
	for _, first := range slices.Sorted(maps.Keys(o.blocks)) {
		for b := uint64(of(o.blocks[first])); b != 0; b &= b - 1 {
			f(first + uint64(bits.TrailingZeros64(b)))
		}
	}
}

// Counts are cases that were judged and, of the others, that were launched.
func (o *Outcome) Counts() (judged, others int) {
	for _, b := range o.blocks {
		judged += bits.OnesCount64(uint64(b.Judged))
		others += bits.OnesCount64(uint64(b.Others &^ b.Judged))
	}
	return judged, others
}

// Incidents of a class, in order of their cases.
func (o *Outcome) Incidents(c Class) []*Incident {
	var out []*Incident
	for _, k := range slices.Sorted(maps.Keys(o.incidents)) {
		if i := o.incidents[k]; i.Class == c {
			if c == Unknown && o.Done(i.Index) && (i.Oracle == "" || o.blocks[i.Index/blockSize*blockSize].Checked[i.Oracle]>>(i.Index%blockSize)&1 != 0) {
				continue // another time it was judged
			}
			out = append(out, i)
		}
	}
	return out
}

// Checked counts the cases that an oracle beside the expectation judged.
func (o *Outcome) Checked(oracle string) (n int) {
	for _, b := range o.blocks {
		n += bits.OnesCount64(uint64(b.Checked[oracle]))
	}
	return n
}

// Spared counts, by oracle and reason, the cases that an oracle beside the
// expectation was asked to judge and could not.
func (o *Outcome) Spared() map[string]int {
	out := map[string]int{}
	for _, b := range o.blocks {
		for k, v := range b.Spared {
			out[k] += bits.OnesCount64(uint64(v))
		}
	}
	return out
}

// Negative counts the judged cases that had to be refused.
func (o *Outcome) Negative() (n int) {
	for _, b := range o.blocks {
		n += bits.OnesCount64(uint64(b.Negative & b.Judged))
	}
	return n
}

// Signatures are all states that were seen, in order of their first cases.
func (o *Outcome) Signatures() []*Signature {
	return slices.SortedFunc(maps.Values(o.signatures), func(a, b *Signature) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID, b.ID))
	})
}

// Timelines are those of incidents, in order of their cases.
func (o *Outcome) Timelines() []*Timeline {
	var out []*Timeline
	for _, k := range slices.Sorted(maps.Keys(o.timelines)) {
		out = append(out, o.timelines[k])
	}
	return out
}

// Findings are the minimal ones, without those that an earlier one explains.
func (o *Outcome) Findings() []*Minimal {
	all := slices.SortedFunc(maps.Values(o.minimal), func(a, b *Minimal) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Oracle, b.Oracle), cmp.Compare(a.Key, b.Key))
	})
	var out []*Minimal
	for _, m := range all {
		if explains(out, m.Oracle, m.Key, m.Values) == nil {
			out = append(out, m)
		}
	}
	return out
}

// explains finds the one of which a case has all values, and the same key.
func explains(list []*Minimal, oracle, key string, values map[string]string) *Minimal {
	for _, m := range list {
		if m.Key != key || m.Oracle != oracle {
			continue
		}
		all := true
		for k, v := range m.Values {
			all = all && values[k] == v
		}
		if all {
			return m
		}
	}
	return nil
}

// Explain is the minimal finding that a case belongs to, or nil.
func (o *Outcome) Explain(i *Incident) *Minimal { return o.explain(o.Findings(), i) }

// explain looks among findings. What a case was itself made small to may have
// smaller values than the case has.
func (o *Outcome) explain(findings []*Minimal, i *Incident) *Minimal {
	m := explains(findings, i.Oracle, i.Key, i.Values)
	if own := o.minimal[order(i.Index, i.Oracle, i.Key)]; m == nil && own != nil {
		m = explains(findings, own.Oracle, own.Key, own.Values)
	}
	return m
}

// Explained is [Outcome.Explain] of every incident of a class, for the cost of
// one: the incidents, and what each belongs to.
func (o *Outcome) Explained(c Class) (list []*Incident, by []*Minimal) {
	findings := o.Findings()
	list = o.Incidents(c)
	for _, i := range list {
		by = append(by, o.explain(findings, i))
	}
	return list, by
}
