package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// fuzzing measures how many cases "holdshort fuzz" runs and judges a second,
// against the floor with the same namespaces as the cases: once with cases that
// ask for namespaces and nothing else, once with all that there is.
func fuzzing(s *settings, r *results) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the command does
	own := *s
	cpus := runtime.NumCPU()
	own.perCase, own.inFlight = 5*s.perCase, []int{2 * cpus, 8 * cpus}
	for _, c := range []struct {
		title string
		keep  func(parameter string) bool
	}{
		{"fuzzing, namespaces only", func(p string) bool { return strings.HasPrefix(p, "ns ") }},
		{"fuzzing, everything", nil},
	} {
		f, err := newFuzzer(c.keep)
		if err != nil {
			r.begin("throughput, " + c.title)
			r.skip("throughput, "+c.title, floorName+" and all others", err)
			continue
		}
		all := []contestant{&floor{name: floorName, mode: "fork", path: s.floor, arg: s.workload}, f}
		if err := throughput(&own, r, f.mix(c.title), all); err != nil {
			return err
		}
	}
	return nil
}

// fuzzer is a campaign's executor: what one of so many cases costs when the
// campaign is under way.
type fuzzer struct {
	b    *campaign.Bench
	next uint64 // number of the campaign, so that no case runs twice
}

const fuzzSeed = 1

func newFuzzer(keep func(parameter string) bool) (*fuzzer, error) {
	ctx := context.Background()
	all, err := campaign.Open(ctx, "", false)
	if err != nil || keep == nil {
		return &fuzzer{b: all}, err
	}
	var without []string
	for _, p := range all.Model.Parameters() {
		if !keep(p.Name) {
			without = append(without, p.Name)
		}
	}
	if err := all.Close(); err != nil {
		return nil, err
	}
	b, err := campaign.Open(ctx, "", false, without...)
	return &fuzzer{b: b}, err
}

func (f *fuzzer) Name() string { return "holdshort fuzz" }

func (f *fuzzer) Close() { _ = f.b.Close() }

// mix is the namespaces of the first cases, as the floor understands them.
func (f *fuzzer) mix(title string) namespaces {
	const cases = 512
	q, err := f.b.Model.Sequence(fuzzSeed, 1)
	if err != nil {
		panic(err) // 1 is always possible
	}
	var list strings.Builder
	list.WriteByte('m')
	for i := range uint64(cases) {
		list.WriteString(strconv.FormatUint(cloneFlags(f.b.Model.Build(q.At(i), fuzzSeed, i)), 16))
		list.WriteByte(',')
	}
	return namespaces{name: list.String(), title: title, flags: five}
}

// cloneFlags are those that a request comes to; bit 0 is to join a network
// namespace. Identity maps are the floor's one line: what is in a map costs
// nothing that can be measured.
func cloneFlags(r *request.Request) uint64 {
	flags := uint64(0)
	for kind, flag := range map[specs.LinuxNamespaceType]uint64{
		specs.MountNamespace: 0x20000, specs.CgroupNamespace: 0x2000000, specs.UTSNamespace: 0x4000000, specs.IPCNamespace: 0x8000000,
		specs.UserNamespace: 0x10000000, specs.PIDNamespace: 0x20000000, specs.NetworkNamespace: 0x40000000, specs.TimeNamespace: 0x80,
	} {
		switch n := r.Namespace(kind); {
		case n.Fresh():
			flags |= flag
		case n.Asked && n.Path != "" && kind == specs.NetworkNamespace:
			flags |= 1
		}
	}
	return flags
}

func (f *fuzzer) Round(_ namespaces, n int) ([]time.Duration, error) {
	took, err := f.Burst(namespaces{}, n, 1)
	return []time.Duration{took / time.Duration(max(n, 1))}, err
}

// Burst runs a campaign of so many cases. What it takes to set one up is not
// counted.
func (f *fuzzer) Burst(_ namespaces, n, inFlight int) (time.Duration, error) {
	f.next++
	c := &campaign.Campaign{
		Info: campaign.Info{Model: f.b.Model.Hash(), Seed: fuzzSeed + f.next, Strength: 1, Kernel: f.b.Kernel, Engine: "native"}, Model: f.b.Model,
		N: uint64(n), Parallel: inFlight, Launch: f.b.Launch, Dir: f.b.Dir,
	}
	var first, last time.Time
	c.Tell = func(p *campaign.Progress) {
		first, last = p.Begun, time.Now()
	}
	res, err := c.Run(context.Background())
	if err != nil {
		return 0, err
	}
	judged, others := res.Of(c.Info).Counts()
	if judged != n {
		return 0, fmt.Errorf("%d of %d cases judged, %d not", judged, n, others)
	}
	return last.Sub(first), nil
}

var _ concurrent = &fuzzer{}
