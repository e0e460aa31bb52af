package cbpf

import (
	"errors"
	"fmt"
)

// ErrInvalid is matched by every error about a program that the kernel would
// refuse to load (EINVAL).
var ErrInvalid = errors.New("invalid classic BPF program")

// Error is a defect of a program at one instruction.
type Error struct {
	PC  int // index of the instruction, -1 if the program as a whole is meant
	Why string
}

func (e *Error) Error() string {
	if e.PC < 0 {
		return "cbpf: " + e.Why
	}
	return fmt.Sprintf("cbpf: instruction %d: %s", e.PC, e.Why)
}

// Is reports whether target is ErrInvalid.
func (e *Error) Is(target error) bool { return target == ErrInvalid }

func bad(pc int, why string) error { return &Error{PC: pc, Why: why} }

// Validate checks prog as seccomp(2) does when it loads a filter. The rules are
// those of bpf_check_classic (net/core/filter.c) followed by
// seccomp_check_filter (kernel/seccomp.c); the result is nil exactly if the
// kernel would accept the program.
func Validate(prog []Instruction) error {
	if len(prog) == 0 {
		return bad(-1, "no instructions")
	}
	if len(prog) > MaxInstructions {
		return bad(-1, fmt.Sprintf("%d instructions, the kernel takes %d", len(prog), MaxInstructions))
	}
	for pc := range prog {
		if err := validateOne(prog, pc); err != nil {
			return err
		}
	}
	if c := prog[len(prog)-1].Code; c != ReturnK && c != ReturnA {
		return bad(len(prog)-1, "the last instruction is not a return")
	}
	return validateMemory(prog)
}

func validateOne(prog []Instruction, pc int) error {
	in, left := prog[pc], len(prog)-pc-1 // left: instructions that follow
	switch in.Code {
	case LoadAbs:
		if in.K >= dataSize || in.K%4 != 0 {
			return bad(pc, "load outside of struct seccomp_data or not aligned")
		}
	case LoadImm, LoadLen, LoadXImm, LoadXLen, TAX, TXA, ReturnK, ReturnA,
		AddK, AddX, SubK, SubX, MulK, MulX, DivX, OrK, OrX, AndK, AndX, LshX, RshX, Neg, XorK, XorX:
	case DivK:
		if in.K == 0 {
			return bad(pc, "division by the constant zero")
		}
	case LshK, RshK:
		if in.K >= 32 {
			return bad(pc, "shift by 32 or more")
		}
	case LoadMem, LoadXMem, Store, StoreX:
		if in.K >= memWords {
			return bad(pc, "scratch word out of range")
		}
	case Jump:
		if uint64(in.K) >= uint64(left) {
			return bad(pc, "jump out of the program")
		}
	case JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX:
		if int(in.JT) >= left || int(in.JF) >= left {
			return bad(pc, "jump out of the program")
		}
	default:
		return bad(pc, fmt.Sprintf("code %#x not allowed in a seccomp filter", in.Code))
	}
	return nil
}

// validateMemory refuses reads of scratch words that some path leaves
// unwritten. It is check_load_and_stores of net/core/filter.c, including that
// unreachable code counts as code where everything was written.
func validateMemory(prog []Instruction) error {
	var masks [MaxInstructions]uint16
	for i := range prog {
		masks[i] = 0xffff
	}
	written := uint16(0)
	for pc, in := range prog {
		written &= masks[pc]
		switch in.Code {
		case Store, StoreX:
			written |= 1 << in.K
		case LoadMem, LoadXMem:
			if written&(1<<in.K) == 0 {
				return bad(pc, "read of a scratch word that was not written")
			}
		case Jump:
			masks[pc+1+int(in.K)] &= written
			written = 0xffff
		case JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX:
			masks[pc+1+int(in.JT)] &= written
			masks[pc+1+int(in.JF)] &= written
			written = 0xffff
		}
	}
	return nil
}
