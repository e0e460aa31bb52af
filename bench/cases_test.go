package main

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"
)

// fake takes always the same time, without spending it.
type fake struct {
	skipped
	took time.Duration
}

func (f fake) Round(_ namespaces, n int) ([]time.Duration, error) {
	return slices.Repeat([]time.Duration{f.took}, n), nil
}

func TestLatencyIsRelativeToTheFirst(t *testing.T) {
	r := newResults(io.Discard)
	s := &settings{perCase: 100 * time.Millisecond, rounds: 5}
	all := []contestant{
		fake{skipped{name: floorName}, 100 * time.Microsecond},
		fake{skipped{name: "twice"}, 200 * time.Microsecond},
		skipped{"absent", errors.New("not installed")},
		skipped{"elsewhere", errNotThisCase},
	}
	if err := latency(s, r, "case", namespaceSets[0], all); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 3 {
		t.Fatalf("%d rows; want 3: %+v", len(r.Rows), r.Rows)
	}
	if got := r.Rows[1]; got.P50 != 200 || got.Ratio != 2 || got.PerSecond != 5000 || got.N != 500 {
		t.Errorf("second row %+v", got)
	}
	if got := r.Rows[2]; got.Skipped != "not installed" {
		t.Errorf("third row %+v", got)
	}
}

func TestNoFloorNoFigures(t *testing.T) {
	err := latency(&settings{perCase: time.Second, rounds: 1}, newResults(io.Discard), "case", namespaceSets[0],
		[]contestant{skipped{floorName, errors.New("gone")}})
	if err == nil {
		t.Error("a floor that cannot launch at all was accepted")
	}
	r := newResults(io.Discard)
	err = latency(&settings{perCase: time.Second, rounds: 1}, r, "case", namespaceSets[1],
		[]contestant{skipped{floorName, errors.New("not permitted")}})
	if err != nil || len(r.Rows) != 1 || r.Rows[0].Skipped != "not permitted" {
		t.Errorf("err %v, rows %+v; want one that is skipped", err, r.Rows)
	}
}
