package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

type skip struct{ pkg, test, reason string }

type report struct {
	w       io.Writer
	output  map[string]*strings.Builder // by package and test
	builds  map[string]*strings.Builder // by import path
	counts  map[string]map[string]int   // package, action: number of tests
	skips   []skip
	summary []string // go test's own lines
	failed  bool
	again   *again // nil: a test that fails once has failed
}

func newReport(w io.Writer) *report {
	return &report{
		w: w, output: map[string]*strings.Builder{}, builds: map[string]*strings.Builder{},
		counts: map[string]map[string]int{},
	}
}

func (r *report) read(in io.Reader) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var e event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil || e.Action == "" {
			fmt.Fprintln(r.w, sc.Text()) // not an event: go test itself speaks
			continue
		}
		r.event(&e)
	}
	return sc.Err()
}

func key(pkg, test string) string { return pkg + "\x00" + test }

func add(m map[string]*strings.Builder, k, text string) {
	if m[k] == nil {
		m[k] = new(strings.Builder)
	}
	m[k].WriteString(text)
}

func text(m map[string]*strings.Builder, k string) string {
	if m[k] == nil {
		return ""
	}
	return m[k].String()
}

var summaryLine = regexp.MustCompile(`^(ok  |FAIL|\?   )\t\S+`)

func (r *report) event(e *event) {
	switch e.Action {
	case "build-output":
		add(r.builds, e.ImportPath, e.Output)
	case "output":
		if e.Test == "" && summaryLine.MatchString(e.Output) {
			r.summary = append(r.summary, strings.TrimRight(e.Output, "\n"))
			return
		}
		if e.Test == "" && (e.Output == "PASS\n" || e.Output == "FAIL\n") {
			return // the summary line says it
		}
		add(r.output, key(e.Package, e.Test), e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packageEnded(e)
		} else {
			r.testEnded(e)
		}
	}
}

func (r *report) testEnded(e *event) {
	if r.counts[e.Package] == nil {
		r.counts[e.Package] = map[string]int{}
	}
	r.counts[e.Package][e.Action]++
	out := text(r.output, key(e.Package, e.Test))
	if e.Action == "skip" {
		r.skips = append(r.skips, skip{e.Package, e.Test, skipReason(out)})
	}
	r.ginkgoSkips(e, out)
	if e.Action != "fail" {
		delete(r.output, key(e.Package, e.Test))
	} else if r.again != nil {
		r.again.failed(e.Package, e.Test)
	}
}

// skipReason is the last message of a skipped test, without its place.
func skipReason(out string) string {
	reason := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		reason = logPlace.ReplaceAllString(line, "")
	}
	return reason
}

var (
	logPlace     = regexp.MustCompile(`^\S+\.go:\d+: `)
	ginkgoSkip   = regexp.MustCompile(`(?m)^S \[SKIPPED\].*\n(.*)$`)
	ginkgoReason = regexp.MustCompile(`(?m)^\s*\[SKIPPED\] (.*)$`)
)

// ginkgoSkips finds the specs that a Ginkgo suite skipped: go test sees one
// test only.
func (r *report) ginkgoSkips(e *event, out string) {
	for _, at := range ginkgoSkip.FindAllStringSubmatchIndex(out, -1) {
		rest, _, _ := strings.Cut(out[at[1]:], "\n------------------------------")
		reason := ""
		if m := ginkgoReason.FindStringSubmatch(rest); m != nil {
			reason = m[1]
		}
		r.skips = append(r.skips, skip{e.Package, e.Test + ": " + out[at[2]:at[3]], reason})
	}
}

func (r *report) packageEnded(e *event) {
	if e.Action == "fail" {
		if r.again != nil && !r.crashed(e.Package) && r.again.repeat(e.Package) {
			r.unstable(e.Package)
		} else {
			r.failed = true
			r.printFailure(r.w, e)
		}
	}
	c := r.counts[e.Package]
	if c == nil && e.Action != "fail" {
		return // no tests
	}
	fmt.Fprintf(r.w, "%-4s %-58s %4d passed %3d failed %3d skipped %7.1fs\n",
		e.Action, e.Package, c["pass"], c["fail"], c["skip"], e.Elapsed)
}

func (r *report) printFailure(w io.Writer, e *event) {
	fmt.Fprint(w, text(r.builds, e.FailedBuild))
	var keys []string
	for k := range r.output {
		if strings.HasPrefix(k, e.Package+"\x00") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprint(w, r.output[k].String())
		delete(r.output, k)
	}
}

var crash = regexp.MustCompile(`(?m)^(panic: |fatal error: |WARNING: DATA RACE|exit status [^1])`)

// crashed reports whether the package's tests ended before all had run, or raced:
// that another time they did not says nothing.
func (r *report) crashed(pkg string) bool {
	for k, out := range r.output {
		if strings.HasPrefix(k, pkg+"\x00") && crash.MatchString(out.String()) {
			return true
		}
	}
	return false
}

// unstable prints a failure that did not come again, each line marked, and
// takes the package's line of the summary for that of the repetition.
func (r *report) unstable(pkg string) {
	var out strings.Builder
	r.printFailure(&out, &event{Package: pkg})
	for line := range strings.Lines(out.String()) {
		fmt.Fprint(r.w, "unstable| ", line)
	}
	for i, line := range r.summary {
		if strings.HasPrefix(line, "FAIL\t"+pkg+"\t") {
			r.summary[i] = "ok  " + strings.TrimPrefix(line, "FAIL") + " (unstable, see above)"
		}
	}
}

// finish prints what the run comes to and reports whether anything failed.
func (r *report) finish() bool {
	if r.again != nil {
		r.again.report(r.w)
	}
	if len(r.skips) > 0 {
		fmt.Fprintf(r.w, "\n%d skipped:\n", len(r.skips))
		for _, s := range r.skips {
			fmt.Fprintf(r.w, "  %s %s: %s\n", s.pkg, s.test, s.reason)
		}
	}
	fmt.Fprintln(r.w)
	for _, s := range r.summary {
		fmt.Fprintln(r.w, s)
	}
	return r.failed
}
