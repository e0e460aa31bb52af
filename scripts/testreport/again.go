package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const repetitions = 5

// again decides which failures get a second chance. On a machine that others
// share a test can be stopped for seconds at any instruction; a run of an hour
// is not lost for one such test, and the test is not forgotten.
type again struct {
	most  int // failing tests in the whole run
	run   func(pkg string, tests []string) bool
	tests map[string][]string // by package: top-level tests that failed
	count int
	named []string // those that passed when repeated
}

func (a *again) failed(pkg, test string) {
	top, _, _ := strings.Cut(test, "/")
	if slices.Contains(a.tests[pkg], top) {
		return
	}
	if a.tests == nil {
		a.tests = map[string][]string{}
	}
	a.tests[pkg] = append(a.tests[pkg], top)
	a.count++
}

// repeat runs the package's failed tests again and reports whether all passed
// each time. A package that failed without a failing test (it did not build, it
// panicked, time ran out) gets no second chance.
func (a *again) repeat(pkg string) bool {
	tests := a.tests[pkg]
	if len(tests) == 0 || a.count > a.most || !a.run(pkg, tests) {
		return false
	}
	for _, t := range tests {
		a.named = append(a.named, pkg+" "+t)
	}
	return true
}

// excuses reports whether go test's exit status is accounted for by tests that
// are unstable.
func (a *again) excuses(status int) bool { return a != nil && status == 1 && len(a.named) > 0 }

func (a *again) report(w io.Writer) {
	if len(a.named) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d unstable: failed once, then passed %d times of %d by itself:\n", len(a.named), repetitions, repetitions)
	for _, n := range a.named {
		fmt.Fprintf(w, "  %s\n", n)
	}
}

func repeatTests(pkg string, tests []string) bool {
	args := []string{"test", "-json", fmt.Sprintf("-count=%d", repetitions), "-run", "^(" + strings.Join(tests, "|") + ")$"}
	for _, f := range os.Args[1:] { // its flags, not its packages
		if strings.HasPrefix(f, "-") && !strings.HasPrefix(f, "-count") && !strings.HasPrefix(f, "-coverprofile") {
			args = append(args, f)
		}
	}
	out, err := exec.Command("go", append(args, pkg)...).Output()
	return err == nil && passedEach(out, tests)
}

// passedEach reports whether each of the tests passed in each repetition: one that
// was skipped has shown nothing.
func passedEach(out []byte, tests []string) bool {
	passed := map[string]int{}
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action == "pass" {
			passed[e.Test]++
		}
	}
	for _, t := range tests {
		if passed[t] != repetitions {
			return false
		}
	}
	return true
}
