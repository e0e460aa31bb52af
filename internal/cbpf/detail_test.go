package cbpf

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// tractable makes a program that can mostly be explored: of constants, loaded
// words, masks and comparisons, with everything that moves values about.
func tractable(r *rand.Rand) []Instruction {
	n := 4 + r.IntN(12)
	p := make([]Instruction, 0, n+3)
	p = append(p, Instruction{Code: LoadImm, K: r.Uint32N(9)}, Instruction{Code: Store, K: 0}, Instruction{Code: StoreX, K: 1})
	kinds := []uint16{
		LoadAbs, LoadAbs, LoadAbs, LoadAbs, LoadAbs, LoadAbs, LoadAbs, LoadAbs, LoadImm, LoadXImm, LoadLen, LoadXLen, TAX, TXA, Store, StoreX, LoadMem, LoadXMem,
		AndK, AndK, AndX, Neg, AddK, DivX, JumpEqual, JumpEqual, JumpEqual, JumpGT, JumpGE, JumpSet, JumpSet, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX, Jump, JumpEqual, JumpSet, ReturnA,
	}
	masks := []uint32{^uint32(0), 0xffffff00, 0xff, 0xfffffff8, 0xf0, 3, 0}
	for i := range n {
		left := n - i // that follow, with the return
		in := Instruction{Code: kinds[r.IntN(len(kinds))], K: r.Uint32N(9)}
		switch in.Code {
		case LoadAbs:
			in.K = 4 * []uint32{WordNR, WordArch, WordArg, WordArg + 1}[r.IntN(4)]
		case LoadMem, LoadXMem, Store, StoreX:
			in.K = r.Uint32N(2)
		case AndK:
			in.K = masks[r.IntN(len(masks))]
		case Jump:
			in.K = r.Uint32N(uint32(min(left, 3)))
		case JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX:
			if in.JT, in.JF = uint8(r.IntN(min(left, 4))), uint8(r.IntN(min(left, 4))); r.IntN(3) == 0 {
				in.K = interesting[r.IntN(len(interesting))]
			}
		}
		p = append(p, in)
	}
	return append(p, Instruction{Code: []uint16{ReturnK, ReturnA}[r.IntN(2)], K: r.Uint32()})
}

// TestExploredPrograms is TestExploreAgreesWithRun for programs of which most can
// be explored, always the same ones: so it also shows that none is given up that
// need not be.
func TestExploredPrograms(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	explored, paths := 0, 0
	for range 8000 {
		p := tractable(r)
		if err := Validate(p); err != nil {
			t.Fatal(err, "\n", Disassemble(p))
		}
		data := make([]Data, 30)
		word := func() uint32 {
			w := p[r.IntN(len(p))].K + uint32(r.IntN(3)) - 1
			if r.IntN(4) == 0 {
				w |= interesting[r.IntN(len(interesting))]
			}
			return w
		}
		for i := range data {
			data[i] = Data{NR: int32(word()), Arch: word(), Args: [6]uint64{uint64(word())<<32 | uint64(word())}}
		}
		hits := make([]int, len(data))
		all := AnyRegion()
		n := 0
		err := Explore(p, &all, func(ret uint32, r *Region) error {
			n++
			x, err := r.Example()
			if err != nil {
				return err
			}
			if got, err := Run(p, &x); err != nil || got != ret || !r.Contains(&x) {
				t.Fatalf("explored %#x for %s, Run says %#x, %v\n%s", ret, r, got, err, Disassemble(p))
			}
			for i := range data {
				if !r.Contains(&data[i]) {
					continue
				}
				hits[i]++
				if got, _ := Run(p, &data[i]); got != ret {
					t.Fatalf("explored %#x for %s, Run says %#x for %+v\n%s", ret, r, got, data[i], Disassemble(p))
				}
			}
			return nil
		})
		if errors.Is(err, ErrTooComplex) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if all != AnyRegion() {
			t.Fatal("the region was changed")
		}
		explored, paths = explored+1, paths+n
		for i, n := range hits {
			if n != 1 {
				t.Fatalf("%+v is on %d paths of\n%s", data[i], n, Disassemble(p))
			}
		}
	}
	if explored != wantExplored || paths != wantPaths {
		t.Errorf("%d programs were explored, with %d paths; want %d, %d", explored, paths, wantExplored, wantPaths)
	}
}

// What the seed above comes to.
const wantExplored, wantPaths = 5239, 6388

