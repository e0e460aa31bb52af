package harness

import (
	"fmt"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/witness"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
)

// Check is one comparison. It refers to expectation and snapshot instead of
// holding values, so that judging costs no memory for what nobody prints.
type Check struct {
	Field   oracle.Field // oracle.NumFields if it is about something beyond a posture
	At      At           // the instant that decided
	Outcome oracle.Outcome
	Why     string

	exp    *oracle.Expectation
	got    *posture.Posture
	beyond *oracle.Beyond
	found  *Evidence

	inherited bool // the engine's caller's, where a fresh process has another
}

// Name is the field's name.
func (c *Check) Name() string {
	if c.beyond != nil {
		return c.beyond.Field
	}
	return c.Field.String()
}

// Class says how the field got into the expectation.
func (c *Check) Class() oracle.Class {
	if c.beyond != nil && c.beyond.Unasked {
		return oracle.Kept
	}
	if c.beyond != nil {
		return oracle.Requested
	}
	return c.exp.Class(c.Field)
}

// Source is the part of the request that the wanted value comes from.
func (c *Check) Source() string {
	if c.beyond != nil {
		return c.beyond.Field
	}
	return c.exp.Source(c.Field)
}

// Note is what is to be told even if the check holds, or empty.
func (c *Check) Note() string {
	if c.beyond != nil {
		return ""
	}
	return c.exp.Note(c.Field)
}

// Want is the wanted value, as JSON shows it.
func (c *Check) Want() any {
	if c.beyond != nil {
		return c.beyond.Want
	}
	return c.exp.Want(c.Field)
}

// Got is the observed value, or nil.
func (c *Check) Got() any {
	switch {
	case c.found != nil:
		return c.found.Got
	case c.got != nil:
		return c.Field.Value(c.got)
	}
	return nil
}

// Result is what Judge found. Checks come in the order of the fields; of those
// beyond the posture, in the order of [oracle.Expectation.Beyond].
type Result struct {
	Verdict  Verdict
	Cause    Cause
	Reasons  []string // why the verdict is unknown, or would be without the findings
	Checks   []Check
	Findings int
	// Disagreements is how many of the findings are of the instruments, not
	// of the workload.
	Disagreements int
	Lost          uint64
	// ConfirmedBy names the optional hooks that spoke of the workload's exec:
	// see [RunnerOptions].Confirm.
	ConfirmedBy []string
	// Answers are what the witness found out from inside, if it was the
	// workload: see [Runner.Witness].
	Answers []witness.Answer

	exp   *oracle.Expectation
	snaps []Snapshot
	rec   *probes.Record // nil if there is none
}

// ExitCode is the command's exit status for this result.
func (r *Result) ExitCode() int { return ExitCode(r.Verdict, r.Cause) }

