package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// beyondOutside is a constraint that no posture shows and that can be put on,
// and taken off, from outside.
type beyondOutside struct {
	name  string
	need  func(t *testing.T, r *Runner) string
	ask   func(t *testing.T, q *request.Request)
	skip  func(c *checkpoint.Config)
	apply func(r *Runner, pid int) error
	undo  func(r *Runner, pid int) error
	field string
}

// within does something in a namespace of another process, on a thread that
// ends with it.
func within(pid int, kind string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- func() error {
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if kind == "mnt" { // needs a root and a working directory of the thread's own
				if err := unix.Unshare(unix.CLONE_FS); err != nil {
					return err
				}
			}
			if err := unix.Setns(fd, 0); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-done
}

func linkUp(pid int, name string, up bool) error {
	fd, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer fd.Close()
	nl, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	l, err := nl.LinkByName(name)
	if err != nil {
		return err
	}
	if !up {
		return nl.LinkSetDown(l)
	}
	return nl.LinkSetUp(l)
}

func beyondOutsides(r *Runner) []beyondOutside {
	const at = "/mnt"
	mount := func() error {
		return unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k")
	}
	mounts := func(t *testing.T, q *request.Request) {
		t.Helper()
		ns(specs.MountNamespace)(t, q)
		q.Spec.Mounts = []specs.Mount{{Destination: at, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "size=64k"}}}
	}
	const key, value, before = "net.core.somaxconn", "77", "128"
	somaxconn := func(v string) func(*Runner, int) error {
		return func(_ *Runner, pid int) error {
			return within(pid, "net", func() error { return os.WriteFile("/proc/sys/net/core/somaxconn", []byte(v), 0) })
		}
	}
	limit := func(v1, file, v, other string) beyondOutside {
		top, need := r.machine.host.CgroupV2, hasV2("")
		if v1 != "" {
			top, need = r.machine.host.CgroupV1[v1], hasV1(v1)
		}
		write := func(v string) func(*Runner, int) error {
			return func(_ *Runner, pid int) error {
				own, err := cgroupsOf(strconv.Itoa(pid))
				if err != nil {
					return err
				}
				return os.WriteFile(filepath.Join(top, own[v1], file), []byte(v), 0)
			}
		}
		return beyondOutside{
			name: "limit " + file, need: need, field: "holdshort.cgroup.limits[0]",
			ask: func(_ *testing.T, q *request.Request) {
				placedIn(q, top, v1)
				q.Ext.Cgroup.Limits = []request.CgroupLimit{{Controller: v1, File: file, Value: v}}
			},
			skip:  func(c *checkpoint.Config) { c.Cgroup.Limits[0].Value = other },
			apply: write(v), undo: write(other),
		}
	}
	veth := func(t *testing.T, q *request.Request) {
		t.Helper()
		ns(specs.NetworkNamespace)(t, q)
		q.Ext.Network.Links = []request.Link{{
			Kind: "veth", Name: "inner", Host: hostLink + "l", Addresses: []netip.Prefix{netip.MustParsePrefix("10.213.6.2/24")},
		}}
	}
	return []beyondOutside{
		{
			name: "mount", field: "mounts[0]", ask: mounts, skip: func(c *checkpoint.Config) { c.Mounts = nil },
			apply: func(_ *Runner, pid int) error { return within(pid, "mnt", mount) },
			undo: func(_ *Runner, pid int) error {
				return within(pid, "mnt", func() error { return unix.Unmount(at, unix.MNT_DETACH) })
			},
		},
		{
			name: "sysctl", field: "linux.sysctl." + key,
			ask: func(t *testing.T, q *request.Request) {
				t.Helper()
				ns(specs.NetworkNamespace)(t, q)
				q.Spec.Linux.Sysctl = map[string]string{key: value}
			},
			skip: func(c *checkpoint.Config) { c.Sysctls = nil }, apply: somaxconn(value), undo: somaxconn(before),
		},
		{
			name: "loopback", field: "holdshort.network.loopbackUp",
			ask: func(t *testing.T, q *request.Request) {
				t.Helper()
				ns(specs.NetworkNamespace)(t, q)
				q.Ext.Network.LoopbackUp = true
			},
			skip:  func(c *checkpoint.Config) { c.Network.LoopbackUp = false },
			apply: func(_ *Runner, pid int) error { return linkUp(pid, "lo", true) },
			undo:  func(_ *Runner, pid int) error { return linkUp(pid, "lo", false) },
		},
		{
			name: "link", field: "holdshort.network.links[0]", ask: veth,
			need: func(t *testing.T, r *Runner) string {
				t.Helper()
				q := request.New("/bin/true")
				veth(t, q)
				defer linkGone(t, hostLink+"l")
				if c, err := r.Run(bg, q, nil); err != nil || c.Launch.Err != nil {
					return "veth devices"
				}
				return ""
			},
			skip:  func(c *checkpoint.Config) { c.Network.Links[0].Down = true },
			apply: func(_ *Runner, pid int) error { return linkUp(pid, "inner", true) },
			undo:  func(_ *Runner, pid int) error { return linkUp(pid, "inner", false) },
		},
		limit("", "cgroup.max.depth", "9", "max"),
		limit("pids", "pids.max", "44", "max"),
	}
}

