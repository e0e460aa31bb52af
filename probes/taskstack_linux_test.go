package probes

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// TestOnTaskStack runs a program that remembers a word on its stack, dawdles,
// and looks whether it is still there, by two tail calls at each system call.
// With what is done for the copies nobody may touch another's words. Without, it
// is told how often that happened: on a kernel that preempts programs at
// tracepoints (since 7.0) and gives them private stacks it does, see
// docs/findings/001.md.
func TestOnTaskStack(t *testing.T) {
	observer(t) // skips, with the reason, where no program can be loaded
	for _, guarded := range []bool{false, true} {
		kept, overwritten := dawdle(t, guarded)
		t.Logf("kept off private stacks: %t: %d runs, of which %d found another's words", guarded, kept+overwritten, overwritten)
		if guarded && overwritten > 0 {
			t.Errorf("%d of %d runs were overwritten", overwritten, kept+overwritten)
		}
		if kept == 0 {
			t.Error("nothing ran")
		}
	}
}

func dawdle(t *testing.T, guarded bool) (kept, overwritten uint64) {
	t.Helper()
	newMap := func(typ ebpf.MapType, value, n uint32) *ebpf.Map {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: typ, KeySize: 4, ValueSize: value, MaxEntries: n})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	newProgram := func(s *ebpf.ProgramSpec) *ebpf.Program {
		s.Type, s.License = ebpf.RawTracepoint, "GPL"
		p, err := ebpf.NewProgram(s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	jump, seen := newMap(ebpf.ProgramArray, 4, 1), newMap(ebpf.Array, 8, 2)

	const words = 16 // a stack of 64 bytes and more may be a private one
	body := asm.Instructions{asm.FnGetCurrentPidTgid.Call(), asm.Mov.Reg(asm.R6, asm.R0)}
	for i := int16(1); i <= words; i++ {
		body = append(body, asm.StoreMem(asm.RFP, -8*i, asm.R6, asm.DWord))
	}
	body = append(body,
		asm.Mov.Imm(asm.R7, 0),
		asm.FnKtimeGetNs.Call().WithSymbol("dawdle"),
		asm.Add.Imm(asm.R7, 1),
		asm.JLT.Imm(asm.R7, 500, "dawdle"),
		asm.Mov.Imm(asm.R8, 0))
	for i := int16(1); i <= words; i++ {
		same := fmt.Sprintf("same%d", i)
		body = append(body,
			asm.LoadMem(asm.R1, asm.RFP, -8*i, asm.DWord),
			asm.JEq.Reg(asm.R1, asm.R6, same),
			asm.Mov.Imm(asm.R8, 1),
			asm.Mov.Imm(asm.R0, 0).WithSymbol(same))
	}
	body = append(body,
		asm.StoreMem(asm.RFP, -8*(words+1), asm.R8, asm.DWord),
		asm.LoadMapPtr(asm.R1, seen.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8*(words+1)),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return())
	spec := &ebpf.ProgramSpec{Name: "dawdler", Instructions: body}
	if guarded {
		onTaskStack(spec, jump)
	}
	if err := jump.Update(uint32(0), newProgram(spec), ebpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	var links []link.Link
	for i := range 2 {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sys_enter", Program: newProgram(&ebpf.ProgramSpec{
			Name: fmt.Sprintf("way_%d", i), Instructions: asm.Instructions{
				asm.LoadMapPtr(asm.R2, jump.FD()),
				asm.Mov.Imm(asm.R3, 0),
				asm.FnTailCall.Call(),
				asm.Mov.Imm(asm.R0, 0),
				asm.Return(),
			},
		})})
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, l)
	}
	span := 2 * time.Second
	if testing.Short() {
		span /= 10
	}
	var wg sync.WaitGroup
	end := time.Now().Add(span)
	for range 6 {
		wg.Go(func() {
			for time.Now().Before(end) {
				for range 100 {
					unix.Getppid()
				}
			}
		})
	}
	wg.Wait()
	for _, l := range links {
		_ = l.Close()
	}
	for i, n := range []*uint64{&kept, &overwritten} {
		if err := seen.Lookup(uint32(i), n); err != nil {
			t.Fatal(err)
		}
	}
	return kept, overwritten
}
