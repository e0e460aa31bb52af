package harness

import (
	"errors"
	"fmt"
	"net/netip"
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
	// before counts the mounts at each point before the workload's own were
	// made; nil if that is not known.
	before map[string]int
}

// mountsBefore looks at the mount table that the workload's begins as a copy
// of, so that a mount that was there already is not taken for a new one.
func (h *held) mountsBefore(asked bool) {
	table := "/proc/self/mountinfo"
	for _, n := range h.cfg.Namespaces {
		if n.Kind != checkpoint.Mnt {
			continue
		}
		if n.PID > 0 {
			table = "/proc/" + strconv.Itoa(n.PID) + "/mountinfo"
		}
		asked = asked && n.Path == ""
	}
	if !asked {
		return
	}
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	list, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return
	}
	h.before = make(map[string]int, len(list))
	for _, m := range list {
		h.before[m.Mountpoint]++
	}
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
	m := h.mountAt(filepath.Clean("/" + want.Destination))
	if m == nil {
		return nil, false, "nothing is mounted there", nil
	}
	got := map[string]string{"type": m.FSType, "source": m.Source, "root": m.Root, "options": m.Options, "data": m.VFSOptions}
	if !slices.Contains(want.Options, "remount") {
		if h.before == nil {
			return nil, false, "", errors.New("the mounts before the launch are not known, so a new one cannot be told from an old one")
		}
		if !h.isNew(m) {
			return got, false, "what is mounted there was there before", nil
		}
	}
	has := func(o string) bool { return slices.Contains(strings.Split(m.Options, ","), o) }
	bind := slices.Contains(want.Options, "bind") || slices.Contains(want.Options, "rbind")
	if bind {
		var st, at unix.Stat_t
		if err := unix.Stat(want.Source, &st); err != nil {
			return nil, false, "", err
		}
		if err := unix.Stat(h.proc("root")+m.Mountpoint, &at); err != nil {
			return nil, false, "", err
		}
		if st.Dev != at.Dev || st.Ino != at.Ino {
			return got, false, "it is another file than the source", nil
		}
	} else if want.Type != "" && m.FSType != want.Type {
		return got, false, "the file system is of another type", nil
	}
	for _, o := range want.Options {
		switch kind := strings.TrimPrefix(o, "r"); {
		case slices.Contains(restrictions, o):
			if !has(o) {
				return got, false, o + " is not in force", nil
			}
		case o == "rw":
			if has("ro") {
				return got, false, "it is read-only", nil
			}
		case slices.Contains(grants, o):
		case slices.Contains(propagationTypes, kind):
			if p := propagationOf(m); !propagates(kind, p) {
				return got, false, "its propagation is " + p, nil
			}
		case !bind: // a bind mount has no data of its own
			ok, err := h.mountData(o, m)
			if err != nil {
				return nil, false, "", err
			}
			if !ok {
				return got, false, o + " is not in force", nil
			}
		}
	}
	return got, true, "", nil
}

// Options of mounts: those that restrain, and that are shown when in force, and
// those that say that there is no restraint, or nothing that is shown.
var (
	restrictions     = []string{"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow"}
	grants           = []string{"defaults", "bind", "rbind", "remount", "suid", "dev", "exec", "async", "atime", "diratime", "norelatime", "strictatime", "nostrictatime", "newinstance"}
	propagationTypes = []string{"private", "slave", "shared", "unbindable"}
)

// mountAt finds the mount that the workload finds at a path, symbolic links
// followed inside its root.
func (h *held) mountAt(target string) *mountinfo.Info {
	id := -1
	if root, err := unix.Open(h.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(root)
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
		if fd, err := unix.Openat2(root, target, &how); err == nil {
			defer unix.Close(fd)
			var st unix.Statx_t
			if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st) == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
				id = int(st.Mnt_id)
			}
		}
	}
	var m *mountinfo.Info
	for _, i := range h.mounts {
		if i.ID == id {
			return i
		}
		if i.Mountpoint == target {
			m = i
		}
	}
	return m
}

// isNew reports whether there are as many mounts more at m's place as were
// asked for.
func (h *held) isNew(m *mountinfo.Info) bool {
	n := 0
	for _, i := range h.mounts {
		if i.Mountpoint == m.Mountpoint {
			n++
		}
	}
	at := m.Mountpoint
	if root := h.cfg.Root.Path; root != "" {
		if real, err := filepath.EvalSymlinks(root); err == nil {
			root = real
		}
		at = filepath.Join(root, at)
	}
	return n > h.before[at]
}

