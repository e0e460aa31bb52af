package campaign

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/fuzz/shrink"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Campaign is what to run.
type Campaign struct {
	Info
	Model *fuzz.Model
	// Parents are what some cases are derived from; [Info].Corpus is theirs.
	Parents fuzz.Parents
	// N is the number of cases of all shards together, 0 for no end.
	N uint64
	// Shard i of Shards takes every so many-th block of 64 cases; 0 of 1 is all.
	Shard, Shards int
	Parallel      int
	// MaxFindings ends it after so many cases with findings; 0 is never.
	MaxFindings int
	// Launch runs a request, which is that of the assignment.
	Launch func(ctx context.Context, a fuzz.Assignment, r *request.Request) *Verdict
	// Refuse runs a request that must be refused; nil leaves such cases out.
	Refuse func(ctx context.Context, index uint64, r *request.Request, want fuzz.Refusal) *Verdict
	// Oracles judge a share of the cases that the expectation found nothing in;
	// [Info].Oracles names them.
	Oracles []Oracle
	// Signature puts a state into classes; nil counts none.
	Signature func(*posture.Posture) map[string]string
	// Trace launches a finding that was made small once more, and says when what
	// happened; nil is never.
	Trace func(ctx context.Context, a fuzz.Assignment, r *request.Request) []Moment
	// Dir is where the requests' files are.
	Dir string
	// Before are earlier results; what they have is not run again.
	Before *Results
	// Out gets a line for each result as it comes; nil is nowhere.
	Out io.Writer
	// Tell is called after every case, from one goroutine at a time; nil is
	// nobody.
	Tell func(*Progress)

	seq     *fuzz.Sequence
	mu      sync.Mutex
	results *Results
	outcome *Outcome
	meter   *cover.Meter
	open    map[uint64]*openBlock
	prog    Progress
	err     error
	broken  bool // nothing more can be written
	synced  time.Time
	cancel  context.CancelFunc
}

type openBlock struct {
	Block
	left int // cases of it that are still to come
}

// Progress is how far a campaign is.
type Progress struct {
	Begun                time.Time
	Run, Findings, Flaky int // cases of this run
	Unknown              int
	Negative             int   // cases that had to be refused, and were judged
	Signatures           int   // different states seen, also by earlier runs
	Pairs, AllPairs      int64 // covered by cases that were judged, of those feasible
	Triples, AllTriples  int64
	// Quads are of four values, counted in campaigns of strength 4 only, and
	// Estimates what a sample says of more values.
	Quads, AllQuads int64
	Estimates       []cover.Estimate
	Last            []*Incident // of the case that just ended, if it was not constrained
	LastMinimal     *Minimal    // that was just made
}

// Deflaking: a finding is what is seen at least so often in so many runs.
const (
	enough  = 3
	runsMax = 5
)

// Run runs it. When ctx ends the cases under way are finished, and all that is
// known is written. Results has what was known before, too.
func (c *Campaign) Run(ctx context.Context) (*Results, error) {
	var err error
	if c.Parents.ID() != c.Corpus {
		return nil, fmt.Errorf("campaign: the parents are not of corpus %q", c.Corpus)
	}
	if c.seq, err = c.Model.SequenceFrom(c.Parents, c.Seed, c.Strength); err != nil {
		return nil, err
	}
	if c.results = c.Before; c.results == nil {
		c.results = &Results{}
	}
	c.Shards = max(c.Shards, 1)
	c.outcome, c.open = c.results.Of(c.Info), map[uint64]*openBlock{}
	c.write(&Line{Info: &c.Info})
	if c.outcome.Model == nil {
		c.write(&Line{Model: c.Model.Describe()})
	}
	if c.Corpus != "" && c.outcome.Corpus == nil {
		c.write(&Line{Corpus: c.Parents})
	}
	if c.err != nil {
		return c.results, c.err
	}
	c.meter = cover.NewMeter(c.Model.Space(), c.Strength)
	c.outcome.Covering(func(i uint64) { c.meter.Add(c.seq.At(i)) })
	c.prog.Begun = time.Now()
	c.measure()

	ctx, c.cancel = context.WithCancel(ctx)
	defer c.cancel()
	// Slow cases have lanes of their own, so that the others do not queue up
	// behind them. They wait for one while others go ahead.
	fast, slow := make(chan task), make(chan task, 4*blockSize)
	go c.feed(ctx, fast, slow)
	var wg sync.WaitGroup
	lanes := func(n int, from <-chan task) {
		for range n {
			wg.Go(func() {
				for t := range from {
					if ctx.Err() == nil {
						c.one(ctx, t)
					}
				}
			})
		}
	}
	lanes(max(1, c.Parallel), fast)
	lanes(max(1, c.Parallel/4), slow)
	wg.Wait()
	c.mu.Lock()
	for _, b := range c.open {
		c.write(&Line{Block: &b.Block})
	}
	c.mu.Unlock()
	return c.results, c.err
}

