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
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// machine is what the oracle and the engine must know of kernel and host, read
// once.
type machine struct {
	release      string
	null         posture.File
	allCaps      posture.CapSet
	suidDumpable uint32
	slackPolicy  bool
	landlock     int
	labels       oracle.Labels // of the agent
	cpus         []uint64      // that our cpuset allows; nil if not known
	host         engine.Host
	// together maps a version 1 controller to all that are mounted with it.
	together map[string][]string
}

func readMachine() (*machine, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("harness: uname: %w", err)
	}
	m := &machine{release: unix.ByteSliceToString(u.Release[:]), together: map[string][]string{}}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("harness: %w", err)
	}
	defer null.Close()
	if m.null, err = fileFact(0, null); err != nil {
		return nil, fmt.Errorf("harness: %w", err)
	}
	for n := range 64 {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err != nil {
			break
		}
		m.allCaps |= 1 << n
	}
	if b, err := os.ReadFile("/proc/sys/fs/suid_dumpable"); err == nil {
		n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		m.suidDumpable = uint32(n)
	}
	m.slackPolicy = slackFollowsPolicy()
	m.landlock = checkpoint.LandlockABI()
	m.cgroups()
	m.cpus = m.allowedCPUs()
	return m, nil
}

// slackFollowsPolicy asks the kernel whether a realtime task has no timer slack
// (since Linux 6.13), on a thread that is not used again.
func slackFollowsPolicy() bool {
	answer := make(chan bool, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		if unix.SchedSetAttr(0, &attr, 0) != nil {
			answer <- false // and then no workload of ours will be realtime either
			return
		}
		n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		answer <- err == nil && n == 0
	}()
	return <-answer
}

func (m *machine) cgroups() {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2", "resctrl"))
	if err != nil {
		return
	}
	m.host.CgroupV1 = map[string]string{}
	for _, i := range mounts {
		if i.FSType == "resctrl" {
			m.host.Resctrl = i.Mountpoint
			continue
		}
		if i.FSType == "cgroup2" {
			if m.host.CgroupV2 != "" {
				continue // the same hierarchy, mounted again
			}
			m.host.CgroupV2 = i.Mountpoint
			b, _ := os.ReadFile(filepath.Join(i.Mountpoint, "cgroup.controllers"))
			m.host.ControllersV2 = strings.Fields(string(b))
			continue
		}
		var here []string
		for o := range strings.SplitSeq(i.VFSOptions, ",") {
			if isController(o) {
				here = append(here, o)
			}
		}
		for _, c := range here {
			if m.host.CgroupV1[c] == "" {
				m.host.CgroupV1[c], m.together[c] = i.Mountpoint, here
			}
		}
	}
	m.host.Own = ownCgroups(mounts)
	if files, _ := filepath.Glob(m.host.CgroupV1["hugetlb"] + "/hugetlb.*.rsvd.*"); len(files) > 0 {
		m.host.HugetlbReservation = true
	}
}

// allowedCPUs are the CPUs of our cpuset: all that are online, unless we are in
// a smaller one.
func (m *machine) allowedCPUs() []uint64 {
	set, err := os.ReadFile("/proc/self/cpuset")
	if err != nil {
		return nil
	}
	file := "/sys/devices/system/cpu/online"
	if dir := strings.TrimSpace(string(set)); dir != "/" {
		file = filepath.Join(m.host.CgroupV1["cpuset"], dir, "cpuset.effective_cpus")
		if m.host.CgroupV1["cpuset"] == "" {
			file = filepath.Join(m.host.CgroupV2, dir, "cpuset.cpus.effective")
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	cpus, err := request.CPUList(strings.TrimSpace(string(b)))
	if err != nil {
		return nil
	}
	return cpus
}

// isController tells a controller from another option of a cgroup mount.
func isController(option string) bool {
	return slices.Contains([]string{
		"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
		"net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc",
	}, option)
}

func (m *machine) engine() engine.Host { return m.host }

// mountedWith lists the controllers that move together with one.
func (m *machine) mountedWith(controller string) []string {
	if t := m.together[controller]; len(t) > 0 {
		return t
	}
	return []string{controller}
}

func (m *machine) features(l *launch) oracle.Features {
	f := oracle.Features{
		AllCaps: m.allCaps, SuidDumpable: m.suidDumpable, SlackFollowsPolicy: m.slackPolicy, Program: l.prog,
		CPUs: m.cpus, CgroupV2: l.cfg.Cgroup.V2 != "", Seccomp: filterJudge{}, LandlockABI: m.landlock, Labels: m.labels,
	}
	for c := range l.cfg.Cgroup.V1 {
		f.CgroupV1 = append(f.CgroupV1, c)
	}
	slices.Sort(f.CgroupV1)
	return f
}

// ownCgroups finds the directories of the caller's own cgroups.
func ownCgroups(mounts []*mountinfo.Info) map[string]string {
	out := map[string]string{}
	own, err := cgroupsOf("self")
	if err != nil {
		return out
	}
	for _, i := range mounts {
		controllers := []string{""}
		if i.FSType == "cgroup" {
			controllers = strings.Split(i.VFSOptions, ",")
		}
		for _, c := range controllers {
			at, ok := own[c]
			below, inside := strings.CutPrefix(at, strings.TrimSuffix(i.Root, "/"))
			if ok && inside && out[c] == "" && i.FSType != "resctrl" {
				out[c] = filepath.Join(i.Mountpoint, below)
			}
		}
	}
	return out
}
