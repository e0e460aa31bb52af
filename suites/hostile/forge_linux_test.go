package hostile

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// forge is done by an ordinary user without a capability, or if wrong by root:
// whatever it tries must be denied. N is the process that judges it, its parent the one that launched
// it.
func forge(p *play) error {
	// What it says of itself is not what it is.
	failed := os.WriteFile("/proc/thread-self/comm", []byte("constrained"), 0)
	if !p.Wrong {
		if err := ordinary(); err != nil {
			return err
		}
	}
	denied := func(what string, err error) {
		if err == nil {
			failed = errors.Join(failed, fmt.Errorf("%s was not denied", what))
		}
	}
	// Records come from programs and maps of the kernel.
	_, err := ebpf.MapGetNextID(0)
	denied("to look for the observer's maps", err)
	_, err = ebpf.ProgramGetNextID(0)
	denied("to look for the observer's programs", err)
	_, err = ebpf.NewMapFromID(1)
	denied("to open a map", err)
	for _, pid := range []int{p.N, os.Getppid()} {
		if pid <= 1 {
			continue // of a pid namespace of its own
		}
		of := "/proc/" + strconv.Itoa(pid)
		for file, how := range map[string]int{"/mem": os.O_RDWR, "/environ": os.O_RDONLY, "/map_files": os.O_RDONLY, "/fdinfo": os.O_RDONLY} {
			f, err := os.OpenFile(of+file, how, 0)
			if err == nil && file != "/mem" && file != "/environ" {
				_, err = f.Readdirnames(-1)
			} else if err == nil && file == "/environ" {
				_, err = f.Read(make([]byte, 1))
			}
			denied("to open "+of+file, err)
		}
		_, err = os.ReadDir(of + "/fd")
		denied("to see descriptors of "+of, err)
		denied("to signal "+of, unix.Kill(pid, 0))
		denied("to trace "+of, unix.PtraceSeize(pid))
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			_, err = unix.PidfdGetfd(fd, 3, 0)
			denied("to take a descriptor of "+of, err)
			unix.Close(fd)
		}
		var b [1]byte
		_, err = unix.ProcessVMWritev(pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 0x400000, Len: 1}}, 0)
		denied("to write into the memory of "+of, err)
	}
	return failed
}

// ordinary takes root and every capability away.
func ordinary() error {
	if os.Getuid() != 0 {
		return nil
	}
	for c := range uintptr(64) {
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			break
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, nobody, nobody, nobody); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
		return e
	}
	return nil
}

const nobody = 65534

// onlyStandard fails if the process has descriptors other than 0 to 2 and those
// that the runtime of Go opened (which are close-on-exec).
func onlyStandard() error {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	var left []string
	for _, n := range names {
		fd, _ := strconv.Atoi(n.Name())
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && fd > 2 && flags&unix.FD_CLOEXEC == 0 {
			left = append(left, n.Name())
		}
	}
	if slices.Sort(left); len(left) > 0 {
		return fmt.Errorf("descriptors %q are open", left)
	}
	return nil
}
