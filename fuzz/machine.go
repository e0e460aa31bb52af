package fuzz

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	policies "github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/fuzz/caller"
	"github.com/holdshort/holdshort/internal/exitzero"
	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Machine is what is possible here, and the files that the requests name. It
// is plain data: [Draw] reads nothing else.
type Machine struct {
	// Root: the caller is user 0 of the initial user namespace. Without it
	// only requests that need no privilege are drawn.
	Root bool
	// Caps and Bounding are the caller's sets, AllCaps is what the kernel knows.
	Caps, Bounding, AllCaps uint64

	UserNS bool // a user namespace can be made
	TimeNS bool // and one of time
	// SetAttr: attributes of mounts can be changed without a remount (since
	// Linux 5.12), also those below; Mknod: device nodes can be made; IDMapped:
	// owners can be mapped by a mount of the directory's file system.
	SetAttr, Mknod, IDMapped bool

	Dummy bool // network devices of these kinds can be made
	Veth  bool
	// Links are the other kinds that can.
	Links        map[string]bool
	RoutingRules bool // and rules for choosing a routing table
	Nftables     bool // and packet filters
	Mqueue       bool // message queues have their limits in sysctl

	// Speculation are the settings that the kernel leaves to processes, as
	// "storeBypass=disable".
	Speculation []string

	CgroupV2 string            // mount point, or empty
	CgroupV1 map[string]string // controller to mount point
	RTGroups bool              // a new version 1 cpu cgroup takes no realtime task

	CPUs        []int         // that the caller may use
	Rlimits     [16][2]uint64 // soft, hard
	OOMScoreAdj int
	Nice        int
	// Callers are the ways in which the launcher's caller can be unlike us; see
	// package caller.
	Callers []string

	Tuning Tuning

	LandlockABI int // 0 for none
	// LandlockRules: what its rules allow can be told.
	LandlockRules bool
	WaitKillable  bool // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	// Listener is the socket of an [Answerer]; without one no request
	// notifies.
	Listener string

	// Dir is absolute and has what [Prepare] makes.
	Dir string
	// Tag makes names of cgroups and devices unique to one campaign: at most
	// 5 letters and digits.
	Tag string
	// Without names dimensions that are left out.
	Without []string
}

// Detect looks at the machine and the caller. dir was made by [Prepare].
func Detect(dir string) (*Machine, error) {
	m := &Machine{
		Root: os.Geteuid() == 0, Dir: dir, CgroupV1: map[string]string{},
		Tag: strconv.FormatInt(int64(os.Getpid())%(36*36*36*36*36), 36),
	}
	if err := m.caps(); err != nil {
		return nil, err
	}
	m.cgroups()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("fuzz: affinity: %w", err)
	}
	for n := range 1024 {
		if set.IsSet(n) {
			m.CPUs = append(m.CPUs, n)
		}
	}
	for n := range m.Rlimits {
		var l unix.Rlimit
		if err := unix.Prlimit(0, n, nil, &l); err != nil {
			return nil, fmt.Errorf("fuzz: limit %d: %w", n, err)
		}
		m.Rlimits[n] = [2]uint64{l.Cur, l.Max}
	}
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return nil, fmt.Errorf("fuzz: %w", err)
	}
	m.OOMScoreAdj, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		m.Nice = 20 - n // the raw system call answers 1 to 40
	}
	m.Tuning = detectTuning()
	m.LandlockABI = landlockABI()
	m.LandlockRules = landlockRules(dir, m.LandlockABI)
	m.WaitKillable = checkpoint.HaveFilterFlag(policies.FlagWaitKillable) == nil
	m.UserNS = m.Root && positive("/proc/sys/user/max_user_namespaces")
	m.mounts()
	_, err = os.Stat("/proc/self/ns/time")
	m.TimeNS = err == nil
	_, err = os.Stat("/proc/sys/fs/mqueue/msg_max")
	m.Mqueue = err == nil
	m.Speculation = speculations()
	if m.Root {
		m.Links, m.RoutingRules, m.Nftables = linkKinds(), routingRules(), canNftables()
		m.Callers = caller.Possible()
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "probe0"
	m.Dummy = m.Root && onThread(func() error { return makeLink(&netlink.Dummy{LinkAttrs: attrs}) }) == nil
	m.Veth = m.Root && onThread(func() error { return makeLink(&netlink.Veth{LinkAttrs: attrs, PeerName: "probe1"}) }) == nil
	return m, nil
}

