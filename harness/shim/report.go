package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdshort/holdshort/harness"
)

// Report is the report of one container or of one process in it.
type Report struct {
	*harness.Report
	Container string `json:"container"`
	Operation string `json:"operation"` // start, run or exec
	Policy    Policy `json:"policy"`
	// Killed: it was not let go, and never ran.
	Killed bool `json:"killed"`
}

// Failure is written in place of a report where nothing could be verified.
type Failure struct {
	Schema  int             `json:"schema"`
	Verdict harness.Verdict `json:"verdict"` // always unknown
	Args    []string        `json:"args"`    // of the runtime
	Error   string          `json:"error"`
}

func (j *job) write(cs *harness.Case, what string, killed bool) error {
	return put(j.m.Policy.Reports, j.call.ID+"-"+what, &Report{
		Report: cs.Report(), Container: j.call.ID, Operation: what, Policy: j.m.Policy, Killed: killed,
	})
}

// note writes down that a call was not verified.
func note(dir string, args []string, why error) {
	c := ParseCall(args)
	_ = put(dir, c.ID+"-"+c.Verb, &Failure{Schema: harness.Schema, Verdict: harness.Unknown, Args: args, Error: why.Error()})
}

// put writes one file, as a whole or not at all.
func put(dir, name string, v any) error {
	if dir == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".report-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(append(b, '\n')); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	safe := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, name)
	return os.Rename(f.Name(), filepath.Join(dir, fmt.Sprintf("%s-%d.json", safe, time.Now().UnixNano())))
}
