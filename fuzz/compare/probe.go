package compare

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"golang.org/x/sys/unix"
)

// Probe finds out by trying what facts of [Facts] rest on. Nothing is
// concluded from a version.
func Probe(ctx context.Context, m *fuzz.Machine) map[string]string {
	f := map[string]string{
		"landlock ABI":                 strconv.Itoa(m.LandlockABI),
		"capabilities":                 strconv.Itoa(bits(m.AllCaps)),
		"capabilities of the caller":   effective(),
		"cgroup layout":                cgroupLayout(),
		"processors":                   strconv.Itoa(len(m.CPUs)),
		"mount_setattr":                yes(m.SetAttr),
		"seccomp wait killable":        yes(m.WaitKillable),
		"statmount":                    yes(unix.ENOSYS != sys(457)),
		"listns":                       yes(unix.ENOSYS != sys(470)),
		"PR_GET_MDWE":                  yes(prctl(unix.PR_GET_MDWE)),
		"PR_GET_MEMORY_MERGE":          yes(prctl(unix.PR_GET_MEMORY_MERGE)),
		"RLIMIT_STACK":                 limit(unix.RLIMIT_STACK),
		"RLIMIT_MEMLOCK":               limit(unix.RLIMIT_MEMLOCK),
		"autogroup":                    there("/proc/sys/kernel/sched_autogroup_enabled"),
		"PR_SET_SYSCALL_USER_DISPATCH": yes(prctl(unix.PR_SET_SYSCALL_USER_DISPATCH)),
		"shadow stacks":                shadowStacks(),
		"tmpfs inode64":                yes(strings.Contains(line("/proc/mounts"), ",inode64")),
		"timer slack of SCHED_FIFO":    slackOfFIFO(),
		"LSM":                          line("/sys/kernel/security/lsm"),
	}
	f["program by descriptor in a bare root"] = inBareRoot(ctx, m)
	f["type: task_struct.io_uring_restrict"] = hasMember("task_struct", "io_uring_restrict")
	for _, name := range fuzz.AllDimensions() {
		f["can: "+name] = yes(fuzz.Can(m, name))
	}
	var st unix.Statfs_t
	if fd, err := unix.PidfdOpen(os.Getpid(), 0); err == nil {
		if unix.Fstatfs(fd, &st) == nil {
			f["pidfd file system"] = fmt.Sprintf("%x", st.Type)
		}
		unix.Close(fd)
	}
	return f
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func bits(x uint64) (n int) {
	for ; x != 0; x &= x - 1 {
		n++
	}
	return n
}

// sys makes a call with arguments that no kernel accepts.
func sys(number uintptr) unix.Errno {
	_, _, e := unix.Syscall6(number, 0, 0, 0, 1<<31, 0, 0)
	return e
}

func prctl(option int) bool {
	_, err := unix.PrctlRetInt(option, 0, 0, 0, 0)
	return err == nil
}

func limit(resource int) string {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%d", l.Cur, l.Max)
}

func line(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

func there(path string) string {
	_, err := os.Stat(path)
	return yes(err == nil)
}

// slackOfFIFO asks on a thread that ends.
func slackOfFIFO() string {
	answer := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0); err != nil {
			answer <- err.Error()
			return
		}
		n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- strconv.Itoa(n)
	}()
	return <-answer
}

// effective are this process's capabilities, in hexadecimal.
func effective() string {
	for l := range strings.SplitSeq(line("/proc/self/status"), "\n") {
		if v, ok := strings.CutPrefix(l, "CapEff:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
