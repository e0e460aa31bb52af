package agent

import "golang.org/x/sys/unix"

// An Arg is one argument of an operation: a number, a register, or something
// placed in the arena.
type Arg struct {
	kind argKind
	n    uint64
	data []byte
	list [][]byte
}

type argKind uint8

const (
	argNumber argKind = iota
	argReg
	argData
	argList
	argFilter
)

// N is a plain number.
func N[T ~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{n: uint64(n)}
}

// R is the content of a register.
func R(reg int) Arg { return Arg{kind: argReg, n: uint64(reg)} }

// S is the address of a NUL-terminated string.
func S(s string) Arg {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return Arg{kind: argData, data: b}
}

// B is the address of a copy of b, aligned to eight bytes.
func B(b []byte) Arg { return Arg{kind: argData, data: b} }

// L is the address of a NULL-terminated vector of strings.
func L(list []string) Arg {
	a := Arg{kind: argList, list: make([][]byte, len(list))}
	for i, s := range list {
		a.list[i] = S(s).data
	}
	return a
}

// F is the address of a struct sock_fprog (seccomp(2)) for a filter given as
// the bytes of its struct sock_filter array.
func F(filter []byte) Arg { return Arg{kind: argFilter, n: uint64(len(filter) / 8), data: filter} }

// Op is one system call, or pseudo operation, of a batch.
type Op struct {
	NR     uint32
	Args   [6]Arg
	Save   int        // register for the result, 0 for none
	Accept unix.Errno // an errno that is no failure
	AnyErr bool       // no errno is a failure
	Skip   int        // operations to skip after an accepted error
}

// Sys builds an operation from a system call number and its arguments.
func Sys(nr uint32, args ...Arg) Op {
	o := Op{NR: nr}
	copy(o.Args[:], args)
	return o
}

// size is how much of the arena a batch needs.
func size(ops []Op) int {
	n := len(ops) * opSize
	for i := range ops {
		for j := range ops[i].Args {
			a := &ops[i].Args[j]
			switch a.kind {
			case argData:
				n += align(len(a.data))
			case argFilter:
				n += 16 + align(len(a.data))
			case argList:
				n += 8 * (len(a.list) + 1)
				for _, s := range a.list {
					n += align(len(s))
				}
			}
		}
	}
	return n
}

func align(n int) int { return (n + 7) &^ 7 }
