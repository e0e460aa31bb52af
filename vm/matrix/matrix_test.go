package matrix

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/vm"
)

const events = `{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Test":"TestA","Elapsed":0.5}
{"Action":"output","Test":"TestB","Output":"    b_test.go:7: needs Landlock ABI 3\n"}
{"Action":"output","Test":"TestB","Output":"PASS\n"}
{"Action":"output","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Test":"TestB"}
{"Action":"output","Test":"TestHelper","Output":"    b_test.go:9: is a workload of other tests\n"}
{"Action":"skip","Test":"TestHelper"}
{"Action":"output","Test":"TestC","Output":"    c_test.go:9: wrong\n"}
{"Action":"fail","Test":"TestC","Elapsed":1}
{"Action":"run","Test":"TestD"}
{"Action":"output","Test":"TestD","Output":"panic: oh\n"}
`

func TestReadEvents(t *testing.T) {
	got := readEvents("p", []byte(events), 2, true)
	want := []Test{
		{"p", "TestA", Pass, "", 0.5},
		{"p", "TestB", Skip, "needs Landlock ABI 3", 0},
		{"p", "TestC", Fail, "    c_test.go:9: wrong", 1},
		{"p", "TestD", Lost, "panic: oh", 0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	passed := `{"Action":"pass","Test":"TestA"}` + "\n"
	for name, c := range map[string]struct {
		events string
		status int
		ended  bool
		want   Outcome // of the package; empty: no line for it
	}{
		"all well":               {passed, 0, true, ""},
		"bad status, no failure": {passed, 2, true, Fail},
		"failure, good status":   {events, 0, true, Fail},
		"killed":                 {passed, -1, false, Lost},
		"killed, all well":       {passed, 0, false, Lost},
	} {
		tests := readEvents("p", []byte(c.events), c.status, c.ended)
		last := tests[len(tests)-1]
		if c.want == "" && last.Name == "" || c.want != "" && (last.Name != "" || last.Outcome != c.want) {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

func row(kernel string, tests ...Test) *Row { return &Row{Kernel: kernel, Tests: tests} }

func TestCompare(t *testing.T) {
	pass, skip := Test{"p", "T", Pass, "", 0}, Test{"p", "T", Skip, "needs x", 0}
	fail, mute, lost := Test{"p", "T", Fail, "", 0}, Test{"p", "T", Skip, "", 0}, Test{"p", "T", Lost, "", 0}
	for name, c := range map[string]struct {
		rows        []*Row
		good        bool
		never, diff int
		unexplained int
	}{
		"both pass":             {[]*Row{row("a", pass), row("b", pass)}, true, 0, 0, 0},
		"skipped on one":        {[]*Row{row("a", pass), row("b", skip)}, true, 0, 0, 0},
		"skipped on all":        {[]*Row{row("a", skip), row("b", skip)}, false, 1, 0, 0},
		"fails on one":          {[]*Row{row("a", pass), row("b", fail)}, false, 0, 1, 0},
		"lost on one":           {[]*Row{row("a", pass), row("b", lost)}, false, 0, 1, 0},
		"fails on both":         {[]*Row{row("a", fail), row("b", fail)}, false, 0, 0, 0},
		"skipped for no reason": {[]*Row{row("a", pass), row("b", mute)}, false, 0, 0, 1},
		"a guest died":          {[]*Row{{Kernel: "a", Tests: []Test{pass}, Faults: []string{"panic"}}}, false, 0, 0, 0},
		"LSM off":               {[]*Row{{Kernel: "a", Tests: []Test{pass}, Deficits: []string{"LSM yama"}}}, false, 0, 0, 0},
		"a finding":             {[]*Row{{Kernel: "a", Tests: []Test{pass}, Programs: []Ran{{Name: "soak", Outcome: Fail, Status: 1}}}}, false, 0, 0, 0},
		"found on one": {[]*Row{
			{Kernel: "a", Tests: []Test{pass}, Programs: []Ran{{Name: "soak", Outcome: Pass}}},
			{Kernel: "b", Tests: []Test{pass}, Programs: []Ran{{Name: "soak", Outcome: Lost}}},
		}, false, 0, 1, 0},
		"no test at all":    {[]*Row{row("a", Test{"p", "", Pass, noTests, 0}, Test{"q", "", Pass, noTests, 0})}, false, 0, 0, 0},
		"a package without": {[]*Row{row("a", pass, Test{"q", "", Pass, noTests, 0})}, true, 0, 0, 0},
		"nothing at all":    {nil, false, 0, 0, 0},
	} {
		r := &Report{Rows: c.rows}
		new(Matrix).weigh(r)
		if r.Good != c.good || len(r.Never) != c.never || len(r.Differences) != c.diff || len(r.Unexplained) != c.unexplained {
			t.Errorf("%s: %+v", name, r)
		}
		var b strings.Builder
		if err := r.Text(&b); err != nil || strings.Contains(b.String(), "NOT good") == c.good {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
}

// A program's output is read where it says how; what it cannot read is a failure.
func TestRead(t *testing.T) {
	m := &Matrix{}
	for name, c := range map[string]struct {
		e    *vm.Ending
		err  error
		want Outcome
		read bool
	}{
		"well":       {&vm.Ending{Started: true}, nil, Pass, true},
		"unreadable": {&vm.Ending{Started: true}, errors.New("nonsense"), Fail, true},
		"status 1":   {&vm.Ending{Started: true, Exit: 1}, nil, Fail, true},
		"lost":       {nil, nil, Lost, false},
	} {
		row, read := &Row{}, false
		j := &Job{Name: "p", Read: func(*Row, *Ran, []byte) error { read = true; return c.err }}
		m.record(t.Context(), row, j, []byte("out"), nil, c.e)
		if p := row.Programs[0]; p.Outcome != c.want || read != c.read || c.err != nil && !strings.Contains(p.Tail, c.err.Error()) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// The table of tests by kernels has every test once, in the order of the rows.
func TestSpecs(t *testing.T) {
	r := &Report{Rows: []*Row{row("a", Test{"p", "T", Pass, "", 0}), row("b", Test{"p", "S", Skip, "needs x", 0}, Test{"p", "T", Fail, "", 0})}}
	r.compare()
	want := []Spec{{"p", "S", []Outcome{"", Skip}}, {"p", "T", []Outcome{Pass, Fail}}}
	if !reflect.DeepEqual(r.Specs, want) {
		t.Errorf("%+v", r.Specs)
	}
}

func TestBinaryName(t *testing.T) {
	for path, want := range map[string]string{"x.org/m/sub": "sub", "x.org/m/v2": "m", "x.org/m/v1": "v1", "v2": "v2", "m": "m"} {
		if got := binaryName(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
