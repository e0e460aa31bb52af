package vm

import (
	"fmt"
	"strings"

	"github.com/holdshort/holdshort/vm/guest"
)

// End says how a guest ended.
type End string

// The ends of guests. With any but [Exited], what the commands wrote until
// then has been passed on, and those that had ended are in the result.
const (
	Exited    End = "exited"      // every command ended, the last record came, and the machine ended as init ends it
	Panicked  End = "panic"       // kernel panic
	OutOfMem  End = "oom"         // the kernel ran out of memory with nothing left to kill
	NoBoot    End = "no-boot"     // init never reported
	Hung      End = "hang"        // no sign of life for too long
	Overtime  End = "time-limit"  // alive, but took too long
	Blocked   End = "blocked"     // the host did not take the output
	Garbled   End = "garbled"     // what came over the record stream were no records
	Killed    End = "qemu-killed" // a signal ended QEMU
	QEMUError End = "qemu-error"  // QEMU refused or failed
	Cut       End = "cut"         // the machine ended without an end record, or after it but not by init
	Cancelled End = "cancelled"   // the caller's context ended
)

// Result is what is known of a guest that has ended.
type Result struct {
	End      End             `json:"end"`
	Why      string          `json:"why,omitempty"` // in words, for every end but Exited
	Commands []Ending        `json:"commands"`      // those that ended, in order
	Guest    *guest.Greeting `json:"guest,omitempty"`
	Warnings []string        `json:"warnings,omitempty"` // of init
	Console  []string        `json:"console,omitempty"`  // the last lines
	Accel    Accel           `json:"accel"`
	ImageMS  int64           `json:"image_ms"` // making the initial ramfs
	BootMS   int64           `json:"boot_ms"`  // from QEMU's start to the first record
	TotalMS  int64           `json:"total_ms"`
	CPUMS    int64           `json:"cpu_ms"` // of processors that QEMU used: what the guest took, however busy the machine was
}

// Clean tells whether the status of every command is known.
func (r *Result) Clean() bool { return r.End == Exited }

// Status is the exit status of the last command that ended as a shell gives
// it: 128+n for signal n, 127 if it could not be started, 124 at its limit.
func (r *Result) Status() int {
	if len(r.Commands) == 0 {
		return 127
	}
	return Status(r.Commands[len(r.Commands)-1])
}

// Status is the exit status of a command as a shell and timeout(1) give it.
func Status(e Ending) int {
	switch {
	case !e.Started:
		return 127
	case e.TimedOut:
		return 124
	case e.Signal != 0:
		return 128 + e.Signal
	}
	return e.Exit
}

// Error describes an end that is not clean, with the console's last lines. It
// is empty for a clean one.
func (r *Result) Error() string {
	if r.Clean() {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "guest: %s: %s", r.End, r.Why)
	if len(r.Console) > 0 {
		last := r.Console[max(0, len(r.Console)-30):]
		fmt.Fprintf(&b, "; the console's last lines:\n  | %s", strings.Join(last, "\n  | "))
	}
	return b.String()
}
