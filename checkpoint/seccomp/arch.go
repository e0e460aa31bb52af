package seccomp

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/holdshort/holdshort/internal/cbpf"
)

// Arch is an OCI architecture name. Each is one ABI.
type Arch string

// The architectures with a system call table. Others of the OCI list are
// refused: their tables are not here, or their byte order is not ours.
const (
	ArchX86_64  Arch = "SCMP_ARCH_X86_64"
	ArchX86     Arch = "SCMP_ARCH_X86"
	ArchX32     Arch = "SCMP_ARCH_X32"
	ArchAARCH64 Arch = "SCMP_ARCH_AARCH64"
	ArchARM     Arch = "SCMP_ARCH_ARM"
	ArchRISCV64 Arch = "SCMP_ARCH_RISCV64"
	ArchPPC64LE Arch = "SCMP_ARCH_PPC64LE"
)

const numColumns = 7

// callRow is one name and its number for each ABI.
type callRow struct {
	name string
	nr   [numColumns]int32
}

// abi is what the compiler needs to know of an ABI.
type abi struct {
	arch   Arch
	audit  uint32
	column int
	narrow bool // arguments are 32-bit registers
	muxed  bool // has socketcall and ipc
}

var abis = [...]abi{
	{arch: ArchX86_64, audit: cbpf.ArchX86_64, column: 0},
	{arch: ArchX86, audit: cbpf.ArchI386, column: 1, narrow: true, muxed: true},
	{arch: ArchX32, audit: cbpf.ArchX86_64, column: 2},
	{arch: ArchAARCH64, audit: cbpf.ArchAARCH64, column: 3},
	{arch: ArchARM, audit: cbpf.ArchARM, column: 4, narrow: true},
	{arch: ArchRISCV64, audit: cbpf.ArchRISCV64, column: 5},
	{arch: ArchPPC64LE, audit: cbpf.ArchPPC64LE, column: 6, muxed: true},
}

// otherArches are the OCI architectures without a table here.
var otherArches = []Arch{
	"SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_S390", "SCMP_ARCH_S390X",
	"SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
}

func (a Arch) abi() (abi, bool) {
	for _, x := range abis {
		if x.arch == a {
			return x, true
		}
	}
	return abi{}, false
}

// NativeArch is the architecture of this program, "" if there is no table.
func NativeArch() Arch {
	switch runtime.GOARCH {
	case "amd64":
		return ArchX86_64
	case "386":
		return ArchX86
	case "arm64":
		return ArchAARCH64
	case "arm":
		return ArchARM
	case "riscv64":
		return ArchRISCV64
	case "ppc64le":
		return ArchPPC64LE
	}
	return ""
}

// Audit returns the AUDIT_ARCH value that a filter sees, 0 if a is unknown.
func (a Arch) Audit() uint32 {
	x, _ := a.abi()
	return x.audit
}

// Compat returns the ABIs, other than a itself, whose calls a process of a
// kernel for a can make, depending on how that kernel was built.
func (a Arch) Compat() []Arch {
	switch a {
	case ArchX86_64:
		return []Arch{ArchX86, ArchX32}
	case ArchAARCH64:
		return []Arch{ArchARM}
	}
	return nil
}

// Narrow reports whether system call arguments of a are 32 bits wide.
func (a Arch) Narrow() bool {
	x, _ := a.abi()
	return x.narrow
}

func findCall(name string) (*callRow, bool) {
	i, ok := slices.BinarySearchFunc(callTable[:], name, func(r callRow, n string) int { return strings.Compare(r.name, n) })
	if !ok {
		return nil, false
	}
	return &callTable[i], true
}

// knownElsewhere reports a call that only architectures without a table have.
func knownElsewhere(name string) bool {
	_, ok := slices.BinarySearch(foreignCalls[:], name)
	return ok
}

// KnownCall reports whether any architecture of Linux has a call of this name.
func KnownCall(name string) bool {
	_, ok := findCall(name)
	return ok || knownElsewhere(name)
}

// CallNumber returns the number of a system call. The numbers of x32 include
// bit 30.
func CallNumber(a Arch, name string) (uint32, bool) {
	x, ok := a.abi()
	if !ok {
		return 0, false
	}
	r, ok := findCall(name)
	if !ok || r.nr[x.column] < 0 {
		return 0, false
	}
	return uint32(r.nr[x.column]), true
}

var names = sync.OnceValue(func() (t [numColumns]map[uint32]string) {
	for c := range t {
		t[c] = make(map[uint32]string, 512)
	}
	for i := range callTable {
		for c, nr := range callTable[i].nr {
			if nr >= 0 {
				if _, dup := t[c][uint32(nr)]; !dup {
					t[c][uint32(nr)] = callTable[i].name
				}
			}
		}
	}
	return t
})

// CallName returns the name of a system call number, "" if there is none.
func CallName(a Arch, nr uint32) string {
	x, ok := a.abi()
	if !ok {
		return ""
	}
	return names()[x.column][nr]
}

// nearest returns the known name that is most like name, "" if none is.
func nearest(name string) string {
	best, at := "", len(name)/3+1
	for i := range callTable {
		if d := distance(name, callTable[i].name, at); d < at {
			best, at = callTable[i].name, d
		}
	}
	return best
}

// distance is the number of edits between a and b, or at least limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost = 1 + min(diag, row[j], row[j+1])
			}
			diag, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
