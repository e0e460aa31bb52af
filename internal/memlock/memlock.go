// Package memlock lifts the limit on locked memory for as long as a BPF object
// is made. Before Linux 5.11 its memory counts against RLIMIT_MEMLOCK of the
// user, together with what others of the user's objects take.
package memlock

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

var one sync.Mutex

// Retry does f, and once more with the limit lifted if f is refused with EPERM.
// A process that is started meanwhile inherits the limit, which is why it is
// not lifted before. It takes CAP_SYS_RESOURCE to lift a hard limit; without it
// the first error stays.
func Retry(f func() error) error {
	err := f()
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	one.Lock()
	defer one.Unlock()
	var was unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was) != nil || was.Cur == unix.RLIM_INFINITY {
		return err
	}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) != nil {
		return err
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was) }()
	return f()
}
