package engine

import (
	"errors"
	"math"
	"strconv"
)

// CPUWeight converts cpu.shares of cgroup version 1 (2…262144, default 1024) to
// cpu.weight of version 2 (1…10000, default 100).
//
// The old formula is linear between the ends, and makes the default of one only
// 39 of the other. The newer one, which engines changed to in 2025, is a curve
// through both ends and both defaults:
//
//	10^((log2(shares)² + 125·log2(shares)) / 612 − 7/34), rounded up
func CPUWeight(shares uint64, old bool) uint64 {
	shares = min(max(shares, 2), 262144)
	if old {
		return 1 + (shares-2)*9999/262142
	}
	switch shares {
	case 2:
		return 1
	case 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// IOWeight converts blkio.weight of version 1 (10…1000) to io.weight of version
// 2 (1…10000), linearly.
func IOWeight(w uint64) uint64 { return 1 + (w-10)*9999/990 }

// CPUMax writes quota and period in microseconds for cpu.max.
func CPUMax(quota *int64, period *uint64) string {
	q := "max"
	if quota != nil && *quota > 0 {
		q = strconv.FormatInt(*quota, 10)
	}
	if period == nil || *period == 0 {
		return q + " 100000"
	}
	return q + " " + strconv.FormatUint(*period, 10)
}

// SwapMax converts the limit of memory and swap together, as version 1 and the
// runtime-spec have it, to memory.swap.max of version 2, which is of swap alone.
// An empty answer means that nothing is to be written.
func SwapMax(both, memory int64) (string, error) {
	switch {
	case both < 0:
		return "max", nil
	case both == 0 && memory < 0:
		return "max", nil
	case both == 0:
		return "", nil
	case memory <= 0:
		return "", errors.New("needs a memory limit")
	case both < memory:
		return "", errors.New("is less than the memory limit, which it includes")
	}
	return strconv.FormatInt(both-memory, 10), nil
}
