//go:build mutants

package mutants

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/corpus"
	"github.com/holdshort/holdshort/harness"
)

// Row is what became of one fault.
type Row struct {
	*Fault
	way  int
	trig Trigger
	hide *Fault

	// Lacks says why the fault cannot be planted on this machine.
	Lacks string
	// Killed: after so many cases of the campaign it was found, by Key.
	Killed bool
	Cases  uint64
	Key    string
	// Shown is in how many of these cases it was planted, Elsewhere in how
	// many of them only something else was found, and Tries in how many it
	// could not even be launched.
	Shown, Elsewhere, Tries int
	Other                   string // a finding elsewhere
	Err                     error

	done bool
}

// Run is one run of the command.
type Run struct {
	Benches []*Bench // each is used by one goroutine
	Seed    uint64   // of the campaign
	Faults  []Fault
	Budget  time.Duration
	// Most is in how many cases a fault is planted before it is given up.
	Most int
	// All launches every case, also those in which the fault does not show.
	All bool
	// Tell is called with each row that is decided; from one goroutine at a time.
	Tell func(*Row)

	Rows []Row
	// Arrays are the numbers of cases in which all pairs and all triples are.
	Pairs, Triples int
	Took           time.Duration
	Launches       int

	seq  *fuzz.Sequence
	mu   sync.Mutex
	only map[string]uint64 // nil is all
}

const block = 64

// Run plants the faults until all are found, or the budget is used up.
func (r *Run) Run(ctx context.Context) error {
	md := r.Benches[0].Model
	pairs, err := md.Sequence(r.Seed, 2)
	if err != nil {
		return err
	}
	examples, err := corpus.Seeds()
	if err != nil {
		return err
	}
	if r.seq, err = md.SequenceFrom(corpus.Parents(md, examples), r.Seed, 3); err != nil {
		return err
	}
	r.Pairs, r.Triples = pairs.Rows(), r.seq.Rows()
	for i := range r.Faults {
		f := &r.Faults[i]
		row := Row{Fault: f, way: f.Way()}
		if row.trig, err = f.Trigger(md, r.Benches[0].Machine); err != nil {
			row.Lacks, row.done = err.Error(), true
		} else if md.Space().Complete(row.trig.partial(md)) == nil {
			row.Lacks, row.done = "no request can have these settings together", true
		}
		if f.Hides != "" {
			if row.hide = hidden(r.Faults, f); row.hide == nil {
				return fmt.Errorf("mutants: %s: no fault %q", f.Name, f.Hides)
			}
		}
		if _, wanted := r.only[f.Name]; r.only != nil && !wanted {
			row.done = true
		}
		r.Rows = append(r.Rows, row)
	}
	begun := time.Now()
	for first := uint64(0); ; first += block {
		jobs := r.jobs(first)
		if err := r.work(ctx, jobs); err != nil {
			return err
		}
		r.Took = time.Since(begun)
		if ctx.Err() != nil || r.Took > r.Budget || !slices.ContainsFunc(r.Rows, func(row Row) bool { return !row.done }) {
			return ctx.Err()
		}
	}
}

// job is the cases of a block in which one fault is to be planted.
type job struct {
	row   *Row
	cases []uint64
	rows  []fuzz.Assignment
}

