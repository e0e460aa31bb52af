package oracle

import (
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// filters lists the filters that the request asks for, in the order in which
// the launcher loads them: those of the extension, then linux.seccomp.
func filters(r *request.Request) []*specs.LinuxSeccomp {
	all := r.Ext.Seccomp
	if s := r.Linux().Seccomp; s != nil {
		all = append(slices.Clip(all), s)
	}
	return all
}

func (b *builder) seccomp() {
	asked := filters(b.r)
	if len(asked) == 0 {
		return
	}
	src := "linux.seccomp"
	if b.l.Seccomp == nil {
		src = "holdshort.seccomp"
	}
	w := &b.w.Seccomp
	put(b, SeccompMode, &w.Mode, 2, Requested, src)
	if n, ok := b.c.Seccomp.Count.Get(); ok {
		put(b, SeccompCount, &w.Count, n+uint32(len(asked)), Requested, src)
	} else {
		b.puzzle(SeccompCount, Requested, src, "the caller's filters were not counted")
	}
	b.e.filters = slices.Clone(asked)
	slices.Reverse(b.e.filters) // newest first, as a posture has them
	b.e.judged = make([]judged, len(asked))
	if n, ok := b.c.Seccomp.Count.Get(); ok && n == 0 && !w.Filters.IsKnown() {
		w.Filters = posture.Known[[]posture.Filter](nil) // nothing to read
	}
	b.rule(SeccompFilters, Requested, src)
	b.e.rules[SeccompFilters].pred = isFiltered
}

func (b *builder) cgroup() {
	ext := &b.r.Ext.Cgroup
	v2, v1, src := ext.V2 != "", len(ext.V1) > 0, "holdshort.cgroup"
	if b.l.CgroupsPath != "" {
		v2, v1, src = b.f.CgroupV2, len(b.f.CgroupV1) > 0, "linux.cgroupsPath"
	}
	if v2 {
		b.puzzle(CgroupV2, Requested, src, needsFact)
	}
	if v1 {
		b.puzzle(CgroupV1, Requested, src, needsFact)
	}
}

func (b *builder) rlimits() {
	l, ok := b.w.Rlimits.Get()
	var asked uint32
	for i := range b.p.Rlimits {
		r := &b.p.Rlimits[i]
		n := request.Rlimit(r.Type)
		if n < 0 {
			continue
		}
		l[n] = posture.Rlimit{Soft: r.Soft, Hard: r.Hard}
		b.rule(RlimitCPU+Field(n), Requested, "process.rlimits")
		asked |= 1 << n
	}
	const defaultStack = 8 << 20
	if b.result.Secure && l[3].Soft > defaultStack {
		l[3].Soft = defaultStack // begin_new_exec
	}
	if ok || asked == 1<<16-1 {
		b.w.Rlimits = posture.Known(l)
		return
	}
	// One limit cannot be known without the others; those that are kept are
	// left out of the comparison instead.
	if asked != 0 {
		b.w.Rlimits = posture.Known(l)
		b.e.rlimitsAsked = asked
	}
}

func (b *builder) oom() {
	v := b.p.OOMScoreAdj
	if v == nil {
		return
	}
	const src = "process.oomScoreAdj"
	put(b, OOMScoreAdj, &b.w.OOM.ScoreAdj, int32(*v), Requested, src)
	// A privileged writer moves the floor too (__set_oom_adj). The privilege
	// is one over the initial user namespace.
	const sysResource = 24
	e, ok := b.c.Capabilities.Effective.Get()
	parent, inInitial := b.c.UserNS.Parent.Get()
	switch {
	case b.e.user.Asked, b.r.Ext.Enter != nil: // who enters has it from [Beside]
		b.rule(OOMScoreAdjMin, Implied, src)
	case !ok || !inInitial:
		b.puzzle(OOMScoreAdjMin, Implied, src, noCallerIDs)
	case parent == 0 && e&(1<<sysResource) != 0:
		put(b, OOMScoreAdjMin, &b.w.OOM.ScoreAdjMin, int32(*v), Implied, src)
	default:
		b.rule(OOMScoreAdjMin, Implied, src)
	}
}

func (b *builder) sched() {
	w := &b.w.Sched
	b.forked()
	if n := b.r.Ext.Nice; n != nil {
		put(b, SchedNice, &w.Nice, int32(*n), Requested, "holdshort.nice")
	}
	if s := b.p.Scheduler; s != nil {
		class, src := Requested, "process.scheduler"
		policy, _ := request.Policy(s.Policy)
		put(b, SchedPolicy, &w.Policy, uint32(policy), class, src)
		put(b, SchedRTPriority, &w.RTPriority, uint32(s.Priority), class, src)
		reset := false
		for _, f := range s.Flags {
			reset = reset || f == specs.SchedFlagResetOnFork
		}
		put(b, SchedResetOnFork, &w.ResetOnFork, reset, class, src)
		if fair := policy == 0 || policy == 3; fair && b.r.Ext.Nice == nil {
			put(b, SchedNice, &w.Nice, s.Nice, class, src)
		}
	}
	if b.r.Ext.CoreSched {
		b.rule(SchedCoreCookie, Requested, "holdshort.coreSched")
		b.e.rules[SchedCoreCookie].pred = isFresh
	}
	b.affinity()
	if io := b.p.IOPriority; io != nil {
		c, _ := request.IOClass(io.Class)
		put(b, SchedIOPrio, &w.IOPrio, uint32(c<<13|io.Priority), Requested, "process.ioPriority")
	}
	if s := b.r.Ext.TimerSlack; s != nil {
		if *s != 0 {
			put(b, SchedTimerSlack, &w.TimerSlack, *s, Requested, "holdshort.timerSlackNS")
		} else {
			// The default is what the caller had when it forked.
			b.rule(SchedTimerSlack, Requested, "holdshort.timerSlackNS")
		}
	}
	if policy, ok := w.Policy.Get(); ok && b.f.SlackFollowsPolicy && (policy == 1 || policy == 2 || policy == 6) {
		put(b, SchedTimerSlack, &w.TimerSlack, 0, b.e.rules[SchedTimerSlack].class, "realtime tasks have none")
	}
}

// forked: SCHED_FLAG_RESET_ON_FORK of the caller acts on its children.
func (b *builder) forked() {
	w := &b.w.Sched
	if reset, ok := w.ResetOnFork.Get(); !ok || !reset {
		return
	}
	const src = "the caller's SCHED_FLAG_RESET_ON_FORK"
	put(b, SchedResetOnFork, &w.ResetOnFork, false, Implied, src)
	policy, ok1 := w.Policy.Get()
	nice, ok2 := w.Nice.Get()
	switch {
	case !ok1 || !ok2:
		for _, f := range [...]Field{SchedPolicy, SchedRTPriority, SchedNice} {
			b.puzzle(f, Implied, src, "the caller's policy or nice value was not read")
		}
	case policy == 1 || policy == 2 || policy == 6:
		put(b, SchedPolicy, &w.Policy, 0, Implied, src)
		put(b, SchedRTPriority, &w.RTPriority, 0, Implied, src)
		put(b, SchedNice, &w.Nice, 0, Implied, src)
	case nice < 0:
		put(b, SchedNice, &w.Nice, 0, Implied, src)
	}
}

// affinity is what was asked for, within the cpuset. Entering another cpuset
// changes it even if it was not asked for; then all that can be said is that it
// stays within (kernels differ in whether the caller's own mask survives).
func (b *builder) affinity() {
	at := &b.w.Sched.Affinity
	allowed := b.f.CPUs
	moved, src := b.cpusetMoves()
	if list, from := b.cpusetCPUs(); list != "" {
		src = from
		if asked, err := request.CPUList(list); err == nil {
			if allowed == nil {
				allowed = asked
			} else {
				allowed = intersect(allowed, asked)
			}
		}
	}
	exec := b.p.ExecCPUAffinity
	switch {
	case exec != nil && len(b.r.Ext.Affinity) == 0:
		const src = "process.execCPUAffinity"
		switch want, err := request.CPUList(exec.Final); {
		case exec.Final == "" || err != nil:
			b.puzzle(SchedAffinity, Requested, src, "no final list of CPUs is given, and nobody sees the initial one")
		case allowed != nil:
			put(b, SchedAffinity, at, intersect(want, allowed), Requested, src)
		default:
			put(b, SchedAffinity, at, want, Requested, src)
		}
	case len(b.r.Ext.Affinity) > 0:
		want := request.CPUMask(b.r.Ext.Affinity)
		if allowed != nil {
			want = intersect(want, allowed)
		}
		put(b, SchedAffinity, at, want, Requested, "holdshort.affinity")
	case moved && allowed != nil:
		put(b, SchedAffinity, at, allowed, Requested, src)
		b.e.rules[SchedAffinity].pred = isWithin
	case moved:
		b.puzzle(SchedAffinity, Implied, src, "the CPUs of the workload's cpuset are not known")
	}
}

// cpusetCPUs is the list of CPUs that is asked for as a limit of the workload's
// cgroup: the last one that is written.
func (b *builder) cpusetCPUs() (list, source string) {
	const file = "cpuset.cpus"
	if res := b.l.Resources; res != nil {
		if res.CPU != nil && res.CPU.Cpus != "" {
			list, source = res.CPU.Cpus, "linux.resources.cpu.cpus"
		}
		if l := res.Unified[file]; l != "" {
			list, source = l, "linux.resources.unified"
		}
	}
	for _, l := range b.r.Ext.Cgroup.Limits {
		if l.File == file && l.Value != "" {
			list, source = l.Value, "holdshort.cgroup.limits"
		}
	}
	return list, source
}

// cpusetMoves reports whether something that was asked for may change the
// workload's cpuset, and what.
func (b *builder) cpusetMoves() (moved bool, source string) {
	if _, ok := b.r.Ext.Cgroup.V1["cpuset"]; ok {
		moved, source = true, "holdshort.cgroup"
	}
	for _, l := range b.r.Ext.Cgroup.Limits {
		if strings.HasPrefix(l.File, "cpuset.") {
			moved, source = true, "holdshort.cgroup"
		}
	}
	if b.l.CgroupsPath != "" && contains(b.f.CgroupV1, "cpuset") {
		moved, source = true, "linux.cgroupsPath"
	}
	res := b.l.Resources
	if res == nil {
		return moved, source
	}
	if res.CPU != nil && res.CPU.Cpus+res.CPU.Mems != "" {
		moved, source = true, "linux.resources.cpu"
	}
	for file := range res.Unified {
		if strings.HasPrefix(file, "cpuset.") {
			moved, source = true, "linux.resources.unified"
		}
	}
	return moved, source
}

func intersect(a, b []uint64) []uint64 {
	out := make([]uint64, 0, min(len(a), len(b)))
	for i := range min(len(a), len(b)) {
		out = append(out, a[i]&b[i])
	}
	for len(out) > 0 && out[len(out)-1] == 0 {
		out = out[:len(out)-1]
	}
	return out
}

func (b *builder) signals() {
	mask := func(list []request.Signal) (m uint64) {
		for _, s := range list {
			m |= 1 << (s - 1)
		}
		return m
	}
	ext := &b.r.Ext
	class := func(list []request.Signal) Class {
		if len(list) > 0 {
			return Requested
		}
		return Promised
	}
	w := &b.w.Signals
	put(b, SignalsBlocked, &w.Blocked, mask(ext.BlockSignals), class(ext.BlockSignals), "holdshort.blockSignals, no others")
	put(b, SignalsIgnored, &w.Ignored, mask(ext.IgnoreSignals), class(ext.IgnoreSignals), "holdshort.ignoreSignals, no others")
	put(b, SignalsPending, &w.Pending, 0, Promised, "a new process has none")
	b.e.rules[SignalsPending].pred = isAllowed
}

func (b *builder) process() {
	w := &b.w.Process
	b.puzzle(ProcessPID, Implied, "the launch", needsFact)
	b.puzzle(ProcessParent, Implied, "the launch", needsFact)
	b.puzzle(ProcessPIDInside, Implied, "the launch", needsFact)
	if b.r.Namespace(specs.PIDNamespace).Fresh() {
		put(b, ProcessPIDInside, &w.PIDInside, 1, Requested, "linux.namespaces: pid")
		if b.r.Ext.Init {
			put(b, ProcessPIDInside, &w.PIDInside, 2, Requested, "holdshort.init")
		}
	}
	put(b, ProcessTracer, &w.Tracer, 0, Promised, "not traced")
	if b.r.Ext.Subreaper {
		put(b, ProcessSubreaper, &w.Subreaper, true, Requested, "holdshort.subreaper")
	} else {
		put(b, ProcessSubreaper, &w.Subreaper, false, Promised, "not passed on by fork")
	}
	put(b, ProcessThreads, &w.Threads, 1, Promised, "a new program has one")
	put(b, ProcessSessionLeader, &w.SessionLeader, false, Promised, "not passed on by fork")
	if !b.r.Ext.Session && !b.p.Terminal {
		if b.r.Ext.ProcessGroup {
			b.puzzle(ProcessGroup, Requested, "holdshort.processGroup", needsFact)
		}
		return
	}
	src := "holdshort.session"
	if b.p.Terminal {
		src = "process.terminal"
	}
	b.puzzle(ProcessSession, Requested, src, needsFact)
	b.puzzle(ProcessGroup, Requested, src, needsFact)
	put(b, ProcessSessionLeader, &w.SessionLeader, true, Requested, src)
	if b.p.Terminal {
		b.puzzle(ProcessTTY, Requested, src, needsFact)
	} else {
		put(b, ProcessTTY, &w.TTY, posture.TTY{}, Implied, src)
	}
}

// rootPath is the source of what a changed root implies.
const rootPath = "root.path"

func (b *builder) fs() {
	w := &b.w.FS
	if m := b.p.User.Umask; m != nil {
		put(b, FSUmask, &w.Umask, *m, Requested, "process.user.umask")
	}
	root := b.r.Spec.Root
	changed := root != nil && root.Path != ""
	if changed {
		b.puzzle(FSRoot, Requested, rootPath, needsFact)
		put(b, FSRootIsMountRoot, &w.RootIsMountRoot, true, Requested, rootPath)
		if root.Readonly {
			put(b, FSRootReadOnly, &w.RootReadOnly, true, Requested, "root.readonly")
		} else {
			b.puzzle(FSRootReadOnly, Implied, rootPath, notFixed)
		}
	}
	joined := b.r.Namespace(specs.MountNamespace).Joined()
	if joined && !changed {
		// setns(2) moves root and cwd to the root of the namespace.
		for _, f := range [...]Field{FSRoot, FSRootIsMountRoot, FSRootReadOnly} {
			b.puzzle(f, Implied, "linux.namespaces: mount", needsFact)
		}
	}
	switch {
	case b.p.Cwd != "":
		b.puzzle(FSCwd, Requested, "process.cwd", needsFact)
		put(b, FSCwdUnderRoot, &w.CwdUnderRoot, true, Requested, "process.cwd")
	case changed || joined:
		b.puzzle(FSCwd, Implied, "root.path", needsFact)
		put(b, FSCwdUnderRoot, &w.CwdUnderRoot, true, Implied, "root.path")
	}
	n := 3 + b.r.Ext.PassFDs
	open := make([]posture.File, n, n+1)
	for i := range open {
		open[i].FD = int32(i)
	}
	if p := b.r.Ext.Program; p != nil && p.Number > 0 {
		open = append(open, posture.File{FD: int32(p.Number)})
	}
	class := Promised
	if b.r.Ext.PassFDs > 0 {
		class = Requested
	}
	put(b, OpenFiles, &b.w.Files, posture.Files{Open: open}, class, "holdshort.passFDs, beside 0 to 2")
	b.e.rules[OpenFiles].pred = isTable

	if b.r.Ext.OwnKeyring() {
		src := "holdshort.newKeyring"
		if !b.r.Ext.NewKeyring {
			src = "holdshort.keyring"
		}
		b.rule(KeyringSession, Requested, src)
		b.e.rules[KeyringSession].pred = isFresh
	}
	put(b, KeyringProcess, &b.w.Keyrings.Process, 0, Promised, "execve drops it")
	put(b, KeyringThread, &b.w.Keyrings.Thread, 0, Promised, "execve drops it")
}

func (b *builder) exec() {
	w := &b.w.Exec
	class, source := Implied, "process.args"
	if b.r.Ext.Program != nil {
		class, source = Requested, "holdshort.program"
	}
	b.puzzle(ExecExe, class, source, needsFact)
	b.puzzle(ExecExeNlink, class, source, needsFact)
	program := b.r.Program()
	if b.f.Program.Path != "" {
		program = b.f.Program.Path
	}
	comm := program[strings.LastIndexByte(program, '/')+1:]
	comm = comm[:min(len(comm), 15)]
	if b.r.Ext.Program == nil {
		put(b, ExecComm, &w.Comm, comm, Implied, "process.args")
	} else {
		b.puzzle(ExecComm, Implied, "holdshort.program", "the file's name since Linux 6.14, before that the number of a descriptor")
	}
	args := b.p.Args
	if in := b.f.Program.Interpreter; len(in) > 0 {
		args = slices.Concat(in, []string{program}, args[1:])
	}
	put(b, ExecArgs, &w.Args, args, Requested, "process.args")
	env := Promised
	if len(b.p.Env) > 0 {
		env = Requested
	}
	put(b, ExecEnv, &w.Env, b.p.Env, env, "process.env, nothing else")
	if b.credsOK {
		put(b, ExecSecure, &w.Secure, b.result.Secure, Implied, "execve")
		if b.relabel().secure {
			b.e.rules[ExecSecure].pred = isSecure
		}
	} else {
		b.puzzle(ExecSecure, Implied, "execve", noCallerIDs)
	}
	put(b, ExecForkNoExec, &w.ForkNoExec, false, Promised, "the program was executed")
}
