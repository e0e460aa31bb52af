package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// held gathers what no posture shows, from the parked workload: its mount
// table, sysctls, devices and the limits of its cgroups. What is left between
// here and the first instruction (descriptors, ids, capabilities, limits,
// seccomp) changes none of it.
type held struct {
	pid int
	cfg *checkpoint.Config

	own int // limits of the extension, the last in cfg

	mounts    []*mountinfo.Info
	mountsErr error
}

func (h *held) gather(beyond []oracle.Beyond) []Evidence {
	if len(beyond) == 0 {
		return nil
	}
	f, err := os.Open(h.proc("mountinfo"))
	if err == nil {
		h.mounts, err = mountinfo.GetMountsFromReader(f, nil)
		f.Close()
	}
	h.mountsErr = err
	out := make([]Evidence, 0, len(beyond))
	for _, b := range beyond {
		e := Evidence{Field: b.Field}
		got, holds, why, err := h.look(&b)
		switch {
		case err != nil:
			e.Why = err.Error()
		default:
			e.Known, e.Holds, e.Got, e.Why = true, holds, got, why
		}
		out = append(out, e)
	}
	return out
}

func (h *held) proc(name string) string { return "/proc/" + strconv.Itoa(h.pid) + "/" + name }

// look answers for one field: what is there, whether it is what was asked for
// and why not, or an error if it cannot be told.
func (h *held) look(b *oracle.Beyond) (got any, holds bool, why string, err error) {
	name, index := b.Field, -1
	if i := strings.IndexByte(name, '['); i >= 0 {
		index, _ = strconv.Atoi(strings.TrimSuffix(name[i+1:], "]"))
		name = name[:i]
	}
	switch {
	case name == "mounts":
		return h.mount(b.Want.(specs.Mount))
	case name == "linux.rootfsPropagation":
		return h.propagation(b.Want.(string))
	case strings.HasPrefix(name, "linux.sysctl."):
		return h.sysctl(strings.TrimPrefix(name, "linux.sysctl."), b.Want.(string))
	case strings.HasPrefix(name, "linux.resources."), name == "holdshort.cgroup.limits":
		return h.limits(name, index)
	case strings.HasPrefix(name, "holdshort.network."):
		return h.network(strings.TrimPrefix(name, "holdshort.network."), index)
	}
	return nil, false, "", fmt.Errorf("no way to see it from outside is known")
}

// mount compares the topmost mount at a target with what was asked for.
func (h *held) mount(want specs.Mount) (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	target := filepath.Clean("/" + want.Destination)
	var m *mountinfo.Info
	for _, i := range h.mounts {
		if i.Mountpoint == target {
			m = i
		}
	}
	if m == nil {
		return nil, false, "nothing is mounted there", nil
	}
	got := map[string]string{"type": m.FSType, "source": m.Source, "root": m.Root, "options": m.Options}
	has := func(o string) bool { return slices.Contains(strings.Split(m.Options, ","), o) }
	bind := slices.Contains(want.Options, "bind") || slices.Contains(want.Options, "rbind")
	if bind {
		var st, at unix.Stat_t
		if err := unix.Stat(want.Source, &st); err != nil {
			return nil, false, "", err
		}
		if err := unix.Stat(h.proc("root")+target, &at); err != nil {
			return nil, false, "", err
		}
		if st.Dev != at.Dev || st.Ino != at.Ino {
			return got, false, "it is another file than the source", nil
		}
	} else if want.Type != "" && m.FSType != want.Type {
		return got, false, "the file system is of another type", nil
	}
	for _, o := range want.Options {
		switch o {
		case "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime":
			if !has(o) {
				return got, false, o + " is not in force", nil
			}
		case "rw":
			if has("ro") {
				return got, false, "it is read-only", nil
			}
		}
	}
	return got, true, "", nil
}

func (h *held) propagation(want string) (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	for _, m := range h.mounts {
		if m.Mountpoint != "/" {
			continue
		}
		got := "private"
		switch {
		case strings.Contains(m.Optional, "shared:"):
			got = "shared"
		case strings.Contains(m.Optional, "master:"):
			got = "slave"
		case strings.Contains(m.Optional, "unbindable"):
			got = "unbindable"
		}
		want = strings.TrimPrefix(want, "r")
		if want == "slave" && got == "private" {
			// A mount without peers has no master to become a slave of, and
			// nothing reaches it: MS_SLAVE does nothing (mount_namespaces(7)).
			return got, true, "it has no peer that it could be a slave of", nil
		}
		return got, got == want, "", nil
	}
	return nil, false, "", fmt.Errorf("no root in the mount table")
}

func (h *held) sysctl(key, want string) (any, bool, string, error) {
	var got string
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	err := h.inside([]string{"net", "ipc", "uts"}, func() error {
		b, err := os.ReadFile(path)
		got = strings.Join(strings.Fields(string(b)), " ")
		return err
	})
	return got, got == strings.Join(strings.Fields(want), " "), "", err
}

// inside runs f in namespaces of the workload, on a thread that ends with it.
func (h *held) inside(kinds []string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		for _, k := range kinds {
			fd, err := unix.Open(h.proc("ns/"+k), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				err = unix.Setns(fd, 0)
				unix.Close(fd)
			}
			if err != nil {
				done <- fmt.Errorf("enter the workload's %s namespace: %w", k, err)
				return
			}
		}
		done <- f()
	}()
	return <-done
}

