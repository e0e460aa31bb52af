package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// inUse knows which namespaces were in use, and by whom. A namespace that is not
// the caller's need not be new: a launcher may have joined that of some other
// process. Nothing in a task tells the two apart, so it is told by whether the
// other process is there.
type inUse struct {
	mu   sync.Mutex
	at   time.Time     // when all processes were looked at last
	took time.Duration // and how long that took
	by   map[uint32]int
}

// share is which part of the time may go into looking at all processes.
const share = 100

// now has a process for each namespace, by number. To look takes long where there
// are many processes, so it is done now and then: a namespace that another
// process has made meanwhile is not in it.
func (u *inUse) now() map[uint32]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by != nil && time.Since(u.at) < max(time.Second, share*u.took) {
		return u.by
	}
	begun := time.Now()
	u.by = everyNamespace()
	u.at, u.took = time.Now(), time.Since(begun)
	return u.by
}

// nsFiles are the namespaces that a request can ask to be new, and their files in
// /proc/PID/ns. The numbers are unique among all kinds: the kernel takes them from
// one pool (proc_alloc_inum).
var nsFiles = map[oracle.Field]struct {
	kind specs.LinuxNamespaceType
	file checkpoint.NamespaceKind
}{
	oracle.NSUser: {specs.UserNamespace, checkpoint.User}, oracle.NSMount: {specs.MountNamespace, checkpoint.Mnt},
	oracle.NSPID: {specs.PIDNamespace, checkpoint.PID}, oracle.NSNet: {specs.NetworkNamespace, checkpoint.Net},
	oracle.NSUTS: {specs.UTSNamespace, checkpoint.UTS}, oracle.NSIPC: {specs.IPCNamespace, checkpoint.IPC},
	oracle.NSCgroup: {specs.CgroupNamespace, checkpoint.Cgroups}, oracle.NSTime: {specs.TimeNamespace, checkpoint.Time},
}

func everyNamespace() map[uint32]int {
	by := map[uint32]int{}
	dir, err := os.Open("/proc")
	if err != nil {
		return by
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		for _, ns := range nsFiles {
			if n, ok := namespaceNumber(pid, ns.file); ok {
				if _, known := by[n]; !known {
					by[n] = pid
				}
			}
		}
	}
	return by
}

// namespaceNumber reads a link as "net:[4026531840]".
func namespaceNumber(pid int, kind checkpoint.NamespaceKind) (uint32, bool) {
	var b [64]byte
	n, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/ns/"+string(kind), b[:])
	if err != nil {
		return 0, false
	}
	_, text, ok := bytes.Cut(b[:n], []byte(":["))
	number, err := strconv.ParseUint(string(bytes.TrimSuffix(text, []byte("]"))), 10, 32)
	return uint32(number), ok && err == nil
}

// lookAround takes note of what is in use before the launch.
func (l *launch) lookAround() {
	for _, ns := range nsFiles {
		if l.req.Namespace(ns.kind).Fresh() {
			l.others, l.booted = l.r.inUse.now(), boottime()
			return
		}
	}
}

// notNew makes a finding of a namespace that was to be new and that another
// process, which was there before the launch, is in.
func (l *launch) notNew(r *Result) {
	for i := range r.Checks {
		c := &r.Checks[i]
		kind, is := nsFiles[c.Field]
		if !is || c.Outcome != oracle.Equal || c.got == nil || !l.req.Namespace(kind.kind).Fresh() {
			continue
		}
		ns, _ := c.Field.Value(c.got).(posture.Namespace)
		pid, used := l.others[ns.Inode]
		if !used {
			continue
		}
		// The number may have been given to a new namespace since, if the old
		// one is gone. It is not while a process is in it.
		if n, ok := namespaceNumber(pid, kind.file); !ok || n != ns.Inode || startedAfter(pid, l.booted) {
			continue
		}
		c.Outcome, c.Why = oracle.Weaker, fmt.Sprintf("it is not new: process %d was in it before", pid)
		r.Findings++
		r.Verdict, r.Cause = Violated, NoCause
	}
}

// startedAfter reports whether a process is younger than a moment since boot, or
// is gone: then its number says nothing about who was there before.
func startedAfter(pid int, moment int64) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	// After the name, which may have anything in it, field 22 of proc_pid_stat(5)
	// is the 20th: the start, in hundredths of a second.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return true
	}
	ticks, err := strconv.ParseInt(string(f[19]), 10, 64)
	return err != nil || ticks*int64(time.Second/100) > moment
}
