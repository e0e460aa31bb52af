package cbpf

import (
	"fmt"
	"slices"
)

// MaxPaths bounds [Explore]: a program with more paths for one region is
// reported as too complex. Real filters have a few paths for one system call.
const MaxPaths = 1 << 14

// maxSteps bounds the instructions walked: it is what keeps a hostile program
// (these come from a stranger's process) from taking more than some 10 ms.
const maxSteps = 1 << 20

// value is what a register or scratch word holds on one path: a constant, or
// a masked word of the data.
type value struct {
	symbolic bool
	word     uint8
	c        uint32 // the constant, or the mask
}

func constant(c uint32) value { return value{c: c} }

type path struct {
	pc   int
	a, x value
	mem  [memWords]value
}

// explorer walks the paths of one program, depth first.
type explorer struct {
	prog   []Instruction
	visit  func(ret uint32, r *Region) error
	onTest func(Test)
	paths  int
	steps  int
}

// Explore runs prog on all inputs of region at once and calls visit for each
// path that some input takes, with the value that the path returns and the set
// of inputs that take it. The sets are disjoint and together are region. The
// Region passed to visit is only valid during the call, and must be as it was
// when visit returns.
//
// An error of visit ends the walk and is returned. An error that matches
// [ErrTooComplex] means that the program computes with its input in a way that
// is not followed here (arithmetic other than & on an argument, comparing two
// of its words, returning one), or has more than [MaxPaths] paths.
func Explore(prog []Instruction, region *Region, visit func(ret uint32, r *Region) error) error {
	c, err := Check(prog)
	if err != nil {
		return err
	}
	return c.Explore(region, visit)
}

// Checked is a program that passed [Validate], for exploring it many times.
type Checked struct{ prog []Instruction }

// Check validates prog. The program must not be changed afterwards.
func Check(prog []Instruction) (Checked, error) { return Checked{prog}, Validate(prog) }

// Explore is [Explore] without the validation.
func (c Checked) Explore(region *Region, visit func(ret uint32, r *Region) error) error {
	return c.explore(region, visit, nil)
}

func (c Checked) explore(region *Region, visit func(uint32, *Region) error, onTest func(Test)) error {
	e := explorer{prog: c.prog, visit: visit, onTest: onTest}
	r, p := *region, path{}
	return e.walk(&p, &r)
}

func (e *explorer) tooComplex(pc int) error {
	return fmt.Errorf("%w: instruction %d (%s) computes with the input", ErrTooComplex, pc, e.prog[pc])
}

// walk follows p until it returns or splits.
func (e *explorer) walk(p *path, r *Region) error {
	for {
		if e.steps++; e.steps > maxSteps {
			return fmt.Errorf("%w: more than %d steps", ErrTooComplex, maxSteps)
		}
		pc, in := p.pc, e.prog[p.pc]
		p.pc++
		switch in.Code {
		case ReturnK:
			return e.end(in.K, r)
		case ReturnA:
			if p.a.symbolic {
				return e.tooComplex(pc)
			}
			return e.end(p.a.c, r)
		case Jump:
			p.pc += int(in.K)
		case JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX:
			done, err := e.branch(p, r, pc)
			if done || err != nil {
				return err
			}
		default:
			ret, err := e.step(p, r, pc)
			if err != nil {
				return err
			}
			if ret {
				return e.end(0, r) // division by zero
			}
		}
	}
}

func (e *explorer) end(ret uint32, r *Region) error {
	if e.paths++; e.paths > MaxPaths {
		return fmt.Errorf("%w: more than %d paths", ErrTooComplex, MaxPaths)
	}
	return e.visit(ret, r)
}

// step executes an instruction that neither jumps nor returns; true if it was
// a division by zero, which ends the program.
func (e *explorer) step(p *path, r *Region, pc int) (bool, error) {
	in := e.prog[pc]
	switch in.Code {
	case LoadAbs:
		w := int(in.K / 4)
		p.a = value{symbolic: true, word: uint8(w), c: ^uint32(0)}
		if ws := &r.words[w]; ws.lo == ws.hi {
			p.a = constant(ws.lo)
		}
		return false, nil
	case LoadImm:
		p.a = constant(in.K)
	case LoadLen:
		p.a = constant(dataSize)
	case LoadXImm:
		p.x = constant(in.K)
	case LoadXLen:
		p.x = constant(dataSize)
	case LoadMem:
		p.a = p.mem[in.K]
	case LoadXMem:
		p.x = p.mem[in.K]
	case Store:
		p.mem[in.K] = p.a
	case StoreX:
		p.mem[in.K] = p.x
	case TAX:
		p.x = p.a
	case TXA:
		p.a = p.x
	default:
		operand := constant(in.K)
		if in.Code&SourceX != 0 {
			operand = p.x
		}
		op := in.Code &^ SourceX
		// A value loaded before its word was narrowed to one value is that value.
		a, b := r.settle(p.a), r.settle(operand)
		switch {
		case !a.symbolic && !b.symbolic:
			v, ok := alu(op, a.c, b.c)
			if !ok {
				return true, nil
			}
			p.a = constant(v)
		case op == AndK && a.symbolic && !b.symbolic:
			p.a = value{symbolic: true, word: a.word, c: a.c & b.c}
		case op == AndK && b.symbolic && !a.symbolic:
			p.a = value{symbolic: true, word: b.word, c: a.c & b.c}
		default:
			return false, e.tooComplex(pc)
		}
		if p.a.symbolic && p.a.c == 0 {
			p.a = constant(0)
		}
	}
	return false, nil
}

