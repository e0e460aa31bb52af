package agent

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Filter is a seccomp filter as the kernel holds it.
type Filter struct {
	Program []byte // struct sock_filter array
	Flags   uint32 // SECCOMP_FILTER_FLAG_LOG
}

// ReadFilters reads the seccomp filters of a process, the first one that it
// loaded first. It traces the process for that (ptrace(2), PTRACE_SEIZE and
// PTRACE_SECCOMP_GET_FILTER), which stops its main thread for a moment. alive is
// asked once it is traced, and so cannot be another process any more.
//
// It needs CAP_SYS_ADMIN in the initial user namespace, a caller without a
// filter of its own, and a kernel with CONFIG_CHECKPOINT_RESTORE.
func ReadFilters(pid int, alive func() error) ([]Filter, error) {
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(pid); err != nil {
		return nil, fmt.Errorf("trace the process: %w", err)
	}
	defer func() { _ = unix.PtraceDetach(pid) }()
	if err := alive(); err != nil {
		return nil, err
	}
	if err := unix.PtraceInterrupt(pid); err != nil {
		return nil, fmt.Errorf("stop the process: %w", err)
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || status.Exited() || status.Signaled() {
			return nil, unix.ESRCH
		}
		break
	}
	if event := int(status) >> 16; event == 0 && status.Stopped() {
		// A signal came first: it is passed on when we let go.
		defer func() { _ = unix.Kill(pid, status.StopSignal()) }()
	}
	var all []Filter
	for i := 0; ; i++ { // index 0 is the last one that was loaded
		n, err := getFilter(pid, i, nil)
		if errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read filter %d: %w", i, err)
		}
		f := Filter{Program: make([]byte, 8*n)}
		if n > 0 {
			if _, err := getFilter(pid, i, f.Program); err != nil {
				return nil, fmt.Errorf("read filter %d: %w", i, err)
			}
		}
		if f.Flags, err = filterFlags(pid, i); err != nil {
			return nil, fmt.Errorf("read the flags of filter %d: %w", i, err)
		}
		all = append([]Filter{f}, all...)
	}
	return all, nil
}

func getFilter(pid, i int, to []byte) (int, error) {
	const getFilter = 0x420c
	var p unsafe.Pointer
	if len(to) > 0 {
		p = unsafe.Pointer(&to[0])
	}
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, getFilter, uintptr(pid), uintptr(i), uintptr(p), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// filterFlags reads struct seccomp_metadata (since Linux 4.16).
func filterFlags(pid, i int) (uint32, error) {
	const getMetadata = 0x420d
	m := struct{ off, flags uint64 }{off: uint64(i)}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getMetadata, uintptr(pid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return uint32(m.flags), nil
}
