package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

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
		if !sameLimit(l.File, l.Value, text) {
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

// sameLimit compares what was written to a file of a cgroup with what it holds
// now. It allows for what the kernel makes of a value, and for nothing else:
//
//   - "max" and -1 are no limit; version 1 shows a huge number for it.
//   - memory is rounded down to pages, and huge pages to theirs.
//   - a file for several devices has a line for each, with more keys in it.
//   - a list of CPUs or nodes may be written in several ways.
//   - a default stands for what was left out of cpu.max, io.weight and io.bfq.weight.
func sameLimit(file, want, got string) bool {
	if want == got {
		return true
	}
	switch file {
	case "cpuset.cpus.partition", "cgroup.type":
		return false // "root invalid (…)" begins like what was asked for
	case "cpuset.cpus", "cpuset.mems", "cpuset.cpus.exclusive":
		return sameList(want, got)
	}
	w := strings.Fields(want)
	if len(w) == 0 {
		return false
	}
	if (file == "io.weight" || file == "io.bfq.weight") && len(w) == 1 {
		w = []string{"default", w[0]}
	}
	if keyed(w[0]) {
		for line := range strings.Lines(got) {
			if g := strings.Fields(line); len(g) > 1 && g[0] == w[0] {
				return samePairs(file, w[1:], g[1:])
			}
		}
		return false
	}
	g := strings.Fields(got)
	if len(g) != len(w) && (file != "cpu.max" || len(w) != 1 || len(g) != 2 || g[1] != "100000") {
		return false
	}
	for i := range w {
		if !sameNumber(file, w[i], g[i]) {
			return false
		}
	}
	return true
}

// keyed tells the name of a device from a value.
func keyed(word string) bool {
	if strings.Contains(word, ":") || word == "default" {
		return true
	}
	return word != "max" && limitNumber(word) == notANumber
}

// samePairs compares what follows the name of a device: values in order, or
// "key=value", of which there may be more than were written.
func samePairs(file string, want, got []string) bool {
	for i, w := range want {
		key, value, pair := strings.Cut(w, "=")
		if !pair {
			if i >= len(got) || !sameNumber(file, w, got[i]) {
				return false
			}
			continue
		}
		found := false
		for _, g := range got {
			k, v, _ := strings.Cut(g, "=")
			found = found || k == key && sameNumber(file, value, v)
		}
		if !found {
			return false
		}
	}
	return len(want) > 0
}

func sameNumber(file, want, got string) bool {
	if want == got {
		return true
	}
	a, b := limitNumber(want), limitNumber(got)
	if a == notANumber || b == notANumber {
		return false
	}
	unit := uint64(1)
	switch {
	case strings.HasPrefix(file, "memory.") && isSize(file):
		unit = uint64(os.Getpagesize())
	case strings.HasPrefix(file, "hugetlb."):
		size, _, _ := strings.Cut(strings.TrimPrefix(file, "hugetlb."), ".")
		unit = max(limitNumber(strings.TrimSuffix(size, "B")), 1)
	}
	// Version 1 shows the largest number of pages where there is no limit.
	const noLimit = 1<<63 - 1<<21
	return a == b || a/unit*unit == b || a == unlimited && b >= noLimit
}

// isSize tells a limit in bytes from a switch such as memory.oom.group.
func isSize(file string) bool {
	for _, end := range []string{".max", ".high", ".low", ".min", "_in_bytes", ".tmpfs"} {
		if strings.HasSuffix(file, end) {
			return true
		}
	}
	return false
}

const (
	unlimited  = 1<<63 - 4096
	notANumber = 1<<64 - 1
)

func limitNumber(s string) uint64 {
	if s == "max" || s == "-1" {
		return unlimited
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
		return notANumber
	}
	return n * mult
}
