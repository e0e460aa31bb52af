package campaign

import (
	"fmt"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// TestFaultOfOneCaller: a launcher that forces the usual umask, which nobody sees
// as long as the caller has it, is found, made small to that caller, and found again
// from what is written down. It needs root and eBPF.
func TestFaultOfOneCaller(t *testing.T) {
	b := bench(t)
	if !slices.Contains(b.Machine.Callers, "umask") {
		t.Skip("needs a umask of one thread: unshare(CLONE_FS)")
	}
	usual := uint32(unix.Umask(0))
	unix.Umask(int(usual))
	md := b.Model
	b.Sabotage = func(_ fuzz.Assignment, asked *request.Request) *request.Request {
		if asked.Process().User.Umask != nil {
			return nil
		}
		l, spec, process := *asked, *asked.Spec, *asked.Spec.Process
		process.User.Umask = &usual
		spec.Process, l.Spec = &process, &spec
		return &l
	}
	c := &Campaign{
		Info: Info{Model: md.Hash(), Seed: 21, Strength: 2, Kernel: b.Kernel, Engine: "native"}, Model: md,
		N: 128, Parallel: 2, Launch: b.Launch, Dir: b.Dir, MaxFindings: 2,
	}
	list := run(t, c).Of(c.Info).Findings()
	if len(list) != 1 || list[0].Key != "fs.umask: leaked" || fmt.Sprint(list[0].Values) != "map[caller: umask:on]" || !slices.Equal(list[0].Caller, []string{"umask"}) {
		for _, m := range list {
			t.Logf("%s: %v, caller %v", m.Key, m.Values, m.Caller)
		}
		t.Fatal("not just that caller is found")
	}
	r := list[0].Request
	if v := b.Launch(WithCaller(t.Context(), list[0].Caller), nil, r); !slices.Equal(v.Keys, []string{"fs.umask: leaked"}) {
		t.Errorf("again, by the same caller: %v, %v", v.Keys, v.Err)
	}
	if v := b.Launch(t.Context(), nil, r); !v.Clean() {
		t.Errorf("by another caller: %v, %v", v.Keys, v.Err)
	}
}
