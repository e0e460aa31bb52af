package vm

import (
	"fmt"
	"strings"

	"github.com/holdshort/holdshort/vm/guest"
)

// End says how a guest ended.
type End string

// The ends of guests. Only [Exited] says anything about the command; with any
// other, what it wrote until then has been passed on, and that is all.
const (
	Exited    End = "exited"      // the command ended, its end record came, and the machine ended as init ends it
	NotRun    End = "not-run"     // init could not start the command
	Panicked  End = "panic"       // kernel panic
	OutOfMem  End = "oom"         // the kernel ran out of memory with nothing left to kill
	NoBoot    End = "no-boot"     // init never reported
	Hung      End = "hang"        // no sign of life for too long
	Overtime  End = "time-limit"  // alive, but the command took too long
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
	Exit     int             `json:"exit"`          // of the command
	Signal   int             `json:"signal"`        // that killed the command; 0 if none
	OOMKills int64           `json:"oom_kills"`     // in the guest, while the command ran
	Guest    *guest.Greeting `json:"guest,omitempty"`
	Warnings []string        `json:"warnings,omitempty"` // of init
	Console  []string        `json:"console,omitempty"`  // the last lines
	Accel    Accel           `json:"accel"`
	ImageMS  int64           `json:"image_ms"`   // making the initial ramfs
	BootMS   int64           `json:"boot_ms"`    // from QEMU's start to the first record
	RunMS    int64           `json:"command_ms"` // the command, by the guest's clock
	TotalMS  int64           `json:"total_ms"`
}

// Clean tells whether the command's own status is known.
func (r *Result) Clean() bool { return r.End == Exited }

// Status is the command's exit status as a shell gives it: 128+n for signal n.
func (r *Result) Status() int {
	if r.Signal != 0 {
		return 128 + r.Signal
	}
	return r.Exit
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
