package harness

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// engineRun is one engine's command under observation.
type engineRun struct {
	v     *Verifier
	req   *request.Request
	opts  VerifyOptions
	begun int64

	args   []string
	script []string // nil if it is none
	exe    posture.Value[posture.Inode]
	root   posture.Value[posture.Inode] // of the changed root, if one was asked for
	binary posture.Value[posture.Inode] // the engine's own file

	others map[uint32]int // who was in which namespace before, if a new one is asked for
	booted int64          // CLOCK_BOOTTIME then

	unheld  bool // nothing of it is held, though the Verifier could
	before  held // what mounts and devices were before
	records []observed

	mu     sync.Mutex
	frozen map[execution]*stopped // guarded by mu
}

// execution names one exec: the process, and which of its execs.
type execution struct {
	tgid  int
	start uint64
	n     int
}

// candidate is an exec that may be the workload's.
type candidate struct {
	observed
	n    int
	at   uint64 // when
	rank match
}

func (c *candidate) key() execution { return execution{c.rec.TGID, c.rec.StartNS, c.n} }

// match says why an exec is taken for the workload's; a higher one is surer.
type match int

const (
	noMatch    match = iota
	sameFile         // the file, with other arguments
	sameArgs         // the arguments
	insideRoot       // the arguments or the file, in the root that was asked for
)

// engineRun makes ready for one command.
func (v *Verifier) engineRun(req *request.Request, opts *VerifyOptions) *engineRun {
	e := &engineRun{v: v, req: req, begun: monotonic(), frozen: map[execution]*stopped{}}
	if opts != nil {
		e.opts = *opts
	}
	for _, ns := range nsFiles {
		if req.Namespace(ns.kind).Fresh() {
			e.others, e.booted = everyNamespace(), boottime()
			break
		}
	}
	l := e.launch()
	_ = l.foresee()
	e.args, e.exe = req.Process().Args, l.facts.Exe
	if i := l.prog.Interpreter; i != nil && len(e.args) > 0 {
		e.script = slices.Concat(i, []string{l.prog.Path}, e.args[1:])
	}
	if root := req.Spec.Root; root != nil && root.Path != "" {
		e.root = l.facts.Root
	}
	var st unix.Stat_t
	if e.opts.Binary != "" && unix.Stat(e.opts.Binary, &st) == nil {
		e.binary = posture.Known(posture.Inode{Dev: st.Dev, Ino: st.Ino})
	}
	if v.proc != nil {
		e.before = l.evidenceAt(AtFrozen)
		e.before.mountsBefore(needsTable(req))
	}
	return e
}

// match looks at one exec.
func (e *engineRun) match(p *posture.Posture) match {
	m := noMatch
	if exe, ok := p.Exec.Exe.Get(); ok && e.exe.IsKnown() && posture.Known(exe) == e.exe {
		m = sameFile
	}
	if args, ok := p.Exec.Args.Get(); ok && (slices.Equal(args, e.args) || e.script != nil && slices.Equal(args, e.script)) {
		m = sameArgs
	}
	if root, ok := p.FS.Root.Get(); ok && m == sameArgs && e.root.IsKnown() && posture.Known(root) == e.root {
		m = insideRoot
	}
	return m
}

// program reports whether a process has executed what may be the workload.
func (e *engineRun) program(rec *probes.Record) bool {
	for i := range rec.Snapshots {
		if s := &rec.Snapshots[i]; s.At == probes.AtExec && e.match(s.Posture()) != noMatch {
			return true
		}
	}
	return rec.PID != 0 && rec.PID == e.word()
}

// word is what the engine itself says is the workload's process, 0 if it says
// nothing.
func (e *engineRun) word() int {
	if e.opts.PID == nil {
		return 0
	}
	pid, err := e.opts.PID()
	if err != nil {
		return 0
	}
	return pid
}

// find picks the executions that are to be judged, in the order of time, and
// says what it made of the others.
func (e *engineRun) find() (list []candidate, why []string) {
	var all []candidate
	for _, s := range e.records {
		for i := range s.rec.Snapshots {
			if sn := &s.rec.Snapshots[i]; sn.At == probes.AtExec {
				all = append(all, candidate{s, sn.Exec, sn.TimeNS, e.match(sn.Posture())})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.at, b.at) })
	if pid := e.word(); pid != 0 {
		return e.named(all, pid)
	}
	best := noMatch
	for _, c := range all {
		best = max(best, c.rank)
	}
	if best == noMatch {
		return nil, nil
	}
	hooks := 0
	for _, c := range all {
		switch {
		case c.rank == best:
			list = append(list, c)
		case c.rank == sameArgs && e.sameProgram(&c):
			// Inside the root there is one too, but this is the very file that
			// was asked for, outside.
			list = append(list, c)
		case c.rank == sameArgs:
			hooks++
		}
	}
	if hooks > 0 {
		why = append(why, fmt.Sprintf("%d executions of the same arguments were of another file outside of the root, and were taken for the engine's own", hooks))
	}
	return list, why
}

func (e *engineRun) sameProgram(c *candidate) bool {
	exe, ok := postureOf(c.rec, c.n).Exec.Exe.Get()
	return ok && e.exe.IsKnown() && posture.Known(exe) == e.exe
}

