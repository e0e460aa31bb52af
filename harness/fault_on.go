//go:build mutants

package harness

import (
	"slices"
	"sync"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
)

const faulty = true

// Fault is a fault to be planted. It is there in builds with the tag mutants
// only, which score the instruments by it.
type Fault struct {
	// Config changes what is launched, behind the request's back.
	Config func(*checkpoint.Config, *checkpoint.Options)
	// Order changes in which order.
	Order func(*checkpoint.Order)
	// Parked acts on the workload, or on another process, directly before the
	// workload proceeds.
	Parked func(*checkpoint.Workload)
	// Sight changes what the instruments say: what was seen, what was found
	// elsewhere, and what is expected.
	Sight func(*Sight)
	// Result changes what became of the comparison.
	Result func(*Result)
}

// Sight is all that a verdict is made of.
type Sight struct {
	Expected  *oracle.Expectation
	Snapshots []Snapshot // their postures may be changed
	Evidence  []Evidence
	Lost      uint64

	// Caller is the posture of the agent when it made the workload, and Before
	// the snapshots of the launch before.
	Caller *posture.Posture
	Before []Snapshot

	l *launch
}

type plantings struct {
	fault *Fault
	last  []Snapshot
}

var faults sync.Map // *Runner to *plantings

// Misbehave plants a fault in every launch from now on; nil ends that. The Runner
// must not be in use meanwhile.
func (r *Runner) Misbehave(f *Fault) {
	v, _ := faults.LoadOrStore(r, &plantings{})
	v.(*plantings).fault = f
	if f == nil {
		f = &Fault{}
	}
	r.tamper, r.parked = f.Config, f.Parked
	r.launcher.Misorder(f.Order)
}

func misjudge(l *launch, r *Result, exp *oracle.Expectation, caller *posture.Posture, snaps []Snapshot, lost uint64) *Result {
	v, ok := faults.Load(l.r)
	if !ok {
		return r
	}
	p := v.(*plantings)
	before := p.last
	p.last = snaps
	if p.fault == nil {
		return r
	}
	if p.fault.Sight != nil {
		s := &Sight{Expected: exp, Evidence: slices.Clone(l.evidence), Lost: lost, Caller: caller, Before: before, l: l}
		for _, n := range snaps {
			if n.Posture != nil {
				own := *n.Posture
				n.Posture = &own
			}
			s.Snapshots = append(s.Snapshots, n)
		}
		p.fault.Sight(s)
		r = Judge(s.Expected, s.Snapshots, s.Evidence, s.Lost)
	}
	if p.fault.Result != nil {
		p.fault.Result(r)
	}
	return r
}

// Postures changes every posture that was seen before the program ran.
func (s *Sight) Postures(f func(*posture.Posture)) {
	for i := range s.Snapshots {
		if n := &s.Snapshots[i]; n.Posture != nil && n.At != AtExit {
			f(n.Posture)
		}
	}
}

// Latest is the posture that decides, nil if there is none.
func (s *Sight) Latest() *posture.Posture {
	for i := len(s.Snapshots) - 1; i >= 0; i-- {
		if n := &s.Snapshots[i]; n.Posture != nil && n.At != AtExit {
			return n.Posture
		}
	}
	return nil
}

// Changed makes a field something else than what was expected.
func Changed(field string) func(*posture.Posture) { return sample.Mutations[field] }

// EvidenceOf gathers again what no posture shows, of another process.
func (s *Sight) EvidenceOf(pid int) []Evidence {
	h := s.l.evidenceAt(AtHeld)
	h.pid = pid
	return h.gather(s.Expected.Beyond())
}

// Agent is the process that the workload is a child of.
func (s *Sight) Agent() int { return s.l.r.launcher.AgentPID() }

// Drop makes a result forget its findings in a field, as if nothing had been
// compared.
func (r *Result) Drop(is func(*Check) bool) {
	r.Checks = slices.DeleteFunc(r.Checks, func(c Check) bool { return is(&c) })
	r.Findings = 0
	for i := range r.Checks {
		if r.Checks[i].Outcome.Finding() {
			r.Findings++
		}
	}
	if r.Findings == 0 && r.Verdict == Violated {
		r.Verdict, r.Cause = Constrained, NoCause
	}
}
