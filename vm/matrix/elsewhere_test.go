package matrix

import (
	"strings"
	"testing"
)

// A test that ran on no kernel is excused only by a line that says where it
// runs, and a line of what did run is found.
func TestElsewhere(t *testing.T) {
	list, err := ReadElsewhere(strings.NewReader("# comment\n\nc TestS/* make other: a processor\nx/d TestU nowhere: not built\n"))
	if err != nil || len(list) != 2 || list[0].Where != "make other: a processor" {
		t.Fatal(list, err)
	}
	skip, pass := func(pkg, name string) Test { return Test{pkg, name, Skip, "needs it", 0} }, Test{"m/c", "TestA", Pass, "", 0}
	for name, c := range map[string]struct {
		tests            []Test
		good             bool
		never, elsewhere int
	}{
		"known":           {[]Test{pass, skip("m/c", "TestS/a"), skip("m/x/d", "TestU")}, true, 0, 2},
		"another":         {[]Test{pass, skip("m/c", "TestS/a"), skip("m/c", "TestT")}, false, 1, 1},
		"another package": {[]Test{pass, skip("m/cc", "TestS/a")}, false, 1, 0},
		"the whole of it": {[]Test{pass, skip("m/c", "TestS")}, false, 1, 0},
		"it ran":          {[]Test{pass, {"m/c", "TestS/a", Pass, "", 0}}, false, 0, 0},
		"it failed":       {[]Test{pass, {"m/x/d", "TestU", Fail, "", 0}}, false, 0, 0},
	} {
		m := &Matrix{Elsewhere: append([]Elsewhere(nil), list...)}
		r := &Report{Rows: []*Row{row("a", c.tests...)}}
		m.weigh(r)
		if r.Good != c.good || len(r.Never) != c.never || len(r.Elsewhere) != c.elsewhere {
			t.Errorf("%s: %+v", name, r)
		}
	}
	m, r := &Matrix{Elsewhere: list}, &Report{Rows: []*Row{row(Host, pass, Test{"m/c", "TestS/a", Pass, "", 0})}}
	if m.weigh(r); !r.Good {
		t.Errorf("a machine that has it: %+v", r)
	}
	for _, wrong := range []string{"c TestS", "c", "c Test[ x"} {
		if list, err := ReadElsewhere(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q is read: %v", wrong, list)
		}
	}
}