// named is find where the engine names the process.
func (e *engineRun) named(all []candidate, pid int) (list []candidate, why []string) {
	i := slices.IndexFunc(e.records, func(s observed) bool { return s.rec.PID == pid })
	if i < 0 {
		return nil, []string{fmt.Sprintf("the engine says that the workload is process %d, which does not descend from it", pid)}
	}
	it := e.records[i]
	ours := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool {
		return c.watch != it.watch && !(e.opts.Below && c.watch.DescendsFrom(it.watch))
	})
	if len(ours) == 0 {
		return nil, []string{fmt.Sprintf("the engine says that the workload is process %d, which executed nothing", pid)}
	}
	for _, c := range ours {
		if c.rank != noMatch {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		list = ours[:1]
		why = append(why, fmt.Sprintf("the engine says that the workload is process %d, which executed something else than was asked for", pid))
	}
	return list, why
}

// postureOf is the posture at one exec.
func postureOf(rec *probes.Record, n int) *posture.Posture {
	for i := range rec.Snapshots {
		if s := &rec.Snapshots[i]; s.At == probes.AtExec && s.Exec == n {
			return s.Posture()
		}
	}
	return &posture.Posture{}
}

// callerOf is the posture in which the engine was started: at the exec of its
// own file, if that is known, else of the command. Where the command is the
// workload itself, it is that of who started it. It is nil if it was not seen.
func (e *engineRun) callerOf(records []observed, c *candidate) *posture.Posture {
	var first *probes.Snapshot
	for _, s := range records {
		for i := range s.rec.Snapshots {
			sn := &s.rec.Snapshots[i]
			if !e.binary.IsKnown() || sn.At != probes.AtExec || c.is(s.rec, sn) {
				continue // the workload may be the same file
			}
			if exe, ok := sn.Posture().Exec.Exe.Get(); ok && posture.Known(exe) == e.binary && (first == nil || sn.TimeNS < first.TimeNS) {
				first = sn
			}
		}
	}
	if first != nil && first.TimeNS < c.at {
		return first.Posture()
	}
	root := records[0].rec
	if c.rec.TGID == root.TGID && c.rec.StartNS == root.StartNS && c.n == 1 {
		if root.Caller == nil {
			return nil
		}
		return asStarted(root.Caller.Posture(), postureAt(root, probes.AtExec))
	}
	return postureAt(root, probes.AtExec)
}

// asStarted is what our own process has and gives to what it starts. A program
// in Go raises its limit of open files when it begins, and puts it back for
// those that it starts (syscall/rlimit.go), so that it is theirs that counts.
func asStarted(own, theirs *posture.Posture) *posture.Posture {
	if theirs == nil {
		return own
	}
	limits, known := own.Rlimits.Get()
	at, seen := theirs.Rlimits.Get()
	if !known || !seen || limits[unix.RLIMIT_NOFILE].Hard != at[unix.RLIMIT_NOFILE].Hard {
		return own
	}
	limits[unix.RLIMIT_NOFILE] = at[unix.RLIMIT_NOFILE]
	p := *own
	p.Rlimits = posture.Known(limits)
	return &p
}

// is reports whether a snapshot is of the candidate's own exec, or a later one of
// the same process.
func (c *candidate) is(rec *probes.Record, s *probes.Snapshot) bool {
	return rec.TGID == c.rec.TGID && rec.StartNS == c.rec.StartNS && s.Exec >= c.n
}

// incomplete says why not every execution need have been seen; empty if all were.
// That is no flaw of the one that is judged, but another may be the workload's.
func incomplete(records []observed) string {
	var lost uint64
	for _, s := range records {
		lost += s.rec.Lost + s.rec.LostElsewhere
	}
	if lost == 0 {
		return ""
	}
	return fmt.Sprintf("%d events of the engine's processes or of others were lost, so an execution of the program may not have been seen", lost)
}

// certain takes back a verdict that rests on all having been seen.
func (c *Case) certain(records []observed) {
	if why := incomplete(records); why != "" && c.Verdict == Constrained {
		c.Verdict = Unknown
		c.doubt(EvidenceLost, why)
	}
}

// behindMounts corrects what was looked up in the engine's root for what mounts
// hide there: of a bind mount the source is known, of others nothing.
func behindMounts(l *launch) {
	spec := l.req.Spec
	at := func(path string) (bool, posture.Value[posture.Inode]) {
		best := -1
		path = filepath.Clean("/" + path)
		for i, m := range spec.Mounts {
			dest := filepath.Clean("/" + m.Destination)
			if path == dest || dest == "/" || strings.HasPrefix(path, dest+"/") {
				best = i // a later one is on top
			}
		}
		if best < 0 {
			return false, posture.Value[posture.Inode]{}
		}
		m := &spec.Mounts[best]
		if !request.IsBind(m) {
			return true, posture.Unreadable[posture.Inode]("it is in a mount of the workload's own")
		}
		source := m.Source
		if !filepath.IsAbs(source) {
			source = filepath.Join(l.req.Dir, source)
		}
		var st unix.Stat_t
		if unix.Stat(filepath.Join(source, strings.TrimPrefix(path, filepath.Clean("/"+m.Destination))), &st) != nil {
			return true, posture.Unreadable[posture.Inode]("it is in a mount of the workload's own")
		}
		return true, posture.Known(posture.Inode{Dev: st.Dev, Ino: st.Ino})
	}
	cwd := l.cfg.Cwd
	if cwd == "" {
		cwd = "/"
	}
	if hidden, v := at(cwd); hidden {
		l.facts.Cwd = v
	}
	if hidden, v := at(l.req.Program()); hidden && filepath.IsAbs(l.req.Program()) {
		if l.facts.Exe = v; !v.IsKnown() {
			l.facts.ExeNlink = posture.Unreadable[uint32](v.Why())
		}
	}
}

func signalOf(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return int(ws.Signal())
	}
	return 0
}