// What bounds a walk is counted to the last one.
func TestExplore_Bounds(t *testing.T) {
	r := AnyRegion()
	visit := func(uint32, *Region) error { return nil }
	ret := []Instruction{{Code: ReturnK}}
	for _, c := range []struct {
		e    explorer
		fits bool
	}{
		{explorer{paths: MaxPaths - 1}, true},
		{explorer{paths: MaxPaths}, false},
		{explorer{steps: maxSteps - 1}, true},
		{explorer{steps: maxSteps}, false},
	} {
		c.e.prog, c.e.visit = ret, visit
		paths, steps := c.e.paths, c.e.steps
		if err := c.e.walk(&path{}, &r); (err == nil) != c.fits || err != nil && !errors.Is(err, ErrTooComplex) {
			t.Errorf("after %d paths and %d steps: %v", paths, steps, err)
		}
	}
	// Two comparisons, the second with one exclusion: 5 steps on the longest
	// path and 3 more on the others, 8 and 16 for deciding.
	e := explorer{visit: visit, prog: []Instruction{
		{Code: LoadAbs, K: 0}, {Code: JumpEqual, K: 7, JT: 1}, {Code: JumpEqual, K: 9}, {Code: ReturnK},
	}}
	e.prog[2].JT, e.prog[2].JF = 0, 0 // both ways are one: decided without a search
	if err := e.walk(&path{}, &r); err != nil || e.paths != 2 || e.steps != 5+8 {
		t.Errorf("%d paths, %d steps, %v; want 2, 13", e.paths, e.steps, err)
	}
	e = explorer{visit: visit, prog: []Instruction{
		{Code: LoadAbs, K: 0}, {Code: JumpEqual, K: 7, JT: 1}, {Code: JumpEqual, K: 9, JF: 1}, {Code: ReturnK}, {Code: ReturnK, K: 1},
	}}
	if err := e.walk(&path{}, &r); err != nil || e.paths != 3 || e.steps != 6+8+16 {
		t.Errorf("%d paths, %d steps, %v; want 3, 30", e.paths, e.steps, err)
	}
}

// A threshold for a masked word, at its edges.
func TestSplit_MaskedThreshold(t *testing.T) {
	ks := []uint32{0, 1, 7, 8, 9, 0xff, 0x100, 0x101, 0x7fffffff, 0x80000000, 0xfffffeff, 0xffffff00, 0xffffff01, 0xfffffff8, 0xfffffff9, 0xfffffffe, 0xffffffff}
	for _, mask := range []uint32{^uint32(0), 0xfffffff8, 0xffffff00, 0x80000000} {
		for _, k := range ks {
			for _, op := range []Op{OpGT, OpGE} {
				test := Test{Op: op, Mask: mask, K: k}
				w := wordSet{hi: ^uint32(0)}
				yes, no, err := w.split(test)
				if err != nil {
					t.Errorf("%v: %v", test, err)
					continue
				}
				for _, near := range ks {
					for d := range uint32(5) {
						if x := near + d - 2; yes.contains(x) != test.Holds(x) || no.contains(x) == test.Holds(x) {
							t.Errorf("%v of %#x: in yes %v, in no %v", test, x, yes.contains(x), no.contains(x))
						}
					}
				}
			}
		}
	}
	w := wordSet{hi: ^uint32(0)}
	for _, mask := range []uint32{0xf0f0, 0xffffff0f, 0x00ffff00, 1} {
		if _, _, err := w.split(Test{Op: OpGE, Mask: mask, K: 1}); !errors.Is(err, ErrTooComplex) {
			t.Errorf("mask %#x: %v", mask, err)
		}
	}
}

// assume narrows the first word and says whether that is possible.
func assume(t *testing.T, r *Region, test Test, holds bool) bool {
	t.Helper()
	yes, no, err := r.halves(test)
	if err != nil {
		t.Fatal(err)
	}
	if r.words[test.Word] = yes; !holds {
		r.words[test.Word] = no
	}
	possible, err := r.words[test.Word].possible()
	if err != nil {
		t.Fatal(err)
	}
	return possible
}

