package engine

import (
	"encoding/binary"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
)

// CompileSeccomp is a policy as the instructions that the kernel takes (struct
// sock_filter, seccomp(2)), for engines that want them ready made.
func CompileSeccomp(s *specs.LinuxSeccomp) ([]byte, error) {
	p, err := seccompPolicy(s)
	if err != nil {
		return nil, err
	}
	prog, err := p.Compile(seccomp.Options{})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 8*len(prog.Instructions))
	for _, i := range prog.Instructions {
		out = binary.NativeEndian.AppendUint16(out, i.Code)
		out = append(out, i.JT, i.JF)
		out = binary.NativeEndian.AppendUint32(out, i.K)
	}
	return out, nil
}
