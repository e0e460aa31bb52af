package checkpoint

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
)

// Filters that never come again must not be kept for ever.
func TestCompiledFiltersAreBounded(t *testing.T) {
	for i := range 2*maxCompiled + 10 {
		ret := uint(i % 4000)
		p := &seccomp.Policy{DefaultAction: "SCMP_ACT_ALLOW", Syscalls: []seccomp.Rule{
			{Names: []string{"reboot"}, Action: "SCMP_ACT_ERRNO", ErrnoRet: &ret},
		}}
		if f := compileFilter(p); f.err != nil || compileFilter(p) != f {
			t.Fatalf("filter %d: %v; or not kept", i, f.err)
		}
	}
	if n := len(compiled.filters); n > maxCompiled {
		t.Errorf("%d filters kept; want at most %d", n, maxCompiled)
	}
}
