package fuzz

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// digest is one line for each case of a shard: what it is, to the byte.
func digest(t *testing.T, shard, shards uint64) string {
	t.Helper()
	md := model(t, able())
	q, err := md.Sequence(13, 2)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := shard; i < 256; i += shards {
		r := md.Build(q.At(i), 13, i)
		what := ""
		if q.Negative(i) {
			if d := md.Defect(13, i, r); d != nil {
				broken, want, _ := d.Break(md, r)
				r, what = broken, d.Name+": "+want.String()
			}
		}
		fmt.Fprintf(&b, "case %d %s %x\n", i, what, sha256.Sum256([]byte(text(t, r))))
	}
	return b.String()
}

// TestSameCasesInFreshProcesses: other processes, with other numbers of processors
// and shards, and another environment, compute the same cases to the byte.
func TestSameCasesInFreshProcesses(t *testing.T) {
	if s := os.Getenv("HOLDSHORT_DIGEST"); s != "" {
		var shard, shards uint64
		if _, err := fmt.Sscanf(s, "%d/%d", &shard, &shards); err != nil {
			t.Fatal(err)
		}
		fmt.Print(digest(t, shard, shards))
		return
	}
	want := map[string]bool{}
	negative := 0
	for line := range strings.Lines(digest(t, 0, 1)) {
		want[line] = true
		if strings.Contains(line, ": ") {
			negative++
		}
	}
	if len(want) != 256 || negative == 0 {
		t.Fatalf("%d cases, %d of them must be refused", len(want), negative)
	}
	for _, how := range []struct{ procs, shards int }{{1, 1}, {3, 4}, {8, 3}} {
		seen := 0
		for shard := range how.shards {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSameCasesInFreshProcesses$")
			cmd.Dir = t.TempDir()
			cmd.Env = []string{fmt.Sprintf("HOLDSHORT_DIGEST=%d/%d", shard, how.shards), fmt.Sprintf("GOMAXPROCS=%d", how.procs), "HOME=/", "TZ=Asia/Tokyo", "LANG=tr_TR.UTF-8"}
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if !strings.HasPrefix(line, "case ") {
					continue
				}
				if seen++; !want[line] {
					t.Errorf("%d processors, shard %d of %d: another %s", how.procs, shard, how.shards, line)
				}
			}
		}
		if seen != 256 {
			t.Errorf("%d processors, %d shards: %d cases", how.procs, how.shards, seen)
		}
	}
}
