package matchers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/probes/posture"
)

// report takes what the matchers are given.
func report(actual any) (*harness.Report, error) {
	switch a := actual.(type) {
	case *harness.Report:
		if a != nil {
			return a, nil
		}
	case harness.Report:
		return &a, nil
	case *harness.Case:
		if a != nil && a.Result != nil {
			return a.Report(), nil
		}
	case nil:
	default:
		return nil, fmt.Errorf("a *harness.Case or *harness.Report is needed, this is a %T", actual)
	}
	return nil, errors.New("a *harness.Case or *harness.Report is needed, this is nil: was the error of the launch looked at?")
}

// first is the posture of the first instruction.
func first(actual any) (*posture.Posture, error) {
	if p, ok := actual.(*posture.Posture); ok && p != nil {
		return p, nil
	}
	r, err := report(actual)
	if err != nil {
		return nil, err
	}
	var p *posture.Posture
	for i := range r.Snapshots {
		if s := &r.Snapshots[i]; s.At == harness.AtExec || s.At == harness.AtReturn || s.At == harness.AtFirst {
			p = s.Posture
		}
	}
	if p == nil {
		return nil, fmt.Errorf("the workload's first instruction was not seen: verdict %s, %s", r.Verdict, strings.Join(r.Reasons, "; "))
	}
	return p, nil
}

// known takes a value out of a posture, or says why it is not there.
func known[T any](path string, v posture.Value[T]) (T, error) {
	x, ok := v.Get()
	if !ok {
		return x, fmt.Errorf("%s could not be read: %s", path, v.Why())
	}
	return x, nil
}

// text is a report for people, indented.
func text(r *harness.Report) string {
	var b strings.Builder
	_ = r.Text(&b, harness.Style{Width: 120})
	return indent(b.String())
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ")
}
