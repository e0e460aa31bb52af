package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Host is what a translation must know of the machine.
type Host struct {
	// CgroupV2 is where the version 2 hierarchy is mounted, or empty.
	CgroupV2 string
	// ControllersV2 are the controllers that it has ("memory", "pids", …).
	ControllersV2 []string
	// CgroupV1 maps the version 1 controllers to their mount points.
	CgroupV1 map[string]string
	// JoinAll places a workload that has a linux.cgroupsPath into every hierarchy
	// of version 1, whether something is limited there or not, so that it can be
	// later, be looked at, and be what a mount of cgroups shows.
	JoinAll bool
	// Own maps the controllers of version 1, and "" for version 2, to the
	// directories of the cgroups that a workload is in if it is not placed.
	Own map[string]string
	// HugetlbReservation: the hugetlb controller can limit reservations
	// (since Linux 5.7).
	HugetlbReservation bool
	// Resctrl is where the resctrl file system is mounted, or empty.
	Resctrl string
	// OldCPUShares converts cpu.shares to cpu.weight linearly, as engines
	// did before 2025; see [CPUWeight].
	OldCPUShares bool
}

// has says in which version of cgroups a controller is to be found.
func (h *Host) has(controller string) (v2, v1 bool) {
	_, v1 = h.CgroupV1[controller]
	return slices.Contains(h.ControllersV2, controller), v1
}

// ErrUnsupported matches the refusal of a field.
var ErrUnsupported = errors.New("not supported by this engine")

// UnsupportedError refuses a field of a request.
type UnsupportedError struct {
	Field string // "linux.intelRdt"
	Why   string // may be empty
}

func (e *UnsupportedError) Error() string {
	s := fmt.Sprintf("%v: %s", ErrUnsupported, e.Field)
	if e.Why != "" {
		s += " (" + e.Why + ")"
	}
	return s
}

// Is matches ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// refusals collects them, so that one run names all.
type refusals struct{ errs []error }

func (r *refusals) refuse(bad bool, field string, why ...string) {
	if bad {
		r.errs = append(r.errs, &UnsupportedError{field, strings.Join(why, " ")})
	}
}

func (r *refusals) fail(field string, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", field, err))
	}
}
