package cbpf

import (
	"fmt"
	"strings"
)

var wordNames = [NumWords]string{
	"nr", "arch", "ip.lo", "ip.hi",
	"arg0.lo", "arg0.hi", "arg1.lo", "arg1.hi", "arg2.lo", "arg2.hi",
	"arg3.lo", "arg3.hi", "arg4.lo", "arg4.hi", "arg5.lo", "arg5.hi",
}

// WordName names word i of [Data]: "nr", "arch", "ip.lo", "arg0.hi".
func WordName(i int) string { return wordNames[i] }

var aluNames = map[uint16]string{
	AddK: "+", SubK: "-", MulK: "*", DivK: "/", OrK: "|", AndK: "&", LshK: "<<", RshK: ">>", XorK: "^",
}

var jumpNames = map[uint16]string{JumpEqual: "==", JumpGT: ">", JumpGE: ">=", JumpSet: "&"}

// Disassemble writes prog as text, one numbered instruction a line, jumps with
// the numbers of their targets. It takes invalid programs too.
func Disassemble(prog []Instruction) string {
	var b strings.Builder
	for pc, in := range prog {
		fmt.Fprintf(&b, "%4d  %s\n", pc, in.text(pc))
	}
	return b.String()
}

// String is the instruction's text with jump targets relative to 0.
func (in Instruction) String() string { return in.text(-1) }

func (in Instruction) text(pc int) string {
	operand := fmt.Sprintf("%#x", in.K)
	if in.Code&SourceX != 0 {
		operand = "x"
	}
	if op, ok := aluNames[in.Code&^SourceX]; ok {
		return "a " + op + "= " + operand
	}
	if op, ok := jumpNames[in.Code&^SourceX]; ok {
		return fmt.Sprintf("if a %s %s goto %d else %d", op, operand, pc+1+int(in.JT), pc+1+int(in.JF))
	}
	switch in.Code {
	case LoadAbs:
		if in.K < dataSize && in.K%4 == 0 {
			return "a = " + wordNames[in.K/4]
		}
		return fmt.Sprintf("a = data[%d]", in.K)
	case LoadImm:
		return "a = " + operand
	case LoadMem:
		return fmt.Sprintf("a = m[%d]", in.K)
	case LoadLen:
		return "a = len"
	case LoadXImm:
		return fmt.Sprintf("x = %#x", in.K)
	case LoadXMem:
		return fmt.Sprintf("x = m[%d]", in.K)
	case LoadXLen:
		return "x = len"
	case Store:
		return fmt.Sprintf("m[%d] = a", in.K)
	case StoreX:
		return fmt.Sprintf("m[%d] = x", in.K)
	case Neg:
		return "a = -a"
	case Jump:
		return fmt.Sprintf("goto %d", uint64(pc+1)+uint64(in.K))
	case ReturnK:
		return "return " + Decide(in.K).String()
	case ReturnA:
		return "return a"
	case TAX:
		return "x = a"
	case TXA:
		return "a = x"
	}
	return fmt.Sprintf("invalid %#x jt=%d jf=%d k=%#x", in.Code, in.JT, in.JF, in.K)
}
