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
