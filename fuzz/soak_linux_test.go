package fuzz

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
)

// TestSoak launches a few drawn requests for real. The command
// internal/cmd/soak does the same by the thousand, and counts what is left.
func TestSoak(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // every user must get at the workload
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	m, err := Detect(dir)
	if err != nil {
		t.Fatal(err)
	}
	answerer, err := m.Answer()
	if err != nil {
		t.Fatal(err)
	}
	defer answerer.Close()
	r, err := harness.NewRunner(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: " + r.ProbesErr.Error())
	}
	var files []checkpoint.PassedFile
	for i := range MaxPassed {
		f, err := os.Create(dir + "/passed" + strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, checkpoint.PassedFile{Number: 3 + i, File: f})
	}
	const seed = 20
	for i := range uint64(150) {
		req := Draw(seed, i, m)
		c, err := r.Run(t.Context(), req, &checkpoint.Options{Files: files[:req.Ext.PassFDs]})
		if err != nil {
			t.Errorf("case %d: %v", i, err)
			continue
		}
		if c.Verdict != harness.Constrained {
			var b bytes.Buffer
			_ = c.Report().Text(&b, harness.Style{})
			t.Errorf("case %d (go run ./internal/cmd/soak -seed %d -only %d): %s", i, seed, i, b.String())
		}
	}
}
