package cbpf

var errEnd = bad(-1, "execution ran past the last instruction")

// Run executes prog on data and returns the filter's return value, as the
// kernel's interpreter or JIT would. It does not allocate.
//
// The program should have passed [Validate]. An invalid one never panics and
// always terminates: Run returns an error that matches [ErrInvalid] when it
// meets an instruction that no loaded filter can contain. It does not look at
// instructions that this data does not reach.
func Run(prog []Instruction, data *Data) (uint32, error) {
	var a, x uint32
	var mem [memWords]uint32
	for pc := 0; pc < len(prog); pc++ {
		in := &prog[pc]
		k := in.K
		switch in.Code {
		case LoadAbs:
			if k >= dataSize || k%4 != 0 {
				return 0, validateOne(prog, pc)
			}
			a = data.word(k / 4)
		case JumpEqual:
			pc += jump(a == k, in)
		case JumpGT:
			pc += jump(a > k, in)
		case JumpGE:
			pc += jump(a >= k, in)
		case JumpSet:
			pc += jump(a&k != 0, in)
		case JumpEqualX:
			pc += jump(a == x, in)
		case JumpGTX:
			pc += jump(a > x, in)
		case JumpGEX:
			pc += jump(a >= x, in)
		case JumpSetX:
			pc += jump(a&x != 0, in)
		case Jump:
			if uint64(k) >= uint64(len(prog)-pc-1) {
				return 0, validateOne(prog, pc)
			}
			pc += int(k)
		case ReturnK:
			return k, nil
		case ReturnA:
			return a, nil
		case LoadImm:
			a = k
		case LoadLen:
			a = dataSize
		case LoadXImm:
			x = k
		case LoadXLen:
			x = dataSize
		case LoadMem, LoadXMem, Store, StoreX:
			if k >= memWords {
				return 0, validateOne(prog, pc)
			}
			switch in.Code {
			case LoadMem:
				a = mem[k]
			case LoadXMem:
				x = mem[k]
			case Store:
				mem[k] = a
			case StoreX:
				mem[k] = x
			}
		case TAX:
			x = a
		case TXA:
			a = x
		default:
			operand := k
			if in.Code&SourceX != 0 {
				operand = x
			}
			v, ok := alu(in.Code&^SourceX, a, operand)
			if !ok || oddALU(in) {
				if err := validateOne(prog, pc); err != nil {
					return 0, err
				}
				// A division by an X of zero ends the program with 0, that
				// is SECCOMP_RET_KILL_THREAD (bpf_convert_filter).
				return 0, nil
			}
			a = v
		}
	}
	return 0, errEnd
}

func jump(taken bool, in *Instruction) int {
	if taken {
		return int(in.JT)
	}
	return int(in.JF)
}

// oddALU reports codes that alu computes but the kernel does not load.
func oddALU(in *Instruction) bool {
	return in.Code == Neg|SourceX || (in.Code == LshK || in.Code == RshK) && in.K >= 32
}

// alu computes one arithmetic instruction; false for a division by zero and
// for a code that is none.
func alu(op uint16, a, b uint32) (uint32, bool) {
	switch op {
	case AddK:
		return a + b, true
	case SubK:
		return a - b, true
	case MulK:
		return a * b, true
	case DivK:
		if b == 0 {
			return 0, false
		}
		return a / b, true
	case OrK:
		return a | b, true
	case AndK:
		return a & b, true
	case XorK:
		return a ^ b, true
	// A shift by a register uses its low five bits, as 32-bit shifts of eBPF
	// do in the interpreter and in the JITs.
	case LshK:
		return a << (b & 31), true
	case RshK:
		return a >> (b & 31), true
	case Neg:
		return -a, true
	}
	return 0, false
}
