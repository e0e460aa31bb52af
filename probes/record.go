package probes

import (
	"github.com/holdshort/holdshort/probes/bpf"
	"github.com/holdshort/holdshort/probes/posture"
)

// At names the moment of a snapshot.
type At string

// The moments, in the order in which they come.
const (
	AtCaller At = "caller" // the creator of the process, while it created it
	AtExec   At = "exec"   // execve has done all its work
	AtReturn At = "return" // execve returns to user mode, after any tracer's stop
	AtFirst  At = "first"  // the fetch of the first user instruction
	AtExit   At = "exit"   // the process ends
	AtNow    At = "now"    // when it was asked for
)

// Snapshot is one posture of one task, with how it was come by.
type Snapshot struct {
	At        At
	PID       int    // in the observer's pid namespace; 0 if the task has no number there
	TGID      int    // in the initial pid namespace
	TID       int    // in the initial pid namespace
	StartNS   uint64 // the process's start, nanoseconds of CLOCK_BOOTTIME: with TGID its true name
	TimeNS    uint64 // when, nanoseconds of CLOCK_MONOTONIC
	Exec      int    // which exec since the watch began, from 1
	Seq       int    // number of the event within the process
	IP        uint64 // user instruction pointer, if IPKnown
	Entry     uint64 // where the exec set it, if IPKnown
	IPKnown   bool
	IPIsEntry bool
	CPU       int

	body *body
}

// Posture decodes the snapshot, once; snapshots that are equal byte by byte
// share the result, which must not be changed.
func (s *Snapshot) Posture() *posture.Posture { return s.body.posture() }

// Equal reports whether two snapshots hold the same posture, byte for byte as
// the kernel wrote it, without decoding either. False may also mean that a
// field differs which a posture does not show, such as the identity of an open
// file.
func (s *Snapshot) Equal(o *Snapshot) bool { return s.body == o.body || s.body.same(o.body.raw) }

// Missing says why a wanted snapshot is not there.
type Missing struct {
	At   At
	Exec int
	Why  string
	// Harmless: the snapshot could not exist (the entry page was already
	// mapped, the process ended before); nothing was lost.
	Harmless bool
}

// Record is what was observed of one process.
type Record struct {
	PID       int // in the observer's pid namespace
	TGID      int // in the initial pid namespace
	Parent    int // its creator's thread group in the initial pid namespace, 0 if not seen
	StartNS   uint64
	Execs     int // execs seen so far
	Caller    *Snapshot
	Snapshots []Snapshot // in order
	Missing   []Missing
	Ended     bool // the process has ended
	// Lost counts events of this process that the kernel could not deliver.
	// Anything but zero means that the record is incomplete.
	Lost uint64
	// LostElsewhere counts events of all processes, and tasks that could not
	// be watched, lost while this record was made.
	LostElsewhere uint64
	// Changes are what was done to the process after its exec, if the watch
	// asked for them: the first 64. Blind names what could not be listened
	// to, so that a change of that kind would not be here.
	Changes []Change
	Blind   []string
	// Confirmations are what optional hooks saw, if the observer has any
	// ([Options].Confirm). That one is missing proves nothing.
	Confirmations []Confirmation

	passed bool
}

// Passed reports whether the process is known to have been in user mode since
// its last exec: its first instruction was seen, or something that comes after
// it. Only what AtFirst was wanted of is known so.
func (r *Record) Passed() bool { return r.passed || r.Ended }

// Complete reports whether every wanted snapshot is there or provably cannot
// exist, and nothing of this process was lost.
func (r *Record) Complete() bool {
	if r.Lost > 0 {
		return false
	}
	for _, m := range r.Missing {
		if !m.Harmless {
			return false
		}
	}
	return len(r.Snapshots) > 0
}

// Snapshot returns the last snapshot of a moment, nil if there is none.
func (r *Record) Snapshot(at At) *Snapshot {
	for i := len(r.Snapshots) - 1; i >= 0; i-- {
		if r.Snapshots[i].At == at {
			return &r.Snapshots[i]
		}
	}
	return nil
}

// Latest returns the snapshot nearest to the first instruction of the last exec:
// that at the first instruction, else at the return of execve, else at exec. It
// returns nil if there is none of these.
func (r *Record) Latest() *Snapshot {
	for i := len(r.Snapshots) - 1; i >= 0; i-- {
		if at := r.Snapshots[i].At; at != AtExit {
			return &r.Snapshots[i]
		}
	}
	return nil
}

func newSnapshot(at At, h *head, b *body) Snapshot {
	s := Snapshot{
		At: at, PID: int(h.pidHere), TGID: int(h.tgid), TID: int(h.tid), StartNS: h.start, TimeNS: h.ktime,
		Exec: int(h.exec), Seq: int(h.seq), CPU: int(h.cpu), body: b,
	}
	if h.flags&bpf.ProbesHeadFlagHEAD_IP != 0 && h.entry != 0 {
		s.IP, s.Entry, s.IPKnown, s.IPIsEntry = h.ip, h.entry, true, h.ip == h.entry
	}
	return s
}
