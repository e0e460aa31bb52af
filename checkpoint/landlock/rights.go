package landlock

import (
	"fmt"
	"maps"
	"slices"
)

// Right is the name of an access right, of a scope, or of a flag of
// landlock_restrict_self(2).
type Right string

// Kind says what a [Right] is a right to.
type Kind string

// The kinds, each a word of its own in struct landlock_ruleset_attr, and the
// flags of landlock_restrict_self(2).
const (
	FS    Kind = "handledAccessFS"
	Net   Kind = "handledAccessNet"
	Scope Kind = "scoped"
	Flag  Kind = "restrictFlags"
)

// Newest is the newest ABI that this package knows.
const Newest = 11

// released is the version of Linux that brought each ABI.
var released = [Newest + 1]string{
	1: "5.13", 2: "5.19", 3: "6.2", 4: "6.7", 5: "6.10", 6: "6.12", 7: "6.15", 8: "7.0", 9: "7.1", 10: "7.2", 11: "7.3",
}

// bit is a right's place in its mask and the ABI that brought it.
type bit struct {
	n   uint
	abi int
}

// rights are from include/uapi/linux/landlock.h; the ABIs are from
// Documentation/userspace-api/landlock.rst. The flag that brings no_new_privs
// along (ABI 11) is left out: that is a constraint of its own.
var rights = map[Kind]map[Right]bit{
	FS: {
		"execute": {0, 1}, "write_file": {1, 1}, "read_file": {2, 1}, "read_dir": {3, 1}, "remove_dir": {4, 1}, "remove_file": {5, 1},
		"make_char": {6, 1}, "make_dir": {7, 1}, "make_reg": {8, 1}, "make_sock": {9, 1}, "make_fifo": {10, 1}, "make_block": {11, 1},
		"make_sym": {12, 1}, "refer": {13, 2}, "truncate": {14, 3}, "ioctl_dev": {15, 5}, "resolve_unix": {16, 9},
	},
	Net:   {"bind_tcp": {0, 4}, "connect_tcp": {1, 4}, "bind_udp": {2, 10}, "connect_send_udp": {3, 10}},
	Scope: {"abstract_unix_socket": {0, 6}, "signal": {1, 6}},
	Flag:  {"log_same_exec_off": {0, 7}, "log_new_exec_on": {1, 7}, "log_subdomains_off": {2, 7}, "tsync": {3, 8}},
}

// ofFiles are the rights that a rule can give to something other than a
// directory (ACCESS_FILE in security/landlock/fs.c).
const ofFiles = 1<<0 | 1<<1 | 1<<2 | 1<<14 | 1<<15 | 1<<16

// OfFiles reports whether a rule about something that is no directory can
// give the right.
func OfFiles(r Right) bool { m, _ := Mask(FS, []Right{r}); return m != 0 && m&^ofFiles == 0 }

// Rights lists the rights of a kind that an ABI has, in the order of their
// bits.
func Rights(k Kind, abi int) []Right {
	out := slices.DeleteFunc(slices.Collect(maps.Keys(rights[k])), func(r Right) bool { return rights[k][r].abi > abi })
	slices.SortFunc(out, func(a, b Right) int { return int(rights[k][a].n) - int(rights[k][b].n) })
	return out
}

// ABIOf is the ABI that brought a right, 0 for an unknown name.
func ABIOf(k Kind, r Right) int { return rights[k][r].abi }

// Mask is the kernel's word for a list of rights.
func Mask(k Kind, list []Right) (uint64, error) {
	var m uint64
	for _, r := range list {
		b, ok := rights[k][r]
		if !ok {
			return 0, fmt.Errorf("unknown right %q", r)
		}
		m |= 1 << b.n
	}
	return m, nil
}

// Since is the version of Linux that brought an ABI, or empty.
func Since(abi int) string {
	if abi < 1 || abi > Newest {
		return ""
	}
	return released[abi]
}
