// Package probes observes, from inside the kernel, under which constraints a
// process runs: what the kernel enforces on it when execve has done its work,
// when execve returns, at the fetch of its very first instruction, and at its
// end.
//
// A process that is parked before its exec is watched by number; the children
// of a launcher are watched from their birth, without a race:
//
//	o, err := probes.Open(ctx, nil)
//	if err != nil {
//		return err // no BTF, no privilege: the error says what to do
//	}
//	defer o.Close()
//	kids, err := o.WatchChildrenOf(ctx, launcherPID, nil)
//	…
//	w, err := kids.Take(ctx, workloadPID)
//	…
//	rec, err := w.Record(ctx)
//	if rec.Complete() {
//		fmt.Print(rec.Latest().Posture().Table())
//	}
//
// # Model
//
// Small programs sit at tracepoints: process creation, exec and exit, and,
// only while something is watched, system call entry and exit and page faults.
// They know what is watched from one map, keyed by process number and start
// time, so that a number that was given to another process is never taken for
// the old one. At each moment they read the whole posture anew, with no trust
// in what they read before, and send it through a ring buffer. The snapshots
// of one launch are usually equal byte by byte; the reader notices, and decodes
// one of them, on demand.
//
// # Lost evidence
//
// What could not be delivered is counted in the kernel, and each [Record] says
// what is missing in it and why. [Record.Complete] is false if a wanted snapshot
// may have existed and did not arrive. It is never an error that the first
// instruction was not seen: it is seen through the page fault of its fetch, and
// a page that is mapped already does not fault; the snapshot at the return of
// execve is then the last one.
//
// # Limits
//
// Little-endian amd64 and arm64, Linux 5.10 or later with BTF. A device number
// is that of the super block, which stat(2) replaces on some file systems
// (btrfs, overlayfs). Named version 1 hierarchies without a controller, mounts,
// LSM labels and cgroup settings are not part of a posture. Arguments and
// environment are read from the process's own memory without faulting pages in.
package probes
