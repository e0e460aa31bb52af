package harness

import (
	"errors"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"golang.org/x/sys/unix"
)

// Unsupported reports whether an error means that this machine, kernel or
// caller cannot do what was asked for, rather than that something broke.
func Unsupported(err error) bool {
	if errors.Is(err, engine.ErrUnsupported) || errors.Is(err, errors.ErrUnsupported) {
		return true
	}
	var e *checkpoint.Error
	if !errors.As(err, &e) || errors.Is(err, checkpoint.ErrAgentDied) {
		return false
	}
	if errors.Is(e.Err, checkpoint.ErrNotSupported) {
		return true
	}
	for _, errno := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP, unix.ENODEV, unix.ENOENT, unix.EROFS, unix.ENOSPC, unix.EUSERS} {
		if errors.Is(e.Err, errno) {
			return true
		}
	}
	return false
}