func (r *Region) settle(v value) value {
	if !v.symbolic {
		return v
	}
	if w := &r.words[v.word]; w.lo == w.hi {
		return constant(w.lo & v.c)
	}
	return v
}

// branch takes a conditional jump. Where the region decides it, p continues;
// else both sides are walked and the path is done.
func (e *explorer) branch(p *path, r *Region, pc int) (done bool, err error) {
	in := &e.prog[pc]
	k := constant(in.K)
	if in.Code&SourceX != 0 {
		k = r.settle(p.x)
	}
	a := r.settle(p.a)
	op := jumpOp(in.Code)
	if k.symbolic && !a.symbolic && (op == OpEqual || op == OpSet) {
		a, k = k, a // both are symmetric
	}
	if k.symbolic {
		return true, e.tooComplex(pc)
	}
	t := Test{Op: op, Mask: ^uint32(0), K: k.c}
	if !a.symbolic {
		p.pc += jump(t.Holds(a.c), in)
		return false, nil
	}
	t.Word, t.Mask = int(a.word), a.c
	if in.JT == in.JF {
		p.pc += int(in.JT)
		return false, nil
	}
	if e.onTest != nil {
		e.onTest(t)
	}
	yes, no, err := r.halves(t)
	if err != nil {
		return true, err
	}
	// Deciding takes a search where masks are involved: count it.
	e.steps += 8 * (r.words[t.Word].numNots + 1)
	canHold, err := yes.possible()
	if err != nil {
		return true, err
	}
	canFail, err := no.possible()
	switch {
	case err != nil:
		return true, err
	case !canFail:
		p.pc += int(in.JT)
		return false, nil
	case !canHold:
		p.pc += int(in.JF)
		return false, nil
	}
	other := *p
	old := r.words[t.Word]
	r.words[t.Word] = yes
	p.pc += int(in.JT)
	if err = e.walk(p, r); err == nil {
		r.words[t.Word] = no
		other.pc += int(in.JF)
		err = e.walk(&other, r)
	}
	r.words[t.Word] = old
	return true, err
}

func jumpOp(code uint16) Op {
	switch code &^ SourceX {
	case JumpEqual:
		return OpEqual
	case JumpGT:
		return OpGT
	case JumpGE:
		return OpGE
	}
	return OpSet
}

// Summary says how a program treats one system call.
type Summary struct {
	Returns []uint32 // the values that some arguments lead to, sorted
	Tests   []Test   // the comparisons of arguments and instruction pointer met, sorted
}

// Constant reports whether the result is the same for all arguments.
func (s *Summary) Constant() bool { return len(s.Returns) == 1 }

// Summarise evaluates prog for a system call number and an architecture with
// everything else unknown: all possible results, and the comparisons with
// arguments (constants, masks, which half) on the way there. Its errors are
// those of [Explore].
func Summarise(prog []Instruction, arch, nr uint32) (Summary, error) {
	r := AnyRegion()
	r.Fix(WordArch, arch)
	r.Fix(WordNR, nr)
	var s Summary
	c, err := Check(prog)
	if err != nil {
		return s, err
	}
	err = c.explore(&r, func(ret uint32, _ *Region) error {
		if i, ok := slices.BinarySearch(s.Returns, ret); !ok {
			s.Returns = slices.Insert(s.Returns, i, ret)
		}
		return nil
	}, func(t Test) {
		if i, ok := slices.BinarySearchFunc(s.Tests, t, compareTests); !ok {
			s.Tests = slices.Insert(s.Tests, i, t)
		}
	})
	return s, err
}

func compareTests(a, b Test) int {
	for _, d := range [...]int64{
		int64(a.Word) - int64(b.Word), int64(a.Op) - int64(b.Op),
		int64(a.Mask) - int64(b.Mask), int64(a.K) - int64(b.K),
	} {
		if d != 0 {
			return int(min(max(d, -1), 1))
		}
	}
	return 0
}
