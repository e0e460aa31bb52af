package checkpoint

import (
	"encoding/binary"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// Infinity is RLIM_INFINITY, no limit.
const Infinity = ^uint64(0)

// resources are the names of setrlimit(2) in the order of the kernel's numbers
// (include/uapi/asm-generic/resource.h, the same on amd64 and arm64).
var resources = [16]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

// resourceNumber returns the kernel's number, or -1.
func resourceNumber(name string) int {
	for i, r := range resources {
		if r == name {
			return i
		}
	}
	return -1
}

// rlimits come after the descriptors, which a low RLIMIT_NOFILE would refuse,
// and before the capabilities, which raising a hard limit needs. In a user
// namespace the child has no CAP_SYS_RESOURCE that counts (it must be held in
// the initial one), so there the agent sets them.
func (p *plan) rlimits() {
	for i, l := range p.cfg.Rlimits {
		n := resourceNumber(l.Resource)
		b := binary.NativeEndian.AppendUint64(nil, l.Soft)
		b = binary.NativeEndian.AppendUint64(b, l.Hard)
		who := agent.N(0)
		to := &p.final
		if p.inUserNS() && (!p.second || p.target != nil && l.Resource != "RLIMIT_NPROC") {
			who, to = agent.R(agent.RegPID), &p.agent
			if l.Resource == "RLIMIT_NOFILE" || l.Resource == "RLIMIT_AS" || l.Resource == "RLIMIT_STACK" || l.Resource == "RLIMIT_FSIZE" {
				// These would bind the set-up itself: raise only the hard limit now.
				who, to = agent.N(0), &p.final
			}
		}
		to.add(StageRlimits, i, l.Resource, agent.Sys(unix.SYS_PRLIMIT64, who, agent.N(n), agent.B(b), agent.N(0)))
	}
}
