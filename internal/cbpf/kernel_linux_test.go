package cbpf

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe" //nolint:depguard // the kernel takes filters by pointer; test code of the one differential test

	"golang.org/x/sys/unix"
)

var (
	kernelPrograms = flag.Int("kernel.programs", 3000, "random programs to compare with the kernel")
	kernelSeed     = flag.Uint64("kernel.seed", 0, "seed of the comparison, 0 for a new one")
)

// testNR is a number that no system call has: without a filter it is ENOSYS.
const testNR = 4242

var nativeArch = map[string]uint32{"amd64": ArchX86_64, "arm64": ArchAARCH64}[runtime.GOARCH]

// load installs prog on the calling thread.
func load(prog []Instruction) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	p := struct {
		n      uint16
		filter *Instruction
	}{uint16(len(prog)), unsafe.SliceData(prog)}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, 1 /* SECCOMP_SET_MODE_FILTER */, 0, uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return errno
	}
	return nil
}

// onThread runs f on a thread of its own, which ends with f: a seccomp filter
// belongs to a thread, so each program is alone.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(done)
		f()
	}()
	<-done
}

// runAlone runs this test in a process of its own, because what it does to
// the process cannot be undone. It reports whether this is that process.
func runAlone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("CBPF_ALONE") == t.Name() {
		return true
	}
	if nativeArch == 0 {
		t.Skip("needs amd64 or arm64")
	}
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.v", "-test.count=1"}
	if testing.CoverMode() != "" {
		args = append(args, "-test.coverprofile", filepath.Join(t.TempDir(), "cover"))
	}
	flag.Visit(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "kernel.") {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	// A wrong simulator could kill a thread that the others then wait for.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CBPF_ALONE="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	return false
}

// harmless wraps body so that it decides only testNR, and never kills.
func harmless(body []Instruction) []Instruction {
	prog := []Instruction{
		op(LoadAbs, 0), jmp(JumpEqual, testNR, 1, 0), op(ReturnK, uint32(Allow)),
		op(LoadImm, 0), // the body starts like a program
	}
	return append(prog, body...)
}

// errnoReturns makes every return of a body an errno between 0 and 255. To
// keep jump distances, each return jumps to a common tail that tells which.
func errnoReturns(r *rand.Rand, body []Instruction) []Instruction {
	n := len(body)
	out := make([]Instruction, 0, n+4)
	for i, in := range body {
		switch in.Code {
		case ReturnK:
			if r.IntN(2) == 0 {
				in.K = uint32(Errno) | in.K&0xff
			} else {
				in.K = uint32(Allow) | in.K&0xff
			}
		case ReturnA:
			in = Instruction{Code: Jump, K: uint32(n - i - 1)}
		case DivX:
			in.Code = AddX // ends with a kill if X is zero: tested apart
		}
		out = append(out, in)
	}
	return append(out, op(AndK, 0xff), op(OrK, uint32(Errno)), op(ReturnA, 0))
}

func randomWord(r *rand.Rand) uint32 {
	switch r.IntN(3) {
	case 0:
		return interesting[r.IntN(len(interesting))]
	case 1:
		return r.Uint32N(20)
	}
	return r.Uint32()
}

func randomBody(r *rand.Rand, sloppy bool) []Instruction {
	n := 1 + r.IntN(30)
	body := make([]Instruction, n)
	for i := range body {
		left := n - i - 1
		in := Instruction{Code: codes[r.IntN(len(codes))], K: randomWord(r)}
		if left == 0 && !(sloppy && r.IntN(4) == 0) {
			in.Code = ReturnA
		}
		if !sloppy || r.IntN(20) != 0 {
			switch in.Code {
			case LoadAbs:
				in.K = 4 * r.Uint32N(16)
			case LoadMem, LoadXMem, Store, StoreX:
				in.K = r.Uint32N(3)
			case LshK, RshK:
				in.K &= 31
			case DivK:
				in.K |= 1
			case Jump:
				in.K = r.Uint32N(uint32(left + 1))
			case JumpEqual, JumpGT, JumpGE, JumpSet, JumpEqualX, JumpGTX, JumpGEX, JumpSetX:
				in.JT, in.JF = uint8(r.IntN(left+1)), uint8(r.IntN(left+1))
			}
		} else if r.IntN(2) == 0 {
			in.Code = uint16(r.UintN(0x200))
		}
		if in.Code == LoadAbs && in.K/8 == WordIP/2 {
			in.K += 8 // the instruction pointer is not known here
		}
		body[i] = in
	}
	return body
}

