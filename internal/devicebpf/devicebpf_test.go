package devicebpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// program are the bytes of the instructions.
func program(t testing.TB, list ...asm.Instruction) []byte {
	t.Helper()
	b, err := marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func marshal(list asm.Instructions) ([]byte, error) {
	var b bytes.Buffer
	err := list.Marshal(&b, binary.LittleEndian)
	return b.Bytes(), err
}

var aDevice = Context{Access: 6, Type: 2, Major: 0x01020304, Minor: 0xa0b0c0d0}

func TestRun_Context(t *testing.T) {
	for name, tt := range map[string]struct {
		load asm.Instruction
		want uint64
	}{
		"access and type": {asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), 6<<16 | 2},
		"type":            {asm.LoadMem(asm.R0, asm.R1, 0, asm.Half), 2},
		"access":          {asm.LoadMem(asm.R0, asm.R1, 2, asm.Half), 6},
		"major":           {asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), 0x01020304},
		"minor":           {asm.LoadMem(asm.R0, asm.R1, 8, asm.Word), 0xa0b0c0d0},
		"a byte of it":    {asm.LoadMem(asm.R0, asm.R1, 11, asm.Byte), 0xa0},
	} {
		if got, err := Run(program(t, tt.load, asm.Return()), aDevice); err != nil || got != tt.want {
			t.Errorf("%s: %#x, %v; want %#x", name, got, err, tt.want)
		}
	}
}

func TestRun_ContextByOtherWays(t *testing.T) {
	b := program(t,
		asm.Mov.Reg(asm.R6, asm.R1), asm.Add.Imm(asm.R6, 4), asm.LoadMem(asm.R0, asm.R6, 4, asm.Word), asm.Return())
	if got, err := Run(b, aDevice); err != nil || got != 0xa0b0c0d0 {
		t.Errorf("%#x, %v", got, err)
	}
}

// What it does not know it refuses: a guess would be a device that is thought
// to be denied.
func TestRun_Refuses(t *testing.T) {
	label := func(i asm.Instruction) asm.Instruction { return i.WithSymbol("x") }
	for name, b := range map[string][]byte{
		"nothing":                  {},
		"half an instruction":      program(t, asm.Return())[:4],
		"no end":                   program(t, asm.Mov.Imm(asm.R0, 1)),
		"jump behind the end":      program(t, asm.Instruction{OpCode: asm.Ja.Op(asm.ImmSource), Offset: 5}, asm.Return()),
		"jump before the start":    program(t, asm.Instruction{OpCode: asm.Ja.Op(asm.ImmSource), Offset: -5}, asm.Return()),
		"endless":                  program(t, label(asm.Mov.Imm(asm.R0, 1)), asm.Ja.Label("x")),
		"result never set":         program(t, asm.Return()),
		"result is an address":     program(t, asm.Mov.Reg(asm.R0, asm.R1), asm.Return()),
		"half an address":          program(t, asm.Mov.Reg32(asm.R0, asm.R1), asm.Return()),
		"helper":                   program(t, asm.FnGetPrandomU32.Call(), asm.Return()),
		"store":                    program(t, asm.StoreImm(asm.R1, 0, 1, asm.Word), asm.Mov.Imm(asm.R0, 1), asm.Return()),
		"map":                      program(t, asm.LoadMapPtr(asm.R1, 3), asm.Mov.Imm(asm.R0, 1), asm.Return()),
		"half of a constant":       program(t, asm.LoadImm(asm.R0, 1<<40, asm.DWord))[:8],
		"load beyond the context":  program(t, asm.LoadMem(asm.R0, asm.R1, 12, asm.Word), asm.Return()),
		"load before the context":  program(t, asm.LoadMem(asm.R0, asm.R1, -4, asm.Word), asm.Return()),
		"load that is not aligned": program(t, asm.LoadMem(asm.R0, asm.R1, 2, asm.Word), asm.Return()),
		"load of 8 bytes":          program(t, asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord), asm.Return()),
		"load from the stack":      program(t, asm.LoadMem(asm.R0, asm.RFP, -4, asm.Word), asm.Return()),
		"load from a number":       program(t, asm.Mov.Imm(asm.R2, 0), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), asm.Return()),
		"arithmetic on nothing":    program(t, asm.Add.Reg(asm.R0, asm.R2), asm.Return()),
		"product of an address":    program(t, asm.Mov.Imm(asm.R0, 1), asm.Mul.Imm(asm.R1, 2), asm.Return()),
		"address compared":         program(t, asm.Mov.Imm(asm.R0, 1), asm.JEq.Imm(asm.R1, 0, "x"), label(asm.Return())),
		"byte order":               program(t, asm.Mov.Imm(asm.R0, 1), asm.HostTo(asm.BE, asm.R0, asm.Word), asm.Return()),
		"register that is none":    {0xb7, 0x0f, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0},
		"signed division":          {0xb7, 0, 0, 0, 9, 0, 0, 0, 0x37, 0, 1, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0},
		"sign-extending move":      {0xb7, 1, 0, 0, 9, 0, 0, 0, 0xbf, 0x10, 8, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0},
	} {
		if v, err := Run(b, aDevice); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %d, %v", name, v, err)
		}
	}
}

// With its constants every path of a program can be taken.
func TestConstants(t *testing.T) {
	b := program(t,
		asm.LoadMem(asm.R2, asm.R1, 4, asm.Word),
		asm.JNE.Imm(asm.R2, 77, "no"),
		asm.LoadMem(asm.R3, asm.R1, 8, asm.Word),
		asm.JGT.Imm(asm.R3, 15, "no"),
		asm.LoadImm(asm.R4, 0x90000000, asm.DWord),
		asm.JLT.Reg(asm.R3, asm.R4, "yes"),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("no"), asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("yes"), asm.Return())
	got := Constants(b)
	slices.Sort(got)
	if want := []uint32{14, 15, 16, 77, 0x8fffffff, 0x90000000, 0x90000001}; !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
}

// FuzzRun: no program makes it panic or go on for ever, and what it answers it
// answers again.
func FuzzRun(f *testing.F) {
	f.Add(program(f, asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), asm.Return()), uint16(1), uint16(2), uint32(3), uint32(4))
	f.Add(program(f, asm.Mov.Reg(asm.R6, asm.R1), asm.Add.Imm(asm.R6, 4), asm.LoadMem(asm.R0, asm.R6, 4, asm.Word), asm.Return()), uint16(0), uint16(0), uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, access, kind uint16, major, minor uint32) {
		Constants(b)
		c := Context{access, kind, major, minor}
		v, err := Run(b, c)
		if err != nil && !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if w, again := Run(b, c); v != w || (err == nil) != (again == nil) {
			t.Errorf("%d, %v; then %d, %v", v, err, w, again)
		}
	})
}
