package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
)

func fuzzing(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	if code == harness.ExitUnsupported && strings.Contains(errs.String(), "cannot verify here") {
		t.Skip("needs eBPF: " + errs.String())
	}
	return code, out.String(), errs.String()
}

func TestFuzzUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"shard 0":        {"fuzz", "--shard", "0/4"},
		"shard too high": {"fuzz", "--shard", "5/4"},
		"no shard":       {"fuzz", "--shard", "x"},
		"strength":       {"fuzz", "--strength", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(args, &out, &errs); code != harness.ExitUsage {
				t.Errorf("exit %d: %s", code, errs.String())
			}
		})
	}
}

// TestFuzzResumes: two runs over one file come to what one run comes to.
func TestFuzzResumes(t *testing.T) {
	dir := t.TempDir()
	half, whole := filepath.Join(dir, "half"), filepath.Join(dir, "whole")
	for _, args := range [][]string{
		{"fuzz", "-n", "20", "--seed", "3", "--out", half, "-q"},
		{"fuzz", "-n", "40", "--resume", half, "-q"},
		{"fuzz", "-n", "40", "--seed", "3", "--out", whole, "-q"},
	} {
		if code, out, errs := fuzzing(t, args...); code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	var texts [2]string
	for i, file := range []string{half, whole} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := &campaign.Results{}
		if err := r.Read(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		texts[i] = out.String()
	}
	if texts[0] != texts[1] {
		t.Errorf("resumed:\n%s\nin one go:\n%s", texts[0], texts[1])
	}
	if code, _, errs := fuzzing(t, "fuzz", "-n", "40", "--seed", "3", "--out", whole); code != harness.ExitUsage || !strings.Contains(errs, "--resume") {
		t.Errorf("a file that is there: exit %d: %s", code, errs)
	}
}

// TestReplayAndBundle: a finding of another time and place is launched from its
// file.
func TestReplayAndBundle(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "found.jsonl")
	info := campaign.Info{Model: "0", Seed: 1, Strength: 2, Kernel: "0.1", Engine: "native"}
	var text []byte
	for _, l := range []string{
		`{"schema":1,"campaign":"@","info":` + string(must(json.Marshal(info))) + `}`,
		`{"schema":1,"campaign":"@","minimal":{"index":4,"key":"fs.umask: ignored","values":{"umask":"077"},"executions":9,"dir":"/there",` +
			`"request":{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0,"umask":63},"args":["/there/workload"],"cwd":""},"linux":{},"holdshort":{"keepIDs":true}}}}`,
	} {
		text = append(text, strings.ReplaceAll(l, "@", info.ID())+"\n"...)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errs := fuzzing(t, "replay", dir)
	if code != 0 || !strings.Contains(out, "seen 0 of 3 times") || !strings.Contains(out, "found on Linux 0.1") || strings.Contains(out, "not in the file") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	bundle := filepath.Join(dir, "bundle")
	if code, out, errs = fuzzing(t, "replay", file, "--bundle", bundle); code != 0 || !strings.Contains(out, "runc run") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs = fuzzing(t, "run", "--bundle", bundle, "--json"); code != 0 {
		t.Errorf("the bundle: exit %d\n%s%s", code, out, errs)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
