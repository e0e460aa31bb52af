package main

import (
	"fmt"
	"strings"
	"testing"
)

func run(t *testing.T, lines ...string) (string, bool) {
	t.Helper()
	return runAgain(t, nil, lines...)
}

func runAgain(t *testing.T, a *again, lines ...string) (string, bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	r.again = a
	if err := r.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	failed := r.finish()
	return out.String(), failed
}

func TestSkipsAreNamedWithTheirReason(t *testing.T) {
	out, failed := run(t,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs root\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
		`{"Action":"pass","Package":"p","Elapsed":0.1}`)
	if failed || !strings.Contains(out, "1 skipped:\n  p TestA: needs root\n") || !strings.HasSuffix(out, "\nok  \tp\t0.1s\n") {
		t.Errorf("failed %v, output:\n%s", failed, out)
	}
}

func TestSkippedSpecsOfGinkgoAreNamed(t *testing.T) {
	spec := `------------------------------\nS [SKIPPED] [0.000 seconds]\nMounts hides /proc\n/x/a_test.go:9\n\n` +
		`  [SKIPPED] needs cgroup2\n  In [It] at: /x/a_test.go:11\n------------------------------\n`
	out, _ := run(t,
		`{"Action":"output","Package":"p","Test":"TestSuite","Output":"`+spec+`"}`,
		`{"Action":"pass","Package":"p","Test":"TestSuite"}`)
	if !strings.Contains(out, "p TestSuite: Mounts hides /proc: needs cgroup2\n") {
		t.Error(out)
	}
}

func TestFailureIsPrintedAndPassIsNot(t *testing.T) {
	out, failed := run(t,
		`{"Action":"output","Package":"p","Test":"TestGood","Output":"chatter\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestGood"}`,
		`{"Action":"output","Package":"p","Test":"TestBad","Output":"a_test.go:1: want 2\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestBad"}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.2s\n"}`,
		`{"Action":"fail","Package":"p","Elapsed":0.2}`)
	if !failed || !strings.Contains(out, "want 2") || strings.Contains(out, "chatter") || !strings.HasSuffix(out, "\nFAIL\tp\t0.2s\n") {
		t.Errorf("failed %v, output:\n%s", failed, out)
	}
}

func TestBuildErrorIsPrinted(t *testing.T) {
	out, failed := run(t,
		`{"ImportPath":"p [p.test]","Action":"build-output","Output":"a.go:1:1: undefined: x\n"}`,
		`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`,
		`{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`)
	if !failed || !strings.Contains(out, "undefined: x") || !strings.Contains(out, "[build failed]") {
		t.Errorf("failed %v, output:\n%s", failed, out)
	}
}

func TestAgain(t *testing.T) {
	broken := []string{
		`{"Action":"output","Package":"p","Test":"TestBad/case","Output":"a_test.go:1: want 2\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestBad/case"}`,
		`{"Action":"fail","Package":"p","Test":"TestBad"}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.2s\n"}`,
		`{"Action":"fail","Package":"p","Elapsed":0.2}`,
	}
	for name, tt := range map[string]struct {
		most   int
		passes bool
		lines  []string
		failed bool
		asked  string
	}{
		"unstable":        {1, true, broken, false, "p [TestBad]"},
		"fails again":     {1, false, broken, true, "p [TestBad]"},
		"too many":        {1, true, append([]string{`{"Action":"fail","Package":"p","Test":"TestOther"}`}, broken...), true, ""},
		"panic":           {1, true, append([]string{`{"Action":"output","Package":"p","Test":"TestBad","Output":"panic: x [recovered]\n"}`}, broken...), true, ""},
		"data race":       {1, true, append([]string{`{"Action":"output","Package":"p","Test":"TestBad","Output":"WARNING: DATA RACE\n"}`}, broken...), true, ""},
		"no test to name": {1, true, broken[3:], true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			a := &again{most: tt.most, run: func(pkg string, tests []string) bool {
				asked = fmt.Sprint(pkg, " ", tests)
				return tt.passes
			}}
			out, failed := runAgain(t, a, tt.lines...)
			if failed != tt.failed || asked != tt.asked || a.excuses(1) == tt.failed {
				t.Errorf("failed %v, asked for %q, excused %v, output:\n%s", failed, asked, a.excuses(1), out)
			}
			said := strings.Contains(out, "\n1 unstable: failed once, then passed 5 times of 5 by itself:\n  p TestBad\n") &&
				strings.Contains(out, "unstable| a_test.go:1: want 2\n") && strings.HasSuffix(out, "\nok  \tp\t0.2s (unstable, see above)\n")
			if said == tt.failed {
				t.Error(out)
			}
		})
	}
}

func TestPassedEach(t *testing.T) {
	pass, skip := `{"Action":"pass","Test":"TestA"}`+"\n", `{"Action":"skip","Test":"TestA"}`+"\n"
	sub, whole := `{"Action":"pass","Test":"TestA/x"}`+"\n", `{"Action":"pass","Package":"p"}`+"\n"
	for name, tt := range map[string]struct {
		out  string
		want bool
	}{
		"each time":       {strings.Repeat(sub+pass, repetitions) + whole, true},
		"skipped once":    {strings.Repeat(pass, repetitions-1) + skip + whole, false},
		"only part of it": {strings.Repeat(sub, repetitions) + whole, false},
		"no such test":    {whole, false},
	} {
		if got := passedEach([]byte(tt.out), []string{"TestA"}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