// Judge compares the snapshots of one workload with what was expected of it.
// evidence is about what a posture does not show, and lost counts records that
// the kernel could not deliver. The snapshots are kept in the result.
//
// The verdict is violated if there is a finding. Else it is unknown if a
// snapshot at exec is missing, or both that at return and one that was surely at
// the first instruction, if one of them was not at the
// program's entry, if anything was lost, or if something that was asked for
// cannot be judged. Else, and only then, it is constrained.
//
// If there is a second reading of the frozen workload it has to agree, in every
// field that both readings have. A disagreement is no finding of the workload:
// nobody knows which of the two is right. So it makes the verdict unknown. What
// only the second reading has is judged by that.
func Judge(exp *oracle.Expectation, snaps []Snapshot, evidence []Evidence, lost uint64) *Result {
	beyond := exp.Beyond()
	r := &Result{exp: exp, snaps: snaps, Lost: lost, Checks: make([]Check, 0, int(oracle.NumFields)+len(beyond))}
	var s sight
	s.look(r, snaps)
	dissents := s.dissents()
	unseen := 0
	for f := range oracle.NumFields {
		if why := dissents[f]; why != "" {
			r.Checks = append(r.Checks, Check{Field: f, exp: exp})
			c := &r.Checks[len(r.Checks)-1]
			s.judge(c)
			c.Outcome, c.Why = oracle.Disagreement, why+"; by the snapshots alone it would be "+string(c.Outcome)
			r.count(c)
			continue
		}
		if s.n > 0 && exp.Holds(f, s.all[:s.n]) {
			r.Checks = append(r.Checks, Check{Field: f, At: s.latest, Outcome: oracle.Equal, exp: exp, got: s.all[s.n-1]})
			continue
		}
		r.Checks = append(r.Checks, Check{Field: f, exp: exp})
		c := &r.Checks[len(r.Checks)-1]
		s.judge(c)
		unseen += r.count(c)
	}
	for i := range beyond {
		r.Checks = append(r.Checks, Check{Field: oracle.NumFields, exp: exp, beyond: &beyond[i]})
		c := &r.Checks[len(r.Checks)-1]
		c.weigh(evidence)
		unseen += r.count(c)
	}
	if lost > 0 {
		r.doubt(EvidenceLost, fmt.Sprintf("%d records of the kernel were lost", lost))
	}
	if r.Disagreements > 0 {
		r.doubt(Contradiction, fmt.Sprintf("two instruments disagree on %d fields", r.Disagreements))
	}
	if unseen > 0 {
		r.doubt(CannotObserve, r.unseen())
	}
	switch {
	case r.Findings > r.Disagreements:
		r.Verdict, r.Cause = Violated, NoCause
	case r.Cause != NoCause:
		r.Verdict = Unknown
	default:
		r.Verdict = Constrained
	}
	return r
}

// Refuse is the result for a launch that did not come about, because the
// engine or the kernel would not do what was asked for. Field names the part of
// the request or the stage.
func Refuse(exp *oracle.Expectation, field, why string) *Result {
	return &Result{
		Verdict: Unknown, Cause: CannotApply, Reasons: []string{field + ": " + why}, exp: exp, Findings: 1,
		Checks: []Check{{Field: oracle.NumFields, Outcome: oracle.Refused, Why: why, exp: exp, beyond: &oracle.Beyond{Field: field}}},
	}
}

// doubt notes a reason against a verdict. Lost evidence outweighs what this
// machine cannot show: it may come back if the launch is repeated.
func (r *Result) doubt(c Cause, why string) {
	r.Reasons = append(r.Reasons, why)
	if r.Cause == NoCause || c == EvidenceLost || r.Cause == CannotObserve {
		r.Cause = c
	}
}

// count adds a check up; it returns 1 if the verdict lacks its evidence.
func (r *Result) count(c *Check) int {
	switch {
	case c.Outcome == oracle.Disagreement:
		r.Findings++
		r.Disagreements++
	case c.Outcome.Finding():
		r.Findings++
	case c.Outcome == oracle.Unobservable && c.Class() == oracle.Requested:
		return 1
	}
	return 0
}

