package oracle

import "github.com/holdshort/holdshort/harness/request"

// Bits of task_struct.atomic_flags (include/linux/sched.h).
const (
	ssbDisable, ssbForced = 1 << 3, 1 << 4
	ibDisable, ibForced   = 1 << 5, 1 << 6
)

// speculate is prctl(2) PR_SET_SPECULATION_CTRL on the flags of a task
// (ssb_prctl_set and ib_prctl_set, arch/x86/kernel/cpu/bugs.c).
func speculate(flags uint32, s *request.Speculation) uint32 {
	for _, x := range [...]struct {
		mode             string
		disabled, forced uint32
	}{
		{s.StoreBypass, ssbDisable, ssbForced},
		{s.IndirectBranch, ibDisable, ibForced},
	} {
		switch x.mode {
		case "enable":
			flags &^= x.disabled
		case "disable":
			flags |= x.disabled
		case "force-disable":
			flags |= x.disabled | x.forced
		}
	}
	return flags
}

// identity lists what is asked for and not in a task, or not readable there:
// Yama keeps its exceptions in a list of its own, the flag for flushing is a
// bit whose number depends on the architecture, and names and permissions
// belong to the key.
func identity(x *request.Extension, add func(asked bool, field string, want any)) {
	add(x.Keyring != nil, "holdshort.keyring", x.Keyring)
	add(x.PTracer != nil, "holdshort.ptracer", x.PTracer)
	add(x.Speculation.L1DFlush != "", "holdshort.speculation.l1dFlush", x.Speculation.L1DFlush)
}
