package agent

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ArenaFD returns a new descriptor of the memory that host, agent and children
// share. Whoever has it can let a parked child go; see [Adopt].
func (a *Agent) ArenaFD() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return -1, os.ErrClosed
	}
	return unix.FcntlInt(uintptr(a.arena.fd), unix.F_DUPFD_CLOEXEC, 0)
}

// Leave ends the agent and leaves its children alone: those that are parked to
// stay ([Launch.Stay]) and those that run get a new parent, the others die with
// it. It returns when the agent is gone.
func (a *Agent) Leave() error {
	a.mu.Lock()
	a.closing, a.arena.left = true, true
	a.mu.Unlock()
	if err := a.send(&request{kind: reqLeave}, nil); err != nil {
		return err
	}
	// The end of the socket would tell nothing: who is left has the other end.
	_, err := a.wait()
	a.file.Close()
	<-a.done
	return err
}

// Left says where a launch is found in the shared memory, for [Adopt].
type Left struct {
	Offset int    `json:"offset"`
	Seq    uint32 `json:"seq"`
}

// Stay has the child outlive the agent the next time it parks, which the caller
// brings about and waits for.
func (l *Launch) Stay() { atomic.StoreUint32(&l.mem.flags, l.mem.flags|flagStay) }

// Number is the number that descriptor i of [Spec].FDs has in the child.
func (l *Launch) Number(i int) int { return int(l.mem.fds[i]) }

// Deposit puts the next batch where the child will look for it, and does not
// wake it.
func (l *Launch) Deposit(ops Batch) (Left, error) {
	if err := l.deposit(ops); err != nil {
		return Left{}, err
	}
	return Left{Offset: l.regions[0].off, Seq: l.seq}, nil
}

// Adopted is a parked child that somebody else has left.
type Adopted struct {
	launch *Launch
	seq    uint32
}

// Adopt maps the memory that a child was left with. It fails with EINVAL if
// that is no memory of ours, and with ESTALE if the child is not as it was left.
func Adopt(fd int, left Left) (*Adopted, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size != arenaSize || left.Offset < 0 || left.Offset&7 != 0 || left.Offset > arenaSize-homeSize {
		return nil, unix.EINVAL
	}
	mem, err := unix.Mmap(fd, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mmap arena: %w", err)
	}
	ar := &arena{fd: -1, mem: mem, base: unsafe.Pointer(&mem[0])}
	l := &Launch{agent: &Agent{arena: ar}, seq: left.Seq, begun: time.Now()}
	l.mem = ar.launchAt(left.Offset)
	a := &Adopted{l, left.Seq}
	off, n := l.mem.ops, uint64(l.mem.nops)
	switch {
	case l.mem.version != abiVersion:
		err = fmt.Errorf("left by another version of ours: %w", unix.EINVAL)
	case n > MaxOps || off&7 != 0 || off > arenaSize || off+n*uint64(opSize) > arenaSize:
		err = unix.EINVAL
	case !a.Waits():
		err = unix.ESTALE
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Waits reports whether the child is parked and was not told to go on yet.
func (a *Adopted) Waits() bool {
	m := a.launch.mem
	return State(atomic.LoadUint32(&m.state)) == StateParked && atomic.LoadUint32(&m.goSeq) == a.seq
}

// Go lets the child do the batch that was deposited. It reports whether that
// was this call's doing: nobody can let it go twice.
func (a *Adopted) Go() bool {
	word := &a.launch.mem.goSeq
	if !atomic.CompareAndSwapUint32(word, a.seq, a.seq+1) {
		return false
	}
	wake(word, a.seq+1)
	return true
}

// Outcome is [Launch.Outcome].
func (a *Adopted) Outcome() Outcome { return a.launch.Outcome() }

// Result is [Launch.Result].
func (a *Adopted) Result(i int) (int64, bool) { return a.launch.Result(i) }

// Pass is [Launch.Pass].
func (a *Adopted) Pass(i int) { a.launch.Pass(i) }

// Close gives the memory back; nothing else of Adopted may be used then.
func (a *Adopted) Close() { _ = unix.Munmap(a.launch.agent.arena.mem) }
