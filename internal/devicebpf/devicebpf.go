// Package devicebpf runs BPF programs of the type cgroup/dev without a kernel,
// which has no test run for them (cg_dev_prog_ops is empty, kernel/bpf/cgroup.c).
// It knows arithmetic, jumps and loads from the context; a program that does
// anything else (maps, helpers, memory) is refused, not guessed at.
package devicebpf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Context is struct bpf_cgroup_dev_ctx (uapi/linux/bpf.h).
type Context struct {
	Access uint16 // 1 mknod, 2 read, 4 write
	Type   uint16 // 1 block, 2 char
	Major  uint32
	Minor  uint32
}

func (c *Context) word(offset int) (uint32, bool) {
	switch offset {
	case 0:
		return uint32(c.Access)<<16 | uint32(c.Type), true
	case 4:
		return c.Major, true
	case 8:
		return c.Minor, true
	}
	return 0, false
}

// ErrUnknown is the error for a program that this package does not know how to run.
var ErrUnknown = errors.New("not a plain device program")

const insnSize = 8

// Instruction classes and sizes, uapi/linux/bpf.h.
const (
	classLDX, classALU, classJMP, classJMP32, classALU64 = 1, 4, 5, 6, 7

	loadImm64, exit = 0x18, 0x95
	most            = 1 << 16 // instructions run: there are no loops in such programs
)

// Run executes a program, given as its instructions in little-endian bytes, and
// returns what it returns: 0 denies the access.
func Run(program []byte, c Context) (uint64, error) {
	if len(program) == 0 || len(program)%insnSize != 0 {
		return 0, fmt.Errorf("%w: %d bytes", ErrUnknown, len(program))
	}
	m := machine{context: c}
	m.regs[1] = register{kind: address}
	for steps, pc := 0, 0; steps < most; steps++ {
		if pc < 0 || (pc+1)*insnSize > len(program) {
			return 0, fmt.Errorf("%w: it leaves its end at %d", ErrUnknown, pc)
		}
		i := decode(program[pc*insnSize:])
		jump := 0
		var err error
		switch i.op {
		case exit:
			if m.regs[0].kind != number {
				return 0, fmt.Errorf("%w: it returns no number", ErrUnknown)
			}
			return uint64(uint32(m.regs[0].v)), nil // the kernel looks at an int
		case loadImm64:
			if i.src != 0 || i.dst > 9 || (pc+2)*insnSize > len(program) {
				return 0, fmt.Errorf("%w: it has a map, at %d", ErrUnknown, pc)
			}
			high := decode(program[(pc+1)*insnSize:])
			m.regs[i.dst] = register{uint64(uint32(i.imm)) | uint64(uint32(high.imm))<<32, number}
			jump = 1
		default:
			jump, err = m.step(i)
		}
		if err != nil {
			return 0, fmt.Errorf("%w, at %d", err, pc)
		}
		pc += 1 + jump
	}
	return 0, fmt.Errorf("%w: it does not end", ErrUnknown)
}

type instruction struct {
	op       uint8
	dst, src uint8
	offset   int16
	imm      int32
}

func decode(b []byte) instruction {
	return instruction{
		op: b[0], dst: b[1] & 15, src: b[1] >> 4,
		offset: int16(binary.LittleEndian.Uint16(b[2:])), imm: int32(binary.LittleEndian.Uint32(b[4:])),
	}
}

// machine is the state of a run.
type machine struct {
	regs    [10]register
	context Context
}

type register struct {
	v    uint64
	kind kind
}

type kind uint8

const (
	nothing kind = iota
	number
	address // of the context; v is the offset
)

func (m *machine) step(i instruction) (jump int, err error) {
	if int(i.dst) >= len(m.regs) || int(i.src) >= len(m.regs) {
		return 0, fmt.Errorf("%w: register %d or %d", ErrUnknown, i.dst, i.src)
	}
	switch class := i.op & 7; class {
	case classALU, classALU64:
		return 0, m.alu(i, class == classALU64)
	case classJMP, classJMP32:
		return m.jump(i, class == classJMP)
	case classLDX:
		return 0, m.load(i)
	}
	return 0, fmt.Errorf("%w: opcode %#02x", ErrUnknown, i.op)
}

// load reads from the context, which may be read in parts (little-endian).
func (m *machine) load(i instruction) error {
	base := m.regs[i.src]
	size, ok := map[uint8]int{0x61: 4, 0x69: 2, 0x71: 1}[i.op]
	at := int(base.v) + int(i.offset)
	if base.kind != address || !ok || at < 0 || at%4+size > 4 {
		return fmt.Errorf("%w: load %#02x", ErrUnknown, i.op)
	}
	w, ok := m.context.word(at / 4 * 4)
	if !ok {
		return fmt.Errorf("%w: offset %d of the context", ErrUnknown, at)
	}
	v := uint64(w) >> (8 * (at % 4)) & (1<<(8*size) - 1)
	m.regs[i.dst] = register{v, number}
	return nil
}

