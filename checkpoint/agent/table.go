package agent

import "golang.org/x/sys/unix"

// An Arg is one argument of an operation: a number, a register, or something
// placed in the arena. Most are numbers, so what the others need is apart.
type Arg struct {
	kind argKind
	n    uint64
	at   *content
}

// content is what an argument points to.
type content struct {
	text string
	data []byte
	list []string
}

type argKind uint8

const (
	argNumber argKind = iota
	argReg
	argString
	argData
	argList
	argFilter
	argSame
)

// N is a plain number.
func N[T ~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{n: uint64(n)}
}

// R is the content of a register.
func R(reg int) Arg { return Arg{kind: argReg, n: uint64(reg)} }

// S is the address of a NUL-terminated string.
func S(s string) Arg { return Arg{kind: argString, at: &content{text: s}} }

// B is the address of a copy of b, aligned to eight bytes.
func B(b []byte) Arg { return Arg{kind: argData, at: &content{data: b}} }

// Within is as B, but the address of the byte at offset.
func Within(b []byte, offset int) Arg {
	return Arg{kind: argData, n: uint64(offset), at: &content{data: b}}
}

// Same is the address that argument arg of the operation back places before has
// got, less offset: for data that one operation completes (OpStore32) and the
// next one uses.
func Same(back, arg, offset int) Arg {
	return Arg{kind: argSame, n: uint64(back)<<32 | uint64(arg)<<16 | uint64(offset)}
}

// L is the address of a NULL-terminated vector of strings.
func L(list []string) Arg { return Arg{kind: argList, at: &content{list: list}} }

// F is the address of a struct sock_fprog (seccomp(2)) for a filter given as
// the bytes of its struct sock_filter array.
func F(filter []byte) Arg {
	return Arg{kind: argFilter, n: uint64(len(filter) / 8), at: &content{data: filter}}
}

// Op is one system call, or pseudo operation, of a batch.
type Op struct {
	NR     uint32
	Save   int        // register for the result, 0 for none
	Skip   uint8      // operations to skip after an accepted error
	AnyErr bool       // no errno is a failure
	Accept unix.Errno // an errno that is no failure
	Args   [6]Arg
}

// Sys builds an operation from a system call number and its arguments.
func Sys(nr uint32, args ...Arg) Op {
	o := Op{NR: nr}
	copy(o.Args[:], args)
	return o
}

// Batch is a list of operations.
type Batch interface {
	Len() int
	Op(i int) *Op
}

// Ops is a Batch of nothing but operations.
type Ops []Op

// Len returns the number of operations.
func (o Ops) Len() int { return len(o) }

// Op returns one of them.
func (o Ops) Op(i int) *Op { return &o[i] }

func length(b Batch) int {
	if b == nil {
		return 0
	}
	return b.Len()
}

// size is how much of the arena a batch needs.
func size(b Batch) int {
	n := length(b) * opSize
	for i := range length(b) {
		op := b.Op(i)
		for j := range op.Args {
			a := &op.Args[j]
			switch a.kind {
			case argString:
				n += align(len(a.at.text) + 1)
			case argData:
				n += align(len(a.at.data))
			case argFilter:
				n += 16 + align(len(a.at.data))
			case argList:
				n += 8 * (len(a.at.list) + 1)
				for _, s := range a.at.list {
					n += align(len(s) + 1)
				}
			}
		}
	}
	return n
}

func align(n int) int { return (n + 7) &^ 7 }
