package oci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/engine"
)

// hostOf is readHost, but for tests.
var hostOf = readHost

// readHost finds the cgroup hierarchies, from one reading of mountinfo
// (proc_pid_mountinfo(5)).
func readHost() (engine.Host, error) {
	h := engine.Host{CgroupV1: map[string]string{}, Own: map[string]string{}, JoinAll: true}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return h, err
	}
	own := ownCgroups()
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		tail := strings.Fields(after)
		if !ok || len(tail) < 3 {
			continue
		}
		f := strings.Fields(before)
		root, at := unescape(f[3]), unescape(f[4])
		var controllers []string
		switch tail[0] {
		case "cgroup2":
			if h.CgroupV2 != "" {
				continue
			}
			h.CgroupV2 = at
			list, _ := os.ReadFile(filepath.Join(at, "cgroup.controllers"))
			h.ControllersV2 = strings.Fields(string(list))
			controllers = []string{""}
		case "cgroup":
			for o := range strings.SplitSeq(tail[2], ",") {
				if slices.Contains(knownControllers, o) && h.CgroupV1[o] == "" {
					h.CgroupV1[o] = at
					controllers = append(controllers, o)
				}
			}
		case "resctrl":
			h.Resctrl = at
		}
		for _, c := range controllers {
			if below, inside := strings.CutPrefix(own[c], strings.TrimSuffix(root, "/")); inside && own[c] != "" {
				h.Own[c] = filepath.Join(at, below)
			}
		}
	}
	if dir := h.CgroupV1["hugetlb"]; dir != "" {
		files, _ := filepath.Glob(dir + "/hugetlb.*.rsvd.*")
		h.HugetlbReservation = len(files) > 0
	}
	return h, nil
}

var knownControllers = []string{
	"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc",
}

// ownCgroups are ours, see cgroups(7).
func ownCgroups() map[string]string {
	out := map[string]string{}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			out[c] = f[2]
		}
	}
	return out
}

// unescape undoes what mountinfo does to blanks.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