// operand is the second operand of an instruction: a register, or a constant.
func (m *machine) operand(i instruction) register {
	if i.op&8 != 0 {
		return m.regs[i.src]
	}
	return register{uint64(int64(i.imm)), number}
}

func (m *machine) alu(i instruction, wide bool) error {
	a, b := m.regs[i.dst], m.operand(i)
	const mov, add = 0xb0, 0x00
	op := i.op & 0xf0
	if op == mov && i.offset == 0 && (wide || b.kind == number) {
		m.regs[i.dst] = b
		if !wide {
			m.regs[i.dst].v = uint64(uint32(b.v))
		}
		return nil
	}
	if op == add && wide && a.kind == address && b.kind == number {
		m.regs[i.dst].v += b.v
		return nil
	}
	const neg = 0x80
	if a.kind != number || b.kind != number && op != neg || i.offset != 0 {
		return fmt.Errorf("%w: arithmetic %#02x on no number", ErrUnknown, i.op)
	}
	x, y, bits := a.v, b.v, uint64(63)
	if !wide {
		x, y, bits = uint64(uint32(x)), uint64(uint32(y)), 31
	}
	switch op {
	case add:
		x += y
	case 0x10:
		x -= y
	case 0x20:
		x *= y
	case 0x30: // BPF_DIV: by zero gives zero
		if y == 0 {
			x = 0
		} else {
			x /= y
		}
	case 0x40:
		x |= y
	case 0x50:
		x &= y
	case 0x60:
		x <<= y & bits
	case 0x70:
		x >>= y & bits
	case neg:
		x = -x
	case 0x90: // BPF_MOD: by zero changes nothing
		if y != 0 {
			x %= y
		}
	case 0xa0:
		x ^= y
	case 0xc0:
		if wide {
			x = uint64(int64(x) >> (y & bits))
		} else {
			x = uint64(uint32(int32(uint32(x)) >> (y & bits)))
		}
	default:
		return fmt.Errorf("%w: arithmetic %#02x", ErrUnknown, i.op)
	}
	if !wide {
		x = uint64(uint32(x))
	}
	m.regs[i.dst] = register{x, number}
	return nil
}

func (m *machine) jump(i instruction, wide bool) (int, error) {
	const always = 0x00
	if i.op&0xf0 == always && wide {
		return int(i.offset), nil
	}
	a, b := m.regs[i.dst], m.operand(i)
	if a.kind != number || b.kind != number {
		return 0, fmt.Errorf("%w: comparison %#02x of no number", ErrUnknown, i.op)
	}
	x, y := a.v, b.v
	sx, sy := int64(x), int64(y)
	if !wide {
		x, y = uint64(uint32(x)), uint64(uint32(y))
		sx, sy = int64(int32(x)), int64(int32(y))
	}
	var taken bool
	switch i.op & 0xf0 {
	case 0x10:
		taken = x == y
	case 0x20:
		taken = x > y
	case 0x30:
		taken = x >= y
	case 0x40:
		taken = x&y != 0
	case 0x50:
		taken = x != y
	case 0x60:
		taken = sx > sy
	case 0x70:
		taken = sx >= sy
	case 0xa0:
		taken = x < y
	case 0xb0:
		taken = x <= y
	case 0xc0:
		taken = sx < sy
	case 0xd0:
		taken = sx <= sy
	default: // calls among them
		return 0, fmt.Errorf("%w: jump %#02x", ErrUnknown, i.op)
	}
	if taken {
		return int(i.offset), nil
	}
	return 0, nil
}

// Constants are the numbers in the comparisons of a program, and those next to
// them: with these and one other, every path through it can be taken.
func Constants(program []byte) []uint32 {
	seen := map[uint32]bool{}
	var out []uint32
	for pc := 0; (pc+1)*insnSize <= len(program); pc++ {
		i := decode(program[pc*insnSize:])
		switch class, op := i.op&7, i.op&0xf0; {
		case i.op == loadImm64:
		case (class == classJMP || class == classJMP32) && i.op&8 == 0 && op != 0x00 && op != 0x80 && op != 0x90: // no call, no exit
		default:
			continue
		}
		near := []int64{int64(i.imm) - 1, int64(i.imm), int64(i.imm) + 1}
		if op := i.op & 0xf0; i.op != loadImm64 && (op == 0x10 || op == 0x50) {
			near = near[1:2] // equal or not: its neighbours are like any other
		}
		for _, n := range near {
			if v := uint32(n); !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}
