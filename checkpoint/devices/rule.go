package devices

import (
	"fmt"
	"strconv"
	"strings"
)

// Type is a kind of device node, written as in devices.allow.
type Type string

// The kinds. All stands for both.
const (
	All   Type = "a"
	Char  Type = "c"
	Block Type = "b"
)

// Access is a set of parts of an access, with the bits of the kernel
// (BPF_DEVCG_ACC_ in uapi/linux/bpf.h).
type Access uint8

// The parts.
const (
	Mknod Access = 1 << iota
	Read
	Write

	Every = Mknod | Read | Write
)

// String writes them as devices.allow takes them.
func (a Access) String() string {
	var s strings.Builder
	for _, p := range []struct {
		bit    Access
		letter string
	}{{Read, "r"}, {Write, "w"}, {Mknod, "m"}} {
		if a&p.bit != 0 {
			s.WriteString(p.letter)
		}
	}
	return s.String()
}

// Any as a number of a rule matches every number.
const Any = -1

// Rule allows or denies parts of the access to some devices.
type Rule struct {
	Allow  bool   `json:"allow"`
	Type   Type   `json:"type"`
	Major  int64  `json:"major"` // or Any
	Minor  int64  `json:"minor"` // or Any
	Access Access `json:"access"`
}

// String writes the rule as a line of devices.allow or devices.deny.
func (r Rule) String() string {
	num := func(n int64) string {
		if n == Any {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s %s:%s %s", r.Type, num(r.Major), num(r.Minor), r.Access)
}

// Validate says what is wrong with a rule.
func (r Rule) Validate() error {
	const most = 1<<32 - 1
	switch {
	case r.Type != All && r.Type != Char && r.Type != Block:
		return fmt.Errorf("unknown type %q", r.Type)
	case r.Major < Any || r.Major > most || r.Minor < Any || r.Minor > most:
		return fmt.Errorf("device number %d:%d is out of range", r.Major, r.Minor)
	case r.Access == 0 || r.Access&^Every != 0:
		return fmt.Errorf("access %#x is not made of read, write and mknod", uint8(r.Access))
	}
	return nil
}

func (r *Rule) matches(t Type, major, minor uint32) bool {
	return (r.Type == All || r.Type == t) && (r.Major == Any || r.Major == int64(major)) && (r.Minor == Any || r.Minor == int64(minor))
}

// Allowed is what a list of rules means; t is Char or Block.
func Allowed(rules []Rule, t Type, major, minor uint32, access Access) bool {
	var allowed, decided Access
	for i := len(rules) - 1; i >= 0; i-- {
		r := &rules[i]
		if !r.matches(t, major, minor) {
			continue
		}
		if r.Allow {
			allowed |= r.Access &^ decided
		}
		decided |= r.Access
	}
	if access == 0 {
		return allowed != 0
	}
	return access&^allowed == 0
}
