package seccomp

import "github.com/holdshort/holdshort/internal/cbpf"

// The program: the architecture picks a block; a block finds the number's span
// by binary search; a span returns, or tries its rules in order. Only loads of
// the number and architecture, jumps and returns stand before arguments are
// looked at, so the kernel's per-call cache (since 5.11,
// seccomp_is_const_allow) recognises the calls that are always allowed.

func stmt(code uint16, k uint32) cbpf.Instruction { return cbpf.Instruction{Code: code, K: k} }

func branch(code uint16, k uint32, jt, jf uint8) cbpf.Instruction {
	return cbpf.Instruction{Code: code, K: k, JT: jt, JF: jf}
}

// farthest is the longest conditional jump: offsets are 8 bits wide.
const farthest = 255

func emit(groups []group, closed uint32) []cbpf.Instruction {
	prog := []cbpf.Instruction{stmt(cbpf.LoadAbs, 4*cbpf.WordArch)}
	for _, g := range groups {
		block := append([]cbpf.Instruction{stmt(cbpf.LoadAbs, 4*cbpf.WordNR)}, tree(g.spans)...)
		if len(block) <= farthest {
			prog = append(prog, branch(cbpf.JumpEqual, g.audit, 0, uint8(len(block))))
		} else {
			prog = append(prog, branch(cbpf.JumpEqual, g.audit, 1, 0), stmt(cbpf.Jump, uint32(len(block))))
		}
		prog = append(prog, block...)
	}
	return append(prog, stmt(cbpf.ReturnK, closed))
}

// tree searches the number, which is in A.
func tree(spans []span) []cbpf.Instruction {
	if len(spans) == 1 {
		return leaf(&spans[0])
	}
	mid := len(spans) / 2
	left, right := tree(spans[:mid]), tree(spans[mid:])
	out := make([]cbpf.Instruction, 0, len(left)+len(right)+2)
	if len(left) <= farthest {
		out = append(out, branch(cbpf.JumpGE, spans[mid].lo, uint8(len(left)), 0))
	} else {
		// Too far for a conditional jump: jump around a long one.
		out = append(out, branch(cbpf.JumpGE, spans[mid].lo, 0, 1), stmt(cbpf.Jump, uint32(len(left))))
	}
	return append(append(out, left...), right...)
}

func leaf(s *span) []cbpf.Instruction {
	var out []cbpf.Instruction
	for _, r := range s.rules {
		out = append(out, match(r, s.narrow)...)
		if len(r.conds) == 0 {
			return out
		}
	}
	return append(out, stmt(cbpf.ReturnK, s.def))
}

// Places that a comparison jumps to, before offsets are known.
const (
	next = iota // the instruction after it
	pass        // the condition holds: on to the next condition
	fail        // it does not: on to the next rule
)

// step is an instruction of a condition with symbolic targets.
type step struct {
	code   uint16
	k      uint32
	jt, jf int
	jumps  bool
}

// match returns r.ret if all conditions hold and else falls off its end.
func match(r rule, narrow bool) []cbpf.Instruction {
	var steps []step
	var ends []int // for each step, where its condition ends
	for _, c := range r.conds {
		steps = append(steps, condition(c, narrow)...)
		for len(ends) < len(steps) {
			ends = append(ends, len(steps))
		}
	}
	out := make([]cbpf.Instruction, 0, len(steps)+1)
	for i, s := range steps {
		if !s.jumps {
			out = append(out, stmt(s.code, s.k))
			continue
		}
		// fail skips the return too. A rule has at most six conditions of
		// eight steps, so these offsets are always near.
		to := [...]int{next: 0, pass: ends[i] - i - 1, fail: len(steps) - i}
		out = append(out, branch(s.code, s.k, uint8(to[s.jt]), uint8(to[s.jf])))
	}
	return append(out, stmt(cbpf.ReturnK, r.ret))
}

// condition compares a 64-bit argument with 32-bit instructions: first the
// high half, then the low half where the high halves are equal.
func condition(c Condition, narrow bool) []step {
	word := uint32(cbpf.WordArg + 2*c.Index)
	low := step{code: cbpf.LoadAbs, k: 4 * word}
	high := step{code: cbpf.LoadAbs, k: 4 * (word + 1)}
	hi, lo := uint32(c.Value>>32), uint32(c.Value)
	j := func(code uint16, k uint32, jt, jf int) step {
		return step{code: code, k: k, jt: jt, jf: jf, jumps: true}
	}
	upper := func(s ...step) []step {
		if narrow {
			return nil
		}
		return append([]step{high}, s...)
	}
	switch c.Op {
	case OpEqual:
		return append(upper(j(cbpf.JumpEqual, hi, next, fail)), low, j(cbpf.JumpEqual, lo, pass, fail))
	case OpNotEqual:
		return append(upper(j(cbpf.JumpEqual, hi, next, pass)), low, j(cbpf.JumpEqual, lo, fail, pass))
	case OpGreater, OpGreaterEqual:
		code := uint16(cbpf.JumpGT)
		if c.Op == OpGreaterEqual {
			code = cbpf.JumpGE
		}
		return append(upper(j(cbpf.JumpGT, hi, pass, next), j(cbpf.JumpEqual, hi, next, fail)), low, j(code, lo, pass, fail))
	case OpLess, OpLessEqual:
		code := uint16(cbpf.JumpGE)
		if c.Op == OpLessEqual {
			code = cbpf.JumpGT
		}
		return append(upper(j(cbpf.JumpGT, hi, fail, next), j(cbpf.JumpEqual, hi, next, pass)), low, j(code, lo, fail, pass))
	}
	return masked(c, narrow, low, high)
}

// masked compares argument & Value with ValueTwo, skipping halves that the
// mask leaves out. Bits of ValueTwo outside of the mask make it false.
func masked(c Condition, narrow bool, low, high step) []step {
	want := c.ValueTwo
	var out []step
	half := func(load step, mask, v uint32) {
		out = append(out, load)
		if mask != ^uint32(0) {
			out = append(out, step{code: cbpf.AndK, k: mask})
		}
		out = append(out, step{code: cbpf.JumpEqual, k: v, jt: next, jf: fail, jumps: true})
	}
	if mask := uint32(c.Value >> 32); !narrow && (mask != 0 || want>>32 != 0) {
		half(high, mask, uint32(want>>32))
	}
	if mask := uint32(c.Value); mask != 0 || uint32(want) != 0 {
		half(low, mask, uint32(want))
	}
	return out
}
