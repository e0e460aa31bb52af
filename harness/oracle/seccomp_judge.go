package oracle

import (
	"encoding/json"
	"fmt"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// FilterJudge is the [SeccompJudge] that explores filters; see [CheckSeccomp].
// The zero value judges launches of our own. It is comparable, so it can be
// part of [Features].
type FilterJudge struct {
	Dialect       seccomp.Dialect
	IgnoreUnknown bool
	NewerIsENOSYS bool
	Native        seccomp.Arch
}

// EngineJudge judges the filters of runc (which answers ENOSYS for calls newer
// than the policy) and crun: engines that compile with libseccomp and drop
// unknown names.
func EngineJudge() FilterJudge {
	return FilterJudge{Dialect: seccomp.Libseccomp, IgnoreUnknown: true, NewerIsENOSYS: true}
}

// JudgeFilter judges one filter by itself.
func (j FilterJudge) JudgeFilter(policy *specs.LinuxSeccomp, got *posture.Filter) (Outcome, string) {
	p, err := PolicyFromOCI(policy)
	if err != nil {
		return Unobservable, err.Error()
	}
	return SummarizeSeccomp(CheckSeccomp(p, []posture.Filter{*got}, SeccompOptions{
		Dialect: j.Dialect, IgnoreUnknown: j.IgnoreUnknown, NewerIsENOSYS: j.NewerIsENOSYS, Native: j.Native,
	}))
}

// PolicyFromOCI converts between types with the same JSON.
func PolicyFromOCI(s *specs.LinuxSeccomp) (*seccomp.Policy, error) {
	if s == nil {
		return nil, nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	p := new(seccomp.Policy)
	return p, json.Unmarshal(text, p)
}

// SummarizeSeccomp folds differences into one outcome and a sentence: the gravest
// (Weaker, then other findings, then Unobservable), and how many more there are.
func SummarizeSeccomp(diffs []SeccompDifference) (Outcome, string) {
	if len(diffs) == 0 {
		return Equal, ""
	}
	worst := 0
	for i := range diffs {
		if gravity(diffs[i].Outcome) > gravity(diffs[worst].Outcome) {
			worst = i
		}
	}
	why := diffs[worst].String()
	if n := len(diffs) - 1; n > 0 {
		why += fmt.Sprintf(", and %d more", n)
	}
	return diffs[worst].Outcome, why
}

func gravity(o Outcome) int {
	switch o {
	case Weaker:
		return 3
	case Unobservable:
		return 1
	case Equal:
		return 0
	}
	return 2
}
