package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/harness"
)

// The report of a frozen workload has a second reading; its status is its own.
func TestFreeze(t *testing.T) {
	verifies(t)
	o := holdshort(t, "run", "--freeze", "--json", "-q", "--ns", "pid,mnt", "--", "/bin/sh", "-c", "exit 5")
	if o.code != 5 {
		t.Fatalf("exit status %d: %s", o.code, o.errors)
	}
	var rep harness.Report
	if err := json.Unmarshal([]byte(o.out), &rep); err != nil {
		t.Fatal(err)
	}
	var at []harness.At
	for _, s := range rep.Snapshots {
		at = append(at, s.At)
		if s.At != harness.AtFrozen {
			continue
		}
		if s.IPIsEntry == nil || !*s.IPIsEntry || s.NSSinceProceed <= 0 {
			t.Errorf("frozen: at the entry %v, after %d ns", s.IPIsEntry, s.NSSinceProceed)
		}
		if n, ok := s.Posture.Process.PIDInside.Get(); !ok || n != 1 {
			t.Errorf("frozen: pid inside %d", n)
		}
	}
	want := []harness.At{harness.AtExec, harness.AtReturn, harness.AtFrozen, harness.AtFirst, harness.AtExit}
	if !slices.Equal(at, want) {
		t.Errorf("snapshots at %v, want %v", at, want)
	}
}
