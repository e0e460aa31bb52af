package seccomp

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe" //nolint:depguard // the kernel takes filters by pointer; test code

	"golang.org/x/sys/unix"
)

// load installs prog on the calling thread.
func load(prog *Program) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	p := struct {
		n      uint16
		filter unsafe.Pointer
	}{uint16(len(prog.Instructions)), unsafe.Pointer(unsafe.SliceData(prog.Instructions))}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, 1 /* SECCOMP_SET_MODE_FILTER */, uintptr(prog.Flags), uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return errno
	}
	return nil
}

// runAlone runs this test in a process of its own and reports whether this is
// that process: filters cannot be taken off again.
func runAlone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SECCOMP_ALONE") == t.Name() {
		return true
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.v", "-test.count=1"}
	if testing.CoverMode() != "" {
		args = append(args, "-test.coverprofile", filepath.Join(t.TempDir(), "cover"))
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SECCOMP_ALONE="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	t.Logf("%s", out)
	return false
}

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked
		defer close(done)
		f()
	}()
	<-done
}

// tiny writes a static x86_64 program of a few bytes of machine code.
func tiny(t *testing.T, code []byte) string {
	t.Helper()
	const base, header = 0x400000, 64 + 56
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	u16 := func(v ...uint16) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
	}
	u32 := func(v ...uint32) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
	}
	u64 := func(v ...uint64) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
	}
	size := uint64(header + len(code))
	u16(2, 62) // ET_EXEC, EM_X86_64
	u32(1)
	u64(base+header, 64, 0)
	u32(0)
	u16(64, 56, 1, 0, 0, 0)
	u32(1, 5) // PT_LOAD, r-x
	u64(0, base, base, size, size, 0x1000)
	path := filepath.Join(t.TempDir(), "tiny")
	if err := os.WriteFile(path, append(b, code...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Machine code: make a call with eax = nr, then exit with minus its result.
func program(nr uint32, enter ...byte) []byte {
	code := []byte{0xb8}
	code = binary.LittleEndian.AppendUint32(code, nr)   // mov eax, nr
	code = append(code, 0x31, 0xdb, 0x31, 0xff)         // xor ebx, ebx; xor edi, edi
	code = append(code, enter...)                       // int 0x80 or syscall
	code = append(code, 0xf7, 0xd8, 0x89, 0xc7)         // neg eax; mov edi, eax
	return append(code, 0xb8, 231, 0, 0, 0, 0x0f, 0x05) // mov eax, exit_group; syscall
}

var (
	viaInt80   = []byte{0xcd, 0x80}
	viaSyscall = []byte{0x0f, 0x05}
)

// run runs a program under a filter; the filter is inherited by the child of
// the thread that has it. It returns the exit code, or minus the signal.
func run(t *testing.T, prog *Program, path string) int {
	t.Helper()
	result := 0
	onThread(func() {
		if prog != nil {
			if err := load(prog); err != nil {
				t.Errorf("load: %v", err)
				return
			}
		}
		var e *exec.ExitError
		if err := exec.Command(path).Run(); errors.As(err, &e) {
			if ws := e.Sys().(syscall.WaitStatus); ws.Signaled() {
				result = -int(ws.Signal())
			} else {
				result = ws.ExitStatus()
			}
		} else if err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return result
}

// The numbers of other ABIs as the real kernel shows them to a filter.
func TestKernelOtherABIs(t *testing.T) {
	if !runAlone(t) {
		return
	}
	const sigsys = -int(syscall.SIGSYS)
	deny := func(archs string) *Program {
		return compile(t, `{"defaultAction":"SCMP_ACT_ALLOW","architectures":[`+archs+`],
			"syscalls":[{"names":["getpid"],"action":"SCMP_ACT_ERRNO","errnoRet":77}]}`, Options{})
	}
	native := deny(`"SCMP_ARCH_X86_64"`)
	all := deny(`"SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"`)

	getpid64 := tiny(t, program(39, viaSyscall...))
	getpidX32 := tiny(t, program(0x40000000|39, viaSyscall...))
	negative := tiny(t, program(0x80000027, viaSyscall...))
	for name, c := range map[string]struct {
		prog *Program
		path string
		want int
	}{
		"x86_64 denied": {native, getpid64, 77},
		// Kernels without x32 run filters on its numbers all the same.
		"x32 closed":         {native, getpidX32, sigsys},
		"x32 open, denied":   {all, getpidX32, 77},
		"negative, x32 open": {all, negative, sigsys},
	} {
		if got := run(t, c.prog, c.path); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}

	getpid32 := tiny(t, program(20, viaInt80...))
	if run(t, nil, getpid32) == -int(syscall.SIGSEGV) {
		t.Skip("i386 part: needs a kernel with 32-bit calls (CONFIG_IA32_EMULATION)")
	}
	if got := run(t, native, getpid32); got != sigsys {
		t.Errorf("i386 closed: got %d, want %d", got, sigsys)
	}
	if got := run(t, all, getpid32); got != 77 {
		t.Errorf("i386 open, denied: got %d, want 77", got)
	}
}

// Debian's container profile is accepted by the kernel and lets a program run.
func TestKernelDebianProfile(t *testing.T) {
	if !runAlone(t) {
		return
	}
	prog, err := debianProfile(t).Compile(Options{IgnoreUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, prog, "/bin/true"); got != 0 {
		t.Errorf("true ended with %d", got)
	}
	// Not in the profile: add_key of x86_64.
	if got := run(t, prog, tiny(t, program(248, viaSyscall...))); got != int(syscall.EPERM) && got != int(syscall.ENOSYS) {
		t.Errorf("add_key: got %d", got)
	}
}
