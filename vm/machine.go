package vm

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/vm/guest"
)

// Accel is how QEMU executes a guest.
type Accel string

// The ways to execute a guest.
const (
	Auto Accel = ""    // KVM if a probe boot works, else TCG
	KVM  Accel = "kvm" // by the processor
	TCG  Accel = "tcg" // by translation; works everywhere, and several times slower
)

// The descriptors that QEMU gets beyond its standard ones.
const (
	fdInitrd  = 3
	fdRecords = 4
)

func qemuName(arch string) string {
	if arch == "arm64" {
		return "qemu-system-aarch64"
	}
	return "qemu-system-x86_64"
}

func (g *Guest) smp() string {
	if g.Threads <= 1 {
		return strconv.Itoa(g.CPUs)
	}
	return fmt.Sprintf("%d,sockets=1,cores=%d,threads=%d", g.CPUs, g.CPUs/g.Threads, g.Threads)
}

// findQEMU returns the path of QEMU for an architecture.
func findQEMU(arch string) (string, error) {
	name := qemuName(arch)
	p, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		pkg := "qemu-system-x86"
		if arch == "arm64" {
			pkg = "qemu-system-arm"
		}
		return "", fmt.Errorf("vm: no %s here; install %s (Debian's name): %w", name, pkg, err)
	}
	return p, err
}

// qemuArgs is the command line. What is in it was measured, not guessed: the
// "pc" machine and an uncompressed image boot fastest, and no tuning option
// tried beyond that made a difference.
func (g *Guest) qemuArgs(accel Accel) []string {
	console := "ttyS0"
	args := []string{"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-rtc", "base=utc"}
	switch g.Kernel.Arch {
	case "arm64":
		console = "ttyAMA0"
		cpu := "max,pauth-impdef=on" // the architected pointer authentication is slow to emulate
		if accel == KVM {
			cpu = "host"
		}
		if g.CPU != "" {
			cpu = g.CPU
		}
		args = append(args, "-M", "virt", "-cpu", cpu)
	default:
		cpu := "max"
		if accel == KVM {
			cpu = "host"
		}
		if g.CPU != "" {
			cpu = g.CPU
		}
		args = append(args, "-M", "pc", "-cpu", cpu, "-device", "isa-debug-exit,iobase="+fmt.Sprintf("%#x", guest.ExitPort)+",iosize=4")
	}
	// panic=1: a second between a panic and the end, in which QEMU empties its
	// buffers; with -no-reboot the machine then ends.
	cmdline := []string{"console=" + console, "quiet", "panic=1", "reboot=t", "oops=panic", "rdinit=/init", "random.trust_cpu=on"}
	cmdline = append(cmdline, strings.Fields(g.Append)...)
	serial := []string{"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"}
	if g.Terminal { // with QEMU's own keys: Ctrl-A X ends it
		serial = []string{"-chardev", "stdio,id=console,signal=off,mux=on", "-serial", "chardev:console", "-mon", "chardev=console"}
	}
	if g.GDB != "" {
		args = append(args, "-gdb", g.GDB, "-S")
		cmdline = append(cmdline, "nokaslr")
	}
	args = append(args, serial...)
	return append(args,
		"-accel", string(accel),
		"-m", strconv.Itoa(g.MemoryMB), "-smp", g.smp(),
		"-kernel", g.Kernel.Image, "-initrd", "/dev/fd/"+strconv.Itoa(fdInitrd), "-append", strings.Join(cmdline, " "),
		"-device", "virtio-serial-pci,id=vs",
		"-chardev", "socket,id=records,fd="+strconv.Itoa(fdRecords),
		"-device", "virtserialport,bus=vs.0,chardev=records,name="+guest.Port,
	)
}
