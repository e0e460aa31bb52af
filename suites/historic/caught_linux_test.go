package historic

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "record what was raised in caught.txt")
	// As in the tests of harness.
	tell = flag.Bool("tell", false, "write what was raised to the standard output, for internal/cmd/caught")
)

var raised []string

func note(r *Row) {
	for f := range r.Finds {
		raised = append(raised, r.line(f))
	}
}

// keep compares what was raised with the files, tells it, or records it.
func keep() int {
	slices.Sort(raised)
	here := strings.Split(strings.TrimSpace(caughtText), "\n")
	switch {
	case *tell:
		for _, l := range raised {
			fmt.Println("caught", l)
		}
	case *update:
		out := slices.Concat(raised, slices.DeleteFunc(here, func(l string) bool { return l == "" }))
		out = slices.DeleteFunc(out, func(l string) bool { return !known(l) })
		slices.Sort(out)
		text := strings.Join(slices.Compact(out), "\n") + "\n"
		if err := os.WriteFile("caught.txt", []byte(text), 0o644); err != nil {
			fmt.Println(err)
			return 1
		}
	default:
		bad := 0
		for _, l := range raised {
			if !slices.Contains(here, l) && !strings.Contains("\n"+guestsText, "\n"+l+" ") {
				fmt.Printf("caught.txt does not have this: %s\n", l)
				bad = 1
			}
		}
		return bad
	}
	return 0
}

// known reports whether a row still has what a line says.
func known(line string) bool {
	f := strings.Fields(line)
	if len(f) < 3 {
		return false
	}
	n, err := strconv.Atoi(strings.TrimPrefix(f[2], "TestHistoric/"))
	r := row(n)
	return err == nil && r != nil && r.Finds[f[0]] != "" && r.line(f[0]) == strings.Join(f[:3], " ")
}

// What was recorded is what the rows say, and the page what they make.
func TestRecords(t *testing.T) {
	if *update {
		t.Skip("they are being written")
	}
	for l := range strings.SplitSeq(strings.TrimSpace(caughtText+guestsText), "\n") {
		if l != "" && !known(l) {
			t.Errorf("no row has this: %s", l)
		}
	}
	var want bytes.Buffer
	if err := Markdown(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/historic.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/historic.md is not what the rows make: make docs")
	}
}

// Every row is there once and says what it must.
func TestRows(t *testing.T) {
	seen := map[int]bool{}
	for _, r := range Rows() {
		if seen[r.Number] || r.Number < 1 || r.Number > total {
			t.Errorf("row %d is there twice, or is none", r.Number)
		}
		seen[r.Number] = true
		if r.ID == "" || r.Where == "" || r.Title == "" {
			t.Errorf("row %d says not what it is about", r.Number)
		}
		made := r.How != "" && r.Ask != nil && r.Do != nil && len(r.Finds) > 0
		nothing := r.How == "" && r.Ask == nil && r.Do == nil && len(r.Finds) == 0 && r.Needs == ""
		if made == (r.Unseen != "") || !made && !nothing {
			t.Errorf("row %d is made again and raised, or has a reason why not: neither, or both", r.Number)
		}
		if here, guests := r.Raised(); made && !here && len(guests) == 0 && r.Needs == "" && !*update {
			t.Errorf("row %d was never seen raised, and needs nothing: go test ./suites/historic -update", r.Number)
		}
	}
	for n := 1; n <= total; n++ {
		if !seen[n] {
			t.Errorf("row %d is missing", n)
		}
	}
}
