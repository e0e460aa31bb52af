package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/internal/cbpf"
)

func compile(t testing.TB, text string, o Options) *Program {
	t.Helper()
	var p Policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	prog, err := p.Compile(o)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

func decide(t testing.TB, prog *Program, d cbpf.Data) string {
	t.Helper()
	ret, err := cbpf.Run(prog.Instructions, &d)
	if err != nil {
		t.Fatal(err)
	}
	return cbpf.Decide(ret).String()
}

// Numbers as the kernel's system call tables give them, the newest included.
func TestCallNumbers(t *testing.T) {
	for _, c := range []struct {
		arch Arch
		name string
		nr   uint32
	}{
		{ArchX86_64, "read", 0},
		{ArchX86_64, "execveat", 322},
		{ArchX86_64, "uretprobe", 335},
		{ArchX86_64, "uprobe", 336},
		{ArchX86_64, "listmount", 458},
		{ArchX86_64, "lsm_get_self_attr", 459},
		{ArchX86_64, "mseal", 462},
		{ArchX86_64, "setxattrat", 463},
		{ArchX86_64, "open_tree_attr", 467},
		{ArchX86_64, "listns", 470},
		{ArchX32, "read", 0x40000000},
		{ArchX32, "execve", 0x40000208},
		{ArchX32, "ioctl", 0x40000202},
		{ArchX32, "mseal", 0x400001ce},
		{ArchX86, "execve", 11},
		{ArchX86, "socketcall", 102},
		{ArchX86, "mseal", 462},
		{ArchX86, "futex_time64", 422},
		{ArchAARCH64, "execve", 221},
		{ArchAARCH64, "newfstatat", 79},
		{ArchAARCH64, "mseal", 462},
		{ArchAARCH64, "renameat", 38},
		{ArchARM, "execve", 11},
		{ArchARM, "set_tls", 0xf0005},
		{ArchARM, "mseal", 462},
		{ArchRISCV64, "execve", 221},
		{ArchRISCV64, "riscv_hwprobe", 258},
		{ArchPPC64LE, "execve", 11},
	} {
		if nr, ok := CallNumber(c.arch, c.name); !ok || nr != c.nr {
			t.Errorf("%s %s: got %#x, %v; want %#x", c.arch, c.name, nr, ok, c.nr)
		}
		if n := CallName(c.arch, c.nr); n != c.name {
			t.Errorf("%s %#x: got %q, want %q", c.arch, c.nr, n, c.name)
		}
	}
	for _, c := range []struct {
		arch Arch
		name string
	}{{ArchX86_64, "waitpid"}, {ArchAARCH64, "open"}, {ArchAARCH64, "futex_time64"}, {ArchX86_64, "nonsense"}, {"SCMP_ARCH_S390X", "read"}} {
		if nr, ok := CallNumber(c.arch, c.name); ok {
			t.Errorf("%s %s: got %d", c.arch, c.name, nr)
		}
	}
	if !slices.IsSortedFunc(callTable[:], func(a, b callRow) int { return strings.Compare(a.name, b.name) }) || !slices.IsSorted(foreignCalls[:]) {
		t.Error("tables are not sorted")
	}
}

func TestOtherABIsAreClosed(t *testing.T) {
	prog := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ERRNO"}]}`, Options{Native: ArchX86_64})
	for name, c := range map[string]struct {
		arch, nr uint32
		want     string
	}{
		"allowed": {cbpf.ArchX86_64, 0, "allow"}, "denied": {cbpf.ArchX86_64, 101, "errno(1)"},
		"unknown number": {cbpf.ArchX86_64, 9999, "allow"}, "last of x86_64": {cbpf.ArchX86_64, 0x3fffffff, "allow"},
		"first of x32": {cbpf.ArchX86_64, 0x40000000, "kill_process"}, "ptrace of x32": {cbpf.ArchX86_64, 0x40000209, "kill_process"},
		"most negative": {cbpf.ArchX86_64, 1 << 31, "kill_process"}, "minus one": {cbpf.ArchX86_64, 0xffffffff, "kill_process"},
		"both bits": {cbpf.ArchX86_64, 0xc0000065, "kill_process"},
		"i386":      {cbpf.ArchI386, 26, "kill_process"}, "arm64": {cbpf.ArchAARCH64, 0, "kill_process"}, "none": {0, 0, "kill_process"},
	} {
		if got := decide(t, prog, cbpf.Data{NR: int32(c.nr), Arch: c.arch}); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	open := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
		"syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ERRNO"}]}`, Options{Native: ArchX86_64})
	for name, c := range map[string]struct {
		arch, nr uint32
		want     string
	}{
		"ptrace": {cbpf.ArchX86_64, 101, "errno(1)"}, "ptrace of x32": {cbpf.ArchX86_64, 0x40000209, "errno(1)"},
		"ptrace of i386": {cbpf.ArchI386, 26, "errno(1)"}, "x32": {cbpf.ArchX86_64, 0x40000000, "allow"},
		"negative": {cbpf.ArchX86_64, 0xc0000000, "kill_process"},
	} {
		if got := decide(t, open, cbpf.Data{NR: int32(c.nr), Arch: c.arch}); got != c.want {
			t.Errorf("with x32 and x86, %s: got %s, want %s", name, got, c.want)
		}
	}
}

// Denying socket on x86 must not leave socketcall(SYS_SOCKET) open.
func TestMultiplexersAreCovered(t *testing.T) {
	deny := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
		"syscalls":[{"names":["socket","msgget"],"action":"SCMP_ACT_ERRNO"},
		{"names":["bind"],"action":"SCMP_ACT_ERRNO","args":[{"index":2,"value":1,"op":"SCMP_CMP_EQ"}]}]}`, Options{Native: ArchX86_64})
	call := func(nr int32, a0 uint64) string {
		return decide(t, deny, cbpf.Data{NR: nr, Arch: cbpf.ArchI386, Args: [6]uint64{a0}})
	}
	for _, c := range []struct {
		nr   int32
		a0   uint64
		want string
	}{
		{359, 0, "errno(1)"},
		{102, 1, "errno(1)"},
		{102, 3, "allow"},
		{102, 2, "errno(1)"}, // bind: its conditions are out of sight, so all of it
		{117, 13, "errno(1)"},
		{117, 0x1000d, "errno(1)"},
		{117, 14, "allow"},
	} {
		if got := call(c.nr, c.a0); got != c.want {
			t.Errorf("call %d with %#x: got %s, want %s", c.nr, c.a0, got, c.want)
		}
	}
	allow := compile(t, `{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],
		"syscalls":[{"names":["bind"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":1,"op":"SCMP_CMP_EQ"}]}]}`, Options{Native: ArchX86_64})
	if got := decide(t, allow, cbpf.Data{NR: 102, Arch: cbpf.ArchI386, Args: [6]uint64{2, 0, 1}}); got != "errno(1)" {
		t.Errorf("a condition that cannot be checked allowed the call: %s", got)
	}
	if len(allow.Warnings) == 0 || len(deny.Warnings) == 0 {
		t.Error("no warning about the multiplexer")
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		err  error
		in   string // part of the text of the error
	}{
		"misspelt call":   {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG"},{"names":["exceve"],"action":"SCMP_ACT_ERRNO"}]}`, ErrUnknownCall, `syscalls[1] "exceve": unknown system call: did you mean "execve"?`},
		"notify an errno": {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY","errnoRet":1}]}`, ErrInvalid, "takes no errnoRet"},
		"no action":       {`{}`, ErrUnknownValue, "defaultAction"},
		"odd action":      {`{"defaultAction":"SCMP_ACT_FOO"}`, ErrUnknownValue, "SCMP_ACT_FOO"},
		"odd arch":        {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}`, ErrUnknownArch, "Z80"},
		"arch not here":   {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_S390X"]}`, ErrNotSupported, "S390X"},
		"wait killable":   {`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}`, ErrInvalid, "listener"},
		"odd flag":        {`{"defaultAction":"SCMP_ACT_ALLOW","flags":["FOO"]}`, ErrUnknownValue, "FOO"},
		"odd operator":    {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"EQ"}]}]}`, ErrUnknownValue, "EQ"},
		"seventh arg":     {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}`, ErrInvalid, "argument 6"},
		"errno too large": {`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}`, ErrInvalid, "4095"},
		"errno for allow": {`{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}`, ErrInvalid, "takes no errnoRet"},
		"no names":        {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_LOG"}]}`, ErrInvalid, "no system calls"},
	} {
		t.Run(name, func(t *testing.T) {
			var p Policy
			if err := json.Unmarshal([]byte(c.text), &p); err != nil {
				t.Fatal(err)
			}
			_, err := p.Compile(Options{Native: ArchX86_64})
			var e *Error
			if !errors.Is(err, c.err) || !errors.As(err, &e) || !strings.Contains(err.Error(), c.in) {
				t.Errorf("got %v, want %v with %q", err, c.err, c.in)
			}
		})
	}
}

