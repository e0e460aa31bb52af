package probes

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrNotSupported says that this kernel cannot do what was asked, whoever asks.
// A refused permission is not ErrNotSupported: it stays EPERM.
var ErrNotSupported = errors.New("not supported by this kernel")

// ErrEvidence says that evidence which the kernel sent, or should have sent,
// did not arrive. Nothing may be concluded about the task concerned.
var ErrEvidence = errors.New("evidence was lost")

// Error is a step of the observer that failed. errors.Is finds the errno of the
// cause, and [ErrNotSupported] where the kernel lacks something.
type Error struct {
	Op   string // what was being done: "load", "attach sched_process_exec", …
	Err  error  // the cause
	Hint string // what to do about it, perhaps empty
}

// Error says what failed, why, and what to do.
func (e *Error) Error() string {
	s := "probes: " + e.Op + ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

const (
	hintPrivilege = "needs CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, in the initial user namespace: run as root"
	hintBTF       = "needs a kernel with CONFIG_DEBUG_INFO_BTF, which provides /sys/kernel/btf/vmlinux"
	hintLockdown  = "the kernel is locked down (see /sys/kernel/security/lockdown): boot with lockdown=integrity or none"
)

// explain turns an error of the BPF library into ours. The library adds to each
// EPERM that the memory limit may be too low, which since 5.11 it never is, so
// its text is replaced where the cause is known.
func explain(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ebpf.ErrNotSupported):
		return &Error{Op: op, Err: fmt.Errorf("%w: %w", ErrNotSupported, err), Hint: hintBTF}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !isVerifier(err):
		hint := hintPrivilege
		if lockedDown() {
			hint = hintLockdown
		}
		return &Error{Op: op, Err: errnoOf(err), Hint: hint}
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Op: op, Err: fmt.Errorf("%w: %w", ErrNotSupported, err)}
	}
	return &Error{Op: op, Err: err}
}

func isVerifier(err error) bool {
	var v *ebpf.VerifierError
	return errors.As(err, &v) && len(v.Log) > 0
}

func errnoOf(err error) error {
	if e, ok := errors.AsType[unix.Errno](err); ok {
		return e
	}
	return err
}
