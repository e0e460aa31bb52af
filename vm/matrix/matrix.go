package matrix

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdshort/holdshort/vm"
)

// Matrix is some jobs on some kernels.
type Matrix struct {
	Kernels []*vm.Kernel
	Host    bool // a row for this machine's own kernel, without a guest
	Arch    string
	Jobs    []Job
	Guest   vm.Guest      // what all guests have in common
	Env     []string      // of all jobs
	Limit   time.Duration // of one job
	Short   bool          // guests run tests with -test.short; the host's row does not
	AtOnce  int           // guests; default 1
	// Elsewhere lists tests that no kernel here can run, which is no fault then.
	Elsewhere []Elsewhere
	Log       func(string) // told what has ended; may be called from several goroutines
	// Compare looks at all rows together, once they are complete. What it
	// returns makes the matrix not good; it may change the report.
	Compare func(*Report) []string

	spoil   func(*vm.Kernel, *vm.Guest) // of tests: what one kernel's guest has of its own
	most    int                         // of tests: maxOutput
	logging sync.Mutex
}

// Report is the whole matrix.
type Report struct {
	Schema  int     `json:"schema"` // 1
	Rows    []*Row  `json:"rows"`
	Seconds float64 `json:"seconds"`

	Never       []Unrun      `json:"never"`               // tests that ran on no kernel
	Elsewhere   []Unrun      `json:"elsewhere,omitempty"` // those of which it is known
	Unexplained []string     `json:"unexplained"`         // skipped without a reason
	Differences []Difference `json:"differences"`         // the same test, another outcome
	// Specs is tests by kernels: every test that is known of, in order.
	Specs []Spec `json:"specs"`
	// Here are the jobs that only the host's row ran, as they depend on no
	// kernel.
	Here []string `json:"here,omitempty"`
	// Kernels are differences between kernels that no known fact explains, and
	// Comparison is all that was compared, in the form of package
	// fuzz/compare.
	Kernels    []string        `json:"kernels,omitempty"`
	Comparison json.RawMessage `json:"comparison,omitempty"`
	Good       bool            `json:"good"`
}

// Spec is one test on all kernels.
type Spec struct {
	Package string `json:"package"`
	Name    string `json:"name"`
	// Outcomes is in the order of the report's rows; empty is not known of
	// there, as a subtest of a test that was skipped.
	Outcomes []Outcome `json:"outcomes"`
}

// Unrun is a test that ran nowhere, with the reasons that it gave.
type Unrun struct {
	Test    string   `json:"test"`
	Reasons []string `json:"reasons"`
	Where   string   `json:"where,omitempty"` // it does run, if that is known
}

// Difference is a test or a program that passed on one kernel and failed on another. One
// that was skipped is no difference: its reason names the missing feature.
type Difference struct {
	Test   string   `json:"test"`
	Passed []string `json:"passed"` // kernels
	Failed []string `json:"failed"`
}

func (m *Matrix) say(format string, args ...any) {
	if m.Log == nil {
		return
	}
	m.logging.Lock()
	defer m.logging.Unlock()
	m.Log(fmt.Sprintf(format, args...))
}

// Run runs the matrix. Rows are in the order of the kernels, the host's first.
func (m *Matrix) Run(ctx context.Context) *Report {
	start := time.Now()
	rep := &Report{Schema: 1, Rows: make([]*Row, len(m.Kernels))}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, m.AtOnce) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(m.Kernels)); i = next.Add(1) - 1 {
				rep.Rows[i] = m.run(ctx, m.Kernels[i])
			}
		})
	}
	wg.Wait()
	if m.Host { // alone: its tests count what the whole machine has
		rep.Rows = slices.Insert(rep.Rows, 0, m.runHost(ctx))
	}
	for i := range m.Jobs {
		if j := &m.Jobs[i]; j.Here {
			rep.Here = append(rep.Here, j.Name)
		}
	}
	m.weigh(rep)
	if m.Compare != nil {
		rep.Kernels = m.Compare(rep)
		rep.Good = rep.Good && len(rep.Kernels) == 0
	}
	rep.Seconds = time.Since(start).Seconds()
	return rep
}

// weigh fills in what only all rows together say.
func (m *Matrix) weigh(r *Report) {
	r.compare()
	m.elsewhere(r)
	r.Good = r.Good && len(r.Never) == 0
}

// compare does so for what each test came to; of those that ran nowhere nothing
// is known yet.
func (r *Report) compare() {
	type seen struct {
		passed, failed []string
		reasons        map[string]bool
	}
	tests := map[string]*seen{}
	unexplained := map[string]bool{}
	r.Good = len(r.Rows) > 0
	for _, row := range r.Rows {
		if row.idle() {
			row.Deficits = append(row.Deficits, "of the tests that were asked for there is none")
		}
		if len(row.Faults) > 0 || row.Findings() > 0 || len(row.Deficits) > 0 || row.Count(Fail)+row.Count(Lost) > 0 {
			r.Good = false
		}
		for i := range row.Tests {
			t := &row.Tests[i]
			s := tests[t.ID()]
			if s == nil {
				s = &seen{reasons: map[string]bool{}}
				tests[t.ID()] = s
			}
			switch t.Outcome {
			case Pass:
				s.passed = append(s.passed, row.Kernel)
			case Fail, Lost:
				s.failed = append(s.failed, row.Kernel)
			case Skip:
				s.reasons[t.Why] = true
				if t.Why == "" {
					unexplained[t.ID()] = true
				}
			}
		}
	}
	for _, row := range r.Rows {
		for _, p := range row.Programs {
			s := tests[p.Name]
			if s == nil {
				s = &seen{}
				tests[p.Name] = s
			}
			if p.Outcome == Pass {
				s.passed = append(s.passed, row.Kernel)
			} else {
				s.failed = append(s.failed, row.Kernel)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(tests)) {
		s := tests[id]
		switch {
		case len(s.passed) > 0 && len(s.failed) > 0:
			r.Differences = append(r.Differences, Difference{id, s.passed, s.failed})
		case len(s.passed) == 0 && len(s.failed) == 0:
			r.Never = append(r.Never, Unrun{Test: id, Reasons: slices.Sorted(maps.Keys(s.reasons))})
		}
	}
	r.specs()
	r.Unexplained = slices.Sorted(maps.Keys(unexplained))
	r.Good = r.Good && len(r.Unexplained) == 0
}

// specs makes the table of tests by kernels.
func (r *Report) specs() {
	place := map[string]int{}
	for i, row := range r.Rows {
		for j := range row.Tests {
			t := &row.Tests[j]
			n, ok := place[t.ID()]
			if !ok {
				n = len(r.Specs)
				place[t.ID()] = n
				r.Specs = append(r.Specs, Spec{t.Package, t.Name, make([]Outcome, len(r.Rows))})
			}
			r.Specs[n].Outcomes[i] = t.Outcome
		}
	}
	slices.SortStableFunc(r.Specs, func(a, b Spec) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Name, b.Name))
	})
}
