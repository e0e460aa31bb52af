package fuzz

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdshort/holdshort/fuzz/caller"
	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// capable is a machine that can do everything that there is a parameter for.
func capable() *Machine {
	m := able()
	m.RoutingRules, m.Nftables = true, true
	m.Links = map[string]bool{"bridge": true, "wireguard": true, "macvlan": true, "ipvlan": true, "vlan": true}
	m.Tuning = Tuning{NUMA: true, THP: true, KSM: true, Autogroup: true, Uclamp: true, Deadline: true}
	m.Callers = caller.Names()
	m.Speculation = []string{"storeBypass=disable", "indirectBranch=disable"}
	return m
}

func model(t testing.TB, m *Machine) *Model {
	t.Helper()
	md, err := NewModel(m)
	if err != nil {
		t.Fatal(err)
	}
	return md
}

func TestModelSize(t *testing.T) {
	md := model(t, capable())
	values := 0
	for _, p := range md.Parameters() {
		values += len(p.Values)
	}
	t.Logf("%d parameters with %d values", len(md.Parameters()), values)
	if n := len(md.Parameters()); n < 60 {
		t.Errorf("%d parameters, want 60 at least", n)
	}
	if n := len(model(t, unable()).Parameters()); n < 20 {
		t.Errorf("%d parameters on a machine that can do next to nothing", n)
	}
}

// TestModelBuildsWhatItSays: every row of the space is a valid request that asks
// for each dimension that is on, and for none that is off.
func TestModelBuildsWhatItSays(t *testing.T) {
	for name, m := range map[string]*Machine{"capable": capable(), "able": able(), "unable": unable()} {
		md := model(t, m)
		host := engine.Host{CgroupV2: m.CgroupV2, CgroupV1: m.CgroupV1}
		for i := range uint64(300) {
			a := md.Space().Random(cover.NewStream(i))
			r := md.Build(a, 1, i)
			has := Of(r)
			for p, v := range a {
				n := md.Parameters()[p].Name
				if d := slices.IndexFunc(dimensions, func(d dimension) bool { return d.name == n }); d < 0 {
					continue
				}
				implied := slices.ContainsFunc(implied[n], func(by string) bool { return a[md.index[by]] > 0 })
				if on := slices.Contains(has, n); on != (v > 0) && !(on && implied) {
					t.Fatalf("%s, case %d: %q is %s, but asked for: %v\n%s", name, i, n, md.Parameters()[p].Values[v], on, md.Text(a))
				}
			}
			if err := r.Validate(); err != nil {
				t.Fatalf("%s, case %d: %v\n%s\n%s", name, i, err, md.Text(a), text(t, r))
			}
			c, err := engine.Config(r, host)
			if err == nil {
				err = c.Validate()
			}
			if err != nil {
				t.Fatalf("%s, case %d: %v\n%s\n%s", name, i, err, md.Text(a), text(t, r))
			}
			again := &request.Request{}
			if err := json.Unmarshal([]byte(text(t, r)), again); err != nil || text(t, again) != text(t, r) {
				t.Fatalf("%s, case %d does not survive JSON: %v", name, i, err)
			}
			back, err := md.Assign(md.Words(a))
			if err != nil || !slices.Equal(back, a) {
				t.Fatalf("%s, case %d: %v, %v", name, i, back, err)
			}
		}
	}
}

// implied are dimensions that others bring along without asking for them.
var implied = map[string][]string{
	"bind mount":      {"id-mapped mount"},
	"mount tmpfs":     {"own dev"},
	"veth attributes": {"bridge"},
	"cgroup v2":       {"cgroups by path", "device rules", "cgroup freeze", "cgroup delegate"},
}

var update = flag.Bool("update", false, "write what there is now to testdata")