// Any reports whether this shard has any cases at all.
func (c *Campaign) Any() bool { return c.N == 0 || uint64(c.Shard)*blockSize < c.N }

// task is a case to run.
type task struct {
	index uint64
	a     fuzz.Assignment
}

// feed hands out the cases of this shard that are not done yet.
func (c *Campaign) feed(ctx context.Context, fast, slow chan<- task) {
	defer close(fast)
	defer close(slow)
	for block := uint64(c.Shard); c.N == 0 || block*blockSize < c.N; block += uint64(c.Shards) {
		var todo []uint64
		for i := block * blockSize; i < (block+1)*blockSize && (c.N == 0 || i < c.N); i++ {
			c.mu.Lock()
			done := c.outcome.Done(i)
			c.mu.Unlock()
			if !done {
				todo = append(todo, i)
			}
		}
		if todo == nil {
			continue
		}
		c.mu.Lock()
		c.open[block] = &openBlock{Block: Block{First: block * blockSize}, left: len(todo)}
		c.mu.Unlock()
		for _, i := range todo {
			t := task{i, c.seq.At(i)}
			lane := fast
			if c.Model.Slow(t.a) {
				lane = slow
			}
			select {
			case lane <- t:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *Campaign) launch(ctx context.Context, a fuzz.Assignment, index uint64) *Verdict {
	// An interrupt lets the launches under way end on their own: they are short.
	run, cancel := context.WithTimeout(WithCaller(context.WithoutCancel(ctx), c.Model.Caller(a)), time.Minute)
	defer cancel()
	return c.Launch(run, a, c.Model.Build(a, c.Seed, index))
}

// one runs a case, again if something is found.
func (c *Campaign) one(ctx context.Context, t task) {
	index, a := t.index, t.a
	judge := c.judge
	var d *fuzz.Defect // what is wrong with the request, if it has to be refused
	if c.Refuse != nil && c.seq.Negative(index) {
		d = c.Model.Defect(c.Seed, index, c.Model.Build(a, c.Seed, index))
	}
	negative := d != nil // some requests go with everything
	if negative {
		judge = func(ctx context.Context, a fuzz.Assignment, index uint64) (*Verdict, bool, []*Incident) {
			return c.refusal(ctx, d, a, index)
		}
	}
	v, judged, all := judge(ctx, a, index)
	checked := map[string]Bits{}
	if v != nil && v.Clean() && !negative {
		for i := range c.Oracles {
			o := &c.Oracles[i]
			in, ok := c.relate(ctx, o, a, index, v)
			if ok {
				checked[o.Name] = 1 << (index % blockSize)
			}
			all = append(all, in...)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.open[index/blockSize]
	bit := Bits(1) << (index % blockSize)
	switch {
	case judged && negative:
		b.Judged |= bit
		b.Negative |= bit
		c.prog.Negative++
	case judged:
		b.Judged |= bit
		c.meter.Add(a)
	default:
		b.Others |= bit
	}
	b.Block = b.or(Block{First: b.First, Checked: checked})
	c.sign(index, v)
	c.prog.Run++
	var had [4]bool // by class
	for _, in := range all {
		c.write(&Line{Incident: in})
		if in.timeline != nil {
			c.write(&Line{Timeline: &Timeline{Index: index, Oracle: in.Oracle, Key: in.Key, Events: in.timeline}})
		}
		if had[rank[in.Class]] {
			continue // cases are counted
		}
		had[rank[in.Class]] = true
		switch in.Class {
		case Finding:
			c.prog.Findings++
		case Flaky:
			c.prog.Flaky++
		case Unknown:
			c.prog.Unknown++
		}
		if c.MaxFindings > 0 && c.prog.Findings >= c.MaxFindings {
			c.cancel()
		}
	}
	// A block comes after all that is known of its cases: whatever a killed run
	// has written, a case that counts as judged has its incident.
	if b.left--; b.left == 0 {
		c.write(&Line{Block: &b.Block})
		delete(c.open, index/blockSize)
	}
	c.prog.Last = all
	c.measure()
	if c.Tell != nil {
		c.Tell(&c.prog)
	}
}

func (c *Campaign) measure() {
	c.prog.Pairs, c.prog.AllPairs = c.meter.Covered(2)
	c.prog.Triples, c.prog.AllTriples = c.meter.Covered(3)
	c.prog.Quads, c.prog.AllQuads = c.meter.Covered(4)
	c.prog.Estimates = c.meter.Estimates()
}

// refusal runs a case that must be refused.
func (c *Campaign) refusal(ctx context.Context, d *fuzz.Defect, a fuzz.Assignment, index uint64) (v *Verdict, judged bool, all []*Incident) {
	all, v, judged = c.deflake(index, a, func() *Verdict { return c.defective(ctx, d, a, index) })
	for _, in := range all {
		in.Negative = d.Name
	}
	return v, judged, all
}

// defective launches a case with a defect.
func (c *Campaign) defective(ctx context.Context, d *fuzz.Defect, a fuzz.Assignment, index uint64) *Verdict {
	r, want, ok := d.Break(c.Model, c.Model.Build(a, c.Seed, index))
	if !ok {
		return &Verdict{Keys: []string{"unknown"}}
	}
	run, cancel := context.WithTimeout(WithCaller(context.WithoutCancel(ctx), c.Model.Caller(a)), time.Minute)
	defer cancel()
	return c.Refuse(run, index, r, want)
}

// sign notes the state that a clean case was seen in, if it is the first with it.
func (c *Campaign) sign(index uint64, v *Verdict) {
	if c.Signature == nil || v == nil || v.Seen == nil || !v.Judged {
		return
	}
	state := c.Signature(v.Seen)
	s := &Signature{ID: hash(state), Index: index, State: state}
	if was := c.outcome.signatures[s.ID]; was == nil || index < was.Index {
		c.write(&Line{Signature: s})
	}
	c.prog.Signatures = len(c.outcome.signatures)
}

// chosen says whether an oracle judges a case.
func (c *Campaign) chosen(o *Oracle, index uint64) (seed uint64, yes bool) {
	name := sha256.Sum256([]byte(o.Name))
	seed = cover.Key(c.Seed, index, binary.LittleEndian.Uint64(name[:]))
	return seed, seed%uint64(max(o.Share, 1)) == 0
}

// relate asks an oracle beside the expectation, again if it finds something.
func (c *Campaign) relate(ctx context.Context, o *Oracle, a fuzz.Assignment, index uint64, base *Verdict) (all []*Incident, ok bool) {
	seed, yes := c.chosen(o, index)
	if !yes {
		return nil, false
	}
	run, cancel := context.WithTimeout(WithCaller(context.WithoutCancel(ctx), c.Model.Caller(a)), 5*time.Minute)
	defer cancel()
	r := c.Model.Build(a, c.Seed, index)
	keys, ok := o.Check(run, r, seed, base)
	if !ok && keys == nil {
		return nil, false // there is nothing to try
	}
	if why, is := sparedFor(keys, ok); is {
		c.spare(index, o.Name+": "+why)
		return nil, false
	}
	first := true
	all, _, ok = c.deflake(index, a, func() *Verdict {
		if !first {
			keys, ok = o.Check(run, r, seed, nil)
		}
		first = false
		return &Verdict{Judged: ok, Keys: keys}
	})
	for _, in := range all {
		in.Oracle = o.Name
		in.Key = o.Name + ": " + in.Key
	}
	return all, ok
}

func sparedFor(keys []string, ok bool) (why string, is bool) {
	if ok || len(keys) != 1 {
		return "", false
	}
	return strings.CutPrefix(keys[0], spared)
}

// spare notes that an oracle could not judge a case, and why.
func (c *Campaign) spare(index uint64, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.open[index/blockSize]
	b.Block = b.or(Block{First: b.First, Spared: map[string]Bits{why: 1 << (index % blockSize)}})
}

// judge launches a case, and deflakes what it finds. v is a clean launch of it, if
// nothing was found.
func (c *Campaign) judge(ctx context.Context, a fuzz.Assignment, index uint64) (v *Verdict, judged bool, all []*Incident) {
	all, v, judged = c.deflake(index, a, func() *Verdict { return c.launch(ctx, a, index) })
	return v, judged, all
}

// deflake tries something up to five times, unless it is clean at once. Three
// runs of five decide, whatever it is that they say: a case of which evidence was
// lost more often than that is not judged. Each difference that was seen is an
// incident of its own, in the order of how often; a second one goes on being tried as
// long as it may still be a finding.
func (c *Campaign) deflake(index uint64, a fuzz.Assignment, try func() *Verdict) (all []*Incident, last *Verdict, judged bool) {
	seen := map[string]int{}
	var moments []Moment
	var order, lost []string
	clean, unseen, runs := 0, 0, 0
	for runs < runsMax && clean < enough && unseen < enough && (most(order, seen) < enough || open(seen, runsMax-runs)) {
		runs++
		v := try()
		if len(v.Keys) > 0 && v.Moments != nil {
			moments = v.Moments
		}
		switch {
		case v.Clean():
			if runs == 1 {
				return nil, v, true
			}
			clean++
			last = v
		case !v.Judged:
			unseen++
			lost = append(lost, v.Keys...)
		default:
			for _, k := range v.Keys {
				if seen[k]++; seen[k] == 1 {
					order = append(order, k)
				}
			}
		}
	}
	incident := func() *Incident {
		return &Incident{Index: index, Runs: runs, Values: c.Model.Words(a), timeline: moments}
	}
	if len(order) == 0 {
		if clean >= enough {
			return nil, last, true // evidence was lost, and then it was not
		}
		in := incident()
		in.Class, in.Key, in.Hits = Unknown, "unknown", unseen
		if len(lost) > 0 {
			in.Key = lost[0]
		}
		return []*Incident{in}, nil, false
	}
	// What was seen most often; of equals, what comes first in the order of checks.
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(seen[b], seen[a]) })
	for _, k := range order {
		in := incident()
		in.Class, in.Key, in.Hits = Flaky, k, seen[k]
		if in.Hits >= enough {
			in.Class = Finding
		}
		all = append(all, in)
	}
	return all, nil, true
}

// open reports whether something that was seen too seldom to be a finding may still
// become one in so many runs more.
func open(seen map[string]int, more int) bool {
	for _, n := range seen {
		if n < enough && n+more >= enough {
			return true
		}
	}
	return false
}

func most(order []string, seen map[string]int) (n int) {
	for _, k := range order {
		n = max(n, seen[k])
	}
	return n
}

// Shrink makes every finding small that no smaller one explains, in the order of
// cases, until ctx ends.
//
// It may be called without [Campaign.Run], for what is in Before.
func (c *Campaign) Shrink(ctx context.Context) error {
	if c.results == nil {
		if c.results = c.Before; c.results == nil {
			c.results = &Results{}
		}
		c.outcome = c.results.Of(c.Info)
	}
	for _, in := range c.outcome.Incidents(Finding) {
		if ctx.Err() != nil {
			break
		}
		if c.outcome.Explain(in) != nil {
			continue
		}
		a, err := c.Model.Assign(in.Values)
		if err != nil {
			return err
		}
		m := c.Small(ctx, a, in)
		if m == nil {
			continue // interrupted
		}
		c.write(&Line{Minimal: m})
		c.trace(ctx, m)
		c.prog.Last, c.prog.LastMinimal = nil, m
		if c.Tell != nil {
			c.Tell(&c.prog)
		}
	}
	return c.err
}

// Small shrinks one finding; nil if ctx ended before.
func (c *Campaign) Small(ctx context.Context, a fuzz.Assignment, in *Incident) *Minimal {
	needs := make([][]int, len(a))
	for p := range a {
		needs[p] = c.Model.Needs(p)
	}
	rate := float64(in.Hits) / float64(max(in.Runs, 1))
	p := &shrink.Problem{
		Start: a, Valid: c.Model.Space().Valid, Needs: needs, Rate: rate,
		Fails: func(r fuzz.Assignment) bool {
			if ctx.Err() != nil {
				return false
			}
			return slices.Contains(c.again(ctx, r, in), in.Key)
		},
	}
	res := p.Run()
	if ctx.Err() != nil {
		return nil
	}
	m := &Minimal{
		Index: in.Index, Oracle: in.Oracle, Negative: in.Negative, Key: in.Key, Values: c.Model.Words(res.Row), Executions: res.Executions,
		Request: c.Model.Build(res.Row, c.Seed, in.Index), Dir: c.Dir, Caller: c.Model.Caller(res.Row),
	}
	if d, ok := fuzz.FindDefect(in.Negative); ok {
		r, want, _ := d.Break(c.Model, m.Request)
		m.Request, m.Must = r, &want
	}
	return m
}

// again tries a smaller case in the way that an incident was found.
func (c *Campaign) again(ctx context.Context, a fuzz.Assignment, in *Incident) (keys []string) {
	if d, ok := fuzz.FindDefect(in.Negative); ok {
		return c.defective(ctx, d, a, in.Index).Keys
	}
	if in.Oracle == "" {
		return c.launch(ctx, a, in.Index).Keys
	}
	for i := range c.Oracles {
		if o := &c.Oracles[i]; o.Name == in.Oracle {
			seed, _ := c.chosen(o, in.Index)
			list, _ := o.Check(WithCaller(context.WithoutCancel(ctx), c.Model.Caller(a)), c.Model.Build(a, c.Seed, in.Index), seed, nil)
			for _, k := range list {
				keys = append(keys, o.Name+": "+k)
			}
		}
	}
	return keys
}

// write keeps a line and puts it out. That the file is full or gone ends the
// campaign: what cannot be kept need not be run.
func (c *Campaign) write(l *Line) {
	l.Schema, l.Campaign = Schema, c.Info.ID()
	if err := c.results.Add(l); err != nil {
		c.fail(err)
	}
	if c.Out == nil || c.broken {
		return
	}
	b, err := json.Marshal(l)
	if err == nil {
		_, err = c.Out.Write(append(b, '\n'))
	}
	if f, ok := c.Out.(interface{ Sync() error }); ok && err == nil && l.Block != nil && time.Since(c.synced) > time.Second {
		// What cannot be synchronized, as a pipe, says so, and is none the worse.
		if err = f.Sync(); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		c.synced = time.Now()
	}
	if err != nil {
		// Half a line may be there. It is left out when the file is read, but
		// only as long as it is the last.
		c.broken = true
		c.fail(fmt.Errorf("campaign: results cannot be kept: %w", err))
	}
}

func (c *Campaign) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	if c.cancel != nil {
		c.cancel()
	}
}