// TestAppliedLate_Beyond: what the launcher left out is put on when the program
// runs. It holds from then on, and did not when it began; with and without
// freeze mode.
func TestAppliedLate_Beyond(t *testing.T) {
	for mode, r := range map[string]*Runner{"parked": shared(t), "frozen": frozenRunner(t, nil)} {
		for _, o := range beyondOutsides(r) {
			t.Run(mode+"/"+o.name, func(t *testing.T) { o.late(t, r) })
		}
	}
}

func (o *beyondOutside) late(t *testing.T, r *Runner) {
	t.Helper()
	t.Cleanup(func() { noteSkipped(t) })
	defer func() { r.tamper, r.parked = nil, nil }()
	if o.need != nil {
		if what := o.need(t, r); what != "" {
			t.Skip("needs " + what)
		}
	}
	q := request.New("/bin/sleep", "1000")
	o.ask(t, q)
	r.tamper = config(o.skip)
	done := make(chan error, 1)
	r.parked = func(w *checkpoint.Workload) {
		go func() {
			defer func() { _ = w.Kill() }()
			if !sleeps(w.HostPID()) {
				done <- errors.New("it does not run")
				return
			}
			done <- errors.Join(o.apply(r, w.HostPID()), o.holds(r, q, w.HostPID()))
		}()
	}
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	(&sabotage{want: finds{o.field: oracle.Weaker}}).judge(t, c)
	linkGone(t, hostLink+"l")
}

// holds tells whether the constraint is there now, by the same means that the
// verdict has: else the test would show nothing.
func (o *beyondOutside) holds(r *Runner, q *request.Request, pid int) error {
	c, err := engine.Config(q, r.machine.engine())
	if err != nil {
		return err
	}
	h := held{pid: pid, cfg: c, at: AtFrozen, frozen: true, req: q, host: r.machine.host, own: len(q.Ext.Cgroup.Limits), ownLinks: len(q.Ext.Network.Links), observer: r.observer}
	h.mountsBefore(len(q.Spec.Mounts) > 0)
	for _, e := range h.gather(oracle.Asked(q)) {
		if e.Field == o.field && (!e.Known || !e.Holds) {
			return fmt.Errorf("%s does not hold once it was put on: %s", e.Field, e.Why)
		}
	}
	return nil
}

// TestChangedWhileParked_Beyond takes off what was put on, between the look at
// the parked workload and its execve. Freeze mode sees it.
func TestChangedWhileParked_Beyond(t *testing.T) {
	r := frozenRunner(t, nil)
	for _, o := range beyondOutsides(r) {
		t.Run(o.name, func(t *testing.T) {
			(&sabotage{
				need: o.need, ask: o.ask, want: finds{o.field: oracle.Weaker},
				parked: func(t *testing.T, r *Runner, w *checkpoint.Workload) {
					t.Helper()
					if err := o.undo(r, w.HostPID()); err != nil {
						t.Error(err)
					}
				},
			}).run(t, r)
		})
	}
}
