package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// latency lets all contestants launch one at a time, taking turns.
func latency(s *settings, r *results, title string, ns namespaces, all []contestant) error {
	defer closeAll(all)
	took := make([][]time.Duration, len(all))
	size := make([]int, len(all))
	why := make([]error, len(all))
	for i, c := range all {
		size[i], why[i] = calibrate(c, ns, s.perCase/time.Duration(s.rounds))
	}
	if why[0] != nil {
		return noFloor(r, title, ns, why[0])
	}
	order := rand.New(rand.NewPCG(1, 1))
	for range s.rounds {
		// In a new order each time: the kernel takes namespaces down after
		// their last process has gone, at the expense of whoever is next.
		for _, i := range order.Perm(len(all)) {
			if why[i] != nil {
				continue
			}
			var d []time.Duration
			d, why[i] = all[i].Round(ns, size[i])
			took[i] = append(took[i], d...)
		}
	}
	r.begin(title)
	base := median(took[0])
	for i, c := range all {
		if why[i] != nil {
			r.skip(title, c.Name(), why[i])
			continue
		}
		mid := median(took[i])
		r.add(row{
			Case: title, What: c.Name(), N: len(took[i]), P50: micros(mid), P99: micros(quantile(took[i], 0.99)),
			PerSecond: float64(len(took[i])) / sum(took[i]).Seconds(), Ratio: float64(mid) / float64(base),
		})
	}
	return nil
}

// calibrate says how many launches fit into a round; at least one.
func calibrate(c contestant, ns namespaces, round time.Duration) (int, error) {
	var d []time.Duration
	for range 3 { // the first are always slower
		var err error
		if d, err = c.Round(ns, 1); err != nil {
			return 0, err
		}
	}
	return max(1, int(round/max(d[0], time.Microsecond))), nil
}

// throughput finds out how many launches a second each contestant gets with as
// many in flight as suit it best.
func throughput(s *settings, r *results, ns namespaces, all []contestant) error {
	defer closeAll(all)
	title := "throughput, " + ns.title
	type best struct {
		rate     float64
		inFlight int
	}
	bests := make([]best, len(all))
	why := make([]error, len(all))
	const turns = 5
	slot := s.perCase / time.Duration(turns*len(s.inFlight))
	order := rand.New(rand.NewPCG(1, 1))
	for _, k := range s.inFlight {
		rates := make([][]float64, len(all))
		for range turns {
			for _, i := range order.Perm(len(all)) {
				if why[i] != nil {
					continue
				}
				var rate float64
				rate, why[i] = burst(all[i], ns, k, slot)
				rates[i] = append(rates[i], rate)
			}
		}
		for i := range all {
			if why[i] == nil {
				slices.Sort(rates[i])
				if mid := rates[i][len(rates[i])/2]; mid > bests[i].rate {
					bests[i] = best{mid, k}
				}
			}
		}
	}
	if why[0] != nil {
		return noFloor(r, title, ns, why[0])
	}
	r.begin(title)
	for i, c := range all {
		if why[i] != nil {
			r.skip(title, c.Name(), why[i])
			continue
		}
		r.add(row{
			Case: title, What: c.Name(), InFlight: bests[i].inFlight, PerSecond: bests[i].rate,
			Ratio: bests[0].rate / bests[i].rate,
		})
	}
	return nil
}

// noFloor leaves a case out whose namespaces this machine does not give; with
// none asked for there is no reason to fail.
func noFloor(r *results, title string, ns namespaces, why error) error {
	if ns.flags == 0 {
		return fmt.Errorf("%s: %w", floorName, why)
	}
	r.begin(title)
	r.skip(title, floorName+" and all others", why)
	return nil
}

// burst measures for about the time of a slot.
func burst(c contestant, ns namespaces, inFlight int, slot time.Duration) (float64, error) {
	b, ok := c.(concurrent)
	if !ok {
		_, err := c.Round(ns, 1)
		return 0, errors.Join(err, errors.ErrUnsupported)
	}
	n := 2 * inFlight
	took, err := b.Burst(ns, n, inFlight)
	if err != nil {
		return 0, err
	}
	if want := int(float64(n) * slot.Seconds() / took.Seconds()); want > n {
		if took, err = b.Burst(ns, want, inFlight); err != nil {
			return 0, err
		}
		n = want
	}
	return float64(n) / took.Seconds(), nil
}

// heap repeats the first case for contestants that live in this process, with
// so much of touched Go heap in it.
func heap(s *settings, r *results, dir string, mib int) error {
	defer debug.FreeOSMemory()
	ballast := make([]byte, mib<<20)
	for i := range ballast {
		ballast[i] = byte(i)
	}
	var list []contestant
	for i, c := range contestants(s, dir) {
		if i == 0 || c.Name() == "os/exec" || strings.HasPrefix(c.Name(), "holdshort") {
			list = append(list, c)
		} else {
			c.Close()
		}
	}
	title := fmt.Sprintf("latency, %s, host with %d MiB of heap", namespaceSets[2].title, mib)
	err := latency(s, r, title, namespaceSets[2], list)
	runtime.KeepAlive(ballast)
	return err
}

// parked measures what a held child takes of the machine's memory.
func parked(s *settings, r *results) error {
	title := fmt.Sprintf("%d held at once", s.parked)
	r.begin(title)
	for _, c := range ours(s) {
		p, ok := c.(parker)
		if !ok {
			c.Close()
			continue
		}
		before, err := memFree()
		if err != nil {
			return err
		}
		var during int64
		start := time.Now()
		var took time.Duration
		err = p.Park(s.parked, func() {
			took = time.Since(start)
			during, _ = memFree()
		})
		if err != nil {
			r.skip(title, c.Name(), err)
		} else {
			r.add(row{
				Case: title, What: c.Name(), N: s.parked, PerSecond: float64(s.parked) / took.Seconds(),
				KiBEach: float64(before-during) / float64(s.parked),
			})
		}
		c.Close()
	}
	return nil
}

// memFree is in KiB. It shows the kernel's own memory for a task too, which no
// figure of the task itself has.
func memFree() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemFree: %d kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, errors.New("/proc/meminfo has no MemFree")
}

func closeAll(all []contestant) {
	for _, c := range all {
		c.Close()
	}
}

func sum(d []time.Duration) time.Duration {
	var s time.Duration
	for _, v := range d {
		s += v
	}
	return s
}

func quantile(d []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[int(q*float64(len(sorted)-1))]
}

func median(d []time.Duration) time.Duration { return quantile(d, 0.5) }

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
