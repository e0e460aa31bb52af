package netdump

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestWhole(t *testing.T) {
	interrupted := fmt.Errorf("dump: %w", netlink.ErrDumpInterrupted)
	for name, tc := range map[string]struct {
		fails int
		with  error
		calls int
		err   error
	}{
		"at once":     {0, nil, 1, nil},
		"at the end":  {7, interrupted, 8, nil},
		"never":       {1000, interrupted, tries, netlink.ErrDumpInterrupted},
		"other error": {1000, unix.EPERM, 1, unix.EPERM},
	} {
		calls := 0
		got, err := Whole(func() (int, error) {
			if calls++; calls <= tc.fails {
				return 0, tc.with
			}
			return 42, nil
		})
		if calls != tc.calls || !errors.Is(err, tc.err) || err == nil && got != 42 {
			t.Errorf("%s: %d calls, %d, %v", name, calls, got, err)
		}
	}
}
