package campaign

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
)

// TestDefectsAreRefused: each defect, in requests that ask for little and for much,
// is refused where and as it must be.
func TestDefectsAreRefused(t *testing.T) {
	b := bench(t)
	q, err := b.Model.Sequence(5, 1)
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]int{}
	for i := range uint64(24) {
		r := b.Model.Build(q.At(i), 5, i)
		defects := fuzz.Defects()
		for n := range defects {
			d := &defects[n]
			broken, want, ok := d.Break(b.Model, r)
			if !ok || tried[d.Name] >= 4 && b.Model.Slow(q.At(i)) {
				continue
			}
			tried[d.Name]++
			if v := b.Refuse(t.Context(), i, broken, want); !v.Clean() {
				t.Errorf("%s: %v, %v: %s", d.Name, v.Keys, v.Err, b.Model.Text(q.At(i)))
			}
		}
	}
	t.Log(tried)
	for _, d := range fuzz.Defects() {
		if tried[d.Name] == 0 {
			t.Errorf("%q goes with none of these cases", d.Name)
		}
	}
}

// TestWhatIsLetThroughIsFound: a launcher that takes what it must refuse, one that
// refuses it for another reason, and one that leaves something of it, are found.
func TestWhatIsLetThroughIsFound(t *testing.T) {
	b := bench(t)
	r := request.New(b.Dir + "/workload")
	must := func(name string) (*request.Request, fuzz.Refusal) {
		t.Helper()
		d, ok := fuzz.FindDefect(name)
		if !ok {
			t.Fatalf("no defect %q", name)
		}
		broken, want, ok := d.Break(b.Model, r)
		if !ok {
			t.Fatalf("%q does not go with it", name)
		}
		return broken, want
	}
	for _, name := range []string{"directory that is not there", "umask beyond 0777", "program that is not there"} {
		broken, want := must(name)
		if v := b.Refuse(t.Context(), 1, broken, want); !v.Clean() {
			t.Errorf("%s without a fault: %v, %v", name, v.Keys, v.Err)
		}
		b.accept = func(*request.Request) *request.Request { return r }
		if v := b.Refuse(t.Context(), 1, broken, want); !v.Judged || !slices.Equal(v.Keys, []string{"accepted, must be refused at " + want.String()}) {
			t.Errorf("%s let through: %v, %v", name, v.Keys, v.Err)
		}
		other, _ := must("oom score beyond 1000")
		b.accept = func(*request.Request) *request.Request { return other }
		if v := b.Refuse(t.Context(), 1, broken, want); !slices.Equal(v.Keys, []string{"refused at field process.oomScoreAdj, must be at " + want.String()}) {
			t.Errorf("%s refused for another reason: %v, %v", name, v.Keys, v.Err)
		}
		b.accept = nil
	}
	if b.Machine.CgroupV1["pids"] == "" {
		t.Skip("needs a version 1 pids hierarchy, to leave a cgroup in")
	}
	broken, want := must("program that is not there")
	dir := filepath.Join(b.Machine.CgroupV1["pids"], "holdshort-"+b.Machine.Tag+"-"+strconv.FormatUint(7, 36))
	b.afterRefusal = func(uint64) {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Remove(dir)
	if v := b.Refuse(t.Context(), 7, broken, want); !slices.Equal(v.Keys, []string{"residue: cgroup"}) {
		t.Errorf("a cgroup is left: %v, %v", v.Keys, v.Err)
	}
}
