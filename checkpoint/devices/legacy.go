package devices

import (
	"errors"
	"fmt"
	"slices"
)

// Line is one write into a file of a version 1 devices cgroup.
type Line struct {
	File  string // "devices.allow" or "devices.deny"
	Value string
}

// ErrInexact says that version 1 would take the rules another way.
var ErrInexact = errors.New("a version 1 cgroup has no such rules")

// Lines are the writes into a version 1 devices cgroup that come to what the
// rules mean, beginning with one that denies everything.
//
// Such a cgroup holds one default and a list of exceptions from it
// (security/device_cgroup.c). A rule against the exceptions takes effect only on
// an entry with the very same type and numbers; on any other it is accepted and
// forgotten. And an access must be allowed by a single exception. Rules that
// would come to something else for an access that the kernel asks for are refused
// with [ErrInexact].
func Lines(rules []Rule) ([]Line, error) {
	lines := []Line{{"devices.deny", "a"}}
	var k legacy
	for _, r := range rules {
		everything := r.Type == All && r.Major == Any && r.Minor == Any && r.Access == Every
		line := Line{"devices.deny", r.String()}
		if r.Allow {
			line.File = "devices.allow"
		}
		if r.Type == All && !everything {
			// For the kernel "a" is everything, whatever follows it.
			for _, t := range []Type{Char, Block} {
				r.Type = t
				k.write(r)
				lines = append(lines, Line{line.File, r.String()})
			}
			continue
		}
		k.write(r)
		lines = append(lines, line)
	}
	for p := range points(rules) {
		if !asked(p.access) {
			continue
		}
		if got, want := k.allowed(p), Allowed(rules, p.t, p.major, p.minor, p.access); got != want {
			word := map[bool]string{true: "allow", false: "deny"}
			return nil, fmt.Errorf("%w: it would %s %s %d:%d %s", ErrInexact, word[got], p.t, p.major, p.minor, p.access)
		}
	}
	return lines, nil
}

// asked reports whether the kernel ever asks for these accesses together: to open
// is to read, to write or both, and to make a node is that alone
// (devcgroup_inode_permission and devcgroup_inode_mknod,
// include/linux/device_cgroup.h).
func asked(a Access) bool { return a != 0 && (a == Mknod || a&Mknod == 0) }

// legacy does what the kernel does with the lines.
type legacy struct {
	allow      bool // by default
	exceptions []Rule
}

func (k *legacy) write(r Rule) {
	if r.Type == All {
		*k = legacy{allow: r.Allow}
		return
	}
	i := slices.IndexFunc(k.exceptions, func(e Rule) bool { return e.Type == r.Type && e.Major == r.Major && e.Minor == r.Minor })
	switch add := r.Allow != k.allow; {
	case add && i >= 0:
		k.exceptions[i].Access |= r.Access
	case add:
		k.exceptions = append(k.exceptions, r)
	case i >= 0:
		if k.exceptions[i].Access &^= r.Access; k.exceptions[i].Access == 0 {
			k.exceptions = slices.Delete(k.exceptions, i, i+1)
		}
	}
}

func (k *legacy) allowed(p point) bool {
	for i := range k.exceptions {
		e := &k.exceptions[i]
		if !e.matches(p.t, p.major, p.minor) {
			continue
		}
		if k.allow && p.access&e.Access != 0 {
			return false
		}
		if !k.allow && p.access&^e.Access == 0 {
			return true
		}
	}
	return k.allow
}
