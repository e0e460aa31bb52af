package harness

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// held gathers what no posture shows, from the parked or the frozen workload:
// its mount table, sysctls, devices and the limits of its cgroups. What is left
// between parking and the first instruction (descriptors, ids, capabilities,
// limits, seccomp) changes none of it; of the frozen one nothing is left.
type held struct {
	pid int
	cfg *checkpoint.Config
	at  At

	req   *request.Request
	dir   string // of the bundle
	host  engine.Host
	stdin *os.File
	own   int // limits of the extension, the last in cfg
	// cgroupFrozen: the workload's cgroup was frozen while it was parked.
	cgroupFrozen    bool
	cgroupFrozenErr error

	ownLinks int               // likewise
	devices  map[string]device // of linux.netDevices, as they were on the host

	// devicesAllowed are the rules that another engine adds by itself.
	devicesAllowed []specs.LinuxDeviceCgroup
	// mountsAllowed are where it mounts something unasked.
	mountsAllowed []string

	observer *probes.Observer // nil without one
	frozen   bool             // the workload has passed execve, and is held there

	mounts    []*mountinfo.Info
	mountsErr error
	// before counts the mounts at each point before the workload's own were
	// made; nil if that is not known.
	before map[string]int
	// mounted are the file systems that were mounted then, in the mount table
	// of that name.
	mounted    map[fsDevice]bool
	table      string
	unbindable []string // those that no bind mount takes along
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
		e := Evidence{Field: b.Field, At: h.at}
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
	case name == "linux.cgroupsPath":
		return h.cgroupsPath(b.Want.(string))
	case name == "linux.rootfsPropagation":
		return h.propagation(b.Want.(string))
	case name == "mounts.propagation":
		return h.sharedMounts()
	case name == "mounts.unasked":
		return h.unaskedMounts()
	case name == "linux.maskedPaths":
		return h.masked(b.Want.(string))
	case name == "linux.readonlyPaths":
		return h.readOnlyPath(b.Want.(string))
	case name == "linux.devices":
		return h.device(b.Want.(specs.LinuxDevice))
	case name == "process.consoleSize":
		return h.consoleSize(b.Want.(*specs.Box))
	case name == "linux.devices.default":
		return h.defaultDevices()
	case name == "linux.devices.unasked":
		return h.unaskedDevices()
	case strings.HasPrefix(name, "linux.sysctl."):
		return h.sysctl(strings.TrimPrefix(name, "linux.sysctl."), b.Want.(string))
	case isTuning(name):
		return h.tuning(name, b.Want)
	case name == "linux.resources.devices":
		return h.deviceRules(b.Want.([]specs.LinuxDeviceCgroup))
	case name == cgroupFreeze:
		return h.cgroupFrozen, h.cgroupFrozen, map[bool]string{false: "it was not frozen while it was parked"}[h.cgroupFrozen], h.cgroupFrozenErr
	case name == "holdshort.cgroup.delegate":
		return h.delegated()
	case strings.HasPrefix(name, "linux.resources."), name == "holdshort.cgroup.limits":
		return h.limits(name, index)
	case name == "holdshort.keyring":
		return h.keyring(b.Want.(*request.Keyring))
	case slices.Contains(lsmFields, name):
		return h.label(name, b.Want.(string))
	case name == "holdshort.ptracer", name == "holdshort.speculation.l1dFlush":
		return nil, false, "", errInsideOnly
	case strings.HasPrefix(name, "linux.netDevices."):
		return h.moved(strings.TrimPrefix(name, "linux.netDevices."))
	case strings.HasPrefix(name, "holdshort.landlock."):
		return nil, false, "", errInsideOnly
	case strings.HasPrefix(name, "holdshort.network."):
		return h.network(strings.TrimPrefix(name, "holdshort.network."), index)
	}
	return nil, false, "", fmt.Errorf("no way to see it from outside is known")
}
