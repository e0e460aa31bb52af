package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Field is one observable thing, named by its path in the JSON form, such as
// "capabilities.bounding". Oracle, reports and text forms all use the one table
// that [Fields] returns.
type Field struct {
	Path string
	// Known reports whether the field was read.
	Known func(*Posture) bool
	// Why says why it was not; it is empty for a known field.
	Why func(*Posture) string
	// Equal compares the field of two postures: both known and equal, or
	// both unreadable.
	Equal func(a, b *Posture) bool
	// Format writes the value for people, on one line; for an unreadable
	// field it writes "?" and the reason.
	Format func(*Posture) string
	// Value returns the value, nil if it is unreadable.
	Value func(*Posture) any
}

// field makes a Field of one Value.
func field[T any](path string, at func(*Posture) *Value[T], equal func(a, b T) bool, format func(T) string) Field {
	return Field{
		Path:  path,
		Known: func(p *Posture) bool { return at(p).known },
		Why:   func(p *Posture) string { return at(p).Why() },
		Equal: func(a, b *Posture) bool {
			x, y := at(a), at(b)
			if !x.known || !y.known {
				return x.known == y.known
			}
			return equal(x.v, y.v)
		},
		Format: func(p *Posture) string {
			v := at(p)
			if !v.known {
				return "? (" + v.Why() + ")"
			}
			return format(v.v)
		},
		Value: func(p *Posture) any {
			if v := at(p); v.known {
				return v.v
			}
			return nil
		},
	}
}

// plain makes a Field of a comparable value.
func plain[T comparable](path string, at func(*Posture) *Value[T], format func(T) string) Field {
	return field(path, at, func(a, b T) bool { return a == b }, format)
}

// list makes a Field of a slice of comparable values.
func list[T comparable](path string, at func(*Posture) *Value[[]T], format func(T) string) Field {
	return field(path, at, slices.Equal[[]T], func(l []T) string {
		if len(l) == 0 {
			return "none"
		}
		var b strings.Builder
		for i, v := range l {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(format(v))
		}
		return b.String()
	})
}

func u32(path string, at func(*Posture) *Value[uint32]) Field {
	return plain(path, at, decimal[uint32])
}

func hex32(path string, at func(*Posture) *Value[uint32]) Field {
	return plain(path, at, func(v uint32) string { return "0x" + strconv.FormatUint(uint64(v), 16) })
}

func boolean(path string, at func(*Posture) *Value[bool]) Field {
	return plain(path, at, strconv.FormatBool)
}

func namespace(path string, at func(*Posture) *Value[Namespace]) Field {
	return plain(path, at, func(n Namespace) string { return strconv.FormatUint(uint64(n.Inode), 10) })
}

func caps(path string, at func(*Posture) *Value[CapSet]) Field { return plain(path, at, CapSet.String) }

func inode(path string, at func(*Posture) *Value[Inode]) Field {
	return plain(path, at, Inode.String)
}

// word makes a Field of one of a few words.
func word[T ~string](path string, at func(*Posture) *Value[T]) Field {
	return plain(path, at, func(v T) string { return string(v) })
}

// mask makes a Field of a bit mask of CPUs or memory nodes.
func mask(path string, at func(*Posture) *Value[[]uint64]) Field {
	return field(path, at, slices.Equal[[]uint64], formatMask)
}

func text(path string, at func(*Posture) *Value[string]) Field { return plain(path, at, strconv.Quote) }

func signals(path string, at func(*Posture) *Value[uint64]) Field {
	return plain(path, at, func(v uint64) string {
		if v == 0 {
			return "none"
		}
		return bitList(v, 1)
	})
}

func decimal[T int32 | int64 | uint32 | uint64](v T) string { return fmt.Sprint(v) }

// bitList writes the numbers of the set bits, bit 0 being called base.
func bitList(v uint64, base int) string {
	var b strings.Builder
	for i := range 64 {
		if v>>i&1 != 0 {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(i + base))
		}
	}
	return b.String()
}

// String writes device and inode number.
func (i Inode) String() string { return fmt.Sprintf("dev %#x ino %d", i.Dev, i.Ino) }

// String writes "inside host count", as a line of /proc/PID/uid_map does for a
// reader in the initial user namespace.
func (e IDExtent) String() string { return fmt.Sprintf("%d:%d:%d", e.Inside, e.Host, e.Count) }

// String writes layer, object and rights.
func (r LandlockRule) String() string {
	if r.Kind == RulePort {
		return fmt.Sprintf("%d(port %d: %#x)", r.Layer, r.Port, r.Access)
	}
	return fmt.Sprintf("%d(%s: %#x)", r.Layer, r.Inode, r.Access)
}

// String writes fd, type and permissions, inode, and what is special about it.
func (f File) String() string {
	s := fmt.Sprintf("%d(%o %s flags %#x)", f.FD, f.Mode, f.Inode, f.Flags)
	if f.CloseOnExec {
		s += "!cloexec"
	}
	return s
}

// infinity is RLIM_INFINITY.
const infinity = ^uint64(0)

// String writes soft and hard limit.
func (r Rlimit) String() string { return limit(r.Soft) + "/" + limit(r.Hard) }

func limit(v uint64) string {
	if v == infinity {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

// RlimitNames are the names of the limits, indexed by RLIMIT_ number, as in
// RLIMIT_CPU.
var RlimitNames = [16]string{
	"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile",
	"memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime",
}

// rlimit makes the Field of one limit out of the sixteen.
func rlimit(i int) Field {
	get := func(p *Posture) Value[Rlimit] {
		if !p.Rlimits.known {
			return Unreadable[Rlimit](p.Rlimits.why)
		}
		return Known(p.Rlimits.v[i])
	}
	return derived("rlimits."+RlimitNames[i], get, func(a, b Rlimit) bool { return a == b }, Rlimit.String)
}

// derived makes a Field of a Value that is computed.
func derived[T any](path string, get func(*Posture) Value[T], equal func(a, b T) bool, format func(T) string) Field {
	return field(path, func(p *Posture) *Value[T] { v := get(p); return &v }, equal, format)
}

func equalFilter(a, b Filter) bool {
	return a.Log == b.Log && a.WaitKillable == b.WaitKillable && a.HasNotifier == b.HasNotifier &&
		a.InstructionsLost == b.InstructionsLost && slices.Equal(a.Instructions, b.Instructions)
}

func formatFilters(l []Filter) string {
	if len(l) == 0 {
		return "none"
	}
	var parts []string
	for _, f := range l {
		s := fmt.Sprintf("%d instructions", len(f.Instructions))
		if f.InstructionsLost != "" {
			s = "instructions ? (" + f.InstructionsLost + ")"
		}
		if f.Log {
			s += " log"
		}
		if f.HasNotifier {
			s += " notifier"
		}
		if f.WaitKillable {
			s += " wait_killable_recv"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

func formatMask(mask []uint64) string {
	var parts []string
	for i, w := range mask {
		if w != 0 {
			parts = append(parts, bitList(w, i*64))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ",")
}

// String writes the three masks, those that are zero left out but the first.
func (l LandlockLayer) String() string {
	s := fmt.Sprintf("fs:%#x", l.FS)
	if l.Net != 0 {
		s += fmt.Sprintf("+net:%#x", l.Net)
	}
	if l.Scope != 0 {
		s += fmt.Sprintf("+scope:%#x", l.Scope)
	}
	return s
}

// String writes the value, and whether it is but the default.
func (u Uclamp) String() string {
	if u.User {
		return strconv.FormatUint(uint64(u.Value), 10)
	}
	return fmt.Sprintf("%d (default)", u.Value)
}
