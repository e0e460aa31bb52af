package matrix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Outcome of one test, or of one program.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "skip"
	Lost Outcome = "lost" // started, and its end never came
)

// Test is one test, or subtest, on one kernel.
type Test struct {
	Package string  `json:"package"`
	Name    string  `json:"name"` // empty: the package itself, when it failed outside any test
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"` // of a skip: its reason; of a failure: the last lines
	Seconds float64 `json:"seconds"`
}

// ID names a test across kernels.
func (t *Test) ID() string { return t.Package + " " + t.Name }

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action, Test, Output string
	Elapsed              float64
}

// readTests reads what a test binary printed. ended tells whether it ended by
// itself and with which status: a binary that ends well although its tests did
// not, or the other way round, is a failure of the package.
func readTests(ctx context.Context, pkg string, printed []byte, status int, ended bool) ([]Test, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", pkg)
	cmd.Stdin = bytes.NewReader(printed)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	return readEvents(pkg, out, status, ended), nil
}

func readEvents(pkg string, events []byte, status int, ended bool) []Test {
	var order []string
	tests := map[string]*Test{}
	output := map[string]*tail{"": {}}
	sc := bufio.NewScanner(bytes.NewReader(events))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		t := tests[e.Test]
		if t == nil && e.Test != "" {
			t = &Test{Package: pkg, Name: e.Test, Outcome: Lost}
			tests[e.Test], output[e.Test] = t, &tail{}
			order = append(order, e.Test)
		}
		switch e.Action {
		case "output":
			output[e.Test].add(e.Output)
		case "pass", "fail", "skip":
			if t != nil {
				t.Outcome, t.Seconds = Outcome(e.Action), e.Elapsed
			}
		}
	}
	var list []Test
	failed := false
	for _, n := range order {
		t := tests[n]
		switch t.Outcome {
		case Skip:
			if t.Why = skipReason(output[n].lines); helper.MatchString(t.Why) {
				continue
			}
		case Fail, Lost:
			failed = true
			t.Why = strings.Join(output[n].lines, "\n")
		}
		list = append(list, *t)
	}
	whole := Test{Package: pkg, Why: strings.Join(output[""].lines, "\n")}
	switch {
	case !ended:
		whole.Outcome = Lost
	case status != 0 && !failed:
		whole.Outcome = Fail
		whole.Why = fmt.Sprintf("exit status %d without a failed test\n%s", status, whole.Why)
	case status == 0 && failed:
		whole.Outcome = Fail
		whole.Why = "exit status 0 in spite of a failed test"
	default:
		return list
	}
	return append(list, whole)
}

// tail keeps the last lines.
type tail struct{ lines []string }

func (t *tail) add(s string) {
	s = strings.TrimRight(s, "\n")
	if s == "" || strings.HasPrefix(s, "=== ") {
		return
	}
	if len(t.lines) == 30 {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, s)
}

// helper is the reason of what is no test, but a process that tests start from
// their own binary.
var helper = regexp.MustCompile(`^is (a \S+ of other tests|run by another test)$`)

var logPlace = regexp.MustCompile(`^\S+\.go:\d+: `)

// skipReason is the last message of a skipped test, without its place.
func skipReason(lines []string) string {
	reason := ""
	for _, l := range lines {
		// PASS is said by a test that runs itself again and shows what that printed
		if l = strings.TrimSpace(l); !strings.HasPrefix(l, "--- ") && l != "PASS" && l != "FAIL" {
			reason = logPlace.ReplaceAllString(l, "")
		}
	}
	return reason
}
