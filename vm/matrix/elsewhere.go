package matrix

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strings"
)

// Elsewhere is what is known of tests that no kernel of a matrix can run: where
// they do run, or why nowhere.
type Elsewhere struct {
	Package string // the end of its path
	Test    string // pattern of path.Match, word by word between slashes
	Where   string
	used    bool
}

// ReadElsewhere reads a list of them, one a line: package, test, and where, in
// words. Empty lines and those that begin with # say nothing.
func ReadElsewhere(in io.Reader) ([]Elsewhere, error) {
	var list []Elsewhere
	sc := bufio.NewScanner(in)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pkg, rest, _ := strings.Cut(line, " ")
		test, where, ok := strings.Cut(strings.TrimSpace(rest), " ")
		if _, err := path.Match(test, ""); !ok || err != nil {
			return nil, fmt.Errorf("line %d: want a package, a test and where it runs: %q", n, line)
		}
		list = append(list, Elsewhere{Package: pkg, Test: test, Where: strings.TrimSpace(where)})
	}
	return list, sc.Err()
}

// of finds what is known of a test, by its ID.
func (m *Matrix) of(id string) *Elsewhere {
	pkg, test, _ := strings.Cut(id, " ")
	for i := range m.Elsewhere {
		e := &m.Elsewhere[i]
		if pkg != e.Package && !strings.HasSuffix(pkg, "/"+e.Package) {
			continue
		}
		if ok, err := path.Match(e.Test, test); ok && err == nil {
			return e
		}
	}
	return nil
}

// elsewhere moves what is known out of the tests that ran on no kernel. What is
// said to run elsewhere only and ran in a guest is wrong by now.
func (m *Matrix) elsewhere(r *Report) {
	var never []Unrun
	for _, n := range r.Never {
		if e := m.of(n.Test); e != nil {
			n.Where = e.Where
			r.Elsewhere = append(r.Elsewhere, n)
		} else {
			never = append(never, n)
		}
	}
	r.Never = never
	for _, row := range r.Rows {
		if row.Kernel == Host { // a machine may well have what guests lack
			continue
		}
		for i := range row.Tests {
			t := &row.Tests[i]
			e := m.of(t.ID())
			if e == nil || e.used || t.Outcome == Skip {
				continue
			}
			e.used = true
			row.Deficits = append(row.Deficits, fmt.Sprintf("%s ran, and is listed as what runs elsewhere only: %s %s", t.ID(), e.Package, e.Test))
			r.Good = false
		}
	}
}
