// Package agent starts the agent, a small freestanding program that clones,
// feeds and reaps workloads, and speaks with it.
//
//	host                         agent                    child
//	 |  request + fds  ------->   |                         |
//	 |                            |  clone3  ------------>  |
//	 |  <---- Spawned + pidfd ----|                         |  operations of the first batch
//	 |  <------------------------ Parked -------------------|
//	 |  next batch: written to shared memory, futex  ---->  |  … the last one ends in execve
//	 |  <---- Running ------------|                         |  (workload)
//	 |  <---- Exited -------------|  <---- exit ------------|
//
// The child has no logic of its own: it runs the operations that the host
// compiled (system call number, arguments, registers) and leaves the result of
// each in memory that all three share. So the last batch needs no system call
// for its report, and nothing stands between seccomp(2) and execve(2).
//
// The package knows system calls, not constraints: what an operation means is
// its caller's. It is one of the two places that may import unsafe. Rules for
// its files: pointers into the arena are made from the mapping's base and an
// offset that the allocator gave out; the mapping outlives every launch; words
// that another process writes are read and written with sync/atomic.
package agent

//go:generate c/build.sh
