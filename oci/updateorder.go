package oci

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
)

// ordered puts the two limits of memory of version 1 into an order that the
// kernel takes: that of memory may never be above that of memory and swap, so
// the latter comes first when it grows.
func ordered(limits []checkpoint.CgroupLimit, read func(controller, file string) (string, error)) []checkpoint.CgroupLimit {
	const memory, both = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
	i := slices.IndexFunc(limits, func(l checkpoint.CgroupLimit) bool { return l.File == memory })
	j := slices.IndexFunc(limits, func(l checkpoint.CgroupLimit) bool { return l.File == both })
	if i < 0 || j < 0 {
		return limits
	}
	now, err := read(limits[j].Controller, both)
	if err != nil {
		return limits
	}
	out := slices.Clone(limits)
	if amount(limits[j].Value) > amount(now) {
		out[min(i, j)], out[max(i, j)] = limits[j], limits[i]
	} else {
		out[min(i, j)], out[max(i, j)] = limits[i], limits[j]
	}
	return out
}

func amount(s string) uint64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 1 << 63
	}
	return uint64(n)
}
