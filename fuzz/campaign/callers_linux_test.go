package campaign

import (
	"slices"
	"testing"

	"github.com/holdshort/holdshort/fuzz/caller"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// TestCallers: a launch by a caller of each kind is constrained, with what the
// kind says is passed on; a launcher that says it is of such a caller, and is not,
// is found out. It needs root and eBPF.
func TestCallers(t *testing.T) {
	b := bench(t)
	fields := posture.Fields()
	for _, k := range caller.Kinds() {
		for path := range k.Kept {
			if !slices.ContainsFunc(fields, func(f posture.Field) bool { return f.Path == path }) {
				t.Errorf("%s: no field %q", k.Name, path)
			}
		}
		if !slices.Contains(b.Machine.Callers, k.Name) {
			t.Logf("not here: %s", k.Name)
			continue
		}
		r := request.New(b.Dir + "/workload")
		if v := b.Run(WithCaller(t.Context(), []string{k.Name}), r, r); !v.Clean() {
			t.Errorf("%s: %v %v", k.Name, v.Keys, v.Err)
		}
		wrong, err := plain(t.Context(), b.runner, b.Dir, []string{k.Name})
		if err != nil {
			t.Error(err)
		}
		if len(k.Kept) > 0 && k.Name != "directory" && len(wrong) == 0 {
			t.Errorf("%s: a launcher of another caller passes for one of it", k.Name)
		}
	}
}

// TestCallersAreEnded: of more agents than are kept those used last stay, and none
// that is in use is ended.
func TestCallersAreEnded(t *testing.T) {
	b := bench(t)
	names := b.Machine.Callers
	if len(names) < 12 {
		t.Skip("needs more kinds of callers than are possible here")
	}
	first, _, back, err := b.callers.From(t.Context(), b.runner, b.Dir, names[:1])
	if err != nil {
		t.Fatal(err)
	}
	for i := range names[:11] {
		for j := range i {
			_, _, done, err := b.callers.From(t.Context(), b.runner, b.Dir, []string{names[i], names[j]})
			if err != nil {
				t.Fatal(err)
			}
			done()
		}
	}
	if n := len(b.callers.known); n != keptCallers {
		t.Errorf("%d launchers are kept, not %d", n, keptCallers)
	}
	again, _, done, err := b.callers.From(t.Context(), b.runner, b.Dir, names[:1])
	if err != nil || again != first {
		t.Errorf("the one that was in use is another: %v", err)
	}
	done()
	back()
	r := request.New(b.Dir + "/workload")
	if v := b.Run(WithCaller(t.Context(), []string{"no such kind"}), r, r); v.Judged || v.Err == nil {
		t.Errorf("a kind that is not there: %v", v)
	}
}
