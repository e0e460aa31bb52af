package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Digest is a key for caches: a hash of everything that Compile reads of a
// policy.
type Digest [sha256.Size]byte

var digestBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// Digest hashes the policy. Policies that differ in any field that Compile
// reads, or in the order of rules, have different digests.
func (p *Policy) Digest() Digest {
	buf := digestBuffers.Get().(*[]byte)
	b := (*buf)[:0]
	str := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	num := func(n uint64) { b = binary.AppendUvarint(b, n) }
	opt := func(n *uint) {
		if n == nil {
			b = append(b, 0)
			return
		}
		b = append(b, 1)
		num(uint64(*n))
	}
	str(string(p.DefaultAction))
	opt(p.DefaultErrnoRet)
	num(uint64(len(p.Architectures)))
	for _, a := range p.Architectures {
		str(string(a))
	}
	num(uint64(len(p.Flags)))
	for _, f := range p.Flags {
		str(string(f))
	}
	num(uint64(len(p.Syscalls)))
	for i := range p.Syscalls {
		r := &p.Syscalls[i]
		str(string(r.Action))
		opt(r.ErrnoRet)
		num(uint64(len(r.Names)))
		for _, n := range r.Names {
			str(n)
		}
		num(uint64(len(r.Args)))
		for _, c := range r.Args {
			num(uint64(c.Index))
			num(c.Value)
			num(c.ValueTwo)
			str(string(c.Op))
		}
	}
	d := Digest(sha256.Sum256(b))
	*buf = b
	digestBuffers.Put(buf)
	return d
}