func (r *Run) jobs(first uint64) []job {
	var all []fuzz.Assignment
	for i := range uint64(block) {
		all = append(all, r.seq.At(first+i))
	}
	var jobs []job
	for i := range r.Rows {
		j := job{row: &r.Rows[i]}
		if j.row.done {
			continue
		}
		for n, a := range all {
			if r.All || j.row.trig.Holds(a) {
				j.cases, j.rows = append(j.cases, first+uint64(n)), append(j.rows, a)
			}
		}
		if j.cases != nil {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (r *Run) work(ctx context.Context, jobs []job) error {
	next := make(chan job)
	errs := make([]error, len(r.Benches))
	var wg sync.WaitGroup
	for i, b := range r.Benches {
		wg.Go(func() {
			for j := range next {
				if errs[i] == nil {
					errs[i] = r.hunt(ctx, b, &j)
				}
			}
		})
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hunt plants one fault in cases until it is found.
func (r *Run) hunt(ctx context.Context, b *Bench, j *job) error {
	row := j.row
	for n, index := range j.cases {
		if ctx.Err() != nil {
			return nil
		}
		if row.trig.Holds(j.rows[n]) {
			row.Shown++
		}
		found, err := r.try(ctx, b, row, j.rows[n], index)
		if err != nil {
			return err
		}
		if found {
			row.Killed, row.Cases = true, index+1
		}
		if row.done = found || row.Shown >= r.most(row.Fault); row.done {
			if r.Tell != nil {
				r.mu.Lock()
				r.Tell(row)
				r.mu.Unlock()
			}
			return nil
		}
	}
	return nil
}

func (r *Run) most(f *Fault) int {
	if f.Equivalent != "" {
		return min(r.Most, 40)
	}
	return r.Most
}

// try plants the fault in one case. It is found if a launch with it shows what it
// must lead to, twice, and one without it shows nothing: or, if it makes the
// instruments blind to another fault, if that one shows otherwise than without.
func (r *Run) try(ctx context.Context, b *Bench, row *Row, a fuzz.Assignment, index uint64) (bool, error) {
	scene := b.scene
	scene.Rand = row.rand()
	var base *harness.Fault
	if row.hide != nil {
		base = row.hide.Plant(&scene)
	}
	planted := func() *harness.Fault {
		var h *harness.Fault
		if row.hide != nil {
			h = row.hide.Plant(&scene)
		}
		return r.armed(row.trig, a, both(h, row.Plant(&scene)))
	}
	with, err := r.launch(ctx, b, a, index, planted())
	if err != nil {
		row.Tries, row.Err = row.Tries+1, err
		return false, nil
	}
	if row.hide == nil && len(with) == 0 {
		return false, nil
	}
	without, err := r.launch(ctx, b, a, index, r.armed(row.trig, a, base))
	if err != nil {
		return false, fmt.Errorf("%s, case %d without the fault: %w", row.Name, index, err)
	}
	key := row.key(with, without)
	if key == "" {
		if row.hide == nil {
			row.Elsewhere++
			row.Other = with[0]
		}
		return false, nil
	}
	again, err := r.launch(ctx, b, a, index, planted())
	if err != nil || row.key(again, without) == "" {
		return false, nil
	}
	row.Key = key
	return true, nil
}

// key is the finding that shows the fault, or empty.
func (row *Row) key(with, without []string) string {
	if row.hide == nil {
		if len(without) > 0 {
			return "" // this case is no use
		}
		for _, k := range with {
			if row.wants(k) {
				return k
			}
		}
		return ""
	}
	for _, k := range without {
		if row.wants(k) && !slices.Contains(with, k) {
			return "not any more: " + k
		}
	}
	return ""
}

// armed is a fault that shows if its condition holds for the case at hand. It
// looks when it is reached, as a fault in the code would.
func (r *Run) armed(t Trigger, a fuzz.Assignment, f *harness.Fault) *harness.Fault {
	if f == nil || !r.All {
		return f
	}
	out := &harness.Fault{}
	if f.Config != nil {
		out.Config = guard2(t, a, f.Config)
	}
	if f.Order != nil {
		out.Order = guard1(t, a, f.Order)
	}
	if f.Parked != nil {
		out.Parked = guard1(t, a, f.Parked)
	}
	if f.Sight != nil {
		out.Sight = guard1(t, a, f.Sight)
	}
	if f.Result != nil {
		out.Result = guard1(t, a, f.Result)
	}
	return out
}

func guard1[A any](t Trigger, a fuzz.Assignment, f func(A)) func(A) {
	return func(x A) {
		if t.Holds(a) {
			f(x)
		}
	}
}

func guard2[A, B any](t Trigger, a fuzz.Assignment, f func(A, B)) func(A, B) {
	return func(x A, y B) {
		if t.Holds(a) {
			f(x, y)
		}
	}
}

func (r *Run) launch(ctx context.Context, b *Bench, a fuzz.Assignment, index uint64, f *harness.Fault) ([]string, error) {
	r.mu.Lock()
	r.Launches++
	r.mu.Unlock()
	return b.launch(ctx, a, r.Seed, index, f)
}

// Pace launches cases without a fault on all benches, and says how many a second
// a campaign has here. It returns what was found in them, which must be nothing.
func (r *Run) Pace(ctx context.Context, n uint64) (perSecond float64, findings []string, err error) {
	seq, err := r.Benches[0].Model.Sequence(r.Seed, 1)
	if err != nil {
		return 0, nil, err
	}
	begun := time.Now()
	var wg sync.WaitGroup
	for i, b := range r.Benches {
		wg.Go(func() {
			for c := uint64(i); c < n; c += uint64(len(r.Benches)) {
				k, e := b.launch(ctx, seq.At(c), r.Seed, c, nil)
				if e == nil && k != nil { // what comes and goes is for a campaign to say
					k, e = b.launch(ctx, seq.At(c), r.Seed, c, nil)
				}
				r.mu.Lock()
				if e != nil {
					err = e
				}
				for _, f := range k {
					findings = append(findings, fmt.Sprintf("case %d: %s", c, f))
				}
				r.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(begun).Seconds(), findings, err
}
