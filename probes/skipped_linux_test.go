package probes

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
)

// The kernel leaves programs out on kernels where one may be preempted, and then
// rarely; here a hook is taken away and the kernel's count is made up.
func TestReturn_LeftOut(t *testing.T) {
	for name, tc := range map[string]struct {
		misses   map[string]uint64
		harmless bool
		why      string
	}{
		"explained":     {map[string]uint64{"on_sys_exit": 1}, true, "left out"},
		"not explained": {nil, false, "did not fire"},
	} {
		t.Run(name, func(t *testing.T) {
			o, ctx := special(t, &Options{skip: map[string]bool{hookSysX: true}})
			o.mu.Lock()
			o.misses = func(p string) uint64 { return tc.misses[p] }
			clear(o.used)
			o.mu.Unlock()
			_, r := run(ctx, t, children(ctx, t, o, nil), "/bin/true")
			m := missing(r, AtReturn)
			if r.Snapshot(AtFirst) == nil || m == nil || m.Harmless != tc.harmless || !strings.Contains(m.Why, tc.why) || r.Complete() != tc.harmless {
				t.Errorf("missing %+v, complete %t", m, r.Complete())
			}
		})
	}
}

// Without a first snapshot nothing stands in for the return.
func TestReturn_LeftOutAndNoFirst(t *testing.T) {
	o, ctx := special(t, &Options{skip: map[string]bool{hookSysX: true, hookFault: true, hookPerf: true}})
	o.mu.Lock()
	o.misses = func(p string) uint64 { return map[string]uint64{"on_sys_exit": 3}[p] }
	clear(o.used)
	o.mu.Unlock()
	_, r := run(ctx, t, children(ctx, t, o, nil), "/bin/true")
	if m := missing(r, AtReturn); m == nil || m.Harmless || r.Complete() {
		t.Errorf("record %+v", r)
	}
}

// A process that stands still at its entry is told, though its return was not
// seen and its first instruction cannot be.
func TestFrozen_ReturnLeftOut(t *testing.T) {
	o, ctx := special(t, &Options{skip: map[string]bool{hookSysX: true}})
	o.mu.Lock()
	o.misses = func(p string) uint64 { return map[string]uint64{"on_sys_exit": 1}[p] }
	clear(o.used)
	o.mu.Unlock()
	for _, next := range []bool{false, true} {
		kids := children(ctx, t, o, &WatchOptions{Freeze: true})
		cmd := exec.CommandContext(ctx, "/bin/true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w, err := kids.Take(ctx, cmd.Process.Pid)
		if err == nil && next {
			_, err = w.NextFrozen(ctx)
		} else if err == nil {
			_, err = w.Frozen(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		now, err := w.Now()
		if err != nil || now.Passed() || !hasStopped(cmd.Process.Pid) {
			t.Errorf("%v, passed %t, stopped %t", err, now.Passed(), hasStopped(cmd.Process.Pid))
		}
		_ = unix.Kill(cmd.Process.Pid, unix.SIGCONT)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		r, err := w.Final(ctx)
		if m := missing(r, AtReturn); err != nil || r.Snapshot(AtFirst) == nil || m == nil || m.Harmless == next {
			t.Errorf("%v, missing %+v; the count explains one", err, m)
		}
		_ = kids.Close()
	}
}

// TestRecord_CompleteUnderLoad: many launches at once, none without a verdict.
// On kernels where programs may be preempted this is where they are left out.
func TestRecord_CompleteUnderLoad(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	defer o.KeepAttached()()
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	kids := children(ctx, t, o, nil)
	leftOut := 0
	for range rounds {
		var all []*exec.Cmd
		for range 8 {
			c := exec.Command("/bin/true")
			c.Stderr = os.Stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
		for _, c := range all {
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
			w, err := kids.Take(ctx, c.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Final(ctx)
			if err != nil || !r.Complete() {
				t.Errorf("%v: %+v", err, r)
			}
			if m := missing(r, AtReturn); m != nil {
				leftOut++
			}
			_ = w.Close()
		}
	}
	t.Logf("%d launches, %d of which the return was left out; %+v", rounds*8, leftOut, o.Lost())
}

// What several tasks of one CPU may be in at a time has no stack of the CPU's.
func TestCopies_OnTaskStack(t *testing.T) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skipf("needs the kernel's type information: %v", err)
	}
	if !preemptible() {
		t.Skip("needs a kernel that preempts itself: on others nothing is copied")
	}
	spec, err := bpf.LoadDirect()
	if err != nil {
		t.Fatal(err)
	}
	m, err := multiply(spec, kernel)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	for _, name := range copied {
		calls := slices.ContainsFunc(spec.Programs[name].Instructions, func(i asm.Instruction) bool {
			return i.IsBuiltinCall() && asm.BuiltinFunc(i.Constant) == asm.FnTailCall
		})
		if calls != hasPrivateStacks(kernel) {
			t.Errorf("%s contains a tail call: %t; private stacks: %t", name, calls, hasPrivateStacks(kernel))
		}
	}
}

// A fault at the entry by a program that has run before is not the first.
func TestReturn_LeftOutAndRegistersInUse(t *testing.T) {
	o := &Observer{used: map[string]uint64{}, misses: func(string) uint64 { return 1 }}
	h := &head{at: bpf.ProbesAtAT_FIRST, flags: bpf.ProbesHeadFlagHEAD_IP, ip: 7, entry: 7}
	for flags, harmless := range map[bpf.ProbesHeadFlag]bool{bpf.ProbesHeadFlagHEAD_IP: false, bpf.ProbesHeadFlagHEAD_IP | bpf.ProbesHeadFlagHEAD_FRESH: true} {
		clear(o.used)
		h.flags = flags
		p := &process{g: &group{o: o}, pending: map[At]bool{AtReturn: true}}
		p.noReturn(h)
		if m := missing(&p.rec, AtReturn); m == nil || m.Harmless != harmless {
			t.Errorf("flags %#x: %+v", flags, m)
		}
	}
}
