package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// row is one figure of bench.json.
type row struct {
	Case      string  `json:"case"`
	What      string  `json:"what"`
	N         int     `json:"n,omitempty"` // launches measured
	P50       float64 `json:"p50_us,omitempty"`
	P99       float64 `json:"p99_us,omitempty"`
	PerSecond float64 `json:"per_second,omitempty"`
	InFlight  int     `json:"in_flight,omitempty"`
	Ratio     float64 `json:"ratio,omitempty"` // time as a multiple of the C floor's in the same case
	KiBEach   float64 `json:"kib_each,omitempty"`
	Skipped   string  `json:"skipped,omitempty"` // why there is no figure
}

type results struct {
	w       io.Writer
	Schema  int    `json:"schema"`
	Kernel  string `json:"kernel"`
	CPUs    int    `json:"cpus"`
	Go      string `json:"go"`
	Machine string `json:"machine"`
	Rows    []row  `json:"rows"`
}

func newResults(w io.Writer) *results {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	r := &results{
		w: w, Schema: 1, Kernel: strings.TrimSpace(string(kernel)), CPUs: runtime.NumCPU(),
		Go: runtime.Version(), Machine: runtime.GOARCH,
	}
	fmt.Fprintf(w, "Linux %s, %s, %d CPUs, %s. Times in µs; ratio: time as a multiple of the C floor's.\n",
		r.Kernel, r.Machine, r.CPUs, r.Go)
	return r
}

func (r *results) begin(title string) {
	fmt.Fprintf(r.w, "\n%s\n%-30s %9s %9s %11s %9s %9s %8s\n",
		title, "", "p50", "p99", "per second", "in flight", "KiB each", "ratio")
}

func (r *results) add(v row) {
	r.Rows = append(r.Rows, v)
	inFlight := ""
	if v.InFlight > 0 {
		inFlight = fmt.Sprint(v.InFlight)
	}
	fmt.Fprintf(r.w, "%-30s %9s %9s %11s %9s %9s %8s\n", v.What, cell(v.P50, 1), cell(v.P99, 1),
		cell(v.PerSecond, 0), inFlight, cell(v.KiBEach, 1), cell(v.Ratio, 2))
}

func cell(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// skip notes that a contestant of a case has no figure. One that has nothing
// to do with the case is not worth a line.
func (r *results) skip(title, what string, why error) {
	if errors.Is(why, errNotThisCase) {
		return
	}
	text, _, _ := strings.Cut(why.Error(), "\n")
	r.Rows = append(r.Rows, row{Case: title, What: what, Skipped: text})
	fmt.Fprintf(r.w, "%-30s skipped: %s\n", what, text)
}

func (r *results) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
