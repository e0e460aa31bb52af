package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz/campaign"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	info := campaign.Info{Model: "m", Seed: 1, Strength: 2, Kernel: "6.1", Engine: "native"}
	var text []byte
	for _, l := range []*campaign.Line{
		{Info: &info},
		{Block: &campaign.Block{Judged: 0xff}},
		{Incident: &campaign.Incident{Index: 3, Class: campaign.Finding, Key: "fs.umask: ignored", Hits: 3, Runs: 3, Values: map[string]string{"umask": "077"}}},
	} {
		l.Schema, l.Campaign = campaign.Schema, info.ID()
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, b...), '\n')
	}
	in := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(in, append(text, `{"schema":1,"cam`...), 0o644); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, "out", name) }
	if err := os.Mkdir(path(""), 0o755); err != nil {
		t.Fatal(err)
	}
	report := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"report"}, args...), &out, &errs)
		return code, out.String(), errs.String()
	}
	code, out, errs := report(in, "--html", path("r.html"), "--junit", path("r.xml"), "--sarif", path("r.sarif"), "--markdown", path("r.md"), "--merge", path("m.jsonl"))
	if code != 1 || !strings.Contains(out, "fs.umask: ignored") || !strings.Contains(errs, "in.jsonl:4: cut short") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for name, want := range map[string]string{"r.html": "<!DOCTYPE html>", "r.xml": "<testsuites", "r.sarif": `"2.1.0"`, "r.md": "## ", "m.jsonl": `"incident"`} {
		b, err := os.ReadFile(path(name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, without %q", name, err, want)
		}
	}
	// What was merged is what was read, and a second time changes nothing.
	if code, out, errs := report(path("m.jsonl"), in, "--merge", "-", "-q", "--exit-zero"); code != 0 || out != string(text) {
		t.Errorf("exit %d\n%s%s, want\n%s", code, out, errs, text)
	}
	if code, _, errs := report(path("none.jsonl")); code != 64 || !strings.Contains(errs, "none.jsonl") {
		t.Errorf("no file: exit %d: %s", code, errs)
	}
	empty := filepath.Join(dir, "empty.jsonl")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := report(empty); code != 4 {
		t.Errorf("nothing at all: exit %d, and no results are no pass", code)
	}
	if code, _, errs := report(in, "-q", "--html", filepath.Join(dir, "no", "r.html")); code == 0 || errs == "" {
		t.Errorf("a folder that is not there: exit %d: %s", code, errs)
	}
}
