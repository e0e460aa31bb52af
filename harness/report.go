package harness

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/harness/witness"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
)

// Schema is the version of the report's form. Fields may be added to a
// version, and are never renamed or removed.
const Schema = 1

// Workload is what became of the program.
type Workload struct {
	Argv     []string `json:"argv"`
	HostPID  int      `json:"host_pid"`
	PID      int      `json:"pid"` // inside its pid namespace
	ExitCode int      `json:"exit_code"`
	Signal   int      `json:"signal"`
}

// Meta is what a report says beside the result.
type Meta struct {
	Kernel   string // as uname -r
	Engine   string // "native", "runc", …
	Seed     uint64
	Index    uint64
	Workload Workload
	// Executions is how many executions of the program were seen, of which
	// the worst is reported; 0 if it was launched by us.
	Executions int
	// Plan is what the launch consisted of, if that was asked for
	// ([RunnerOptions].Plan).
	Plan []checkpoint.PlannedStep
}

// Report is one case, for people and for programs.
type Report struct {
	Schema   int      `json:"schema"`
	Verdict  Verdict  `json:"verdict"`
	Cause    Cause    `json:"cause,omitempty"`
	Reasons  []string `json:"reasons,omitempty"`
	Kernel   string   `json:"kernel"`
	Engine   string   `json:"engine"`
	Seed     uint64   `json:"seed"`
	Index    uint64   `json:"index"`
	Workload Workload `json:"workload"`
	// Executions of the program by another engine; the worst is reported.
	Executions int              `json:"executions,omitempty"`
	Snapshots  []SnapshotReport `json:"snapshots"`
	Checks     []CheckReport    `json:"checks"`
	// Answers are the witness's, if it was the workload.
	Answers []witness.Answer `json:"witness,omitempty"`
	// Drift is what was another at the workload's end.
	Drift []probes.Drift `json:"drift,omitempty"`
	// ConfirmedBy names the optional hooks that spoke of the workload's exec.
	ConfirmedBy []string `json:"confirmed_by,omitempty"`
	// Plan is what the launch consisted of, if that was asked for.
	Plan []checkpoint.PlannedStep `json:"plan,omitempty"`
	// Unexpressed names what was left out of the request, because the engine
	// has no words for it.
	Unexpressed []string `json:"unexpressed,omitempty"`
	// Inherited names what another engine's workload has from the engine's
	// caller and what a fresh process has not, though nobody asked for either.
	Inherited []string `json:"inherited,omitempty"`
	// Timeline is when what happened in the launch, if that was asked for.
	Timeline []Moment         `json:"timeline,omitempty"`
	Findings int              `json:"findings"`
	Lost     uint64           `json:"lost"`
	Config   *request.Request `json:"config"`
}

// SnapshotReport is a [Snapshot] in a report. An ip_is_entry of null means that
// it could not be read.
type SnapshotReport struct {
	At             At               `json:"at"`
	IPIsEntry      *bool            `json:"ip_is_entry"`
	NSSinceProceed int64            `json:"ns_since_proceed"`
	Posture        *posture.Posture `json:"posture"`
}

// CheckReport is a [Check] in a report.
type CheckReport struct {
	Field   string         `json:"field"`
	Want    any            `json:"want"`
	Got     any            `json:"got"`
	At      At             `json:"at"`
	Outcome oracle.Outcome `json:"outcome"`
	Why     string         `json:"why"`
	Class   string         `json:"class"`
	Source  string         `json:"source,omitempty"`
	Note    string         `json:"note,omitempty"`
}

// NewReport writes a result down.
func NewReport(res *Result, m Meta) *Report {
	r := &Report{
		Schema: Schema, Verdict: res.Verdict, Cause: res.Cause, Reasons: res.Reasons,
		Kernel: m.Kernel, Engine: m.Engine, Seed: m.Seed, Index: m.Index, Workload: m.Workload, Executions: m.Executions,
		Snapshots: make([]SnapshotReport, len(res.snaps)), Checks: make([]CheckReport, len(res.Checks)),
		Findings: res.Findings, Lost: res.Lost, Answers: res.Answers, Drift: res.Drift(),
		ConfirmedBy: res.ConfirmedBy, Plan: m.Plan, Inherited: res.Inherited(),
	}
	if res.exp != nil {
		r.Config = res.exp.Request()
		if r.Workload.Argv == nil {
			r.Workload.Argv = r.Config.Process().Args
		}
	}
	for i := range res.snaps {
		s := &res.snaps[i]
		r.Snapshots[i] = SnapshotReport{At: s.At, NSSinceProceed: s.NSSinceProceed, Posture: s.Posture}
		if entry, ok := s.IPIsEntry.Get(); ok {
			r.Snapshots[i].IPIsEntry = &entry
		}
	}
	for i := range res.Checks {
		c := &res.Checks[i]
		r.Checks[i] = CheckReport{
			Field: c.Name(), Want: c.Want(), Got: c.Got(), At: c.At, Outcome: c.Outcome, Why: c.Why,
			Class: c.Class().String(), Source: c.Source(), Note: c.Note(),
		}
	}
	return r
}

// ExitCode is the command's exit status for the report.
func (r *Report) ExitCode() int { return ExitCode(r.Verdict, r.Cause) }

// ReadReport reads a report that was written as JSON. A later schema than this
// one is refused.
func ReadReport(b []byte) (*Report, error) {
	r := &Report{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("harness: report: %w", err)
	}
	if r.Schema < 1 || r.Schema > Schema {
		return nil, fmt.Errorf("harness: report: schema %d, this version reads up to %d", r.Schema, Schema)
	}
	return r, nil
}
