package checkpoint

import (
	"os"
	"time"
)

// Options belong to one run of a [Config], not to the request itself. The zero
// Options connect the standard descriptors to /dev/null.
type Options struct {
	// Stdin, Stdout and Stderr become descriptors 0, 1 and 2. A nil file is
	// /dev/null, opened by the host, so that it does not depend on the
	// workload's root. The caller keeps its own descriptors.
	Stdin, Stdout, Stderr *os.File
	// Terminal makes Stdin the controlling terminal of a new session.
	Terminal bool
	// Files are passed at the numbers given, 3 or more. Every other
	// descriptor is closed at execve.
	Files []PassedFile
	// Program is executed instead of the file that Path or Args[0] names, which
	// are then only names: execveat(2) takes the descriptor, so that neither
	// the workload's root nor a rename can put another file in its place. It
	// may be open with O_PATH, and may be a memfd.
	Program *os.File
	// ProgramNumber keeps Program open in the workload at this number, 3 or
	// more. Zero closes it at execve, which a script (#!) does not survive:
	// its interpreter is given /dev/fd/NUMBER to read, so the workload also
	// needs a /dev/fd.
	ProgramNumber int
	// Notify gets the listener of the seccomp filter that has one; see
	// seccomp_unotify(2). It is called while the filter is in force and
	// before execve, which may be notified too, and must return for the
	// workload to go on: to answer notifications is the work of another
	// goroutine. The callee owns the listener. An error ends the workload.
	// Until Notify has returned the child waits: asleep if its filters allow
	// futex(2), else without a system call, and the processor time that it
	// then uses counts against RLIMIT_CPU and RLIMIT_RTTIME.
	Notify func(w *Workload, listener *os.File) error
	// Orphan says what the agent does with the workload if the host dies:
	// SIGTERM, then SIGKILL after the grace. Zero kills at once; a negative
	// grace lets the workload linger. A workload that is still parked is
	// killed in any case.
	Orphan time.Duration
	// Target is a pidfd of the process that Config.Enter is about.
	Target *os.File
	// Timeouts limit the phases of the workload's life.
	Timeouts Timeouts
	// Stay allows the workload to be left parked, see [Workload.Leave].
	Stay bool
	// BeforeRoot is called while the workload is on its way to the
	// checkpoint: it is in its namespaces and cgroups and its mounts are in
	// place below the new root, but its root is still the caller's. An error
	// ends the workload.
	BeforeRoot func(w *Workload) error
	// Times notes when each step of the launch was done, for [Workload.Times].
	// It costs a read of the processor's counter for each operation.
	Times bool
	// Relay is drained before the end of the workload is told, so that
	// whoever learns of it has all of its output.
	Relay *Relay
}

// PassedFile is an open file that the workload gets.
type PassedFile struct {
	Number int
	File   *os.File
}
