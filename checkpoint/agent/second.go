package agent

import "sync/atomic"

// SecondPID is the process that a second clone made, 0 before: the kernel
// writes it into shared memory before either half of that clone goes on.
func (l *Launch) SecondPID() int { return int(atomic.LoadInt32(&l.mem.pid2)) }
