package harness

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/harness/oracle"
)

// caughtFile lists what the sabotage tests catch: field, class, test. The
// documentation of the constraints is made from it. go test ./harness -update
// rewrites the lines of the tests that ran.
const caughtFile = "reference/caught.txt"

// guestsFile lists, in the same way and with the kernels, what was caught only
// on other kernels than that of the machine which made caughtFile.
// internal/cmd/caught adds to it what the tests tell with -tell.
const guestsFile = "reference/caught-guests.txt"

// tellCaught is for guests, out of which only output comes.
var tellCaught = flag.Bool("tell", false, "write what was caught to the standard output, for internal/cmd/caught")

// caught is what was caught in this run, one line each.
var caught struct {
	sync.Mutex
	lines   map[string]bool
	partial map[string]bool // tests of which something was skipped
}

func noteCaught(t *testing.T, want map[string]oracle.Outcome) {
	t.Helper()
	caught.Lock()
	defer caught.Unlock()
	if caught.lines == nil {
		caught.lines = map[string]bool{}
	}
	for f, o := range want {
		caught.lines[fmt.Sprintf("%s %s %s", f, o, t.Name())] = true
	}
}

func noteSkipped(t *testing.T) {
	t.Helper()
	if !t.Skipped() {
		return
	}
	caught.Lock()
	defer caught.Unlock()
	if caught.partial == nil {
		caught.partial = map[string]bool{}
	}
	caught.partial[testOf(t.Name())] = true
}

// testOf is the test function that a line is from.
func testOf(line string) string {
	f := strings.Fields(line)
	name, _, _ := strings.Cut(f[min(2, len(f)-1)], "/")
	return name
}

func TestMain(m *testing.M) {
	code := m.Run()
	if *tellCaught {
		tell(code == 0)
	} else if code == 0 && !testing.Short() { // with it not every row runs; so it is in guests, where other rows do as well
		code = keepCaught()
	}
	os.Exit(code)
}

// guestsCaught are the lines of guestsFile, without the kernels.
func guestsCaught() (map[string]bool, error) {
	b, err := os.ReadFile(guestsFile)
	if err != nil {
		return nil, err
	}
	lines := map[string]bool{}
	for l := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		if i := strings.LastIndexByte(l, ' '); i > 0 {
			lines[l[:i]] = true
		}
	}
	return lines, nil
}

// tell writes what was caught, and of which tests that is all: of those that
// ran whole, if none failed.
func tell(passed bool) {
	ran := map[string]bool{}
	for _, l := range slices.Sorted(maps.Keys(caught.lines)) {
		ran[testOf(l)] = true
		fmt.Println("caught", l)
	}
	some := flag.Lookup("test.skip").Value.String() != "" || strings.Contains(flag.Lookup("test.run").Value.String(), "/")
	for _, name := range slices.Sorted(maps.Keys(ran)) {
		if passed && !some && !caught.partial[name] {
			fmt.Println("caught-all-of", name)
		}
	}
}

// keepCaught compares what was caught with the file, or rewrites it. A test of
// which nothing was skipped must catch what the file says of it.
func keepCaught() int {
	b, err := os.ReadFile(caughtFile)
	if err != nil && !*update {
		fmt.Println(err)
		return 1
	}
	ran := map[string]bool{}
	for l := range caught.lines {
		ran[testOf(l)] = true
	}
	elsewhere, err := guestsCaught()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	lines, stale := maps.Clone(caught.lines), 0
	for l := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		if l == "" || caught.lines[l] {
			continue
		}
		if name := testOf(l); ran[name] && !caught.partial[name] && flag.Lookup("test.run").Value.String() == "" {
			fmt.Printf("%s: nothing caught this: %s\n", caughtFile, l)
			stale++
			continue
		}
		if lines == nil {
			lines = map[string]bool{}
		}
		lines[l] = true
	}
	if *update {
		if err := os.WriteFile(caughtFile, []byte(strings.Join(slices.Sorted(maps.Keys(lines)), "\n")+"\n"), 0o644); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
	for l := range caught.lines {
		if !slices.Contains(strings.Split(string(bytes.TrimSpace(b)), "\n"), l) && !elsewhere[l] {
			fmt.Printf("%s does not have this: %s\n", caughtFile, l)
			stale++
		}
	}
	if stale > 0 {
		fmt.Println("go test ./harness -update brings it up to date; for guests see docs/kernels.md")
		return 1
	}
	return 0
}