func (r *Result) unseen() string {
	var names []string
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Outcome == oracle.Unobservable && c.Class() == oracle.Requested {
			names = append(names, c.Name())
		}
	}
	const most = 6
	if len(names) > most {
		names = append(names[:most:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return "no evidence of what was asked for: " + strings.Join(names, ", ")
}

// sight is what there is to look at: the postures at exec, return and first.
type sight struct {
	at [3]*posture.Posture

	all    [3]*posture.Posture // the n that there are, in order
	n      int
	latest At
	// first: there is one at the first instruction, known to be that.
	first bool

	frozen *posture.Posture // the second reading

	disputed map[oracle.Field]string // by other instruments
}

var instants = [3]At{AtExec, AtReturn, AtFirst}

func (s *sight) look(r *Result, snaps []Snapshot) {
	for i := range snaps {
		sn := &snaps[i]
		if sn.Void != "" {
			cause := EvidenceLost
			if sn.Denied {
				cause = CannotObserve
			}
			r.doubt(cause, "nothing was seen at "+string(sn.At)+": "+sn.Void)
			continue
		}
		if entry, ok := sn.IPIsEntry.Get(); sn.At == AtFrozen {
			if s.frozen = sn.Posture; ok && !entry {
				r.doubt(EvidenceLost, "the snapshot at "+string(sn.At)+" was not at the program's entry")
			}
			continue
		}
		for j, at := range instants {
			if sn.At != at || sn.Posture == nil {
				continue
			}
			s.disputes(r, sn)
			if s.at[j] != nil {
				r.doubt(EvidenceLost, "two snapshots at "+string(at)+": they cannot both be of this execve")
			}
			s.at[j] = sn.Posture
			entry, ok := sn.IPIsEntry.Get()
			if ok && !entry {
				r.doubt(EvidenceLost, "the snapshot at "+string(at)+" was not at the program's entry")
			}
			s.first = s.first || at == AtFirst && ok && entry
		}
	}
	for j, p := range s.at {
		if p != nil {
			s.all[s.n], s.latest = p, instants[j]
			s.n++
		}
	}
	for j, at := range instants[:2] {
		// The first instruction is later than the return, and says more;
		// whether it may do without is for the probe to say, which counts
		// as lost what it cannot explain.
		if s.at[j] == nil && (at == AtExec || !s.first) {
			r.doubt(EvidenceLost, "no snapshot at "+string(at))
		}
	}
}

// judge compares one field. The latest instant that knows it decides.
func (s *sight) judge(c *Check) {
	c.Outcome, c.Why = oracle.Unobservable, "no snapshot"
	last := -1
	for j := len(s.at) - 1; j >= 0; j-- {
		if s.at[j] == nil {
			continue
		}
		ok, why := c.Field.Known(s.at[j])
		if ok {
			last = j
			break
		}
		c.Why = why
	}
	if last < 0 {
		s.judgeFrozen(c)
		return
	}
	c.At, c.got = instants[last], s.at[last]
	c.Outcome, c.Why = c.exp.Compare(c.Field, c.got)
	if c.Field == oracle.SignalsPending || c.exp.Free(c.Field) {
		return // comes from outside at any time
	}
	for j := range last {
		if s.at[j] == nil {
			continue
		}
		if ok, _ := c.Field.Known(s.at[j]); ok && !c.Field.Equal(s.at[j], c.got) {
			c.late(instants[j], s.at[j])
			return
		}
	}
}

// judgeFrozen compares a field that only the second reading has.
func (s *sight) judgeFrozen(c *Check) {
	if s.frozen == nil || procfs.Partial(c.Field.String()) {
		return
	}
	if ok, _ := c.Field.Known(s.frozen); ok {
		c.At, c.got = AtFrozen, s.frozen
		c.Outcome, c.Why = c.exp.Compare(c.Field, c.got)
	}
}

// late: the field changed between execve and the first instruction. It says
// what became of it, too.
func (c *Check) late(at At, before *posture.Posture) {
	then := "as wanted"
	if c.Outcome != oracle.Equal {
		then = string(c.Outcome)
	}
	c.Why = fmt.Sprintf("at %s it was %s; at %s it is %s", at, show(c.Field.Value(before)), c.At, then)
	c.Outcome = oracle.Late
}

// weigh looks for evidence about something that no posture shows.
func (c *Check) weigh(evidence []Evidence) {
	c.Outcome, c.Why = oracle.Unobservable, "cannot be seen in a task, and nothing else was looked at"
	for i := range evidence {
		e := &evidence[i]
		if e.Field != c.beyond.Field {
			continue
		}
		c.At, c.found, c.Why = e.At, e, e.Why
		switch {
		case !e.Known:
		case e.Holds:
			c.Outcome = oracle.Equal
		case c.beyond.Unasked:
			c.Outcome = oracle.Leaked
		default:
			c.Outcome = oracle.Weaker
		}
		if !e.Known || !e.Holds {
			return
		}
	}
}
