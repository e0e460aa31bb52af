package request

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// capNumbers maps the names of capabilities(7) to their numbers.
var capNumbers = func() map[string]uint {
	m := make(map[string]uint)
	for _, c := range capability.ListKnown() {
		m["CAP_"+strings.ToUpper(c.String())] = uint(c)
	}
	return m
}()

// CapSet makes a set of capability names as the runtime-spec has them
// ("CAP_KILL"); bit n is capability number n.
func CapSet(names []string) (uint64, error) {
	var s uint64
	for _, name := range names {
		n, ok := capNumbers[name]
		if !ok {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		s |= 1 << n
	}
	return s, nil
}

// Ambient is what can become ambient of what is asked for: what is permitted
// and inheritable as well. The specification does not want a request refused
// for capabilities that cannot be granted (config.md, Linux Process).
func Ambient(c *specs.LinuxCapabilities) uint64 {
	a, _ := CapSet(c.Ambient)
	p, _ := CapSet(c.Permitted)
	i, _ := CapSet(c.Inheritable)
	return a & p & i
}

// rlimitNames are in the order of the kernel's numbers
// (include/uapi/asm-generic/resource.h).
var rlimitNames = [16]string{
	"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE",
	"MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
}

// Rlimit returns the kernel's number of a limit named as in setrlimit(2)
// ("RLIMIT_NOFILE"), or -1.
func Rlimit(name string) int {
	for i, n := range rlimitNames {
		if name == "RLIMIT_"+n {
			return i
		}
	}
	return -1
}

// RlimitName is the inverse of [Rlimit].
func RlimitName(n int) string { return "RLIMIT_" + rlimitNames[n] }

// Policy returns the number of a scheduling policy; see sched(7).
func Policy(p specs.LinuxSchedulerPolicy) (int, bool) {
	switch p {
	case specs.SchedOther:
		return 0, true
	case specs.SchedFIFO:
		return 1, true
	case specs.SchedRR:
		return 2, true
	case specs.SchedBatch:
		return 3, true
	case specs.SchedIdle:
		return 5, true
	case specs.SchedDeadline:
		return 6, true
	}
	return 0, false
}

// IOClass returns the number of an I/O scheduling class; see ioprio_set(2).
func IOClass(c specs.IOPriorityClass) (int, bool) {
	switch c {
	case specs.IOPRIO_CLASS_RT:
		return 1, true
	case specs.IOPRIO_CLASS_BE:
		return 2, true
	case specs.IOPRIO_CLASS_IDLE:
		return 3, true
	}
	return 0, false
}

// PersonalityWord returns the word of personality(2) for a linux.personality.
func PersonalityWord(p *specs.LinuxPersonality) (uint32, bool) {
	switch p.Domain {
	case specs.PerLinux:
		return 0, true
	case specs.PerLinux32:
		return 8, true
	}
	return 0, false
}

// Offsets returns the offsets of a new time namespace in nanoseconds.
func Offsets(m map[string]specs.LinuxTimeOffset) (monotonic, boottime int64) {
	ns := func(o specs.LinuxTimeOffset) int64 { return o.Secs*1e9 + int64(o.Nanosecs) }
	return ns(m["monotonic"]), ns(m["boottime"])
}

// Namespace says how a kind of namespace is asked for: not at all, new, or
// joined by path or process id.
type Namespace struct {
	Asked bool
	Path  string
	PID   int
}

// Fresh reports a new namespace.
func (n Namespace) Fresh() bool { return n.Asked && n.Path == "" && n.PID == 0 }

// Joined reports an existing one.
func (n Namespace) Joined() bool { return n.Asked && !n.Fresh() }

// Namespace returns how the kind is asked for.
func (r *Request) Namespace(kind specs.LinuxNamespaceType) Namespace {
	for i := range r.Linux().Namespaces {
		if n := &r.Linux().Namespaces[i]; n.Type == kind {
			return Namespace{Asked: true, Path: n.Path}
		}
	}
	for i := range r.Ext.Namespaces {
		if n := &r.Ext.Namespaces[i]; n.Type == kind {
			return Namespace{Asked: true, PID: n.PID}
		}
	}
	return Namespace{}
}

// CapNames are the capabilities that [CapSet] knows, in the order of their
// numbers.
func CapNames() []string {
	out := slices.Collect(maps.Keys(capNumbers))
	slices.SortFunc(out, func(a, b string) int { return int(capNumbers[a]) - int(capNumbers[b]) })
	return out
}
