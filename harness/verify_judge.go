package harness

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// stranger is an engine of which only the runtime-spec is known, and what its
// "Config" and "Linux Process" sections let every runtime add.
var stranger = &oracle.Profile{Name: "the engine", CopiesStreams: true}

func (e *engineRun) profile() *oracle.Profile {
	if e.opts.Profile != nil {
		return e.opts.Profile
	}
	return stranger
}

// judge has the worst execution decide.
func (e *engineRun) judge(command string) *Case {
	list, why := e.find()
	var worst *Case
	for i := range list {
		c := e.one(&list[i])
		if worst == nil || rank(c.Verdict) > rank(worst.Verdict) || c.Verdict == worst.Verdict && c.Findings > worst.Findings {
			worst = c
		}
	}
	if worst == nil {
		var lost uint64
		for _, s := range e.records {
			lost += s.rec.Lost
		}
		exp := oracle.Expect(e.req, &posture.Posture{}, e.features(e.launch())).With(&oracle.Facts{})
		worst = &Case{Result: Judge(exp, nil, nil, lost), Meta: e.meta()}
		worst.Reasons = append([]string{fmt.Sprintf("no execution of %q was seen among the descendants of %s", e.req.Process().Args, command)}, worst.Reasons...)
	}
	worst.Reasons = append(worst.Reasons, why...)
	worst.certain(e.records)
	worst.Meta.Executions = len(list)
	return worst
}

func rank(v Verdict) int { return slices.Index([]Verdict{Constrained, Unknown, Violated}, v) }

func (e *engineRun) meta() Meta {
	name := e.opts.Engine
	if name == "" {
		name = "other"
	}
	return Meta{Kernel: e.v.machine.release, Engine: name, Workload: Workload{Argv: e.req.Process().Args}}
}

func (e *engineRun) features(l *launch) oracle.Features {
	f := e.v.machine.features(l)
	f.Profile = e.profile()
	f.Seccomp = filterJudge{libseccomp: f.Profile.Libseccomp, enosys: f.Profile.NewerIsENOSYS}
	return f
}

// launch is what the native engine would make of the request, as far as it
// goes: for what files, namespaces and limits are meant.
func (e *engineRun) launch() *launch { return e.launchOf(e.req, "/any") }

// launchOf is launch for the request with, if it limits something and names no
// cgroup, this one.
func (e *engineRun) launchOf(req *request.Request, cgroup string) *launch {
	m := e.v.machine
	cfg, err := engine.Config(engine.WithCgroup(req, &m.host, cgroup), m.engine())
	if err != nil {
		p := req.Process()
		cfg = &checkpoint.Config{Args: p.Args, Env: p.Env, Cwd: p.Cwd}
		if root := req.Spec.Root; root != nil && root.Path != "" {
			if cfg.Root.Path = root.Path; !path.IsAbs(root.Path) {
				cfg.Root.Path = path.Join(req.Dir, root.Path)
			}
		}
		for _, n := range req.Linux().Namespaces {
			cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: checkpoint.NamespaceKind(shortKind[string(n.Type)]), Path: n.Path})
		}
	}
	if at := req.Linux().CgroupsPath; strings.HasPrefix(at, "/") && err == nil {
		// Which of the hierarchies it joins, the engine decides.
		if cfg.Cgroup.V1 == nil {
			cfg.Cgroup.V1 = map[string]string{}
		}
		for c, dir := range m.host.CgroupV1 {
			cfg.Cgroup.V1[c] = path.Join(dir, at)
		}
	}
	l := &launch{
		r: &Runner{machine: m, observer: e.v.observer, proc: e.v.proc}, req: req, cfg: cfg, begun: e.begun, meta: e.meta(),
	}
	return l
}

// shortKind has the kernel's names for those of the spec that differ.
var shortKind = map[string]string{
	"pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "user": "user", "cgroup": "cgroup", "time": "time",
}

// one judges one execution.
func (e *engineRun) one(c *candidate) *Case {
	e.mu.Lock()
	st := e.frozen[c.key()]
	e.mu.Unlock()
	if st != nil && st.killed != nil {
		return st.killed
	}
	rec := only(c.rec, c.n)
	cs := e.weigh(c, rec, st, e.callerOf(e.records, c))
	if st == nil && e.v.proc != nil && !e.unheld && cs.Verdict == Constrained {
		cs.Verdict = Unknown
		cs.doubt(EvidenceLost, "it was not held at its entry point")
	}
	return cs
}

