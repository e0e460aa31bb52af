package cbpf

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// ErrTooComplex is matched by errors of [Explore] and of [Region] methods that
// gave up: nothing is claimed about the inputs that were left.
var ErrTooComplex = errors.New("too complex to explore exactly")

// Op is a comparison of a masked word with a constant.
type Op uint8

// The comparisons: those of the four conditional jumps.
const (
	OpEqual Op = iota // word & mask == k
	OpGT              // word & mask > k, unsigned
	OpGE              // word & mask >= k, unsigned
	OpSet             // word & mask & k != 0
)

// Test is one comparison of one word of [Data].
type Test struct {
	Word int
	Op   Op
	Mask uint32 // all ones for a plain comparison
	K    uint32
}

// Holds evaluates the test for a value of its word.
func (t Test) Holds(word uint32) bool {
	v := word & t.Mask
	switch t.Op {
	case OpEqual:
		return v == t.K
	case OpGT:
		return v > t.K
	case OpGE:
		return v >= t.K
	}
	return v&t.K != 0
}

func (t Test) String() string {
	w := WordName(t.Word)
	if t.Mask != ^uint32(0) {
		w = fmt.Sprintf("%s&%#x", w, t.Mask)
	}
	return fmt.Sprintf("%s %s %#x", w, [...]string{"==", ">", ">=", "&"}[t.Op], t.K)
}

// not excludes the values x with x&mask == value. A persistent list: sets that
// split share their history.
type not struct {
	mask, value uint32
	next        *not
}

// wordSet is a set of 32-bit values: those in [lo, hi] with x&known == value
// that no entry of nots excludes.
type wordSet struct {
	lo, hi       uint32
	known, value uint32
	nots         *not
	numNots      int
	partial      bool // some entry of nots has a mask that is not all ones
}

// Region is a set of inputs: the product of one set for each word of [Data].
// Copies are independent. A Region is not safe for concurrent use.
type Region struct {
	words [NumWords]wordSet
}

// AnyRegion is the set of all inputs.
func AnyRegion() Region {
	var r Region
	for i := range r.words {
		r.words[i].hi = ^uint32(0)
	}
	return r
}

// Fix makes word the single value v.
func (r *Region) Fix(word int, v uint32) { r.words[word] = wordSet{lo: v, hi: v} }

// Between narrows word to lo ≤ word ≤ hi, both included. It replaces what was
// known of the word.
func (r *Region) Between(word int, lo, hi uint32) { r.words[word] = wordSet{lo: lo, hi: hi} }

// Assume narrows r to the inputs for which t holds (or fails, for holds
// false), calls do, and restores r. It does nothing and returns false if there
// are no such inputs.
func (r *Region) Assume(t Test, holds bool, do func() error) (possible bool, err error) {
	yes, no, err := r.halves(t)
	if err != nil {
		return false, err
	}
	part := &yes
	if !holds {
		part = &no
	}
	if possible, err = part.possible(); !possible || err != nil {
		return false, err
	}
	old := r.words[t.Word]
	r.words[t.Word] = *part
	err = do()
	r.words[t.Word] = old
	return true, err
}

func (r *Region) halves(t Test) (yes, no wordSet, err error) {
	w := &r.words[t.Word]
	if w.lo != w.hi {
		return w.split(t)
	}
	if t.Holds(w.lo) {
		return *w, emptySet, nil
	}
	return emptySet, *w, nil
}

var emptySet = wordSet{lo: 1, hi: 0}

func (w *wordSet) split(t Test) (yes, no wordSet, err error) {
	if t.Op == OpSet {
		// word & mask & k != 0 is the opposite of word & (mask & k) == 0.
		no, yes, err = w.split(Test{Op: OpEqual, Mask: t.Mask & t.K})
		return yes, no, err
	}
	if t.Op == OpEqual {
		switch {
		case t.K&^t.Mask != 0:
			return emptySet, *w, nil
		case t.Mask == 0:
			return *w, emptySet, nil
		}
		return w.with(t.Mask, t.K), w.without(t.Mask, t.K), nil
	}
	// A threshold: word & mask >= k.
	k := t.K
	if t.Op == OpGT {
		if k == ^uint32(0) {
			return emptySet, *w, nil
		}
		k++
	}
	if k == 0 {
		return *w, emptySet, nil
	}
	yes, no = *w, *w
	switch low := ^t.Mask; {
	case t.Mask == ^uint32(0):
	case low&(low+1) == 0:
		// The mask clears low bits: word & mask >= k exactly if word is at
		// least k rounded up to a multiple of low+1.
		up := uint64(k) + uint64(low)
		if up > uint64(^uint32(0)) {
			return emptySet, *w, nil
		}
		if k = uint32(up) & t.Mask; k == 0 {
			return *w, emptySet, nil
		}
	default:
		return yes, no, fmt.Errorf("%w: order of a masked word (%s)", ErrTooComplex, t)
	}
	yes.lo = max(yes.lo, k)
	no.hi = min(no.hi, k-1)
	return yes, no, nil
}

// with adds x&mask == v.
func (w *wordSet) with(mask, v uint32) wordSet {
	if (w.value^v)&w.known&mask != 0 {
		return emptySet
	}
	n := *w
	n.known |= mask
	n.value |= v
	if n.known == ^uint32(0) {
		if n.value < n.lo || n.value > n.hi || n.excluded(n.value) {
			return emptySet
		}
		return wordSet{lo: n.value, hi: n.value}
	}
	return n
}