// TestSameCasesEverywhere pins the cases of a campaign. Who adds a dimension or
// changes what a value comes to makes another model, whose hash is another.
func TestSameCasesEverywhere(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: the machine that is pinned has it in its model")
	}
	md := model(t, capable())
	var b strings.Builder
	fmt.Fprintf(&b, "model %s\n", md.Hash())
	for strength := 1; strength <= 3; strength++ {
		q, err := md.Sequence(42, strength)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []uint64{0, 1, 2, 7, 100, 5000, 1 << 40} {
			a := q.At(i)
			fmt.Fprintf(&b, "strength %d, case %d: %x %x\n", strength, i, a, sha256.Sum256([]byte(text(t, md.Build(a, 42, i)))))
		}
	}
	const file = "testdata/cases.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the cases are others than in %s. If a dimension was added or changed on purpose: raise modelVersion unless the table of parameters changed, and go test ./fuzz -run SameCases -update\n%s", file, b.String())
	}
}

func TestCasesDoNotDependOnWhoComputesThem(t *testing.T) {
	md := model(t, able())
	want := map[uint64]string{}
	q, err := md.Sequence(9, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(200) {
		want[i] = text(t, md.Build(q.At(i), 9, i))
	}
	for _, procs := range []int{1, 2, 7} {
		before := runtime.GOMAXPROCS(procs)
		again := model(t, able())
		q, err := again.Sequence(9, 2)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for shard := range uint64(8) {
			wg.Go(func() {
				for i := 199 - shard; i < 200; i -= 8 { // backwards, and until it wraps around
					if got := text(t, again.Build(q.At(i), 9, i)); got != want[i] {
						t.Errorf("case %d is another on %d processors", i, procs)
					}
				}
			})
		}
		wg.Wait()
		runtime.GOMAXPROCS(before)
	}
}

// TestArrayOfTheModel: what the first cases of a campaign cover.
func TestArrayOfTheModel(t *testing.T) {
	md := model(t, capable())
	q, err := md.Sequence(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	rows := q.Rows()
	m := cover.NewMeter(md.Space(), 3)
	for i := range uint64(rows) {
		m.Add(q.At(i))
	}
	covered, feasible := m.Covered(2)
	three, all := m.Covered(3)
	t.Logf("%d cases: %d of %d pairs, %d of %d triples", rows, covered, feasible, three, all)
	if covered != feasible {
		t.Errorf("%d of %d pairs", covered, feasible)
	}
}

// TestDescription: what is written down of a model is enough for the same
// assignments.
func TestDescription(t *testing.T) {
	md := model(t, able())
	b, err := json.Marshal(md.Describe())
	if err != nil {
		t.Fatal(err)
	}
	d := &Description{}
	if err := json.Unmarshal(b, d); err != nil {
		t.Fatal(err)
	}
	again, err := d.Model()
	if err != nil {
		t.Fatal(err)
	}
	want, err := md.Sequence(4, 2)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Sequence(4, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(150) {
		if a, b := want.At(i), got.At(i); !slices.Equal(a, b) || md.Text(a) != again.Text(b) {
			t.Fatalf("case %d: %s\nfrom the description: %s", i, md.Text(a), again.Text(b))
		}
	}
}

// TestBuildAs: an example of a model is the same request of another one that has its
// parameters.
func TestBuildAs(t *testing.T) {
	old, now := model(t, able()), model(t, capable())
	for i := range uint64(50) {
		a := old.Space().Sparse(cover.NewStream(i), slices.Repeat([]uint8{70}, len(old.params)))
		b, err := now.Assign(old.Words(a))
		if err != nil {
			t.Fatal(err)
		}
		r, err := now.BuildAs(old.Hash(), b, 3, i)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := text(t, r), text(t, old.Build(a, 3, i)); got != want {
			t.Errorf("case %d, %s:\n%s\nof its own model:\n%s", i, old.Text(a), got, want)
		}
	}
	for _, hash := range []string{"", "xyz", "00"} {
		if _, err := now.BuildAs(hash, make(Assignment, len(now.params)), 1, 1); err == nil {
			t.Errorf("%q is taken for the hash of a model", hash)
		}
	}
}
