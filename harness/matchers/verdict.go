package matchers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/onsi/gomega/types"
)

// verdict expects one verdict and shows the report if it is another.
func verdict(want harness.Verdict, words string) types.GomegaMatcher {
	var r *harness.Report
	return &matcher{
		match: func(actual any) (ok bool, err error) {
			if r, err = report(actual); err != nil {
				return false, err
			}
			return r.Verdict == want, nil
		},
		say: func(to bool) string { return fmt.Sprintf("%s have been %s:", should(to), words) },
		saw: func(bool) string { return text(r) },
	}
}

// BeConstrained succeeds if everything that was asked for, and everything that
// is promised without being asked for, was seen to hold at the workload's first
// instruction. Missing evidence is not enough.
func BeConstrained() types.GomegaMatcher { return verdict(harness.Constrained, "constrained") }

// BeViolated succeeds if something was seen not to hold. See [HaveFinding] for
// what.
func BeViolated() types.GomegaMatcher { return verdict(harness.Violated, "violated") }

// BeUnknown succeeds if evidence is missing.
func BeUnknown() types.GomegaMatcher { return verdict(harness.Unknown, "of unknown verdict") }

// HaveFinding succeeds if there is a finding on a field, of one of the given
// outcomes ("weaker", "late", "inherited", …); without outcomes, of any.
func HaveFinding(field string, outcomes ...oracle.Outcome) types.GomegaMatcher {
	var r *harness.Report
	what := "a finding on " + field
	if len(outcomes) > 0 {
		var names []string
		for _, o := range outcomes {
			names = append(names, string(o))
		}
		what += " (" + strings.Join(names, " or ") + ")"
	}
	return &matcher{
		match: func(actual any) (ok bool, err error) {
			if r, err = report(actual); err != nil {
				return false, err
			}
			for i := range r.Checks {
				c := &r.Checks[i]
				if c.Field != field || !c.Outcome.Finding() {
					continue
				}
				if len(outcomes) == 0 || slices.Contains(outcomes, c.Outcome) {
					return true, nil
				}
			}
			return false, nil
		},
		say: func(to bool) string { return fmt.Sprintf("%s have %s:", should(to), what) },
		saw: func(bool) string { return text(r) },
	}
}