func TestWordSet_Edges(t *testing.T) {
	const every = ^uint32(0)
	between := func(lo, hi uint32) *Region { r := AnyRegion(); r.Between(0, lo, hi); return &r }
	member := func(r *Region, want uint32) {
		t.Helper()
		if x, ok, err := r.words[0].member(); x != want || !ok || err != nil {
			t.Errorf("member %#x, %v, %v of %s; want %#x", x, ok, err, r, want)
		}
	}

	// The ends of a range belong to it.
	for _, k := range []uint32{5, 7} {
		if r := between(5, 7); !assume(t, r, Test{Mask: every, K: k}, true) || !r.words[0].contains(k) {
			t.Errorf("%d is not in 5 to 7", k)
		}
		if r := between(5, 7); !assume(t, r, Test{Mask: every, K: k}, false) || r.words[0].contains(k) || !r.words[0].contains(6) {
			t.Errorf("%d is left in 5 to 7", k)
		}
	}
	for _, k := range []uint32{4, 8} {
		if r := between(5, 7); !assume(t, r, Test{Mask: every, K: k}, false) || r.words[0].numNots != 0 {
			t.Errorf("%d, which is not in 5 to 7, is excluded", k)
		}
	}

	// As many exclusions as values leave nothing.
	r := between(0, 4)
	for i, k := range []uint32{2, 1, 3, 0, 4} {
		if possible := assume(t, r, Test{Mask: every, K: k}, false); possible != (i < 4) {
			t.Errorf("without %d: possible %v", k, possible)
		}
	}
	// Each of these excludes a quarter.
	r = between(0, 15)
	for v := range uint32(4) {
		if possible := assume(t, r, Test{Mask: 3, K: v}, false); possible != (v < 3) {
			t.Errorf("without &3 == %d: possible %v", v, possible)
		}
	}

	// The search looks at bits that only an exclusion cares for, and at none
	// that nothing does.
	r = between(0, every)
	assume(t, r, Test{Mask: 1 << 31, K: 1 << 31}, true)
	assume(t, r, Test{Mask: 0x30, K: 0}, false)
	assume(t, r, Test{Mask: 0x30, K: 0x10}, false)
	member(r, 0x80000020)
	r = between(0, every)
	assume(t, r, Test{Mask: 1 << 31, K: 1 << 31}, true)
	assume(t, r, Test{Mask: 3, K: 0}, false)
	member(r, 0x80000001)
	r = between(0xf, every)
	assume(t, r, Test{Mask: 0x10, K: 0x10}, true)
	member(r, 0x10)
	r = between(0, 0x10)
	assume(t, r, Test{Mask: 0x18, K: 0x8}, true)
	member(r, 0x8)

	r = between(0xf, every)
	assume(t, r, Test{Mask: 1, K: 0}, true)
	member(r, 0x10)

	// A search that takes too long is given up, and says so.
	r = between(0, every)
	for i := range 20 {
		assume(t, r, Test{Mask: 1<<(i+4) | 2, K: 1 << (i + 4)}, false)
	}
	for v := range uint32(3) {
		assume(t, r, Test{Mask: 3, K: v}, false)
	}
	_, no, err := r.halves(Test{Mask: 3, K: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := no.member(); !errors.Is(err, ErrTooComplex) {
		t.Errorf("a search without end: %v", err)
	}
	for budget, want := range map[int]bool{33: false, 34: true} {
		any32 := wordSet{hi: every}
		s := search{w: &any32, budget: budget}
		if _, ok := s.bit(31, 0, true, true, nil); ok != want {
			t.Errorf("with a budget of %d: %v", budget, ok)
		}
	}
}

func TestRegion_Assume(t *testing.T) {
	r := AnyRegion()
	failed := errors.New("failed")
	test := Test{Op: OpGE, Mask: ^uint32(0), K: 10}
	for _, holds := range []bool{true, false} {
		possible, err := r.Assume(test, holds, func() error {
			if r.words[0].contains(9) == holds || r.words[0].contains(10) != holds {
				t.Errorf("holds %v: %s", holds, r.String())
			}
			return failed
		})
		if !possible || err != failed { //nolint:errorlint // itself
			t.Errorf("%v, %v", possible, err)
		}
		if r != AnyRegion() {
			t.Errorf("left: %s", r.String())
		}
	}
	r.Between(0, 20, 30)
	if possible, err := r.Assume(test, false, func() error { t.Error("called"); return nil }); possible || err != nil {
		t.Errorf("%v, %v", possible, err)
	}
	if _, err := r.Assume(Test{Op: OpGE, Mask: 0xf0f0, K: 1}, true, func() error { t.Error("called"); return nil }); !errors.Is(err, ErrTooComplex) {
		t.Error(err)
	}
}

func TestRegion_Text(t *testing.T) {
	r := AnyRegion()
	if got := r.String(); got != "" {
		t.Errorf("%q", got)
	}
	for w := range NumWords {
		if !r.Free(w) {
			t.Errorf("word %d is not free", w)
		}
	}
	r.Fix(WordArch, 0xc000003e)
	r.Between(WordNR, 3, 90)
	assume(t, &r, Test{Word: WordNR, Mask: ^uint32(0), K: 60}, false)
	assume(t, &r, Test{Word: WordArg, Mask: 0xf0, K: 0x30}, true)
	assume(t, &r, Test{Word: WordArg, Mask: 3, K: 2}, false)
	r.Between(WordArg+1, 0, 5)
	r.Between(WordIP+1, 7, 7)
	const want = "0x3 <= nr <= 0x5a, nr != 0x3c, arch == 0xc000003e, ip.hi == 0x7, arg0.lo&0xf0 == 0x30, arg0.lo&0x3 != 0x2, 0x0 <= arg0.hi <= 0x5"
	if got := r.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.Free(WordNR) || r.Free(WordArch) || !r.Free(WordIP) {
		t.Error("free words")
	}
	x, err := r.Example()
	if err != nil || x.IP != 7<<32 || !r.Contains(&x) {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestSummarise_FixesTheCall(t *testing.T) {
	s, err := Summarise([]Instruction{
		{Code: LoadAbs, K: 4 * WordArch},
		{Code: JumpEqual, K: 1, JF: 5},
		{Code: LoadAbs, K: 4 * WordArg},
		{Code: JumpGT, K: 9, JT: 1},
		{Code: JumpEqual, K: 3, JF: 1},
		{Code: ReturnK, K: 1},
		{Code: ReturnK, K: 2},
		{Code: ReturnK, K: 3},
	}, 1, 5)
	if err != nil || !slices.Equal(s.Returns, []uint32{1, 2}) {
		t.Errorf("%v, %v", s.Returns, err)
	}
	if s, err = Summarise([]Instruction{{Code: LoadAbs, K: 4 * WordNR}, {Code: ReturnA}}, 1, 5); err != nil || !slices.Equal(s.Returns, []uint32{5}) {
		t.Errorf("%v, %v", s.Returns, err)
	}
}

func TestCompareTests(t *testing.T) {
	sorted := []Test{
		{Word: 1, Op: 3, Mask: 9, K: 9},
		{Word: 2, Op: 1, Mask: 9, K: 9},
		{Word: 2, Op: 2, Mask: 5, K: 9},
		{Word: 2, Op: 2, Mask: 6, K: 1},
		{Word: 2, Op: 2, Mask: 6, K: 2},
		{Word: 2, Op: 2, Mask: 6, K: ^uint32(0)},
		{Word: 2, Op: 2, Mask: ^uint32(0), K: 1},
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got, want := compareTests(a, b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%v and %v: %d, want %d", a, b, got, want)
			}
		}
	}
}

// Run refuses what Validate does, where it comes to it.
func TestRun_Invalid(t *testing.T) {
	ret := Instruction{Code: ReturnK, K: 7}
	for _, c := range []struct {
		prog []Instruction
		pc   int // of the defect, -1 for the program, -2 for none
	}{
		{[]Instruction{{Code: LoadAbs, K: dataSize - 4}, ret}, -2},
		{[]Instruction{{Code: LoadAbs, K: dataSize}, ret}, 0},
		{[]Instruction{{Code: LoadAbs, K: dataSize + 4}, ret}, 0},
		{[]Instruction{{Code: LoadAbs, K: 2}, ret}, 0},
		{[]Instruction{{Code: LoadImm}, {Code: Jump, K: 0}, ret}, -2},
		{[]Instruction{{Code: LoadImm}, {Code: Jump, K: 1}, ret}, 1},
		{[]Instruction{{Code: LoadImm}, {Code: LoadImm}, {Code: Jump, K: 1}, ret, ret}, -2},
		{[]Instruction{{Code: LoadImm}, {Code: LoadImm}, {Code: Jump, K: 2}, ret, ret}, 2},
		{[]Instruction{{Code: LshK, K: 31}, ret}, -2},
		{[]Instruction{{Code: LshK, K: 32}, ret}, 0},
		{[]Instruction{{Code: RshK, K: 31}, ret}, -2},
		{[]Instruction{{Code: RshK, K: 32}, ret}, 0},
		{[]Instruction{{Code: RshK, K: 33}, ret}, 0},
		{[]Instruction{{Code: AddK, K: 32}, ret}, -2},
		{[]Instruction{{Code: Neg | SourceX}, ret}, 0},
		{[]Instruction{{Code: Store, K: memWords - 1}, ret}, -2},
		{[]Instruction{{Code: Store, K: memWords}, ret}, 0},
		{[]Instruction{{Code: LoadImm}}, -1},
	} {
		got, err := Run(c.prog, &Data{})
		var e *Error
		switch {
		case c.pc == -2:
			if err != nil || got != 7 {
				t.Errorf("%s: %d, %v", Disassemble(c.prog), got, err)
			}
		case !errors.As(err, &e) || e.PC != c.pc:
			t.Errorf("%s: %v; want a defect of instruction %d", Disassemble(c.prog), err, c.pc)
		}
		if c.pc >= 0 && !errors.As(Validate(c.prog), &e) {
			t.Errorf("%s is valid", Disassemble(c.prog))
		}
	}
}

func TestValidate_Place(t *testing.T) {
	ret := Instruction{Code: ReturnK}
	jump := func(jt, jf uint8) []Instruction {
		return []Instruction{{Code: LoadImm}, {Code: JumpEqual, JT: jt, JF: jf}, ret, ret}
	}
	for _, c := range []struct {
		prog []Instruction
		want string
	}{
		{jump(1, 1), ""},
		{jump(2, 1), "cbpf: instruction 1: jump out of the program"},
		{jump(1, 2), "cbpf: instruction 1: jump out of the program"},
		{[]Instruction{{Code: DivK}, ret}, "cbpf: instruction 0: division by the constant zero"},
		{[]Instruction{ret, {Code: LoadImm}}, "cbpf: instruction 1: the last instruction is not a return"},
		{nil, "cbpf: no instructions"},
	} {
		got := ""
		if err := Validate(c.prog); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got, want := Disassemble([]Instruction{{Code: LoadImm}, {Code: Jump, K: 2}, ret, ret, ret}), "goto 4"; !strings.Contains(got, want) {
		t.Errorf("%q has no %q", got, want)
	}
}

func TestDecide_Data(t *testing.T) {
	for _, a := range []Action{Log, Allow, KillThread, UserNotify} {
		if d := Decide(uint32(a) | 7); d != (Decision{Action: a}) {
			t.Errorf("%v", d)
		}
	}
}

// What is computed of two words, or of a word on the other side of an order, is
// not explored; what is computed of a word and a constant is.
func TestExplore_Operands(t *testing.T) {
	load := func(word uint32) Instruction { return Instruction{Code: LoadAbs, K: 4 * word} }
	x, five := Instruction{Code: TAX}, Instruction{Code: LoadImm, K: 5}
	yes, no := Instruction{Code: ReturnK, K: 1}, Instruction{Code: ReturnK, K: 2}
	is := func(code uint16) Instruction { return Instruction{Code: code, K: 4, JF: 1} }
	for _, c := range []struct {
		name string
		prog []Instruction
		can  bool
	}{
		{"word & word", []Instruction{load(1), x, load(0), {Code: AndX}, is(JumpEqual), yes, no}, false},
		{"word == word", []Instruction{load(1), x, load(0), is(JumpEqualX), yes, no}, false},
		{"constant & word", []Instruction{load(0), x, five, {Code: AndX}, is(JumpEqual), yes, no}, true},
		{"word & constant", []Instruction{{Code: LoadXImm, K: 5}, load(0), {Code: AndX}, is(JumpEqual), yes, no}, true},
		{"constant > word", []Instruction{load(0), x, five, is(JumpGTX), yes, no}, false},
		{"constant >= word", []Instruction{load(0), x, five, is(JumpGEX), yes, no}, false},
		{"constant == word", []Instruction{load(0), x, five, is(JumpEqualX), yes, no}, true},
		{"constant & word != 0", []Instruction{load(0), x, five, is(JumpSetX), yes, no}, true},
		{"-word", []Instruction{load(0), {Code: Neg}, is(JumpEqual), yes, no}, false},
		{"-constant", []Instruction{five, {Code: Neg}, is(JumpEqual), yes, no}, true},
	} {
		r := AnyRegion()
		paths := 0
		err := Explore(c.prog, &r, func(ret uint32, r *Region) error {
			paths++
			for nr := range int32(9) {
				if d := (Data{NR: nr}); r.Contains(&d) {
					if got, err := Run(c.prog, &d); got != ret || err != nil {
						t.Errorf("%s: %d for %d, explored %d", c.name, got, nr, ret)
					}
				}
			}
			return nil
		})
		if c.can && (err != nil || paths == 0) || !c.can && !errors.Is(err, ErrTooComplex) {
			t.Errorf("%s: %d paths, %v", c.name, paths, err)
		}
	}
}
