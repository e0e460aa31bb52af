package fuzz

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// able is a machine that can do everything.
func able() *Machine {
	m := &Machine{
		Root: true, Caps: 1<<41 - 1, Bounding: 1<<41 - 1, AllCaps: 1<<41 - 1, UserNS: true, TimeNS: true, Dummy: true, Veth: true,
		CgroupV2: "/sys/fs/cgroup/unified", CgroupV1: map[string]string{
			"pids": "/sys/fs/cgroup/pids", "memory": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpu",
		},
		CPUs: []int{0, 1, 5}, Dir: "/tmp/dir", Tag: "abcde", Listener: "/tmp/dir/listener", WaitKillable: true, LandlockABI: 7, LandlockRules: true,
		SetAttr: true, Mknod: true, IDMapped: true, Mqueue: true,
	}
	for i := range m.Rlimits {
		m.Rlimits[i] = [2]uint64{infinity, infinity}
	}
	return m
}

// unable is a machine, or a caller, that can do next to nothing.
func unable() *Machine {
	return &Machine{CPUs: []int{3}, Dir: "/tmp/dir", Tag: "a", OOMScoreAdj: 1000, Nice: 19}
}

func text(t *testing.T, r *request.Request) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDrawIsDeterministic(t *testing.T) {
	m := able()
	seen := map[string]bool{}
	for i := range uint64(300) {
		a := text(t, Draw(7, i, m))
		if b := text(t, Draw(7, i, m)); a != b {
			t.Fatalf("case %d is drawn in two ways:\n%s\n%s", i, a, b)
		}
		if a == text(t, Draw(8, i, m)) && i > 20 {
			t.Errorf("case %d does not depend on the seed", i)
		}
		seen[a] = true
	}
	if len(seen) < 280 {
		t.Errorf("%d different requests of 300", len(seen))
	}
}

func TestDrawnRequestsAreValid(t *testing.T) {
	for name, m := range map[string]*Machine{"able": able(), "unable": unable()} {
		host := engine.Host{CgroupV2: m.CgroupV2, CgroupV1: m.CgroupV1}
		for i := range uint64(3000) {
			r := Draw(1, i, m)
			if err := r.Validate(); err != nil {
				t.Fatalf("%s, case %d: %v\n%s", name, i, err, text(t, r))
			}
			c, err := engine.Config(r, host)
			if err != nil {
				t.Fatalf("%s, case %d: %v\n%s", name, i, err, text(t, r))
			}
			if err := c.Validate(); err != nil {
				t.Fatalf("%s, case %d: %v\n%s", name, i, err, text(t, r))
			}
			again := &request.Request{}
			if err := json.Unmarshal([]byte(text(t, r)), again); err != nil || text(t, again) != text(t, r) {
				t.Fatalf("%s, case %d does not survive JSON: %v\n%s", name, i, err, text(t, r))
			}
		}
	}
}

func TestEveryDimensionOccurs(t *testing.T) {
	for name, m := range map[string]*Machine{"able": able(), "unable": unable()} {
		counts, sizes := map[string]int{}, map[int]int{}
		for i := range uint64(2000) {
			dims := Of(Draw(3, i, m))
			sizes[len(dims)]++
			for _, d := range dims {
				counts[d]++
			}
		}
		possible := Dimensions(m)
		t.Logf("%s: %d dimensions; cases by number of dimensions: %v", name, len(possible), sizes)
		for _, d := range possible {
			if counts[d] == 0 {
				t.Errorf("%s: %q does not occur", name, d)
			}
		}
		for d, n := range counts {
			if !slices.Contains(possible, d) {
				t.Errorf("%s: %q occurs %d times and is not possible there", name, d, n)
			}
		}
	}
}

func TestWithout(t *testing.T) {
	m := able()
	m.Without = []string{"ns net", "seccomp"}
	for i := range uint64(1000) {
		r := Draw(5, i, m)
		for _, d := range Of(r) {
			if slices.Contains([]string{"ns net", "veth", "loopback", "seccomp", "seccomp, flags"}, d) {
				t.Fatalf("case %d asks for %q", i, d)
			}
		}
	}
}

func FuzzDraw(f *testing.F) {
	f.Add(uint64(0), uint64(0))
	f.Add(^uint64(0), ^uint64(0))
	m := able()
	f.Fuzz(func(t *testing.T, seed, index uint64) {
		if err := Draw(seed, index, m).Validate(); err != nil {
			t.Error(err)
		}
	})
}
