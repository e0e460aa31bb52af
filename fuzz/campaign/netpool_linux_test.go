package campaign

import (
	"context"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestPooledNetworkNamespace: it is lent again as long as it is as it was, and
// what is changed in it is told.
func TestPooledNetworkNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	var p netPool
	defer p.close()
	a, err := p.take()
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.take()
	if err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Fatal("one namespace was lent twice")
	}
	if changed := p.give(b); changed != nil {
		t.Errorf("nothing was done in it, and yet %v", changed)
	}
	if c, err := p.take(); err != nil || c != b {
		t.Errorf("another one is made although one is free: %v", err)
	}
	up := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		err := unix.Setns(int(a.ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}})
		}
		up <- err
	}()
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	if changed := p.give(a); !slices.Contains(changed, "devices") {
		t.Errorf("a device was set up, and only this is seen: %v", changed)
	}
	if c, err := p.take(); err != nil || c == a {
		t.Errorf("one that was changed is lent again: %v", err)
	}
}

// TestResidueInAPooledNamespaceIsFound: a launcher that forgets to take a new
// network namespace where it should, and uses a pooled one, leaves something in
// it. The expectation sees another namespace than asked for; only the pool sees
// what is left.
func TestResidueInAPooledNamespaceIsFound(t *testing.T) {
	b := bench(t)
	a, err := b.Model.Assign(map[string]string{"ns net": "pooled"})
	if err != nil {
		t.Skip(err)
	}
	b.Sabotage = func(_ fuzz.Assignment, asked *request.Request) *request.Request {
		l := *asked
		l.Ext.Network.LoopbackUp = true
		return &l
	}
	v := b.Launch(t.Context(), a, b.Model.Build(a, 1, 1))
	if !slices.Contains(v.Keys, "residue: pooled network namespace: devices") {
		t.Errorf("keys %v, error %v", v.Keys, v.Err)
	}
	b.Sabotage = nil
	if v := b.Launch(t.Context(), a, b.Model.Build(a, 1, 1)); !v.Clean() {
		t.Errorf("the next one: keys %v, error %v", v.Keys, v.Err)
	}
}

// TestPendingWaits: it waits while too many are dying, and not for ever for those
// that stay.
func TestPendingWaits(t *testing.T) {
	there := 40
	p := &pending{most: 10, calm: 0, known: true, count: func() (int, bool) {
		there -= 10
		return there, true
	}}
	p.wait(t.Context())
	if there != 10 {
		t.Errorf("it went on while there were %d", there)
	}
	looks := 0
	p = &pending{most: 10, known: true, count: func() (int, bool) { looks++; return 1000, true }}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p.wait(ctx)
	if ctx.Err() != nil || p.calm != 990 {
		t.Errorf("those that stay were waited for: %v, calm %d", ctx.Err(), p.calm)
	}
	looks = 0
	for range lookEvery - 1 {
		p.wait(ctx)
	}
	if looks != 0 {
		t.Errorf("%d looks within %d launches", looks, lookEvery-1)
	}
}
