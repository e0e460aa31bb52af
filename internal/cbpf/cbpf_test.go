package cbpf

import (
	"errors"
	"strings"
	"testing"
)

func op(code uint16, k uint32) Instruction { return Instruction{Code: code, K: k} }

func jmp(code uint16, k uint32, jt, jf uint8) Instruction {
	return Instruction{Code: code, K: k, JT: jt, JF: jf}
}

var sample = Data{
	NR: -2, Arch: ArchX86_64, IP: 0x1122334455667788,
	Args: [6]uint64{0xa0000000b, 1, 2, 3, 4, 0xffffffff00000000},
}

func TestRun(t *testing.T) {
	ret := op(ReturnA, 0)
	for name, c := range map[string]struct {
		prog []Instruction
		want uint32
	}{
		"return constant":      {[]Instruction{op(ReturnK, 7)}, 7},
		"registers start at 0": {[]Instruction{op(AddX, 0), ret}, 0},
		"nr":                   {[]Instruction{op(LoadAbs, 0), ret}, 0xfffffffe},
		"arch":                 {[]Instruction{op(LoadAbs, 4), ret}, ArchX86_64},
		"ip low":               {[]Instruction{op(LoadAbs, 8), ret}, 0x55667788},
		"ip high":              {[]Instruction{op(LoadAbs, 12), ret}, 0x11223344},
		"arg 0 low":            {[]Instruction{op(LoadAbs, 16), ret}, 0xb},
		"arg 0 high":           {[]Instruction{op(LoadAbs, 20), ret}, 0xa},
		"arg 5 high":           {[]Instruction{op(LoadAbs, 60), ret}, 0xffffffff},
		"length":               {[]Instruction{op(LoadLen, 0), ret}, 64},
		"length in x":          {[]Instruction{op(LoadXLen, 0), op(TXA, 0), ret}, 64},
		"scratch":              {[]Instruction{op(LoadImm, 5), op(Store, 15), op(LoadXMem, 15), op(TXA, 0), ret}, 5},
		"scratch from x":       {[]Instruction{op(LoadXImm, 5), op(StoreX, 0), op(LoadMem, 0), ret}, 5},
		"wrap around":          {[]Instruction{op(LoadImm, 1), op(SubK, 2), ret}, 0xffffffff},
		"multiply wraps":       {[]Instruction{op(LoadImm, 0x10001), op(MulK, 0x10000), ret}, 0x10000},
		"unsigned division":    {[]Instruction{op(LoadImm, 0xfffffffe), op(DivK, 2), ret}, 0x7fffffff},
		"division by x":        {[]Instruction{op(LoadImm, 9), op(LoadXImm, 2), op(DivX, 0), ret}, 4},
		// Not an error: the program ends with 0, SECCOMP_RET_KILL_THREAD.
		"division by x = 0":   {[]Instruction{op(LoadImm, 9), op(DivX, 0), op(ReturnK, 5)}, 0},
		"negate":              {[]Instruction{op(LoadImm, 1), op(Neg, 0), ret}, 0xffffffff},
		"or and xor":          {[]Instruction{op(LoadImm, 0xf0), op(OrK, 0x0f), op(AndK, 0x3c), op(XorK, 1), ret}, 0x3d},
		"shift by x masks":    {[]Instruction{op(LoadImm, 1), op(LoadXImm, 33), op(LshX, 0), ret}, 2},
		"shift right by x":    {[]Instruction{op(LoadImm, 4), op(LoadXImm, 64), op(RshX, 0), ret}, 4},
		"shift by constant":   {[]Instruction{op(LoadImm, 1), op(LshK, 31), op(RshK, 30), ret}, 2},
		"always":              {[]Instruction{op(Jump, 1), op(ReturnK, 1), op(ReturnK, 2)}, 2},
		"equal":               {[]Instruction{op(LoadImm, 3), jmp(JumpEqual, 3, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 2},
		"greater is unsigned": {[]Instruction{op(LoadImm, 1<<31), jmp(JumpGT, 1, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 2},
		"not greater":         {[]Instruction{op(LoadImm, 3), jmp(JumpGT, 3, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 1},
		"greater or equal":    {[]Instruction{op(LoadImm, 3), jmp(JumpGE, 3, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 2},
		"set":                 {[]Instruction{op(LoadImm, 6), jmp(JumpSet, 12, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 2},
		"set by x = 0":        {[]Instruction{op(LoadImm, 6), jmp(JumpSetX, 0, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 1},
		"equal to x":          {[]Instruction{op(LoadImm, 6), op(TAX, 0), jmp(JumpEqualX, 0, 1, 0), op(ReturnK, 1), op(ReturnK, 2)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Validate(c.prog); err != nil {
				t.Fatal(err)
			}
			if got, err := Run(c.prog, &sample); err != nil || got != c.want {
				t.Errorf("got %#x, %v; want %#x", got, err, c.want)
			}
		})
	}
}

var invalid = map[string][]Instruction{
	"empty":                     {},
	"no return":                 {op(LoadImm, 0)},
	"load not aligned":          {op(LoadAbs, 2), op(ReturnA, 0)},
	"load past the end":         {op(LoadAbs, 64), op(ReturnA, 0)},
	"byte load":                 {op(ClassLD|ModeABS|0x10, 0), op(ReturnA, 0)},
	"indirect load":             {op(ClassLD|0x40, 0), op(ReturnA, 0)},
	"modulo":                    {op(ClassALU|0x90, 2), op(ReturnA, 0)},
	"division by zero":          {op(DivK, 0), op(ReturnA, 0)},
	"wide shift":                {op(LshK, 32), op(ReturnA, 0)},
	"scratch out of range":      {op(Store, 16), op(ReturnA, 0)},
	"read of unwritten scratch": {op(LoadMem, 0), op(ReturnA, 0)},
	"written on one branch":     {jmp(JumpEqual, 0, 0, 1), op(Store, 0), op(LoadMem, 0), op(ReturnA, 0)},
	"jump to the end":           {op(Jump, 1), op(ReturnA, 0)},
	"jump wraps":                {op(Jump, 0xffffffff), op(ReturnA, 0)},
	"branch out":                {jmp(JumpEqual, 0, 0, 1), op(ReturnA, 0)},
	"return x":                  {op(ClassRET|0x08, 0)},
	"negate x":                  {op(Neg|SourceX, 0), op(ReturnA, 0)},
	"bits above the code":       {op(0x100|ReturnK, 0)},
	"too long":                  make([]Instruction, MaxInstructions+1),
}

func TestValidateRefuses(t *testing.T) {
	for name, prog := range invalid {
		t.Run(name, func(t *testing.T) {
			err := Validate(prog)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v", err)
			}
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("%T is not an *Error", err)
			}
		})
	}
	long := make([]Instruction, MaxInstructions)
	for i := range long {
		long[i] = op(ReturnK, 0)
	}
	if err := Validate(long); err != nil {
		t.Errorf("%d instructions: %v", len(long), err)
	}
}

func TestStackPrecedence(t *testing.T) {
	order := []Action{KillProcess, KillThread, Trap, Errno, UserNotify, Trace, Log, Allow}
	filter := func(a Action, data uint32) []Instruction { return []Instruction{op(ReturnK, uint32(a)|data)} }
	for i, a := range order {
		for j, b := range order {
			got, err := RunStack([][]Instruction{filter(a, 1), filter(b, 2)}, &sample)
			want := uint32(order[min(i, j)]) | map[bool]uint32{true: 1, false: 2}[i <= j]
			// SECCOMP_RET_ALLOW with data 0 is where the kernel starts from.
			if order[min(i, j)] == Allow {
				want = uint32(Allow)
			}
			if err != nil || got != want {
				t.Errorf("%s over %s: got %#x, %v; want %#x", a, b, got, err, want)
			}
			if a.StrongerThan(b) != (i < j) {
				t.Errorf("%s stronger than %s: %v", a, b, i >= j)
			}
		}
	}
	if got, _ := RunStack(nil, &sample); got != uint32(Allow) {
		t.Errorf("no filters: %#x", got)
	}
}

func TestDecide(t *testing.T) {
	for ret, want := range map[uint32]string{
		0: "kill_thread", 5: "kill_thread", 0x80000000: "kill_process", 0x00030000: "trap", 0x00030005: "trap(5)",
		0x00050001: "errno(1)", 0x0005ffff: "errno(4095)", 0x7fc00000: "notify", 0x7ff00007: "trace(7)",
		0x7ffc0000: "log", 0x7fff0000: "allow", 0x7fff0003: "allow", 0x12340000: "kill_process",
	} {
		if got := Decide(ret).String(); got != want {
			t.Errorf("%#x: got %s, want %s", ret, got, want)
		}
	}
}

func TestSummarise(t *testing.T) {
	prog := []Instruction{
		op(LoadAbs, 0),
		jmp(JumpEqual, 16, 0, 5),
		op(LoadAbs, 28), // arg1.hi
		jmp(JumpEqual, 0, 0, 4),
		op(LoadAbs, 24), // arg1.lo
		op(AndK, 0xff),
		jmp(JumpEqual, 0x12, 1, 0),
		op(ReturnK, uint32(Allow)),
		op(ReturnK, uint32(Errno)|1),
	}
	s, err := Summarise(prog, ArchX86_64, 16)
	if err != nil {
		t.Fatal(err)
	}
	if s.Constant() || len(s.Tests) != 2 || s.Tests[0].String() != "arg1.lo&0xff == 0x12" || s.Tests[1].String() != "arg1.hi == 0x0" {
		t.Errorf("got %+v", s)
	}
	s, err = Summarise(prog, ArchX86_64, 17)
	if err != nil || !s.Constant() || len(s.Tests) != 0 || s.Returns[0] != uint32(Allow) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestExploreGivesUpHonestly(t *testing.T) {
	for name, prog := range map[string][]Instruction{
		"arithmetic on an argument": {op(LoadAbs, 16), op(AddK, 1), op(ReturnA, 0)},
		"returning an argument":     {op(LoadAbs, 16), op(ReturnA, 0)},
		"comparing two arguments":   {op(LoadAbs, 16), op(TAX, 0), op(LoadAbs, 20), jmp(JumpEqualX, 0, 0, 1), op(ReturnK, 0), op(ReturnK, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Summarise(prog, ArchX86_64, 1); !errors.Is(err, ErrTooComplex) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDisassemble(t *testing.T) {
	got := Disassemble([]Instruction{
		op(LoadAbs, 4), jmp(JumpEqual, ArchX86_64, 1, 0), op(ReturnK, uint32(KillProcess)),
		op(LoadAbs, 20), op(AndK, 255), jmp(JumpSetX, 0, 0, 1), op(ReturnK, uint32(Errno)|38), op(ReturnK, uint32(Allow)),
		op(0xffff, 1),
	})
	want := `   0  a = arch
   1  if a == 0xc000003e goto 3 else 2
   2  return kill_process
   3  a = arg0.hi
   4  a &= 0xff
   5  if a & x goto 6 else 7
   6  return errno(38)
   7  return allow
   8  invalid 0xffff jt=0 jf=0 k=0x1
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if s := op(TXA, 0).String(); !strings.Contains(s, "a = x") {
		t.Errorf("got %q", s)
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	prog := []Instruction{op(LoadAbs, 0), op(Store, 3), op(LoadMem, 3), jmp(JumpGE, 5, 0, 1), op(ReturnK, 1), op(ReturnA, 0)}
	if n := testing.AllocsPerRun(100, func() { _, _ = Run(prog, &sample) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRun(b *testing.B) {
	// 40 comparisons, about what one call costs in a real filter.
	prog := []Instruction{op(LoadAbs, 0)}
	for i := range 40 {
		prog = append(prog, jmp(JumpEqual, uint32(i), uint8(40-i), 0))
	}
	prog = append(prog, op(ReturnK, 1), op(ReturnK, 2))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Run(prog, &sample)
	}
}

func FuzzRun(f *testing.F) {
	for _, p := range invalid {
		f.Add(encode(p[:min(len(p), 8)]), int32(1), uint64(2))
	}
	f.Add(encode([]Instruction{op(LoadAbs, 16), jmp(JumpGT, 5, 0, 1), op(ReturnK, 1), op(ReturnA, 0)}), int32(1), uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, nr int32, arg uint64) {
		prog := decode(text)
		d := Data{NR: nr, Arch: ArchX86_64, Args: [6]uint64{arg, ^arg, arg >> 3}}
		ret, err := Run(prog, &d)
		valid := Validate(prog)
		if valid == nil && err != nil {
			t.Fatalf("valid program, but %v", err)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("untyped error %v", err)
		}
		_ = Disassemble(prog)
		if valid != nil {
			return
		}
		s, err := Summarise(prog, ArchX86_64, uint32(nr))
		if err != nil && !errors.Is(err, ErrTooComplex) {
			t.Fatal(err)
		}
		found := err != nil
		for _, r := range s.Returns {
			found = found || r == ret
		}
		if !found {
			t.Fatalf("Run returned %#x, explored only %#x", ret, s.Returns)
		}
	})
}

func encode(p []Instruction) []byte {
	var b []byte
	for _, in := range p {
		b = append(b, byte(in.Code), byte(in.Code>>8), in.JT, in.JF, byte(in.K), byte(in.K>>8), byte(in.K>>16), byte(in.K>>24))
	}
	return b
}

func decode(b []byte) []Instruction {
	var p []Instruction
	for ; len(b) >= 8; b = b[8:] {
		p = append(p, Instruction{
			Code: uint16(b[0]) | uint16(b[1])<<8, JT: b[2], JF: b[3],
			K: uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24,
		})
	}
	return p
}
