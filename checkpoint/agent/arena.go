package agent

import (
	"fmt"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	homeSize = int(unsafe.Sizeof(home{}))
	opSize   = int(unsafe.Sizeof(op{}))
	minClass = 11 // 2 KiB: a home and little else
	maxClass = 25 // 32 MiB: execve takes at most 6 MiB of strings
)

var pageSize = os.Getpagesize()

// arena is memory shared by host, agent and parked children, of which a child
// has the pages of its own launch only. Regions come in powers of two and are
// used again after they are freed. None smaller than a page crosses the border
// of one.
type arena struct {
	fd   int
	file *os.File // that owns fd, once the agent has been started
	left bool     // to others, with what is in it
	mem  []byte
	base unsafe.Pointer

	mu   sync.Mutex
	next int
	free [maxClass + 1][]int
}

// region is a piece of the arena.
type region struct {
	off   int
	class int
}

func newArena() (*arena, error) {
	fd, err := unix.MemfdCreate("holdshort-arena", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, arenaSize); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ftruncate arena: %w", err)
	}
	mem, err := unix.Mmap(fd, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("mmap arena: %w", err)
	}
	return &arena{fd: fd, mem: mem, base: unsafe.Pointer(&mem[0])}, nil
}

// close gives the memory back. The address space stays mapped, so that a late
// reader finds zeros rather than a fault.
func (a *arena) close() {
	if a.file != nil {
		a.file.Close()
	} else {
		unix.Close(a.fd)
	}
	if !a.left {
		_ = unix.Madvise(a.mem, unix.MADV_REMOVE)
	}
}

// alloc returns a region of at least n bytes; its content is arbitrary.
func (a *arena) alloc(n int) (region, error) {
	class := minClass
	for 1<<class < n {
		class++
	}
	if class > maxClass {
		return region{}, fmt.Errorf("%d bytes of arguments, environment and filters: %w", n, unix.E2BIG)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.free[class]; len(l) > 0 {
		off := l[len(l)-1]
		a.free[class] = l[:len(l)-1]
		return region{off, class}, nil
	}
	for 1<<class < pageSize && a.next%(1<<class) != 0 || 1<<class >= pageSize && a.next%pageSize != 0 {
		hole := bits.TrailingZeros(uint(a.next)) // smaller than what is asked for, and than a page
		a.free[hole] = append(a.free[hole], a.next)
		a.next += 1 << hole
	}
	if a.next+1<<class > arenaSize {
		return region{}, fmt.Errorf("arena of %d bytes is full: %w", arenaSize, unix.ENOMEM)
	}
	off := a.next
	a.next += 1 << class
	return region{off, class}, nil
}

func (a *arena) release(r region) {
	if r.class == 0 {
		return
	}
	a.mu.Lock()
	a.free[r.class] = append(a.free[r.class], r.off)
	a.mu.Unlock()
}

// The addresses at which an offset into the arena is found: by the agent, by a
// child in its home, and by a child in a batch that is elsewhere.
type view int

const inAgent view = arenaBase

func inHome(home int) view { return view(homeBase - home&^(pageSize-1)) }

func inBatch(off int) view { return view(batchBase - off&^(pageSize-1)) }

func (v view) at(off int) uint64 { return uint64(int(v) + off) }

func (a *arena) launchAt(off int) *launch { return (*launch)(unsafe.Add(a.base, off)) }

func (a *arena) opAt(off int) *op { return (*op)(unsafe.Add(a.base, off)) }

// write lays a batch out at off, for who sees it as v says: the operations, then
// what they point to. It returns the first free offset.
func (a *arena) write(off int, b Batch, v view) int {
	n := length(b)
	w := writer{a, v, off + n*opSize}
	for i := range n {
		o := b.Op(i)
		p := a.opAt(off + i*opSize)
		*p = op{nr: o.NR, save: uint8(o.Save), skip: o.Skip, accept: int32(o.Accept)}
		if o.AnyErr {
			p.flags = opAnyErr
		}
		for j := range o.Args {
			arg := &o.Args[j]
			p.args[j] = arg.n
			switch arg.kind {
			case argReg:
				p.regs |= 1 << j
			case argString:
				p.args[j] = w.text(arg.at.text)
			case argData:
				p.args[j] = w.data(arg.at.data) + arg.n
			case argFilter:
				p.args[j] = w.filter(arg.n, arg.at.data)
			case argList:
				p.args[j] = w.list(arg.at.list)
			case argSame:
				p.args[j] = a.opAt(off + (i-int(arg.n>>32))*opSize).args[arg.n>>16&0xf] - arg.n&0xffff
			}
		}
	}
	return w.next
}

// writer puts things one behind the other into the arena; its methods return
// their addresses.
type writer struct {
	a    *arena
	view view
	next int
}

func (w *writer) text(s string) uint64 {
	at := w.next
	n := copy(w.a.mem[at:], s)
	w.a.mem[at+n] = 0
	w.next += align(n + 1)
	return w.view.at(at)
}

func (w *writer) data(b []byte) uint64 {
	at := w.next
	copy(w.a.mem[at:], b)
	w.next += align(len(b))
	return w.view.at(at)
}

func (w *writer) filter(n uint64, b []byte) uint64 {
	prog := w.next
	w.next += 16
	*(*uint64)(unsafe.Add(w.a.base, prog)) = n & 0xffff
	*(*uint64)(unsafe.Add(w.a.base, prog+8)) = w.data(b)
	return w.view.at(prog)
}

func (w *writer) list(list []string) uint64 {
	vec := w.next
	w.next += 8 * (len(list) + 1)
	for k, s := range list {
		*(*uint64)(unsafe.Add(w.a.base, vec+8*k)) = w.text(s)
	}
	*(*uint64)(unsafe.Add(w.a.base, vec+8*len(list))) = 0
	return w.view.at(vec)
}

// wake changes a futex word and wakes who waits for it.
func wake(word *uint32, v uint32) {
	atomic.StoreUint32(word, v)
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 1 /* FUTEX_WAKE */, 1, 0, 0, 0)
}
