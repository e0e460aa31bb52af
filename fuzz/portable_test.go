package fuzz

import (
	"slices"
	"testing"

	"github.com/holdshort/holdshort/harness/engine"
)

// A portable case is one request, whatever else a machine can do.
func TestPortableCaseDoesNotDependOnTheMachine(t *testing.T) {
	rich, other := able(), able()
	rich.Tuning = Tuning{NUMA: true, THP: true, KSM: true, Autogroup: true, Uclamp: true, Deadline: true}
	other.LandlockABI, other.SetAttr, other.WaitKillable, other.CPUs = 6, false, false, rich.CPUs
	same, some := 0, 0
	for i := range Singles() + 200 {
		a, b := PortableCase(7, i, rich), PortableCase(7, i, other)
		if a.Request == nil || b.Request == nil {
			continue
		}
		some++
		x, y := text(t, a.Request), text(t, b.Request)
		if x != y {
			t.Errorf("case %d (%v) is another request on another machine:\n%s\n%s", i, a.Values, x, y)
		}
		if x == text(t, PortableCase(8, i, rich).Request) {
			same++
		}
	}
	if some < 200 || same == some {
		t.Errorf("%d cases possible, %d of them whatever the seed", some, same)
	}
}

func TestPortableCasesAreValidAndTryEverything(t *testing.T) {
	m := able()
	all, _ := settings()
	tried := map[string]bool{}
	for i := range Singles() + 300 {
		p := PortableCase(7, i, m)
		for k, v := range p.Values {
			tried[k+"="+v] = true
		}
		if p.Request == nil {
			if len(p.Lacks) == 0 {
				t.Errorf("case %d has neither a request nor a reason", i)
			}
			continue
		}
		if err := p.Request.Validate(); err != nil {
			t.Errorf("case %d (%v): %v", i, p.Values, err)
		}
		c, err := engine.Config(p.Request, engine.Host{CgroupV2: m.CgroupV2, CgroupV1: m.CgroupV1})
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			t.Errorf("case %d (%v): %v", i, p.Values, err)
		}
	}
	for _, x := range all {
		if !tried[x.d.name+"="+x.value] {
			t.Errorf("%s=%s is never tried", x.d.name, x.value)
		}
	}
}

// What a machine does not have is named, and nothing is launched.
func TestPortableCaseNamesWhatIsLacking(t *testing.T) {
	m := able()
	m.LandlockABI = 0
	all, _ := settings()
	i := slices.IndexFunc(all, func(x setting) bool { return x.d.name == "landlock" && x.value == "ports" })
	p := PortableCase(7, uint64(i)+1, m)
	if p.Request != nil || !slices.Contains(p.Lacks, "landlock") {
		t.Errorf("%+v", p)
	}
	m.LandlockABI = 3
	if p := PortableCase(7, uint64(i)+1, m); p.Request != nil || !slices.Contains(p.Lacks, "landlock=ports") {
		t.Errorf("%+v", p)
	}
}
