package harness

import (
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// filterJudge judges an installed seccomp filter by what it does, over every
// system call number of every architecture and all arguments.
type filterJudge struct {
	libseccomp bool // the engine compiles with it
	enosys     bool // it puts ENOSYS for newer calls before its filter
}

// JudgeFilter compares one filter with the policy that it was made for.
func (j filterJudge) JudgeFilter(policy *specs.LinuxSeccomp, got *posture.Filter) (oracle.Outcome, string) {
	p, err := oracle.PolicyFromOCI(policy)
	if err != nil {
		return oracle.Unobservable, err.Error()
	}
	o := oracle.SeccompOptions{NewerIsENOSYS: j.enosys, IgnoreUnknown: j.libseccomp}
	if j.libseccomp {
		o.Dialect = seccomp.Libseccomp
	}
	return oracle.SummarizeSeccomp(oracle.CheckSeccomp(p, []posture.Filter{*got}, o))
}
