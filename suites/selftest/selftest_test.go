// Package selftest runs the suites against this project's own launcher, and
// against launchers that do not do what they are asked to.
package selftest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/suites"
	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// what is the launcher that this process tests.
var what = os.Getenv("HOLDSHORT_SELFTEST")

var _ = suites.Register("native", func(ctx context.Context) (suites.Engine, error) {
	e, err := suites.Native(ctx)
	if err != nil {
		return nil, err
	}
	switch what {
	case "idle":
		return idle{e.(suites.Planter)}, nil
	case "leaky":
		return leaky{e}, nil
	}
	return e, nil
})

func TestSuites(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err != nil {
		reporter.NoColor = true
	}
	RunSpecs(t, "holdshort's own launcher", suite, reporter)
}

// idle puts no constraint on.
type idle struct{ suites.Planter }

func (e idle) Run(ctx context.Context, req *request.Request) (*harness.Case, error) {
	return e.Plant(ctx, req, request.New(req.Process().Args...))
}

// leaky keeps a descriptor of each launch.
type leaky struct{ suites.Engine }

func (e leaky) Run(ctx context.Context, req *request.Request) (*harness.Case, error) {
	if _, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	return e.Engine.Run(ctx, req)
}

// specs runs the suites against a launcher in a process of their own, and
// returns the report of each spec.
func specs(t *testing.T, launcher, filter string) map[string]types.SpecReport {
	t.Helper()
	if what != "" {
		t.Skip("needs to be the outer process")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestSuites$", "-ginkgo.label-filter", filter, "-ginkgo.json-report", file)
	cmd.Env = append(os.Environ(), "HOLDSHORT_SELFTEST="+launcher, "TMPDIR="+t.TempDir()) // the requests of failed specs
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("the suites are content with a launcher that is %s:\n%s", launcher, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var reports []types.Report
	if err := json.Unmarshal(b, &reports); err != nil {
		t.Fatal(err)
	}
	byName := map[string]types.SpecReport{}
	for _, r := range reports {
		for _, s := range r.SpecReports {
			if s.LeafNodeType == types.NodeTypeIt {
				byName[s.LeafNodeText] = s
			}
		}
	}
	return byName
}

// explained fails if the failed spec leaves a reader without the request, the
// steps of the launch, the findings, and the command that repeats it.
func explained(t *testing.T, spec *types.SpecReport) {
	t.Helper()
	entries := map[string]string{}
	for _, e := range spec.ReportEntries {
		entries[e.Name] = e.StringRepresentation()
	}
	for name, what := range map[string]string{
		"request": `"ociVersion"`, "report": "  child  execve", "repeat with": "holdshort run --config ",
	} {
		if !strings.Contains(entries[name], what) {
			t.Errorf("%s: the entry %q has no %q: %q", spec.LeafNodeText, name, what, entries[name])
		}
	}
}

// A launcher that does nothing fails every spec of a constraint.
func TestSuites_FailALauncherThatDoesNothing(t *testing.T) {
	failed := 0
	for name, spec := range specs(t, "idle", "area:constraints") {
		switch {
		case !strings.HasPrefix(name, "holds: "), spec.State.Is(types.SpecStateSkipped):
		case !spec.State.Is(types.SpecStateFailed):
			t.Errorf("%s: %s", name, spec.State)
		default:
			failed++
			explained(t, &spec)
		}
	}
	if failed < 25 {
		t.Errorf("only %d specs failed", failed)
	}
}

// So does one that leaves something behind.
func TestSuites_FailALauncherThatLeaks(t *testing.T) {
	for name, spec := range specs(t, "leaky", "area:constraints && ns:time") {
		if spec.State.Is(types.SpecStatePassed) {
			t.Errorf("%s: %s", name, spec.State)
		}
	}
}