func positive(file string) bool {
	b, err := os.ReadFile(file)
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// mounts finds out what the kernel can do for mounts.
func (m *Machine) mounts() {
	m.SetAttr = m.Root && unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSYMFOLLOW}) == unix.EBADF
	node := filepath.Join(m.Dir, "node")
	m.Mknod = m.Root && unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) == nil
	_ = os.Remove(node)
	m.IDMapped = m.SetAttr && m.UserNS && idMapped(m.Dir)
}

// idMapped reports whether the directory's file system takes id maps, by a
// launch that ends before its program.
func idMapped(dir string) bool {
	ctx := context.Background()
	l, err := checkpoint.New(ctx)
	if err != nil {
		return false
	}
	defer l.Close()
	ids := []checkpoint.IDMap{{Outside: 1, Count: 1}}
	w, err := l.Spawn(ctx, &checkpoint.Config{
		Args: []string{"-"}, Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Mnt}},
		Mounts: []checkpoint.Mount{{Source: dir + "/share", Target: dir + "/point/d", Options: []string{"bind", "idmap"}, UIDMap: ids, GIDMap: ids}},
	}, nil)
	if err != nil {
		return false
	}
	return w.Abort(ctx) == nil
}

// makeLink tries to make a device, in a network namespace that is then gone.
func makeLink(l netlink.Link) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	return nl.LinkAdd(l)
}

func (m *Machine) caps() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("fuzz: capget: %w", err)
	}
	m.Caps = uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32
	for n := range 64 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break
		}
		m.AllCaps |= 1 << n
		m.Bounding |= uint64(has) << n
	}
	return nil
}

// cgroups finds the hierarchies in which a directory can be made.
func (m *Machine) cgroups() {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil || !m.Root {
		return
	}
	for _, i := range mounts {
		probe := filepath.Join(i.Mountpoint, "holdshort-probe-"+m.Tag)
		if os.Mkdir(probe, 0o755) != nil {
			continue
		}
		_ = os.Remove(probe)
		if i.FSType == "cgroup2" {
			if m.CgroupV2 == "" {
				m.CgroupV2 = i.Mountpoint
			}
			continue
		}
		for o := range strings.SplitSeq(i.VFSOptions, ",") {
			if slices.Contains([]string{"cpu", "memory", "pids", "cpuset"}, o) && m.CgroupV1[o] == "" {
				m.CgroupV1[o] = i.Mountpoint
			}
		}
	}
	if dir := m.CgroupV1["cpu"]; dir != "" {
		_, err := os.Stat(filepath.Join(dir, "cpu.rt_runtime_us"))
		m.RTGroups = err == nil
	}
}

// Prepare fills an empty directory with what the requests name: the workload,
// a root file system with it, mount points, and things to bind.
func Prepare(dir string) error {
	image := exitzero.ELF()
	if image == nil {
		return fmt.Errorf("fuzz: no workload for %s", runtime.GOARCH)
	}
	for _, d := range []string{
		"", "work", "share", "point", "point/a", "point/b", "point/c", "point/d",
		"point/masked", "root", "root/point/masked", "root/dev", "root/proc", "root/work", "root/point", "root/point/a", "root/point/b", "root/point/c", "root/point/d",
	} {
		path := filepath.Join(dir, d)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("fuzz: %w", err)
		}
		if err := os.Chmod(path, 0o755); err != nil { // whatever the umask, every user must get at it
			return fmt.Errorf("fuzz: %w", err)
		}
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"workload", image, 0o755},
		{"root/workload", image, 0o755},
		{"share/file", []byte("shared\n"), 0o644},
		{"point/file", nil, 0o644},
		{"point/secret", []byte("secret\n"), 0o644},
		{"root/point/secret", []byte("secret\n"), 0o644},
		{"root/point/file", nil, 0o644},
	} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return fmt.Errorf("fuzz: %w", err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return fmt.Errorf("fuzz: %w", err)
		}
	}
	return nil
}