// weigh judges one execution by what is known of it so far.
func (e *engineRun) weigh(c *candidate, rec *probes.Record, st *stopped, caller *posture.Posture) *Case {
	l := e.launch()
	unseen := caller == nil
	if unseen {
		caller = &posture.Posture{}
	}
	var reason error
	switch {
	case st != nil && st.launch != nil:
		l = st.launch // looked up in the workload's own root
	default:
		reason = l.foresee()
		behindMounts(l)
		if ns := e.req.Namespace(specs.MountNamespace); ns.Asked && !ns.Fresh() {
			elsewhere(l)
		}
		l.notTheEngine(caller, postureOf(rec, c.n))
	}
	missing := l.passed(caller)
	l.facts.PID = posture.Known(uint32(rec.TGID))
	l.facts.Parent = posture.Known(uint32(rec.Parent))
	// A C library lets nobody reset its own two signals, 32 and 33, so what an
	// engine was started with it passes on; GNU make ignores them.
	ignored, _ := caller.Signals.Ignored.Get()
	l.facts.Ignorable = ignored & (3 << 31)
	// Pending at execve and ignored by default, they vanish on delivery
	// (signal(7)), and the runtime of Go sends its threads SIGURG all the time.
	l.facts.Signals |= 1<<(unix.SIGURG-1) | 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGWINCH-1)
	if e.v.proc != nil {
		l.facts.Signals |= 1 << (unix.SIGSTOP - 1)
	}
	snaps, lost := l.snapshots(rec)
	if st != nil {
		l.frozen = st.snapshot
		snaps = l.addFrozen(snaps)
	}
	l.meta.Workload.HostPID, l.meta.Workload.PID = rec.PID, insidePID(snaps)
	exp := oracle.Expect(e.req, caller, e.features(l)).With(&l.facts)
	var evidence []Evidence
	if st != nil {
		evidence = st.evidence
	}
	cs := &Case{Result: Judge(exp, snaps, evidence, lost), Meta: l.meta}
	l.others, l.booted = e.others, e.booted
	l.notNew(cs.Result)
	if unseen && cs.Verdict == Constrained {
		cs.Verdict = Unknown
		cs.doubt(EvidenceLost, "the posture in which the engine was started was not seen, so what nobody asked for is compared with nothing")
	}
	if missing > 0 && cs.Verdict == Constrained {
		cs.Verdict = Unknown
		cs.doubt(CannotApply, fmt.Sprintf("%d of the descriptors that are to be passed on were not open in the engine's caller", missing))
	}
	cs.ConfirmedBy = rec.ConfirmedBy(c.n)
	cs.inherits(e.opts.Clean)
	if reason != nil {
		cs.Reasons = append(cs.Reasons, reason.Error())
	}
	return cs
}

// notTheEngine: what is in a root of its own, and is not known to be the engine's
// own file, is not that file. A link of the image's to /proc/self/exe makes it so.
func (l *launch) notTheEngine(caller, got *posture.Posture) {
	root := l.req.Spec.Root
	engine, ok1 := caller.Exec.Exe.Get()
	exe, ok2 := got.Exec.Exe.Get()
	if root != nil && root.Path != "" && !l.facts.Exe.IsKnown() && ok1 && ok2 && exe == engine {
		l.facts.Exe = posture.Known(oracle.NoFile)
	}
}

// passed are the descriptors that are to be open: the caller's own, and not some
// that the engine happens to have under these numbers. It returns how many of
// those beyond the standard streams the caller has not.
func (l *launch) passed(caller *posture.Posture) (missing int) {
	files, known := caller.Files.Get()
	l.facts.Files = oracle.Streams(caller)
	if pid, ok := caller.Process.PID.Get(); ok && pid == uint32(os.Getpid()) {
		// The engine is the workload. What it was started with was put in place
		// after it was born, by us.
		l.facts.Files = []posture.File{{FD: 0}, {FD: 1}, {FD: 2}}
	}
	for i := range l.req.Ext.PassFDs {
		f := posture.File{FD: int32(3 + i)}
		if known && files.Truncated == 0 {
			j := slices.IndexFunc(files.Open, func(o posture.File) bool { return o.FD == f.FD })
			if j < 0 {
				missing++
				continue
			}
			f.Inode = files.Open[j].Inode
		}
		l.facts.Files = append(l.facts.Files, f)
	}
	return missing
}

// elsewhere forgets what was looked up in our own root for a workload that is in
// another's mounts.
func elsewhere(l *launch) {
	const why = "it is in a mount namespace that is joined"
	l.facts.Root, l.facts.Cwd, l.facts.Exe = posture.Unreadable[posture.Inode](why), posture.Unreadable[posture.Inode](why), posture.Unreadable[posture.Inode](why)
	l.facts.ExeNlink = posture.Unreadable[uint32](why)
}

// only is the part of a record that is about one exec.
func only(rec *probes.Record, n int) *probes.Record {
	r := *rec
	r.Snapshots, r.Missing = nil, nil
	last := 0
	for i := range rec.Snapshots {
		last = max(last, rec.Snapshots[i].Exec)
	}
	for i := range rec.Snapshots {
		s := &rec.Snapshots[i]
		if s.Exec == n && (s.At != probes.AtExit || n == last) {
			r.Snapshots = append(r.Snapshots, *s)
		}
	}
	for _, m := range rec.Missing {
		if m.Exec == n {
			r.Missing = append(r.Missing, m)
		}
	}
	return &r
}

// inherits marks what the workload has from the engine's caller and what a fresh
// process has not. It is no finding, unless a clean one was asked for.
func (r *Result) inherits(clean bool) {
	for i := range r.Checks {
		c := &r.Checks[i]
		if c.Field >= oracle.NumFields || c.Outcome != oracle.Equal || c.got == nil || c.Why != "" {
			continue
		}
		if fresh, known := c.exp.Fresh(c.Field, c.got); !known || fresh {
			continue
		}
		c.inherited = true
		if !clean {
			continue
		}
		c.Outcome, c.Why = oracle.Inherited, "the engine's caller has it, nobody asked for it, and a fresh process has not"
		r.Findings++
		r.Verdict, r.Cause = Violated, NoCause
	}
}

// Inherited names what the workload has from the engine's caller and what a
// fresh process has not, though nobody asked for either.
func (r *Result) Inherited() []string {
	var out []string
	for i := range r.Checks {
		if r.Checks[i].inherited {
			out = append(out, r.Checks[i].Name())
		}
	}
	return out
}
