package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// A change that is explained must be there, and must not be noticed.
func TestExplained_Divide(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("p", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"p/a.go", "p/b.go"} {
		if err := os.WriteFile(f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const text = `# a comment

p/a.go: f: + is -: x + y # no
p/a.go: f: + is -: x + y # and again
p/a.go: T.g: left out: z = 1 # z is 1 # already
p/b.go: f: + is -: x + y # another file
`
	change := func(file, function, kind, line string) survivor {
		return survivor{change: change{file: file, function: function, kind: kind, line: line}}
	}
	sum, z := change("p/a.go", "f", "+ is -", "x + y"), change("p/a.go", "T.g", "left out", "z = 1 # z is 1")
	other, elsewhere := change("p/a.go", "g", "+ is -", "x + y"), change("p/b.go", "f", "+ is -", "x + y")
	for name, tt := range map[string]struct {
		files string
		left  []survivor
		whys  []string
		stale []string
	}{
		"all":          {"", []survivor{sum, sum, z, elsewhere}, []string{"no", "and again", "already", "another file"}, nil},
		"one too many": {"^a", []survivor{sum, sum, sum, z}, []string{"no", "and again", "", "already"}, nil},
		"one noticed":  {"^a", []survivor{sum, z}, []string{"no", "already"}, []string{sum.key()}},
		"none":         {"b", nil, nil, []string{elsewhere.key()}},
		"elsewhere":    {"^a", []survivor{sum, sum, other, z}, []string{"no", "and again", "", "already"}, nil},
	} {
		if err := os.WriteFile("list", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		e, err := readExplained("list")
		if err != nil {
			t.Fatal(err)
		}
		stale := e.divide("./p", regexp.MustCompile(tt.files), tt.left)
		var whys []string
		for _, s := range tt.left {
			whys = append(whys, s.why)
		}
		if !slices.Equal(whys, tt.whys) || !slices.Equal(stale, tt.stale) {
			t.Errorf("%s: reasons %q, stale %q; want %q, %q", name, whys, stale, tt.whys, tt.stale)
		}
	}
}

func TestReadExplained_Wrong(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	file := filepath.Join(dir, "a.go")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{
		file + ": f: + is -: x + y # why":        true,
		file + ": f: + is -: x + y":              false,
		file + ".gone: f: + is -: x + y # why":   false,
		"# " + file + ".gone: f: no # reason":    true,
		"\n" + file + ": f: + is -: x + y # why": true,
	} {
		if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readExplained(list); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	if e, err := readExplained(filepath.Join(dir, "none")); err != nil || len(e) != 0 {
		t.Errorf("without a list: %v, %v", e, err)
	}
}
