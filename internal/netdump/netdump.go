// Package netdump reads tables of the kernel's network configuration whole.
package netdump

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// tries is how often a table is read that changes all the time: on a busy
// machine somebody else makes devices meanwhile, and addresses of all devices
// are one table.
const tries = 100

// Whole calls read again while the kernel says that the table has changed
// between two parts of its answer (NLM_F_DUMP_INTR, netlink(7)), so that
// something may be missing. After a hundred times it gives up with
// [netlink.ErrDumpInterrupted].
func Whole[T any](read func() (T, error)) (T, error) {
	for i := 1; ; i++ {
		t, err := read()
		if i == tries || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return t, err
		}
	}
}
