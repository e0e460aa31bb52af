// Package schema holds the SARIF of package report to its standard.
package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

// TestSARIF validates what package report's own tests hold its output to. Members
// that the schema does not know would be lost on the way through the types, so
// both sides are compared.
func TestSARIF(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.sarif")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := sarif.FromBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(r); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		back, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var is, was any
		if json.Unmarshal(b, &was) != nil || json.Unmarshal(back, &is) != nil {
			t.Fatal("not JSON")
		}
		for _, p := range missing("", was, is) {
			t.Errorf("%s: the schema has no %s", path, p)
		}
	}
}

// validate fills in what the library writes as empty where we leave it out.
func validate(r *sarif.Report) error {
	for _, run := range r.Runs {
		run.Language, run.Tool.Driver.Language = "en-US", "en-US"
		run.NewlineSequences = []string{"\n"}
	}
	return r.Validate()
}

// missing lists the members of a that b has not.
func missing(path string, a, b any) (out []string) {
	switch a := a.(type) {
	case map[string]any:
		m, _ := b.(map[string]any)
		for k, v := range a {
			x, ok := m[k]
			if !ok {
				out = append(out, path+"."+k)
				continue
			}
			if k != "properties" {
				out = append(out, missing(path+"."+k, v, x)...)
			}
		}
	case []any:
		l, _ := b.([]any)
		for i, v := range a {
			if i >= len(l) {
				return append(out, path+"[]")
			}
			out = append(out, missing(path+"[]", v, l[i])...)
		}
	}
	return out
}

// TestBites: the validator refuses what is no SARIF.
func TestBites(t *testing.T) {
	b, err := os.ReadFile("../testdata/sample.sarif")
	if err != nil {
		t.Fatal(err)
	}
	for old, damaged := range map[string]string{
		`"level": "error"`: `"level": "terrible"`, `"2.1.0"`: `"2.1.9"`, `"startLine": `: `"startLine": -`, `"kind": "member"`: `"kind": 7`,
	} {
		text := strings.Replace(string(b), old, damaged, 1)
		if text == string(b) {
			t.Errorf("%s is not in the sample", old)
		}
		r, err := sarif.FromString(text)
		if err == nil {
			err = validate(r)
		}
		if err == nil {
			t.Errorf("%s for %s is accepted", damaged, old)
		}
	}
}
