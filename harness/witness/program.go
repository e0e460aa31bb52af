package witness

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ELF returns the program for this architecture: static, and the same bytes for
// everybody. Callers must not change it.
func ELF() []byte { return program }

// Arg is one argument of a call.
type Arg struct {
	kind  byte
	n     int64
	bytes []byte
}

// Number is a plain number.
func Number[T ~int | ~int32 | ~int64 | ~uint32 | ~uint64](n T) Arg {
	return Arg{kind: 'n', n: int64(n)}
}

// Text is the address of a string.
func Text(s string) Arg { return Arg{kind: 'x', bytes: append([]byte(s), 0)} }

// Bytes is the address of a copy of b.
func Bytes(b []byte) Arg { return Arg{kind: 'x', bytes: b} }

// Out is the address of n zero bytes, of which the witness tells the content
// after the call.
func Out(n int) Arg { return Arg{kind: 'o', n: int64(n)} }

// OutUpTo is like Out, but only as many bytes as the call's result says.
func OutUpTo(n int) Arg { return Arg{kind: 'r', n: int64(n)} }

// ResultOf is the result of an earlier call of the same question, counted from
// 0.
func ResultOf(call int) Arg { return Arg{kind: '$', n: int64(call)} }

// Call is one system call for the witness to make.
type Call struct {
	NR   uint32
	Args []Arg
	// Guarded has a child make it, since it may end whoever makes it, or
	// change what later calls depend on.
	Guarded bool
}

// text is the call as an argument of the program; first is the number of the
// question's first call.
func (c *Call) text(first int) string {
	var b strings.Builder
	if c.Guarded {
		b.WriteByte('!')
	}
	b.WriteString(strconv.FormatUint(uint64(c.NR), 10))
	for i, a := range c.Args {
		b.WriteByte(":,"[min(i, 1)])
		switch a.kind {
		case 'n':
			b.WriteString(strconv.FormatInt(a.n, 10))
		case 'x':
			b.WriteString("x:" + hex.EncodeToString(a.bytes))
		case '$':
			fmt.Fprintf(&b, "$%d", int(a.n)+first)
		default:
			fmt.Fprintf(&b, "%c:%d", a.kind, a.n)
		}
	}
	return b.String()
}

// Outcome is what became of one call.
type Outcome struct {
	// Made: the witness has told. If not it ended before, or the child that
	// was to make the call ended without telling.
	Made   bool
	Result int64
	Outs   [][]byte
	Signal unix.Signal // that killed the child, if it was guarded
	NoTry  unix.Errno  // why there was no child
}

// Errno is the error that the call returned, 0 if it succeeded.
func (o *Outcome) Errno() unix.Errno {
	if o.Result < 0 && o.Result > -4096 {
		return unix.Errno(-o.Result)
	}
	return 0
}

// String says it in a word or two.
func (o *Outcome) String() string {
	switch {
	case o.NoTry != 0:
		return "no child to try it: " + unix.ErrnoName(o.NoTry)
	case o.Signal != 0:
		return "killed by " + unix.SignalName(o.Signal)
	case !o.Made:
		return "nothing"
	case o.Errno() != 0:
		return unix.ErrnoName(o.Errno())
	}
	return strconv.FormatInt(o.Result, 10)
}

// parse reads what the witness wrote about n calls. The second result reports
// whether it came to its end. What follows a line that makes no sense is not
// believed: the workload's standard output may be cut anywhere.
func parse(text []byte, n int) ([]Outcome, bool) {
	out := make([]Outcome, n)
	for line := range bytes.SplitAfterSeq(text, []byte("\n")) {
		line, whole := bytes.CutSuffix(line, []byte("\n"))
		if !whole {
			return out, false
		}
		if string(line) == "end" {
			return out, true
		}
		if !parseLine(out, string(line)) {
			return out, false
		}
	}
	return out, false
}

func parseLine(out []Outcome, line string) bool {
	at := strings.IndexAny(line, "=!?")
	if at < 1 {
		return false
	}
	index, err := strconv.Atoi(line[:at])
	if err != nil || index < 0 || index >= len(out) {
		return false
	}
	words := strings.Split(line[at+1:], " ")
	v, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		return false
	}
	var o Outcome
	switch line[at] {
	case '!':
		o.Signal = unix.Signal(v)
	case '?':
		o.NoTry = unix.Errno(-v)
	default:
		o.Made, o.Result = true, v
		for _, w := range words[1:] {
			b, err := hex.DecodeString(w)
			if err != nil {
				return false
			}
			o.Outs = append(o.Outs, b)
		}
	}
	out[index] = o
	return true
}
