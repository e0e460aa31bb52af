package cover

import "math/bits"

// Stream is a counter-based generator: number n is a function of key and n
// (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators"). It is written out here because the numbers must not change with
// the version of a library.
type Stream struct{ key, n uint64 }

// NewStream is the stream of a key, at number 0.
func NewStream(key uint64) *Stream { return &Stream{key: key} }

const gamma = 0x9e3779b97f4a7c15

// Mix spreads a number over all bits.
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Key derives the key of a stream of its own from several numbers.
func Key(parts ...uint64) uint64 {
	k := uint64(0)
	for _, p := range parts {
		k = Mix(k+gamma) ^ Mix(p^0x5851f42d4c957f2d)
	}
	return Mix(k)
}

// Uint64 is the next number.
func (s *Stream) Uint64() uint64 {
	s.n++
	return Mix(s.key + s.n*gamma)
}

// Uint64N is a number below n, or any if n is 0.
func (s *Stream) Uint64N(n uint64) uint64 {
	if n == 0 {
		return s.Uint64()
	}
	hi, lo := bits.Mul64(s.Uint64(), n)
	if lo < n {
		for threshold := -n % n; lo < threshold; {
			hi, lo = bits.Mul64(s.Uint64(), n)
		}
	}
	return hi
}

// Uint32 is the next number's upper half.
func (s *Stream) Uint32() uint32 { return uint32(s.Uint64() >> 32) }

// Uint32N is a number below n.
func (s *Stream) Uint32N(n uint32) uint32 { return uint32(s.Uint64N(uint64(n))) }

// IntN is a number from 0 to n-1; n is positive.
func (s *Stream) IntN(n int) int { return int(s.Uint64N(uint64(n))) }

// Shuffle brings n things into random order.
func (s *Stream) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, s.IntN(i+1))
	}
}