// The kernel is the reference: programs it refuses are those that Validate
// refuses, and what a loaded one does to a system call is what Run says.
func TestAgainstTheKernel(t *testing.T) {
	if !runAlone(t) {
		return
	}
	seed := *kernelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-kernel.seed=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	loaded, refused, calls := 0, 0, 0
	for i := range *kernelPrograms {
		prog := harmless(errnoReturns(r, randomBody(r, i%3 == 0)))
		valid := Validate(prog)
		onThread(func() {
			err := load(prog)
			if valid != nil {
				refused++
				if !errors.Is(err, unix.EINVAL) {
					t.Fatalf("program %d: load %v, Validate %v\n%s", i, err, valid, Disassemble(prog))
				}
				return
			}
			if err != nil {
				t.Errorf("program %d: load %v, but valid\n%s", i, err, Disassemble(prog))
				return
			}
			loaded++
			for range 20 {
				var a [6]uint64
				for j := range a {
					a[j] = uint64(randomWord(r))<<32 | uint64(randomWord(r))
				}
				d := Data{NR: testNR, Arch: nativeArch, Args: a}
				want, err := Run(prog, &d)
				if err != nil {
					t.Errorf("program %d: %v", i, err)
					return
				}
				if a := Decide(want).Action; a != Errno && a != Allow {
					continue // a jump of a sloppy body into the tail; would kill the thread
				}
				calls++
				got := call(a)
				if got != outcome(want) {
					t.Errorf("program %d args %#x: kernel %s, Run %#x (%s)\n%s", i, a, got, want, outcome(want), Disassemble(prog))
					return
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d programs loaded, %d refused, %d calls compared", loaded, refused, calls)
	if loaded < *kernelPrograms/20 || refused < *kernelPrograms/20 || calls < loaded {
		t.Error("too few comparisons")
	}
}

// call makes the call and returns "result/errno".
func call(a [6]uint64) string {
	ret, _, errno := unix.RawSyscall6(testNR, uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]))
	// RawSyscall6 takes -4095 for a result; it is MAX_ERRNO.
	if int(ret) == -MaxErrno {
		return fmt.Sprintf("-1/%d", MaxErrno)
	}
	return fmt.Sprintf("%d/%d", int(ret), int(errno))
}

// outcome is what testNR gives under a return value.
func outcome(ret uint32) string {
	d := Decide(ret)
	switch {
	case d.Action == Allow:
		return fmt.Sprintf("-1/%d", int(unix.ENOSYS))
	case d.Data == 0:
		return "0/0"
	}
	return fmt.Sprintf("-1/%d", d.Data)
}

// Every hand-made invalid program is refused by the kernel too.
func TestKernelRefusesInvalid(t *testing.T) {
	if !runAlone(t) {
		return
	}
	for name, prog := range invalid {
		onThread(func() {
			if err := load(prog); !errors.Is(err, unix.EINVAL) {
				t.Errorf("%s: kernel says %v, want EINVAL", name, err)
			}
		})
	}
}

// Filters stack: the strongest action wins, between equals the newest.
func TestKernelStack(t *testing.T) {
	if !runAlone(t) {
		return
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var rets []uint32
		for range 1 + r.IntN(4) {
			rets = append(rets, []uint32{uint32(Errno) | 1 + r.Uint32N(200), uint32(Allow), uint32(Allow) | 3, uint32(Errno) | 4095, uint32(Errno) | 0xffff}[r.IntN(5)])
		}
		onThread(func() {
			var stack [][]Instruction
			for _, ret := range rets {
				prog := harmless([]Instruction{op(ReturnK, ret)})
				if err := load(prog); err != nil {
					t.Errorf("load: %v", err)
					return
				}
				stack = append([][]Instruction{prog}, stack...)
			}
			want, err := RunStack(stack, &Data{NR: testNR, Arch: nativeArch})
			if err != nil {
				t.Error(err)
			}
			if got := call([6]uint64{}); got != outcome(want) {
				t.Errorf("stack %#x (oldest first): kernel %s, RunStack %s", rets, got, outcome(want))
			}
		})
	}
}

// A division by an X of zero is SECCOMP_RET_KILL_THREAD: the thread is gone,
// the process lives.
func TestKernelDivisionByZeroKillsTheThread(t *testing.T) {
	if !runAlone(t) {
		return
	}
	prog := harmless([]Instruction{op(LoadXImm, 0), op(DivX, 0), op(ReturnK, uint32(Allow))})
	if ret, err := Run(prog, &Data{NR: testNR}); ret != 0 || err != nil {
		t.Fatalf("Run: %#x, %v", ret, err)
	}
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		if err := load(prog); err != nil {
			t.Errorf("load: %v", err)
		}
		tid <- unix.Gettid()
		// Not RawSyscall: the thread would take its P with it, and whoever stops
		// the world (or, on one processor, anybody) would wait for that for ever.
		_, _, _ = unix.Syscall(testNR, 0, 0, 0)
		t.Error("the thread survived")
	}()
	task := fmt.Sprintf("/proc/self/task/%d/stat", <-tid)
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		// A first thread that ended stays as a zombie until the others end.
		stat, err := os.ReadFile(task)
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the thread is still there")
		}
	}
}
