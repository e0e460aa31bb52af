package mutants

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/holdshort/holdshort"

// points are the places in the product where a fault can be planted, as they
// stand in its source. Everything else is in files that need the tag mutants.
var points = map[string]string{
	"checkpoint/launcher.go": "\tif faulty {\n\t\tmisorder(l, p)\n\t}\n",
	"harness/run.go":         "\tif faulty {\n\t\tresult = misjudge(l, result, exp, caller, snaps, lost)\n\t}\n",
}

// TestReleaseHasNoFaults builds the command as it is released, and shows that
// nothing of the faults is in it: the binary is the same, byte for byte, as one
// built from a source without the fault points, and has none of their names. A
// build with the tag has them, so that the search would find them.
func TestReleaseHasNoFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command three times")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	release := build(t, root, filepath.Join(dir, "release"))
	without := build(t, root, filepath.Join(dir, "without"), "-overlay", overlay(t, root, dir))
	with := build(t, root, filepath.Join(dir, "with"), "-tags", "mutants")

	if sha256.Sum256(release) != sha256.Sum256(without) {
		t.Error("the released binary is another one than without the fault points")
	}
	trace := regexp.MustCompile(`misorder|Misorder|misjudge|Misbehave|fuzz/mutants|fault_on\.go`)
	if m := trace.FindAll(release, 3); m != nil {
		t.Errorf("the released binary has %q", m)
	}
	if !trace.Match(with) {
		t.Error("a binary with the tag has no trace of the fault points either: this test shows nothing")
	}
	for _, s := range symbols(t, filepath.Join(dir, "release")) {
		if trace.MatchString(s) {
			t.Errorf("the released binary has the symbol %s", s)
		}
	}
	if deps := list(t, root, "-deps", "./cmd/holdshort"); slices.Contains(deps, module+"/fuzz/mutants") {
		t.Error("the command imports this package")
	}
	for _, f := range list(t, root, "-f", `{{join .GoFiles "\n"}}`, "./fuzz/mutants", "./checkpoint", "./harness", "./harness/oracle") {
		if f == "fault_on.go" || strings.HasSuffix(f, "bench.go") {
			t.Errorf("%s is in a build without the tag", f)
		}
	}
}

// overlay has the sources without the fault points, whose lines are left empty
// so that the numbers of the others stay.
func overlay(t *testing.T, root, dir string) string {
	t.Helper()
	replace := map[string]string{}
	for name, point := range points {
		path := filepath.Join(root, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte(point)); n != 1 {
			t.Fatalf("%s has the fault point %d times", name, n)
		}
		if bytes.Count(b, []byte("faulty")) != 1 {
			t.Errorf("%s has another fault point", name)
		}
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		b = bytes.Replace(b, []byte(point), []byte(strings.Repeat("\n", strings.Count(point, "\n"))), 1)
		if err := os.WriteFile(to, b, 0o644); err != nil {
			t.Fatal(err)
		}
		replace[path] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func build(t *testing.T, root, to string, args ...string) []byte {
	t.Helper()
	pkg := "./cmd/holdshort"
	if slices.Contains(args, "mutants") {
		pkg = "./internal/cmd/mutants"
	}
	cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", to}, args, []string{pkg})...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	b, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func symbols(t *testing.T, path string) []string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range list {
		out = append(out, list[i].Name)
	}
	return out
}

func list(t *testing.T, root string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return strings.Fields(string(out))
}
