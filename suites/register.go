package suites

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	g "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
)

// Register registers every suite for one engine. It is called at the top level
// of a test file; the name is how the engine is called in reports.
func Register(name string, open Open) bool {
	constraints(name, open)
	lifecycle(name, open)
	faults(name, open)
	return true
}

// subject is the engine of one suite, opened once and closed at its end.
type subject struct {
	name string
	open Open
	e    Engine
	err  error
	last *attempt
}

// attempt is the newest request and its outcome, for those who read of a
// failure.
type attempt struct {
	req *request.Request
	c   *harness.Case
}

// describe is a container of specs about one engine.
func describe(name, area string, open Open, body func(s *subject)) {
	s := &subject{name: name, open: open}
	g.Describe(name+": "+area, g.Label("area:"+area), g.Ordered, g.ContinueOnFailure, func() {
		g.BeforeAll(func(ctx g.SpecContext) {
			// The engine outlives this node's context.
			if s.e, s.err = s.open(context.WithoutCancel(ctx)); s.err != nil {
				if harness.Unsupported(s.err) || errors.Is(s.err, os.ErrPermission) || os.Geteuid() != 0 {
					g.Skip("needs an engine that can be observed: " + s.err.Error())
				}
				g.Fail(s.err.Error())
			}
			g.DeferCleanup(func() { gomega.Expect(s.e.Close()).To(gomega.Succeed()) })
		})
		g.BeforeEach(func() { s.last = nil })
		g.AfterEach(s.explain)
		FailOnLeaks()
		body(s)
	})
}

// run has the engine run a request, and skips the spec if it cannot.
func (s *subject) run(ctx context.Context, req *request.Request) *harness.Case {
	g.GinkgoHelper()
	gomega.Expect(req.Validate()).To(gomega.Succeed())
	c, err := s.e.Run(ctx, req)
	return s.took(req, c, err)
}

func (s *subject) took(req *request.Request, c *harness.Case, err error) *harness.Case {
	g.GinkgoHelper()
	s.last = &attempt{req, c}
	if err != nil && harness.Unsupported(err) {
		g.Skip("the engine cannot: " + err.Error())
	}
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if c.Cause == harness.CannotApply || c.Cause == harness.CannotObserve {
		g.Skip("not here: " + strings.Join(c.Reasons, "; "))
	}
	return c
}

// explain attaches what a reader of a failure needs: the request, the report,
// which has the steps of the launch where the engine tells them, and the command
// that repeats it.
func (s *subject) explain(ctx g.SpecContext) {
	if !ctx.SpecReport().Failed() || s.last == nil {
		return
	}
	b, err := json.MarshalIndent(s.last.req, "", "  ")
	if err != nil {
		return
	}
	g.AddReportEntry("request", string(b), g.ReportEntryVisibilityFailureOrVerbose)
	if c := s.last.c; c != nil && c.Result != nil {
		var text strings.Builder
		_ = c.Report().Text(&text, harness.Style{Width: 120, Verbose: true})
		g.AddReportEntry("report", text.String(), g.ReportEntryVisibilityFailureOrVerbose)
	}
	dir, err := os.MkdirTemp("", "holdshort-failed-*")
	if err != nil {
		return
	}
	file := filepath.Join(dir, "config.json")
	if os.WriteFile(file, b, 0o644) == nil {
		g.AddReportEntry("repeat with", fmt.Sprintf("holdshort run --config %s", file), g.ReportEntryVisibilityFailureOrVerbose)
	}
}

// The skipped specs, with their reasons, so that a summary that says "3 skipped"
// can be read.
var _ = g.ReportAfterSuite("skipped specs", func(r g.Report) {
	var lines []string
	for i := range r.SpecReports {
		if sr := &r.SpecReports[i]; sr.State.Is(types.SpecStateSkipped) {
			lines = append(lines, fmt.Sprintf("  %s: %s", sr.FullText(), sr.Failure.Message))
		}
	}
	if slices.Sort(lines); len(lines) > 0 {
		fmt.Fprintf(g.GinkgoWriter, "%d skipped:\n%s\n", len(lines), strings.Join(lines, "\n"))
		fmt.Printf("%d skipped:\n%s\n", len(lines), strings.Join(lines, "\n"))
	}
})
