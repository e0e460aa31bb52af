package memlock

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRetry(t *testing.T) {
	limit := func() (l unix.Rlimit) {
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	before := limit()
	calls := 0
	if err := Retry(func() error { calls++; return unix.EINVAL }); !errors.Is(err, unix.EINVAL) || calls != 1 {
		t.Errorf("another error: %v after %d calls", err, calls)
	}
	if before.Cur == unix.RLIM_INFINITY || os.Geteuid() != 0 {
		t.Skip("needs root and a limit on locked memory")
	}
	calls = 0
	err := Retry(func() error {
		if calls++; limit().Cur != unix.RLIM_INFINITY {
			return unix.EPERM
		}
		return nil
	})
	if errors.Is(err, unix.EPERM) {
		t.Skip("needs CAP_SYS_RESOURCE, to lift the limit")
	}
	if err != nil || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if limit() != before {
		t.Errorf("the limit was %v and is %v", before, limit())
	}
}