func TestIgnoreUnknownListsWhatWasDropped(t *testing.T) {
	prog := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_MIPS"],
		"syscalls":[{"names":["nonsense","read","s390_sthyi","waitpid","nonsense"],"action":"SCMP_ACT_ERRNO"}]}`,
		Options{Native: ArchX86_64, IgnoreUnknown: true})
	if want := []string{"SCMP_ARCH_MIPS", "nonsense"}; !slices.Equal(prog.Dropped, want) {
		t.Errorf("got %q, want %q", prog.Dropped, want)
	}
}

func TestFlags(t *testing.T) {
	prog := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_TSYNC"]}`, Options{Native: ArchX86_64})
	if prog.Flags != 7 {
		t.Errorf("got %d", prog.Flags)
	}
}

// Jumps over more than 255 instructions, on every level of the tree.
func TestLongJumps(t *testing.T) {
	var p Policy
	p.DefaultAction, p.Architectures = ActErrno, []Arch{ArchX86_64, ArchX86, ArchX32}
	for i := range callTable {
		if callTable[i].nr[0] >= 0 {
			n := uint(i%200 + 2)
			p.Syscalls = append(p.Syscalls, Rule{Names: []string{callTable[i].name}, Action: ActErrno, ErrnoRet: &n})
		}
	}
	prog, err := p.Compile(Options{Native: ArchX86_64})
	if err != nil {
		t.Fatal(err)
	}
	far := slices.ContainsFunc(prog.Instructions, func(in cbpf.Instruction) bool { return in.Code == cbpf.Jump && in.K > 255 })
	if !far {
		t.Error("no long jump in a long program")
	}
	for _, a := range []Arch{ArchX86_64, ArchX86, ArchX32} {
		for nr := range uint32(600) {
			if a == ArchX32 {
				nr |= cbpf.X32Bit
			}
			d := cbpf.Data{NR: int32(nr), Arch: a.Audit()}
			if got, want := decide(t, prog, d), cbpf.Decide(meaning(&p, Options{Native: ArchX86_64}, &d)).String(); got != want {
				t.Fatalf("%s %#x: got %s, want %s", a, nr, got, want)
			}
		}
	}
	for _, r := range p.Syscalls {
		r.Args = nil
		for i := range uint(6) {
			r.Args = append(r.Args, Condition{Index: i, Value: 1 << 40, Op: OpGreater})
		}
		p.Syscalls = append(p.Syscalls, r)
	}
	slices.Reverse(p.Syscalls)
	if _, err := p.Compile(Options{Native: ArchX86_64}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestPreflight(t *testing.T) {
	exec := []Call{{Stage: "execve", Name: "execve"}, {Stage: "report", Name: "exit_group", Optional: true}}
	for name, c := range map[string]struct {
		text     string
		blocked  bool
		warnings int
	}{
		"allowed":        {`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["execve","exit_group"],"action":"SCMP_ACT_ALLOW"}]}`, false, 0},
		"logged":         {`{"defaultAction":"SCMP_ACT_LOG"}`, false, 0},
		"denied":         {`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["exit_group"],"action":"SCMP_ACT_ALLOW"}]}`, true, 1},
		"killed":         {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_KILL"}]}`, true, 1},
		"traced":         {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_TRACE"}]}`, true, 1},
		"no report":      {`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["execve"],"action":"SCMP_ACT_ALLOW"}]}`, false, 1},
		"some arguments": {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}]}]}`, false, 1},
		"other ABI only": {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"]}`, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			prog := compile(t, c.text, Options{Native: ArchX86_64})
			err := Preflight(prog, exec)
			var e *Error
			if errors.Is(err, ErrBlocked) != c.blocked || err != nil && (!errors.As(err, &e) || e.Name != "execve") {
				t.Errorf("got %v, want blocked %v", err, c.blocked)
			}
			if w := PreflightWarnings(prog, exec); len(w) != c.warnings {
				t.Errorf("got warnings %q, want %d", w, c.warnings)
			}
		})
	}
	prog := compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":7,"op":"SCMP_CMP_EQ"}]}]}`, Options{Native: ArchX86_64})
	known := Call{Stage: "execve", Name: "execve", Args: [6]Arg{{Known: true, Value: 7}}}
	if err := Preflight(prog, []Call{known}); !errors.Is(err, ErrBlocked) {
		t.Errorf("known argument: got %v", err)
	}
	if err := Preflight(prog, []Call{{Stage: "x", Name: "nonsense"}}); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("got %v", err)
	}
}

