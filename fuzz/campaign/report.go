package campaign

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
)

// ranges writes the cases that were judged.
func (o *Outcome) ranges() string {
	var out []string
	var from, to uint64
	some := false
	flush := func() {
		if some {
			out = append(out, fmt.Sprintf("%d-%d", from, to))
		}
	}
	o.Judged(func(i uint64) {
		if some && i == to+1 {
			to = i
			return
		}
		flush()
		from, to, some = i, i, true
	})
	flush()
	if len(out) > 8 {
		out = append(out[:4], fmt.Sprintf("… %d more", len(out)-4))
	}
	return strings.Join(out, " ")
}

// Text tells what is known of a campaign.
func (o *Outcome) Text(w io.Writer) error {
	var b strings.Builder
	judged, others := o.Counts()
	findings := o.Findings()
	for _, m := range findings {
		fmt.Fprintf(&b, "finding: %s\n  case %d, made small in %d executions: %s\n", m.Key, m.Index, m.Executions, fuzz.Words(m.Values))
	}
	for _, i := range o.Incidents(Finding) {
		if o.explain(findings, i) == nil {
			fmt.Fprintf(&b, "finding: %s\n  case %d, not made small: %s\n", i.Key, i.Index, fuzz.Words(i.Values))
		}
		if len(i.Also) > 0 {
			fmt.Fprintf(&b, "  seen with it in case %d: %s\n", i.Index, strings.Join(i.Also, "; "))
		}
	}
	for _, i := range o.Incidents(Flaky) {
		fmt.Fprintf(&b, "flaky, %d of %d runs: %s\n  case %d: %s\n", i.Hits, i.Runs, i.Key, i.Index, fuzz.Words(i.Values))
	}
	for _, i := range o.Incidents(Unknown) {
		fmt.Fprintf(&b, "not judged: %s\n  case %d: %s\n", i.Key, i.Index, fuzz.Words(i.Values))
	}
	fmt.Fprintf(&b, "model %s, seed %d, strength %d, %s on Linux %s: %d cases judged (%s), %d not; %d with findings, %d flaky\n",
		o.Info.Model, o.Info.Seed, o.Info.Strength, o.Info.Engine, o.Info.Kernel, judged, o.ranges(), others,
		len(o.Incidents(Finding)), len(o.Incidents(Flaky)))
	not := o.Spared()
	for _, k := range slices.Sorted(maps.Keys(not)) {
		fmt.Fprintf(&b, "not tried in %d cases: %s\n", not[k], k)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ExitCode is the command's exit status: a finding counts before a flaky one,
// and that before a case that was not judged.
func (o *Outcome) ExitCode() int {
	unknown := o.Incidents(Unknown)
	switch {
	case len(o.Incidents(Finding)) > 0:
		return harness.ExitFinding
	case len(o.Incidents(Flaky)) > 0:
		return harness.ExitFlaky
	case len(unknown) > 0:
		for _, i := range unknown {
			key := strings.TrimPrefix(i.Key, i.Oracle+": ")
			if key != "unknown: "+string(harness.CannotObserve) && key != "unknown: "+string(harness.CannotApply) {
				return harness.ExitFault
			}
		}
		return harness.ExitUnsupported
	}
	if _, others := o.Counts(); others > 0 {
		return harness.ExitFault // the line that says why is missing
	}
	return harness.ExitClean
}
