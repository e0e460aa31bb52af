package devicebpf

import (
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"pgregory.net/rapid"
)

var (
	arithmetic  = []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Div, asm.Or, asm.And, asm.LSh, asm.RSh, asm.Mod, asm.Xor, asm.Mov, asm.ArSh}
	comparisons = []asm.JumpOp{asm.JEq, asm.JGT, asm.JGE, asm.JSet, asm.JNE, asm.JSGT, asm.JSGE, asm.JLT, asm.JLE, asm.JSLT, asm.JSLE}
	interesting = []int64{0, 1, 2, 7, 31, 32, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, 1<<63 - 1, -1, -2, -1 << 31, -1 << 63}
)

// randomProgram is arithmetic and forward jumps on five registers, in all the
// widths.
func randomProgram(t *rapid.T) asm.Instructions {
	var list asm.Instructions
	reg := rapid.Custom(func(t *rapid.T) asm.Register { return asm.R0 + asm.Register(rapid.IntRange(0, 4).Draw(t, "register")) })
	for r := asm.R0; r <= asm.R4; r++ {
		list = append(list, asm.LoadImm(r, rapid.OneOf(rapid.SampledFrom(interesting), rapid.Int64()).Draw(t, "start"), asm.DWord))
	}
	n := rapid.IntRange(1, 20).Draw(t, "length")
	for i := range n {
		dst, src := reg.Draw(t, "dst"), reg.Draw(t, "src")
		wide, constant := rapid.Bool().Draw(t, "wide"), rapid.Bool().Draw(t, "constant")
		imm := int32(rapid.OneOf(rapid.SampledFrom(interesting), rapid.Int64()).Draw(t, "imm"))
		if left := n - 1 - i; left > 0 && rapid.Bool().Draw(t, "jump") {
			list = append(list, jumpOf(rapid.SampledFrom(comparisons).Draw(t, "comparison"), dst, src, imm, wide, constant, int16(rapid.IntRange(0, left).Draw(t, "over"))))
			continue
		}
		list = append(list, aluOf(rapid.SampledFrom(arithmetic).Draw(t, "op"), dst, src, imm, wide, constant))
	}
	return append(list, asm.Return())
}

func aluOf(op asm.ALUOp, dst, src asm.Register, imm int32, wide, constant bool) asm.Instruction {
	width := int32(32)
	if wide {
		width = 64
	}
	if constant {
		switch { // the verifier does not take these
		case slices.Contains([]asm.ALUOp{asm.LSh, asm.RSh, asm.ArSh}, op):
			imm = int32(uint32(imm) % uint32(width))
		case (op == asm.Div || op == asm.Mod) && imm == 0:
			imm = 3
		}
	}
	switch {
	case wide && constant:
		return op.Imm(dst, imm)
	case wide:
		return op.Reg(dst, src)
	case constant:
		return op.Imm32(dst, imm)
	}
	return op.Reg32(dst, src)
}

func jumpOf(op asm.JumpOp, dst, src asm.Register, imm int32, wide, constant bool, over int16) asm.Instruction {
	var i asm.Instruction
	switch {
	case wide && constant:
		i = op.Imm(dst, imm, "")
	case wide:
		i = op.Reg(dst, src, "")
	case constant:
		i = op.Imm32(dst, imm, "")
	default:
		i = op.Reg32(dst, src, "")
	}
	i.Offset = over
	return i
}

// The kernel runs no program of this type on request, but arithmetic is the same
// in all types.
func TestRun_AsTheKernel(t *testing.T) {
	load := func(list asm.Instructions) (*ebpf.Program, error) {
		return ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "MIT", Instructions: list})
	}
	packet := make([]byte, 64) // test runs want an Ethernet header
	p, err := load(asm.Instructions{asm.Mov.Imm(asm.R0, 5), asm.Return()})
	if err != nil {
		t.Skip("needs CAP_BPF: ", err)
	}
	got, err := p.Run(&ebpf.RunOptions{Data: packet})
	p.Close()
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("needs BPF_PROG_TEST_RUN: ", err)
	}
	if err != nil || got != 5 {
		t.Fatalf("%d, %v", got, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		list := randomProgram(t)
		p, err := load(list)
		if err != nil {
			t.Fatalf("%v\n%v", err, list)
		}
		defer p.Close()
		want, err := p.Run(&ebpf.RunOptions{Data: packet})
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		if b, err = marshal(list); err != nil {
			t.Fatal(err)
		}
		if got, err := Run(b, Context{}); err != nil || got != uint64(want) {
			t.Fatalf("%#x, %v; the kernel says %#x of\n%v", got, err, want, list)
		}
	})
}