// mountData compares an option of the file system with what it shows.
func (h *held) mountData(want string, m *mountinfo.Info) (bool, error) {
	shown := strings.Split(m.VFSOptions, ",")
	if slices.Contains(shown, want) {
		return true, nil
	}
	key, value, _ := strings.Cut(want, "=")
	got, found := "", false
	for _, o := range shown {
		if k, v, _ := strings.Cut(o, "="); k == key {
			got, found = v, true
		}
	}
	switch key {
	case "size", "nr_blocks", "nr_inodes":
		if strings.HasSuffix(value, "%") {
			break
		}
		return found && sameLimit(strings.ToLower(value), got), nil
	case "mode", "ptmxmode":
		n, err := strconv.ParseUint(value, 8, 32)
		if err != nil {
			break
		}
		if !found && m.FSType == "tmpfs" {
			return n == 0o1777, nil // the default is not shown
		}
		g, err := strconv.ParseUint(got, 8, 32)
		return err == nil && g == n, nil
	case "hidepid":
		words := map[string]string{"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}
		for n, word := range words {
			if value == n || value == word {
				return got == n || got == word || !found && n == "0", nil
			}
		}
	case "uid", "gid": // shown as the initial user namespace has them
		id := uint64(0)
		if found {
			id, _ = strconv.ParseUint(got, 10, 32)
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			break
		}
		return h.hostID(uint32(n), key == "uid") == id, nil
	}
	return false, fmt.Errorf("the file system does not show whether %q is in force", want)
}

// hostID is an id of the workload as the host has it.
func (h *held) hostID(id uint32, user bool) uint64 {
	maps := h.cfg.GIDMap
	if user {
		maps = h.cfg.UIDMap
	}
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Count {
			return uint64(m.Outside) + uint64(id-m.Inside)
		}
	}
	return uint64(id)
}

func propagationOf(m *mountinfo.Info) string {
	switch {
	case strings.Contains(m.Optional, "shared:"):
		return "shared"
	case strings.Contains(m.Optional, "master:"):
		return "slave"
	case strings.Contains(m.Optional, "unbindable"):
		return "unbindable"
	}
	return "private"
}

// propagates: a mount without peers becomes private where a slave was asked
// for, see mount_namespaces(7).
func propagates(want, got string) bool {
	return want == got || want == "slave" && got == "private"
}

func (h *held) propagation(want string) (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	for _, m := range h.mounts {
		if m.Mountpoint == "/" {
			got := propagationOf(m)
			return got, propagates(strings.TrimPrefix(want, "r"), got), "", nil
		}
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
	for i := range addrs {
		// IPv6 gives every device a link-local address by itself.
		asked := slices.ContainsFunc(want.Addresses, func(p netip.Prefix) bool { return p.String() == list[i] })
		if want.Kind != checkpoint.Move && !asked && !addrs[i].IP.IsLinkLocalUnicast() {
			return got, false, list[i] + " was not asked for", nil
		}
	}
	if want.Kind == checkpoint.Veth {
		return seePeer(got, want)
	}
	return got, true, "", nil
}

// seePeer looks at the host's end of a pair.
func seePeer(got map[string]any, want *checkpoint.Link) (any, bool, string, error) {
	if want.Host == "" {
		return got, true, "", nil
	}
	l, err := netlink.LinkByName(want.Host)
	if err != nil {
		return got, false, "there is no " + want.Host + " on the host: " + err.Error(), nil
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, "", err
	}
	for _, a := range want.HostAddresses {
		if !slices.ContainsFunc(addrs, func(x netlink.Addr) bool { return x.IPNet.String() == a.String() }) {
			return got, false, "on the host " + a.String() + " is missing", nil
		}
	}
	return got, true, "", nil
}

func seeRoute(nl *netlink.Handle, want *checkpoint.Route) (any, bool, string, error) {
	routes, err := nl.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, "", err
	}
	link := 0
	if want.Link != "" {
		l, err := nl.LinkByName(want.Link)
		if err != nil {
			return nil, false, "there is no such device: " + err.Error(), nil
		}
		link = l.Attrs().Index
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
		holds = holds || dst && gw && (link == 0 || r.LinkIndex == link)
	}
	return got, holds, "", nil
}
