package checkpoint

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"

	"github.com/moby/sys/capability"
)

// ParseCapSet makes a set of names as in capabilities(7), in any case, with or
// without "CAP_"; "ALL" is every capability that this kernel knows.
func ParseCapSet(names ...string) (CapSet, error) {
	var s CapSet
	for _, name := range names {
		n := strings.TrimPrefix(strings.ToLower(name), "cap_")
		if n == "all" {
			s |= allCaps()
			continue
		}
		c, ok := capByName[n]
		if !ok {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		s |= 1 << c
	}
	return s, nil
}

var capByName = func() map[string]int {
	m := make(map[string]int)
	for _, c := range capability.ListKnown() {
		m[c.String()] = int(c)
	}
	return m
}()

// allCaps are the capabilities of the running kernel.
func allCaps() CapSet {
	last, err := capability.LastCap()
	if err != nil {
		last = capability.CAP_CHECKPOINT_RESTORE
	}
	return 1<<(uint(last)+1) - 1
}

// Names lists the set in order of number; an unknown one is "cap_63".
func (s CapSet) Names() []string {
	names := make([]string, 0, bits.OnesCount64(uint64(s)))
	for v := uint64(s); v != 0; v &= v - 1 {
		c := capability.Cap(bits.TrailingZeros64(v))
		if n := c.String(); n != "unknown" {
			names = append(names, "CAP_"+strings.ToUpper(n))
		} else {
			names = append(names, fmt.Sprintf("cap_%d", int(c)))
		}
	}
	return names
}

// Has reports whether capability number n is in the set.
func (s CapSet) Has(n int) bool { return s&(1<<n) != 0 }

// MarshalJSON writes the names.
func (s CapSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON reads a list of names.
func (s *CapSet) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	v, err := ParseCapSet(names...)
	*s = v
	return err
}