// without adds x&mask != v.
func (w *wordSet) without(mask, v uint32) wordSet {
	if (w.value^v)&w.known&mask != 0 {
		return *w // cannot be equal anyway
	}
	n := *w
	if mask == ^uint32(0) {
		switch {
		case v < n.lo || v > n.hi:
			return n
		case n.lo == n.hi:
			return emptySet
		case v == n.lo:
			n.lo++
			return n
		case v == n.hi:
			n.hi--
			return n
		}
	} else {
		rest := mask &^ n.known
		if rest == 0 {
			return emptySet
		}
		if bits.OnesCount32(rest) == 1 { // one free bit: it has the other value
			return n.with(rest, ^v&rest)
		}
		n.partial = true
	}
	n.nots = &not{mask: mask, value: v, next: n.nots}
	n.numNots++
	return n
}

func (w *wordSet) excluded(x uint32) bool {
	for e := w.nots; e != nil; e = e.next {
		if x&e.mask == e.value {
			return true
		}
	}
	return false
}

func (w *wordSet) contains(x uint32) bool {
	return x >= w.lo && x <= w.hi && x&w.known == w.value && !w.excluded(x)
}

// possible reports whether the set has a member.
func (w *wordSet) possible() (bool, error) {
	if w.lo > w.hi {
		return false, nil
	}
	if w.known == 0 && !w.partial && uint64(w.numNots) <= uint64(w.hi-w.lo) {
		return true, nil // fewer exclusions than values
	}
	_, ok, err := w.member()
	return ok, err
}

// searchBudget bounds the search for a member; only sets with many overlapping
// partial masks come near it.
const searchBudget = 1 << 12

// member returns the smallest member of the set.
func (w *wordSet) member() (uint32, bool, error) {
	if w.lo > w.hi {
		return 0, false, nil
	}
	s := search{w: w, budget: searchBudget}
	var nots []not
	for e := w.nots; e != nil; e = e.next {
		nots = append(nots, not{mask: e.mask, value: e.value})
	}
	x, ok := s.bit(31, 0, true, true, nots)
	if s.budget <= 0 && !ok {
		return 0, false, fmt.Errorf("%w: too many masks on one word", ErrTooComplex)
	}
	return x, ok, nil
}

// search decides a word bit by bit from the top: with the bits above decided,
// the lower ones matter only while the value is still at a bound (atLo, atHi)
// or an exclusion still agrees with it.
type search struct {
	w      *wordSet
	budget int
}

func (s *search) bit(i int, x uint32, atLo, atHi bool, nots []not) (uint32, bool) {
	if s.budget--; s.budget <= 0 {
		return 0, false
	}
	if i < 0 {
		return x, len(nots) == 0
	}
	b := uint32(1) << i
	matters := atLo || atHi
	for _, e := range nots {
		matters = matters || e.mask&b != 0
	}
	for _, v := range [2]uint32{0, b} {
		if s.w.known&b != 0 && s.w.value&b != v {
			continue
		}
		if atLo && v < s.w.lo&b || atHi && v > s.w.hi&b {
			continue
		}
		// Which exclusions still agree, and does one agree for good?
		left, dead := nots[:0:0], false
		for _, e := range nots {
			if e.mask&b != 0 && e.value&b != v {
				continue
			}
			if e.mask&(b-1) == 0 {
				dead = true
				break
			}
			left = append(left, e)
		}
		if dead {
			continue
		}
		y, ok := s.bit(i-1, x|v, atLo && v == s.w.lo&b, atHi && v == s.w.hi&b, left)
		if ok {
			return y, true
		}
		if !matters {
			return 0, false // the other value cannot help
		}
	}
	return 0, false
}

// Example returns an input of the region: for each word the smallest value.
func (r *Region) Example() (Data, error) {
	var d Data
	var v [NumWords]uint32
	for i := range r.words {
		x, ok, err := r.words[i].member()
		if err != nil {
			return d, err
		}
		if !ok {
			return d, fmt.Errorf("%w: empty region", ErrTooComplex)
		}
		v[i] = x
	}
	d.NR, d.Arch = int32(v[WordNR]), v[WordArch]
	d.IP = uint64(v[WordIP+1])<<32 | uint64(v[WordIP])
	for i := range d.Args {
		d.Args[i] = uint64(v[WordArg+2*i+1])<<32 | uint64(v[WordArg+2*i])
	}
	return d, nil
}

// Contains reports whether data is one of the region's inputs.
func (r *Region) Contains(data *Data) bool {
	for i := range r.words {
		if !r.words[i].contains(data.word(uint32(i))) {
			return false
		}
	}
	return true
}

// Free reports whether word is unconstrained in r.
func (r *Region) Free(word int) bool { return r.words[word] == wordSet{hi: ^uint32(0)} }

// String lists what is known of the words, "" for all inputs.
func (r *Region) String() string {
	var parts []string
	for i := range r.words {
		w := &r.words[i]
		n := wordNames[i]
		switch {
		case w.lo == w.hi:
			parts = append(parts, fmt.Sprintf("%s == %#x", n, w.lo))
			continue
		case w.lo != 0 || w.hi != ^uint32(0):
			parts = append(parts, fmt.Sprintf("%#x <= %s <= %#x", w.lo, n, w.hi))
		}
		if w.known != 0 {
			parts = append(parts, fmt.Sprintf("%s&%#x == %#x", n, w.known, w.value))
		}
		for e := w.nots; e != nil; e = e.next {
			if e.mask == ^uint32(0) {
				parts = append(parts, fmt.Sprintf("%s != %#x", n, e.value))
			} else {
				parts = append(parts, fmt.Sprintf("%s&%#x != %#x", n, e.mask, e.value))
			}
		}
	}
	return strings.Join(parts, ", ")
}