// debianProfile reads the container profile of Debian's
// golang-github-containers-common, reduced to what OCI knows: its rules for
// x86_64 and no capabilities.
func debianProfile(t testing.TB) *Policy {
	t.Helper()
	text, err := os.ReadFile("/usr/share/containers/seccomp.json")
	if err != nil {
		t.Skip("needs /usr/share/containers/seccomp.json (package golang-github-containers-common)")
	}
	var file struct {
		DefaultAction   Action
		DefaultErrnoRet *uint
		Syscalls        []struct {
			Rule
			Includes, Excludes struct{ Caps, Arches []string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	p := &Policy{DefaultAction: file.DefaultAction, DefaultErrnoRet: file.DefaultErrnoRet, Architectures: []Arch{ArchX86_64, ArchX86, ArchX32}}
	for _, s := range file.Syscalls {
		if len(s.Includes.Caps) == 0 && (len(s.Includes.Arches) == 0 || slices.Contains(s.Includes.Arches, "amd64")) &&
			!slices.Contains(s.Excludes.Arches, "amd64") {
			p.Syscalls = append(p.Syscalls, s.Rule)
		}
	}
	return p
}

func TestDebianProfile(t *testing.T) {
	p := debianProfile(t)
	prog, err := p.Compile(Options{Native: ArchX86_64, IgnoreUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, r := range p.Syscalls {
		names += len(r.Names)
	}
	t.Logf("%d rules, %d names, %d instructions, dropped %q, warnings %q", len(p.Syscalls), names, len(prog.Instructions), prog.Dropped, prog.Warnings)
	if err := Preflight(prog, []Call{{Stage: "execve", Name: "execve"}, {Stage: "report", Name: "exit_group"}}); err != nil {
		t.Error(err)
	}
	for _, a := range []Arch{ArchX86_64, ArchX86, ArchX32} {
		for nr := range uint32(600) {
			if a == ArchX32 {
				nr |= cbpf.X32Bit
			}
			args := []uint64{0, 1, 8, 16, 0x20000, 0x7e020000, 0xffffffff, 1 << 32}
			if !slices.Contains([]string{"socket", "socketcall", "clone", "personality"}, CallName(a, nr)) {
				args = args[:1]
			}
			for _, arg := range args {
				d := cbpf.Data{NR: int32(nr), Arch: a.Audit(), Args: [6]uint64{arg, 0, arg}}
				if got, want := decide(t, prog, d), cbpf.Decide(meaning(p, Options{Native: ArchX86_64}, &d)).String(); got != want {
					t.Fatalf("%s %s %#x: got %s, want %s", a, CallName(a, nr), arg, got, want)
				}
			}
		}
	}
}

func BenchmarkCompileDebianProfile(b *testing.B) {
	p := debianProfile(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Compile(Options{Native: ArchX86_64, IgnoreUnknown: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigestDebianProfile(b *testing.B) {
	p := debianProfile(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Digest()
	}
}

func BenchmarkPreflightDebianProfile(b *testing.B) {
	prog, err := debianProfile(b).Compile(Options{Native: ArchX86_64, IgnoreUnknown: true})
	if err != nil {
		b.Fatal(err)
	}
	calls := []Call{{Stage: "execve", Name: "execve"}}
	for b.Loop() {
		if err := Preflight(prog, calls); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRunDebianProfile(b *testing.B) {
	prog, err := debianProfile(b).Compile(Options{Native: ArchX86_64, IgnoreUnknown: true})
	if err != nil {
		b.Fatal(err)
	}
	d := cbpf.Data{NR: 257, Arch: cbpf.ArchX86_64}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = cbpf.Run(prog.Instructions, &d)
	}
}

func FuzzPolicyJSON(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["read","clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}]}]}`), int32(0), uint64(1))
	f.Add([]byte(`{}`), int32(-1), uint64(0))
	f.Fuzz(func(t *testing.T, text []byte, nr int32, arg uint64) {
		var p Policy
		if json.Unmarshal(text, &p) != nil {
			return
		}
		for _, d := range []Dialect{FirstMatch, Libseccomp} {
			o := Options{Native: ArchX86_64, IgnoreUnknown: true, Dialect: d}
			prog, err := p.Compile(o)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("untyped error %v", err)
				}
				continue
			}
			for _, arch := range []uint32{cbpf.ArchX86_64, cbpf.ArchI386} {
				x := cbpf.Data{NR: nr, Arch: arch, Args: [6]uint64{arg, ^arg}}
				if arch == cbpf.ArchI386 {
					x.Args = [6]uint64{arg & 0xffffffff, ^arg & 0xffffffff}
				}
				got, err := cbpf.Run(prog.Instructions, &x)
				if want := meaning(&p, o, &x); err != nil || got != want {
					t.Fatalf("%s: %+v: got %#x, %v; want %#x", text, x, got, err, want)
				}
			}
		}
	})
}

func ExamplePolicy_Compile() {
	policy := Policy{
		DefaultAction: ActAllow,
		Syscalls:      []Rule{{Names: []string{"ptrace"}, Action: ActErrno}},
	}
	prog, err := policy.Compile(Options{Native: ArchAARCH64})
	if err != nil {
		panic(err)
	}
	fmt.Print(cbpf.Disassemble(prog.Instructions))
	// Output:
	//    0  a = arch
	//    1  if a == 0xc00000b7 goto 2 else 8
	//    2  a = nr
	//    3  if a >= 0x75 goto 5 else 4
	//    4  return allow
	//    5  if a >= 0x76 goto 7 else 6
	//    6  return errno(1)
	//    7  return allow
	//    8  return kill_process
}
