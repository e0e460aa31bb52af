package harness

import "testing"

// Defect 23 of the system that this one answers to: that the first instruction
// runs fully constrained was asserted and never tested.
func TestDefect23_FirstInstructionIsProven(t *testing.T) {
	c, err := shared(t).Run(bg, every(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Constrained {
		t.Fatalf("verdict %s\n%s", c.Verdict, text(c))
	}
	var seen []At
	for _, s := range c.Report().Snapshots {
		seen = append(seen, s.At)
		if s.At == AtFirst && (s.IPIsEntry == nil || !*s.IPIsEntry) {
			t.Error("the first instruction was not at the entry point")
		}
	}
	want := []At{AtExec, AtReturn, AtFirst, AtExit}
	if *frozenTables {
		want = []At{AtExec, AtReturn, AtFrozen, AtFirst, AtExit}
	}
	if len(seen) != len(want) {
		t.Fatalf("snapshots %v; want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("snapshots %v; want %v", seen, want)
		}
	}
}
