package request

import (
	"fmt"
	"strconv"
	"strings"
)

const maxCPU = 8192 // the largest CONFIG_NR_CPUS

// CPUList reads a list as in cpuset(7), "0-3,8", into a bit mask without
// trailing zero words. An empty list is an empty mask.
func CPUList(s string) ([]uint64, error) {
	var mask []uint64
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(first)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(last)
		}
		if err != nil || a < 0 || b < a || b >= maxCPU {
			return nil, fmt.Errorf("%q is no list of CPUs", s)
		}
		for n := a; n <= b; n++ {
			mask = setBit(mask, n)
		}
	}
	return mask, nil
}

// CPUNumbers reads such a list, of CPUs or of memory nodes, into numbers.
func CPUNumbers(s string) ([]int, error) {
	mask, err := CPUList(s)
	var out []int
	for i, word := range mask {
		for n := range 64 {
			if word>>n&1 == 1 {
				out = append(out, 64*i+n)
			}
		}
	}
	return out, err
}

// CPUMask makes the same of numbers; impossible ones are left out.
func CPUMask(cpus []int) []uint64 {
	var mask []uint64
	for _, n := range cpus {
		if n >= 0 && n < maxCPU {
			mask = setBit(mask, n)
		}
	}
	return mask
}

func setBit(mask []uint64, n int) []uint64 {
	for n/64 >= len(mask) {
		mask = append(mask, 0)
	}
	mask[n/64] |= 1 << (n % 64)
	return mask
}
