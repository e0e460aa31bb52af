package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm/matrix"
)

type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Errors   int           `xml:"errors,attr"`
	Skipped  int           `xml:"skipped,attr"`
	Suites   []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property,omitempty"`
	Cases      []*junitCase    `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Time    string       `xml:"time,attr,omitempty"`
	Failure *junitResult `xml:"failure,omitempty"`
	Error   *junitResult `xml:"error,omitempty"`
	Skipped *junitResult `xml:"skipped,omitempty"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes what CI systems show as tests: a suite for all fuzz campaigns,
// with a test for each and one for each finding, one for single cases, and one
// for each kernel of a matrix.
func (d *Document) JUnit(w io.Writer) error {
	all := &junitSuites{Name: "holdshort"}
	if len(d.Campaigns) > 0 {
		all.Suites = append(all.Suites, d.junitCampaigns())
	}
	if len(d.Cases) > 0 {
		all.Suites = append(all.Suites, d.junitCases())
	}
	for _, m := range d.Matrices {
		for _, row := range m.Rows {
			all.Suites = append(all.Suites, junitKernel(row))
		}
	}
	if len(d.Problems) > 0 || len(all.Suites) == 0 {
		all.Suites = append(all.Suites, d.junitFiles())
	}
	for _, s := range all.Suites {
		s.count()
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
		all.Errors, all.Skipped = all.Errors+s.Errors, all.Skipped+s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) count() {
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

func (d *Document) junitCampaigns() *junitSuite {
	s := &junitSuite{Name: "fuzz"}
	for _, c := range d.Campaigns {
		x := &junitCase{Class: "fuzz." + engineName(c.Engine), Name: fmt.Sprintf("%s, seed %d, strength %d, model %s", kernelName(c.Kernel), c.Seed, c.Strength, c.Model)}
		text := fmt.Sprintf("%d judged, %d not", c.Judged, c.NotJudged)
		switch c.Verdict {
		case Fault:
			x.Error = &junitResult{Message: "evidence was lost, or nothing was judged", Type: string(c.Verdict), Text: text}
		case Unsupported:
			x.Skipped = &junitResult{Message: "not all of it can be seen there: " + text}
		case Clean, Found, Flaky: // the findings are tests of their own
		}
		s.Cases = append(s.Cases, x)
		s.Properties = append(s.Properties, junitProperty{"campaign " + c.ID, text + "; " + c.Coverage.String()})
	}
	for _, g := range d.Groups {
		for _, f := range g.Findings {
			x := &junitCase{Class: "fuzz." + f.Field, Name: f.Title() + " [" + f.Fingerprint[:8] + "]"}
			var text strings.Builder
			text.WriteString(f.Settings() + "\n" + f.Repeat)
			for _, at := range f.Seen {
				fmt.Fprintf(&text, "\n%s, %s, seed %d, case %d", engineName(at.Engine), kernelName(at.Kernel), at.Seed, at.Index)
			}
			x.Failure = &junitResult{Message: f.Key, Type: string(f.Class), Text: text.String()}
			if f.Class == campaign.Flaky {
				x.Failure.Message += fmt.Sprintf(" (flaky: seen %d of %d times)", f.Hits, f.Runs)
			}
			s.Cases = append(s.Cases, x)
		}
	}
	return s
}

func (d *Document) junitCases() *junitSuite {
	s := &junitSuite{Name: "cases"}
	for i, c := range d.Cases {
		x := &junitCase{Class: "case." + engineName(c.Engine), Name: fmt.Sprintf("%d: %s", i+1, strings.Join(c.Argv, " "))}
		r := &junitResult{Message: strings.Join(c.Keys, "; "), Type: string(c.Cause), Text: strings.Join(c.Reasons, "\n")}
		switch c.Verdict {
		case harness.Constrained:
		case harness.Violated:
			x.Failure = r
		case harness.Unknown:
			if harness.ExitCode(c.Verdict, c.Cause) == harness.ExitUnsupported {
				x.Skipped = &junitResult{Message: strings.Join(c.Reasons, "; ")}
			} else {
				x.Error = r
			}
		}
		s.Cases = append(s.Cases, x)
	}
	return s
}

func junitKernel(row *matrix.Row) *junitSuite {
	s := &junitSuite{Name: "kernel " + row.Kernel, Time: seconds(row.Seconds), Properties: []junitProperty{{"release", row.Release}, {"arch", row.Arch}}}
	for i := range row.Tests {
		t := &row.Tests[i]
		x := &junitCase{Class: t.Package, Name: t.Name, Time: seconds(t.Seconds)}
		if t.Name == "" {
			x.Name = "(package)"
		}
		switch t.Outcome {
		case matrix.Pass:
		case matrix.Skip:
			x.Skipped = &junitResult{Message: t.Why}
		case matrix.Fail:
			x.Failure = &junitResult{Message: "failed", Type: string(t.Outcome), Text: t.Why}
		default:
			x.Error = &junitResult{Message: "its end never came", Type: string(t.Outcome), Text: t.Why}
		}
		s.Cases = append(s.Cases, x)
	}
	for i := range row.Programs {
		p := &row.Programs[i]
		x := &junitCase{Class: "program", Name: p.Name, Time: seconds(p.Seconds)}
		if p.Outcome != matrix.Pass {
			x.Failure = &junitResult{Message: fmt.Sprintf("exit status %d", p.Status), Type: string(p.Outcome), Text: p.Tail}
		}
		s.Cases = append(s.Cases, x)
	}
	for i, text := range row.Deficits {
		s.Cases = append(s.Cases, &junitCase{Class: "guest", Name: fmt.Sprintf("deficit %d", i+1), Error: &junitResult{Message: "the guest lacks what its kernel has", Text: text}})
	}
	for i, text := range row.Faults {
		s.Cases = append(s.Cases, &junitCase{Class: "guest", Name: fmt.Sprintf("fault %d", i+1), Error: &junitResult{Message: "the guest did not end cleanly", Text: text}})
	}
	return s
}

func (d *Document) junitFiles() *junitSuite {
	s := &junitSuite{Name: "files"}
	for _, p := range d.Problems {
		x := &junitCase{Class: "files", Name: fmt.Sprintf("%s:%d", p.File, p.Line)}
		if p.Cut {
			x.Skipped = &junitResult{Message: p.Why}
		} else {
			x.Error = &junitResult{Message: p.Why}
		}
		s.Cases = append(s.Cases, x)
	}
	if len(s.Cases) == 0 {
		s.Cases = append(s.Cases, &junitCase{Class: "files", Name: "results", Error: &junitResult{Message: "nothing was read: that is no pass"}})
	}
	return s
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
