package campaign

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/internal/netdump"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netPool has network namespaces for cases that join one: to make one takes the
// kernel longer than all else of such a case. No two cases have one at a time,
// and what a case changes in one is found when it is given back.
type netPool struct {
	mu   sync.Mutex
	free []*pooledNet
	all  []*pooledNet
}

// pooledNet is one of them. Only descriptors keep it, so that nothing is left
// of it when the process is killed.
type pooledNet struct {
	ns     *os.File
	nl     *netlink.Handle
	before []string
}

// take lends a namespace, a new one if none is free.
func (p *netPool) take() (*pooledNet, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		ns := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return ns, nil
	}
	p.mu.Unlock()
	ns, err := newPooledNet()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, ns)
	return ns, nil
}

// give takes one back, and says what is not as it was. Such a one is not lent
// again.
func (p *netPool) give(ns *pooledNet) (changed []string) {
	now, err := ns.state()
	if err != nil {
		changed = []string{"unreadable"}
	}
	for i := range now {
		if now[i] != ns.before[i] {
			changed = append(changed, netParts[i])
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if changed == nil {
		p.free = append(p.free, ns)
		return nil
	}
	p.all = slices.DeleteFunc(p.all, func(x *pooledNet) bool { return x == ns })
	ns.close()
	return changed
}

func (p *netPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ns := range p.all {
		ns.close()
	}
	p.all, p.free = nil, nil
}

func (n *pooledNet) close() {
	if n.nl != nil {
		n.nl.Close()
	}
	if n.ns != nil {
		n.ns.Close()
	}
}

// newPooledNet makes one on a thread that then ends.
func newPooledNet() (*pooledNet, error) {
	type made struct {
		*pooledNet
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked
		n := &pooledNet{}
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.ns, err = os.Open("/proc/thread-self/ns/net")
		}
		if err == nil {
			n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		}
		if err == nil {
			n.before, err = n.state()
		}
		if err != nil {
			n.close()
			err = fmt.Errorf("a network namespace for the pool: %w", err)
		}
		done <- made{n, err}
	}()
	m := <-done
	return m.pooledNet, m.err
}

// netParts is what [pooledNet.state] looks at.
var netParts = []string{"devices", "addresses", "routes", "rules"}

func (n *pooledNet) state() ([]string, error) {
	links, err := netdump.Whole(n.nl.LinkList)
	if err != nil {
		return nil, err
	}
	var devices []string
	for _, l := range links {
		a := l.Attrs()
		devices = append(devices, fmt.Sprint(a.Name, a.Flags, a.MTU, a.TxQLen))
	}
	addresses, err := netdump.Whole(func() ([]netlink.Addr, error) { return n.nl.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	routes, err := netdump.Whole(func() ([]netlink.Route, error) {
		return n.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, err
	}
	rules, err := netdump.Whole(func() ([]netlink.Rule, error) { return n.nl.RuleList(netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	return []string{strings.Join(devices, ";"), fmt.Sprint(addresses), fmt.Sprint(routes), fmt.Sprint(len(rules))}, nil
}

// lend puts a namespace of the pool into requests that ask for one. The second
// result is called when the launch has ended, and says what it has changed.
func (p *netPool) lend(dir string, all ...*request.Request) (lent []*request.Request, back func() []string, err error) {
	var ns *pooledNet
	lent = slices.Clone(all)
	for i, r := range all {
		at := slices.IndexFunc(r.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Path == fuzz.PooledNet(dir) })
		if at < 0 {
			continue
		}
		if ns == nil {
			if ns, err = p.take(); err != nil {
				return nil, nil, err
			}
		}
		if i > 0 && r == all[0] {
			lent[i] = lent[0] // that nothing is planted must still be seen
			continue
		}
		c, spec, linux := *r, *r.Spec, *r.Spec.Linux
		linux.Namespaces = slices.Clone(linux.Namespaces)
		linux.Namespaces[at].Path = fmt.Sprintf("/proc/self/fd/%d", ns.ns.Fd())
		c.Spec, spec.Linux = &spec, &linux
		lent[i] = &c
	}
	return lent, func() []string {
		if ns == nil {
			return nil
		}
		return p.give(ns)
	}, nil
}