// limits reads the cgroup files that the request came to.
func (h *held) limits(name string, index int) (any, bool, string, error) {
	got := map[string]string{}
	for i, l := range h.cfg.Cgroup.Limits {
		if name == "holdshort.cgroup.limits" && i != h.limitIndex(index) {
			continue
		}
		if name != "holdshort.cgroup.limits" && !belongs(name, l.File) {
			continue
		}
		dir := h.cfg.Cgroup.V2
		if l.Controller != "" {
			dir = h.cfg.Cgroup.V1[l.Controller]
		}
		b, err := os.ReadFile(filepath.Join(dir, l.File))
		if err != nil {
			return nil, false, "", err
		}
		text := strings.TrimSpace(string(b))
		got[l.File] = text
		if !sameLimit(l.Value, text) {
			return got, false, fmt.Sprintf("%s holds %q, not %q", l.File, text, l.Value), nil
		}
	}
	if len(got) == 0 {
		return nil, false, "", fmt.Errorf("no file of a cgroup came of it")
	}
	return got, true, "", nil
}

// limitIndex: the extension's own limits come last in the plan.
func (h *held) limitIndex(i int) int { return len(h.cfg.Cgroup.Limits) - h.own + i }

// belongs says whether a cgroup file is one that a part of linux.resources
// turns into.
func belongs(name, file string) bool {
	part := strings.TrimPrefix(name, "linux.resources.")
	part, unified, _ := strings.Cut(part, ".")
	if part == "unified" {
		return file == unified
	}
	prefixes := map[string][]string{
		"memory": {"memory."}, "cpu": {"cpu.", "cpuset."}, "pids": {"pids."}, "blockIO": {"io.", "blkio."},
		"hugepageLimits": {"hugetlb."}, "network": {"net_cls.", "net_prio."}, "rdma": {"rdma."},
	}
	for _, p := range prefixes[part] {
		if strings.HasPrefix(file, p) {
			return true
		}
	}
	return false
}

// sameLimit allows for what the kernel makes of a value: "max" and -1 are the
// largest number, memory is rounded down to pages, a pair's default second half
// is filled in.
func sameLimit(want, got string) bool {
	if want == got {
		return true
	}
	w, g := strings.Fields(want), strings.Fields(got)
	if len(w) == 0 || len(g) < len(w) {
		return false
	}
	for i := range w {
		if w[i] == g[i] {
			continue
		}
		a, b := limitNumber(w[i]), limitNumber(g[i])
		page := uint64(os.Getpagesize())
		if a != b && (a < page || a/page*page != b) {
			return false
		}
	}
	return true
}

func limitNumber(s string) uint64 {
	const pages = 1<<63 - 4096 // what version 1 shows for "no limit"
	if s == "max" || s == "-1" {
		return pages
	}
	mult := uint64(1)
	if n := len(s); n > 1 {
		switch s[n-1] {
		case 'k', 'K':
			mult = 1 << 10
		case 'm', 'M':
			mult = 1 << 20
		case 'g', 'G':
			mult = 1 << 30
		}
		if mult > 1 {
			s = s[:n-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 1<<64 - 1
	}
	return n * mult
}

func (h *held) network(part string, index int) (any, bool, string, error) {
	fd, err := netns.GetFromPath(h.proc("ns/net"))
	if err != nil {
		return nil, false, "", err
	}
	defer fd.Close()
	nl, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, false, "", err
	}
	defer nl.Close()
	n := &h.cfg.Network
	if i := strings.IndexByte(part, '['); i >= 0 {
		part = part[:i]
	}
	switch part {
	case "loopbackUp":
		lo, err := nl.LinkByName("lo")
		if err != nil {
			return nil, false, "", err
		}
		return lo.Attrs().Flags.String(), lo.Attrs().RawFlags&unix.IFF_UP != 0, "", nil
	case "links":
		return seeLink(nl, &n.Links[index])
	case "routes":
		return seeRoute(nl, &n.Routes[index])
	}
	return nil, false, "", fmt.Errorf("no way to see it from outside is known")
}

func seeLink(nl *netlink.Handle, want *checkpoint.Link) (any, bool, string, error) {
	l, err := nl.LinkByName(want.Name)
	if err != nil {
		return nil, false, "there is no such device: " + err.Error(), nil
	}
	addrs, err := nl.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, "", err
	}
	var list []string
	for _, a := range addrs {
		list = append(list, a.IPNet.String())
	}
	got := map[string]any{"kind": l.Type(), "mtu": l.Attrs().MTU, "flags": l.Attrs().Flags.String(), "addresses": list}
	switch {
	case want.Kind != checkpoint.Move && l.Type() != string(want.Kind):
		return got, false, "it is of another kind", nil
	case want.MTU != 0 && l.Attrs().MTU != want.MTU:
		return got, false, "it has another mtu", nil
	case want.Down == (l.Attrs().RawFlags&unix.IFF_UP != 0):
		return got, false, "up or down is wrong", nil
	}
	for _, a := range want.Addresses {
		if !slices.Contains(list, a.String()) {
			return got, false, a.String() + " is missing", nil
		}
	}
	return got, true, "", nil
}

func seeRoute(nl *netlink.Handle, want *checkpoint.Route) (any, bool, string, error) {
	routes, err := nl.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, "", err
	}
	var got []string
	holds := false
	for _, r := range routes {
		got = append(got, r.String())
		dst := r.Dst == nil || r.Dst.IP.IsUnspecified()
		if want.Destination.IsValid() {
			dst = r.Dst != nil && r.Dst.String() == want.Destination.Masked().String()
		}
		gw := !want.Gateway.IsValid() || r.Gw.String() == want.Gateway.String()
		holds = holds || dst && gw
	}
	return got, holds, "", nil
}
