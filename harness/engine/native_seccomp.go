package engine

import (
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
)

// seccompPolicy takes linux.seccomp over. The launcher's type has the same JSON
// form.
func seccompPolicy(s *specs.LinuxSeccomp) (*seccomp.Policy, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	p := &seccomp.Policy{}
	return p, json.Unmarshal(b, p)
}
