package campaign

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync"
	"time"
)

// pending bounds how many network namespaces wait for their end. The kernel takes
// them down on its own time, some milliseconds each, after their last process
// has gone (net/core/net_namespace.c, cleanup_net): who makes them faster than
// that runs out of memory.
type pending struct {
	most  int
	count func() (int, bool) // namespaces that there are, dying ones too
	mu    sync.Mutex
	free  int // launches until the next look: no more can be dying then
	calm  int // how many there were when nothing was under way
	known bool
}

const (
	mostPending = 256 // each takes some 50 KiB of kernel memory
	lookEvery   = 64  // at least: a look takes as long as a few launches
)

func newPending() *pending {
	p := &pending{most: mostPending, count: countNets}
	p.calm, p.known = p.count()
	return p
}

// wait lets a launch with a network namespace of its own begin.
func (p *pending) wait(ctx context.Context) {
	if !p.known {
		return
	}
	p.mu.Lock() // held while waiting: the others have to wait as well
	defer p.mu.Unlock()
	if p.free--; p.free > 0 {
		return
	}
	p.free = lookEvery
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	// Others on this machine make namespaces, too: they may be the ones that
	// stay, so it is no wait for ever.
	end := time.Now().Add(2 * time.Second)
	for first := true; ; first = false {
		n, ok := p.count()
		if !ok || n-p.calm <= p.most {
			p.free = max(lookEvery, p.most-(n-p.calm))
			return
		}
		if !first && time.Now().After(end) {
			p.calm = n - p.most
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// countNets reads how many there are from the kernel's allocator, the only place
// that shows dying ones. It takes root.
func countNets() (int, bool) {
	b, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("net_namespace ")); ok {
			f := bytes.Fields(rest)
			if len(f) == 0 {
				return 0, false
			}
			n, err := strconv.Atoi(string(f[0]))
			return n, err == nil
		}
	}
	return 0, false
}
