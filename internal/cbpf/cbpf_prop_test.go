package cbpf

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// codes are all instructions that a filter may contain.
var codes = []uint16{
	LoadAbs, LoadImm, LoadMem, LoadLen, LoadXImm, LoadXMem, LoadXLen, Store, StoreX,
	AddK, SubK, MulK, DivK, OrK, AndK, LshK, RshK, Neg, XorK, AddX, SubX, MulX, DivX, OrX, AndX, LshX, RshX, XorX,
	Jump, JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX, ReturnK, ReturnA, TAX, TXA,
}

// simple are the instructions that real filters consist of.
var simple = []uint16{LoadAbs, LoadAbs, AndK, JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqual, Jump, ReturnK, TAX, TXA}

var interesting = []uint32{0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 60, 64, 0x7f, 0x80, 0xff, 0xffff, 0x10000, X32Bit, 0x7fffffff, 1 << 31, 0xfffffff0, 0xfffffffe, 0xffffffff}

func genWord() *rapid.Generator[uint32] {
	return rapid.OneOf(rapid.SampledFrom(interesting), rapid.Uint32Range(0, 20), rapid.Uint32())
}

// genProgram makes programs of which most are valid.
func genProgram(codes []uint16, longest int) *rapid.Generator[[]Instruction] {
	return rapid.Custom(func(t *rapid.T) []Instruction {
		n := rapid.IntRange(1, longest).Draw(t, "len")
		p := make([]Instruction, n)
		for i := range p {
			left := n - i - 1
			in := Instruction{Code: rapid.SampledFrom(codes).Draw(t, "code"), K: genWord().Draw(t, "k")}
			if left == 0 {
				in.Code = rapid.SampledFrom([]uint16{ReturnK, ReturnA}).Draw(t, "ret")
			}
			switch in.Code {
			case LoadAbs:
				in.K = 4 * rapid.Uint32Range(0, 15).Draw(t, "word")
			case LoadMem, LoadXMem, Store, StoreX:
				in.K = rapid.Uint32Range(0, 2).Draw(t, "mem")
			case LshK, RshK:
				in.K &= 31
			case DivK:
				in.K |= 1
			case Jump:
				in.K = 0
				if left > 1 {
					in.K = rapid.Uint32Range(0, uint32(left-1)).Draw(t, "to")
				}
			case JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX:
				far := min(left-1, 255)
				in.JT = uint8(rapid.IntRange(0, far).Draw(t, "jt"))
				in.JF = uint8(rapid.IntRange(0, far).Draw(t, "jf"))
			}
			p[i] = in
		}
		return p
	})
}

func genData() *rapid.Generator[Data] {
	return rapid.Custom(func(t *rapid.T) Data {
		d := Data{NR: int32(genWord().Draw(t, "nr")), Arch: genWord().Draw(t, "arch")}
		long := rapid.Custom(func(t *rapid.T) uint64 {
			return uint64(genWord().Draw(t, "hi"))<<32 | uint64(genWord().Draw(t, "lo"))
		})
		d.IP = long.Draw(t, "ip")
		for i := range d.Args {
			d.Args[i] = long.Draw(t, "arg")
		}
		return d
	})
}

// Explore and Run are two implementations of one machine: every explored path
// returns what Run returns for an example of it, the paths are disjoint, and
// any input lies on one.
func TestExploreAgreesWithRun(t *testing.T) {
	for name, codes := range map[string][]uint16{"all": codes, "simple": simple} {
		t.Run(name, func(t *testing.T) {
			explored := 0
			rapid.Check(t, func(t *rapid.T) {
				p := genProgram(codes, 24).Draw(t, "program")
				if Validate(p) != nil {
					t.Skip("invalid")
				}
				data := rapid.SliceOfN(genData(), 8, 8).Draw(t, "data")
				all := AnyRegion()
				hits := make([]int, len(data))
				// Examples bring inputs to the borders of the paths.
				err := Explore(p, &all, func(ret uint32, r *Region) error {
					x, err := r.Example()
					if err != nil {
						return err
					}
					if !r.Contains(&x) {
						t.Fatalf("example %+v outside of %s", x, r)
					}
					if got, err := Run(p, &x); err != nil || got != ret {
						t.Fatalf("explored %#x for %s, Run says %#x, %v\n%s", ret, r, got, err, Disassemble(p))
					}
					for i := range data {
						if r.Contains(&data[i]) {
							hits[i]++
							if got, _ := Run(p, &data[i]); got != ret {
								t.Fatalf("explored %#x for %s, Run says %#x for %+v", ret, r, got, data[i])
							}
						}
					}
					return nil
				})
				if errors.Is(err, ErrTooComplex) {
					t.Skip(err.Error())
				}
				if err != nil {
					t.Fatal(err)
				}
				explored++
				for i, n := range hits {
					if n != 1 {
						t.Fatalf("%+v is on %d paths of\n%s", data[i], n, Disassemble(p))
					}
				}
			})
			if explored == 0 {
				t.Error("no program was explored")
			}
		})
	}
}

// A word set narrowed by random tests is what filtering all 256 values of a
// small word gives.
func TestWordSetAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := AnyRegion()
		r.Between(0, 0, 255)
		var tests []Test
		var want []bool
		for range rapid.IntRange(1, 12).Draw(t, "n") {
			tests = append(tests, Test{
				Op:   Op(rapid.IntRange(0, 3).Draw(t, "op")),
				Mask: rapid.SampledFrom([]uint32{^uint32(0), 0xff, 0x0f, 0xf0, 0x03, 0x81, 0x55, 1, 0}).Draw(t, "mask"),
				K:    rapid.Uint32Range(0, 260).Draw(t, "k"),
			})
			want = append(want, rapid.Bool().Draw(t, "holds"))
		}
		var narrow func(i int) error
		narrow = func(i int) error {
			first := -1
			for x := range uint32(256) {
				ok := true
				for j := range i {
					ok = ok && tests[j].Holds(x) == want[j]
				}
				if ok && first < 0 {
					first = int(x)
				}
				if ok != r.words[0].contains(x) {
					t.Fatalf("contains(%d) = %v in %s", x, !ok, r.String())
				}
			}
			got, possible, err := r.words[0].member()
			if err != nil {
				t.Fatal(err)
			}
			if possible != (first >= 0) || possible && int(got) != first {
				t.Fatalf("member %d %v, want %d in %s", got, possible, first, r.String())
			}
			if p, err := r.words[0].possible(); p != possible || err != nil {
				t.Fatalf("possible %v %v, want %v", p, err, possible)
			}
			if i == len(tests) {
				return nil
			}
			possible, err = r.Assume(tests[i], want[i], func() error { return narrow(i + 1) })
			for x := range uint32(256) {
				if err == nil && !possible && r.words[0].contains(x) && tests[i].Holds(x) == want[i] {
					t.Fatalf("%v is possible for %d in %s", tests[i], x, r.String())
				}
			}
			return err
		}
		if err := narrow(0); err != nil && !errors.Is(err, ErrTooComplex) {
			t.Fatal(err)
		}
	})
}
