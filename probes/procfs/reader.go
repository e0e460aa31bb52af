package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

// Inode numbers of the namespaces that the kernel starts with
// (PROC_USER_INIT_INO and PROC_PID_INIT_INO, include/linux/proc_ns.h).
const (
	initialUserNS = 0xEFFFFFFD
	initialPIDNS  = 0xEFFFFFFC
)

// Reader is what has to be known of this machine and of the reading process in
// order to read others. Its methods may be called from several goroutines.
type Reader struct {
	foreignUser, foreignPID string // why ids cannot be told; empty if they can
	own                     map[string]posture.Namespace
	v2                      hierarchy
	v1                      map[string]hierarchy // by controller
	buffers                 sync.Pool
}

// hierarchy is one mounted cgroup hierarchy: which of its directories is seen
// where.
type hierarchy struct {
	root, at string
	top      uint64 // number of the directory that is mounted
}

// New reads what is needed of the calling process, and finds the cgroup
// hierarchies. It needs no privilege.
func New() (*Reader, error) {
	r := &Reader{own: map[string]posture.Namespace{}, v1: map[string]hierarchy{}}
	r.buffers.New = func() any { return &buffer{b: make([]byte, 64<<10)} }
	for _, n := range nsNames {
		if v, err := seeNamespace(unix.AT_FDCWD, "/proc/self/ns/"+n.file, n.kind); err == nil {
			r.own[n.file] = v
		}
	}
	if r.own["user"].Inode != initialUserNS {
		r.foreignUser = "the reader is not in the initial user namespace"
	}
	if r.own["pid"].Inode != initialPIDNS {
		r.foreignPID = "the reader is not in the initial pid namespace"
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("procfs: %w", err)
	}
	for line := range bytes.Lines(b) {
		r.mount(strings.Fields(string(line)))
	}
	return r, nil
}

// mount takes in one line of a mount table, proc_pid_mountinfo(5).
func (r *Reader) mount(f []string) {
	i := slices.Index(f, "-")
	if i < 0 || len(f) < i+4 {
		return
	}
	h := hierarchy{root: f[3], at: f[4]}
	if f[i+1] == "cgroup" || f[i+1] == "cgroup2" {
		var st unix.Stat_t
		if unix.Stat(h.at, &st) == nil {
			h.top = st.Ino // it stays as long as the hierarchy is mounted
		}
	}
	switch f[i+1] {
	case "cgroup2":
		if r.v2.at == "" {
			r.v2 = h
		}
	case "cgroup":
		for o := range strings.SplitSeq(f[i+3], ",") {
			if _, ok := r.v1[o]; !ok {
				r.v1[o] = h
			}
		}
	}
}

// buffer is memory for one reading.
type buffer struct{ b []byte }

// task is one reading under way.
type task struct {
	r      *Reader
	pid    int
	dir    int // of /proc/PID: the process's own, even if its number is reused
	buf    *buffer
	traced bool // by the calling thread, and in a stop
	// strayed: the calling thread did not find back into its own namespace.
	strayed bool

	p    *posture.Posture
	stat stat
}

func (r *Reader) open(pid int) (*task, error) {
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, gone(err)
	}
	return &task{r: r, pid: pid, dir: dir, buf: r.buffers.Get().(*buffer), p: &posture.Posture{}}, nil
}

func (t *task) close() {
	_ = unix.Close(t.dir)
	t.r.buffers.Put(t.buf)
	t.buf = nil
}

// file reads a file of the process. What it returns is good until the next
// call. A file of one record comes whole in one read (seq_file), others do not.
func (t *task) file(name string, oneRecord bool) ([]byte, error) {
	fd, err := unix.Openat(t.dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return t.read(fd, oneRecord)
}

func (t *task) read(fd int, oneRecord bool) ([]byte, error) {
	n := 0
	for {
		m, err := unix.Read(fd, t.buf.b[n:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case m == 0:
			return t.buf.b[:n], nil
		}
		n += m
		switch {
		case n == len(t.buf.b):
			t.buf.b = append(t.buf.b, make([]byte, n)...)
		case oneRecord:
			return t.buf.b[:n], nil
		}
	}
}

// Read reads the posture of a process, by its number in the caller's pid
// namespace, without tracing it: what takes a tracer is unreadable. The process
// is not stopped by it, so only one that does not run is read at one instant.
// It fails with ESRCH if there is no such process, or if it ended meanwhile.
//
// See [Reader.Hold] for a process that is stopped.
func (r *Reader) Read(pid int) (*posture.Posture, error) {
	t, err := r.open(pid)
	if err == nil {
		defer t.close()
		err = t.status()
	}
	if err == nil {
		err = t.all()
	}
	if err != nil {
		return nil, fmt.Errorf("procfs: read process %d: %w", pid, err)
	}
	return t.p, nil
}

var one = sync.OnceValues(New)

// Read is [Reader.Read] of a reader that is made on first use.
func Read(pid int) (*posture.Posture, error) {
	r, err := one()
	if err != nil {
		return nil, err
	}
	return r.Read(pid)
}

// all reads everything after the status. What cannot be read is in the posture,
// with the reason; an error means that there is nothing left to be read.
func (t *task) all() error {
	if err := t.statFile(); err != nil {
		return err
	}
	t.namespaces()
	t.userNS()
	t.limits()
	t.numbers()
	t.sched()
	t.autogroup()
	t.memory()
	t.dispatch()
	t.cgroups()
	t.fs()
	t.files()
	t.exec()
	t.seccomp()
	t.unseen()
	if t.traced {
		return nil // nobody but its tracer could have it reaped
	}
	return t.alive() // whatever was asked for by number was this process's, if it still is
}

// alive fails with ESRCH if the process has ended, reaped or not.
func (t *task) alive() error {
	b, err := t.file("stat", true)
	if err != nil {
		return gone(err)
	}
	if i := bytes.LastIndex(b, []byte(") ")); i < 0 || b[i+2] == 'Z' || b[i+2] == 'X' {
		return unix.ESRCH
	}
	return nil
}

// gone makes one error of the two that tell the end of a process.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return unix.ESRCH
	}
	return err
}

// lost is the value of something that failed to be read.
func lost[T any](err error) posture.Value[T] { return posture.Unreadable[T](err.Error()) }

// val is Known(v), unless why gives a reason against it.
func val[T any](v T, why string) posture.Value[T] {
	if why != "" {
		return posture.Unreadable[T](why)
	}
	return posture.Known(v)
}
