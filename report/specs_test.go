package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz/compare"
	"github.com/holdshort/holdshort/vm/matrix"
)

// Every test is in the page's table by kernels with its outcome on each, one
// that ran nowhere and one that failed are not folded away, and a difference of
// kernels that no fact explains comes first.
func TestSpecsByKernel(t *testing.T) {
	c, err := json.Marshal(compare.Comparison{Kernels: []string{"5.10", "6.1"}, Compared: 7, Differences: []compare.Difference{
		{What: "fs.umask", Values: map[string][]string{"18": {"5.10"}, "0": {"6.1"}}, Cases: 3, Fact: &compare.Fact{Text: "as it must", Source: "umask(2)", Feature: "f"}},
		{What: "verdict", Values: map[string][]string{"constrained": {"5.10"}, "violated": {"6.1"}}, Cases: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m := &matrix.Report{Schema: 1, Comparison: c, Rows: []*matrix.Row{
		{Kernel: "5.10", Tests: []matrix.Test{{Package: "p", Name: "TestA", Outcome: matrix.Pass}, {Package: "p", Name: "TestB", Outcome: matrix.Skip, Why: "needs x"}, {Package: "q", Name: "TestC", Outcome: matrix.Pass}}},
		{Kernel: "6.1", Tests: []matrix.Test{{Package: "p", Name: "TestA", Outcome: matrix.Fail, Why: "because"}, {Package: "p", Name: "TestB", Outcome: matrix.Skip, Why: "needs x"}}},
	}}
	lists := specLists(m)
	if len(lists) != 2 || lists[0].Package != "p" || lists[0].Counts != "2 tests, 1 failed or lost, 1 ran on no kernel" || !lists[0].Open || lists[1].Open {
		t.Fatalf("%+v %+v", lists[0], lists[1])
	}
	if a := lists[0].Rows[0].Cells; a[0].Outcome != matrix.Pass || a[1].Outcome != matrix.Fail || a[1].Why != "because" {
		t.Errorf("%+v", a)
	}
	if b := lists[0].Rows[1].Cells; b[0].Reason != 1 || b[1].Reason != 1 || len(lists[0].Reasons) != 1 || lists[0].Reasons[0].Text != "needs x" {
		t.Errorf("%+v %+v", b, lists[0].Reasons)
	}
	if c := lists[1].Rows[0].Cells; c[0].Outcome != matrix.Pass || c[1].Outcome != "" {
		t.Errorf("%+v", c)
	}
	said, list := kernelDifferences(m)
	if !strings.Contains(said, "7 cases compared on 5.10, 6.1: 2 differences, 1 unexplained") || len(list) != 2 || list[0].What != "verdict" || list[1].Fact == nil {
		t.Errorf("%s %+v", said, list)
	}
	var set Set
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Read("matrix.json", bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := set.Document().HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<th scope=\"row\">TestA</th><td class=\"clean\">pass</td><td class=\"findings\">fail", ">skip 1</td>", "<li>needs x</li>", "not explained", "as it must", `<td class="soft">not run</td>`, "<li>6.1: 1 test failed or lost</li>", "the matrix</a> is not good"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	m.Good = true
	if why := notGood(m); why != nil {
		t.Error(why)
	}
	m.Comparison = json.RawMessage(`"x"`)
	if said, _ := kernelDifferences(m); !strings.Contains(said, "cannot be read") {
		t.Error(said)
	}
}
