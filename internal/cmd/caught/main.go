// Command caught adds what sabotage tests caught in a guest to
// harness/reference/caught-guests.txt. It reads the output of the tests, which
// run with -tell, and passes it on.
//
//	holdshort vm exec -k 6.12 -- harness.test -tell | caught -kernel 6.12
//
// What the machine that made caught.txt catches itself is left out. A test of
// which nothing was skipped replaces what the file has of that kernel.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	kernel := flag.String("kernel", "", "series of the guest's kernel, like 6.12")
	dir := flag.String("dir", "harness/reference", "directory of caught.txt")
	flag.Parse()
	if *kernel == "" || strings.ContainsAny(*kernel, ", ") {
		fmt.Fprintln(os.Stderr, "caught: -kernel is missing")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Stdout, *dir, *kernel); err != nil {
		fmt.Fprintln(os.Stderr, "caught:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, dir, kernel string) error {
	here, err := os.ReadFile(filepath.Join(dir, "caught.txt"))
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "caught-guests.txt")
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	r, err := read(in, out)
	if err != nil {
		return err
	}
	if len(r.lines) == 0 {
		return fmt.Errorf("nothing was caught: no line begins with %q", told)
	}
	return os.WriteFile(file, []byte(merge(string(here), string(old), r, kernel)), 0o644)
}

// The beginnings of the lines that the tests tell.
const (
	told  = "caught "
	allOf = "caught-all-of "
)

// tale is what was read.
type tale struct {
	lines []string        // field class test
	whole map[string]bool // tests of which nothing was skipped
}

func read(in io.Reader, out io.Writer) (*tale, error) {
	t := &tale{whole: map[string]bool{}}
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l := s.Text()
		if c, ok := strings.CutPrefix(l, told); ok && len(strings.Fields(c)) == 3 {
			t.lines = append(t.lines, c)
			continue
		}
		if name, ok := strings.CutPrefix(l, allOf); ok {
			t.whole[name] = true
			continue
		}
		if _, err := fmt.Fprintln(out, l); err != nil {
			return nil, err
		}
	}
	return t, s.Err()
}

// merge returns the file anew: each line field, class, test and the kernels.
func merge(here, old string, t *tale, kernel string) string {
	known := map[string]bool{}
	for l := range strings.SplitSeq(here, "\n") {
		known[l] = true
	}
	on := map[string][]string{}
	for l := range strings.SplitSeq(old, "\n") {
		f := strings.Fields(l)
		if len(f) != 4 {
			continue
		}
		test, _, _ := strings.Cut(f[2], "/")
		for k := range strings.SplitSeq(f[3], ",") {
			if k != kernel || !t.whole[test] {
				on[strings.Join(f[:3], " ")] = append(on[strings.Join(f[:3], " ")], k)
			}
		}
	}
	for _, l := range t.lines {
		if !slices.Contains(on[l], kernel) {
			on[l] = append(on[l], kernel)
		}
	}
	var out []string
	for l, kernels := range on {
		if known[l] || len(kernels) == 0 {
			continue
		}
		slices.SortFunc(kernels, older)
		out = append(out, l+" "+strings.Join(kernels, ",")+"\n")
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// older orders series of kernels: 5.10 before 6.1.
func older(a, b string) int {
	var x, y [2]int
	_, _ = fmt.Sscanf(a, "%d.%d", &x[0], &x[1])
	_, _ = fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return slices.Compare(x[:], y[:])
}
