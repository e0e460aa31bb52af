package probes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/bpf"
	"github.com/holdshort/holdshort/probes/posture"
)

// body is one posture as the kernel wrote it, decoded on first use. Snapshots
// with equal bytes share one body.
type body struct {
	raw  []byte // core and tail, without filter instructions
	code []byte // filter instructions
	// hasCode says that instructions were asked for; without it they are
	// taken from an earlier body of the same task, see snap_seccomp.
	hasCode bool
	codeOf  *body
	k       *kernelFacts

	once sync.Once
	p    *posture.Posture
	c    *bpf.ProbesEvent
}

// kernelFacts is what the decoder must know about the running kernel.
type kernelFacts struct {
	// controllers maps a cgroup subsystem's index to its name.
	controllers [16]string
	cpus        [16]uint64 // the CPUs that this machine may have
	// initialPIDNS says that our process numbers are the kernel's.
	initialPIDNS bool
	noLandlock   bool
	landlockWhy  string // why there are no layers
	wideMask     string // why an affinity mask cannot be read whole; empty if it can
	// noMergeBit29: bit 29 of an mm's flags cannot be MMF_VM_MERGE_ANY.
	noMergeBit29 bool
}

// splitBody copies b, an event's bytes after its head.
func splitBody(b []byte, withCode bool, k *kernelFacts) (*body, error) {
	if len(b) < coreSize {
		return nil, fmt.Errorf("event of %d bytes is shorter than its core", len(b))
	}
	var e bpf.ProbesEvent
	tail := readCore(b, &e)
	n := int(e.Core.Nfiles)*fileIDSize + int(min(e.Core.Ngroups, maxGroups))*4 +
		extentSize*(longMap(e.Core.UidExtents)+longMap(e.Core.GidExtents)) +
		layerSize*layers(&e) + int(e.Core.RulesLen) + int(e.Core.ArgsLen) + int(e.Core.EnvLen)
	if n > len(tail) {
		return nil, fmt.Errorf("event announces %d bytes of tail and has %d", n, len(tail))
	}
	own := slices.Clone(b)
	return &body{raw: own[:coreSize+n], code: own[coreSize+n:], hasCode: withCode, k: k}, nil
}

// same reports whether b, an event's bytes after its head without
// instructions, says exactly what this body says.
func (o *body) same(b []byte) bool { return o != nil && bytes.Equal(o.raw, b) }

// posture decodes the body; callers share the result and must not change it.
func (o *body) posture() *posture.Posture {
	o.once.Do(func() {
		var e bpf.ProbesEvent
		tail := readCore(o.raw, &e)
		o.c = &e
		o.p = build(&e, tail, o)
	})
	return o.p
}

const maxGroups = 1024

// The failure texts, by group of fields.
const (
	whyFault   = "the kernel memory that holds it could not be read"
	whyNoMM    = "the address space was already released"
	whyNoNS    = "the namespaces were already left"
	whyNoFS    = "the file system state was already released"
	whyNoFiles = "the descriptor table was already released"
	whyConfig  = "this kernel is built without it"
	whyArgs    = "user memory could not be read without a page fault"
	whyNotRead = "not read at this point"
)

// val is Known(v), unless why gives a reason against it.
func val[T any](v T, why string) posture.Value[T] {
	if why != "" {
		return posture.Unreadable[T](why)
	}
	return posture.Known(v)
}

// first returns the first reason that is not empty.
func first(whys ...string) string {
	for _, w := range whys {
		if w != "" {
			return w
		}
	}
	return ""
}

type builder struct {
	e    *bpf.ProbesEvent
	have bpf.ProbesHave
	more bpf.ProbesMore
}

func (b builder) failed(f bpf.ProbesFailed) string {
	if b.e.Core.Failed&uint64(f) != 0 {
		return whyFault
	}
	return ""
}

func (b builder) lacks(h bpf.ProbesHave, why string) string {
	if b.has(h) {
		return ""
	}
	return why
}

func (b builder) has(h bpf.ProbesHave) bool { return b.have&h != 0 }

func build(e *bpf.ProbesEvent, tail []byte, o *body) *posture.Posture {
	b := builder{e, bpf.ProbesHave(e.Core.Have), bpf.ProbesMore(e.Core.More)}
	p := &posture.Posture{}
	c := cursor{tail}
	files := c.bytes(int(e.Core.Nfiles) * fileIDSize)
	groups := c.bytes(int(min(e.Core.Ngroups, maxGroups)) * 4)
	uidMap := c.bytes(extentSize * longMap(e.Core.UidExtents))
	gidMap := c.bytes(extentSize * longMap(e.Core.GidExtents))
	masks := c.bytes(layerSize * layers(e))
	rules := c.bytes(int(e.Core.RulesLen))
	args := c.bytes(int(e.Core.ArgsLen))
	env := c.bytes(int(e.Core.EnvLen))
	b.namespaces(p, uidMap, gidMap)
	b.credentials(p, groups)
	b.seccomp(p, o)
	b.task(p, o.k)
	b.landlock(p, masks, o.k)
	b.rules(p, rules, o.k)
	b.sched(p)
	b.memory(p, o.k)
	b.process(p)
	b.files(p, files)
	b.exec(p, args, env)
	return p
}

func (b builder) namespaces(p *posture.Posture, uidMap, gidMap []byte) {
	k := &b.e.Core
	ns := func(i int, why string) posture.Value[posture.Namespace] {
		n := k.Ns[i]
		return val(posture.Namespace{Inode: n.Inum, Owner: n.Owner, Level: n.Level}, why)
	}
	fail := b.failed(bpf.ProbesFailedFAIL_NS)
	gone := first(b.lacks(bpf.ProbesHaveHAVE_NSPROXY, whyNoNS), fail)
	timens := first(gone, b.lacks(bpf.ProbesHaveHAVE_TIMENS, whyConfig+" (CONFIG_TIME_NS)"))
	n := &p.Namespaces
	n.User = ns(0, b.failed(bpf.ProbesFailedFAIL_USERNS))
	n.Mount, n.PID, n.PIDForChildren, n.Net = ns(1, gone), ns(2, fail), ns(3, gone), ns(4, gone)
	n.UTS, n.IPC, n.Cgroup = ns(5, gone), ns(6, gone), ns(7, gone)
	n.Time, n.TimeForChildren = ns(8, timens), ns(9, timens)
	p.UTS.Hostname = val(cString(k.Hostname[:]), gone)
	p.UTS.Domainname = val(cString(k.Domainname[:]), gone)
	p.Time.Monotonic = val(k.MonoSec*1e9+k.MonoNsec, timens)
	p.Time.Boottime = val(k.BootSec*1e9+k.BootNsec, timens)

	fail = b.failed(bpf.ProbesFailedFAIL_USERNS)
	p.UserNS.Parent = val(k.UsernsParent, fail)
	p.UserNS.OwnerUID = val(k.UsernsOwner, fail)
	p.UserNS.Setgroups = val(k.UsernsFlags&1 != 0, fail) // USERNS_SETGROUPS_ALLOWED
	p.UserNS.UIDMap = idMap(k.UidExtents, fail, uidMap, func(i int) posture.IDExtent {
		return posture.IDExtent{Inside: k.UidMap[i].Inside, Host: k.UidMap[i].Host, Count: k.UidMap[i].Count}
	})
	p.UserNS.GIDMap = idMap(k.GidExtents, fail, gidMap, func(i int) posture.IDExtent {
		return posture.IDExtent{Inside: k.GidMap[i].Inside, Host: k.GidMap[i].Host, Count: k.GidMap[i].Count}
	})
}

// idMap builds a map of n lines: from the core, whose i-th one line gives, or
// from the tail if there are more than the core has room for.
func idMap(n uint32, why string, tail []byte, line func(int) posture.IDExtent) posture.Value[[]posture.IDExtent] {
	if why != "" {
		return posture.Unreadable[[]posture.IDExtent](why)
	}
	if n > maxLongMap {
		return posture.Unreadable[[]posture.IDExtent](fmt.Sprintf("the record has a map of %d lines, and a kernel's have at most %d", n, maxLongMap))
	}
	list := make([]posture.IDExtent, n)
	for i := range list {
		if n <= maxExtents {
			list[i] = line(i)
			continue
		}
		c := cursor{tail[i*extentSize:]}
		list[i] = posture.IDExtent{Inside: c.u32(), Host: c.u32(), Count: c.u32()}
	}
	return posture.Known(list)
}

const (
	maxExtents = 5   // in the core
	maxLongMap = 340 // UID_GID_MAP_MAX_EXTENTS (include/linux/user_namespace.h)
	extentSize = 12
)

// longMap is the number of lines that a map of n lines has in the tail.
func longMap(n uint32) int {
	if n <= maxExtents {
		return 0
	}
	return int(min(n, maxLongMap))
}

func (b builder) credentials(p *posture.Posture, groups []byte) {
	k := &b.e.Core
	fail := b.failed(bpf.ProbesFailedFAIL_CRED)
	id := func(i int) posture.Value[uint32] { return val(k.Ids[i], fail) }
	p.IDs.UID, p.IDs.GID, p.IDs.SUID, p.IDs.SGID = id(0), id(1), id(2), id(3)
	p.IDs.EUID, p.IDs.EGID, p.IDs.FSUID, p.IDs.FSGID = id(4), id(5), id(6), id(7)

	why := b.failed(bpf.ProbesFailedFAIL_GROUPS)
	if k.Ngroups > maxGroups {
		why = first(why, fmt.Sprintf("there are %d groups, of which %d can be read", k.Ngroups, maxGroups))
	}
	list := make([]uint32, len(groups)/4)
	for i := range list {
		list[i] = binary.LittleEndian.Uint32(groups[4*i:])
	}
	p.IDs.Groups = val(list, why)

	set := func(i int) posture.Value[posture.CapSet] { return val(posture.CapSet(k.Caps[i]), fail) }
	p.Capabilities = posture.Capabilities{Bounding: set(0), Permitted: set(1), Effective: set(2), Inheritable: set(3), Ambient: set(4)}
	p.Privilege.Securebits = val(k.Securebits, fail)

	why = first(b.lacks(bpf.ProbesHaveHAVE_KEYS, whyConfig+" (CONFIG_KEYS)"), b.failed(bpf.ProbesFailedFAIL_KEYS))
	p.Keyrings.Session = val(int32(k.KeySession), why)
	p.Keyrings.Process = val(int32(k.KeyProcess), why)
	p.Keyrings.Thread = val(int32(k.KeyThread), why)
	p.Keyrings.SessionOwner = val(k.KeyOwner, why)
}

func (b builder) seccomp(p *posture.Posture, o *body) {
	k := &b.e.Core
	fail := b.failed(bpf.ProbesFailedFAIL_SECCOMP)
	p.Seccomp.Mode = val(k.SeccompMode, fail)
	p.Seccomp.Armed = val(b.is(bpf.ProbesMoreMORE_ARMED), first(b.without(bpf.ProbesMoreMORE_ARMED_KNOWN, whyConfig), fail))
	p.Seccomp.Count = val(k.SeccompCount, first(b.lacks(bpf.ProbesHaveHAVE_FILTER_COUNT, whyConfig), fail))
	if b.has(bpf.ProbesHaveHAVE_FILTER_MORE) {
		fail = first(fail, fmt.Sprintf("more than %d filters are stacked", len(k.Filters)))
	}
	if fail != "" {
		p.Seccomp.Filters = posture.Unreadable[[]posture.Filter](fail)
		return
	}
	list := make([]posture.Filter, min(int(k.Nfilters), len(k.Filters)))
	for i := range list {
		f := &k.Filters[i]
		list[i] = posture.Filter{Log: f.Log != 0, WaitKillable: f.WaitKillable != 0, HasNotifier: f.Notif != 0}
		list[i].Instructions, list[i].InstructionsLost = o.instructions(i)
	}
	p.Seccomp.Filters = posture.Known(list)
}

// instructions returns the program of the i-th filter, or why it is missing.
func (o *body) instructions(i int) ([]posture.Instruction, string) {
	var e bpf.ProbesEvent
	readCore(o.raw, &e)
	f := e.Core.Filters[i]
	if f.Len == 0 {
		return nil, "the kernel keeps no copy of the program (CONFIG_CHECKPOINT_RESTORE)"
	}
	if !o.hasCode {
		if o.codeOf == nil {
			return nil, whyNotRead
		}
		var was bpf.ProbesEvent
		readCore(o.codeOf.raw, &was)
		for j := range was.Core.Filters[:min(int(was.Core.Nfilters), len(was.Core.Filters))] {
			if was.Core.Filters[j].Filter == f.Filter && was.Core.Filters[j].Prog == f.Prog {
				return o.codeOf.instructions(j)
			}
		}
		return nil, "the filter was installed after exec and its program was not read"
	}
	if bpf.ProbesFailed(e.Core.Failed)&bpf.ProbesFailedFAIL_CODE != 0 {
		return nil, whyFault
	}
	// As snap_code lays them out: whole programs, in order, until one does
	// not fit.
	code := o.code
	for j := range i {
		code = code[min(len(code), int(e.Core.Filters[j].Len)*8):]
	}
	n := int(f.Len)
	if len(code) < n*8 {
		return nil, fmt.Sprintf("the stacked programs are longer than %d instructions", maxCode/8)
	}
	list := make([]posture.Instruction, n)
	for j := range list {
		c := code[8*j:]
		list[j] = posture.Instruction{
			Code: binary.LittleEndian.Uint16(c), JT: c[2], JF: c[3], K: binary.LittleEndian.Uint32(c[4:]),
		}
	}
	return list, ""
}

const maxCode = 32768

// Flags of task_struct.flags and bits of atomic_flags (include/linux/sched.h).
const (
	pfExiting    = 0x4
	pfForkNoExec = 0x40
	pfaNNP       = 1 << 0
	pfaSpec      = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7
)

func (b builder) task(p *posture.Posture, facts *kernelFacts) {
	k := &b.e.Core
	fail := b.failed(bpf.ProbesFailedFAIL_TASK)
	p.Privilege.NoNewPrivs = val(k.AtomicFlags&pfaNNP != 0, fail)
	p.Privilege.SpecFlags = val(uint32(k.AtomicFlags&pfaSpec), fail)
	p.Privilege.Pdeathsig = val(k.Pdeathsig, fail)
	p.Privilege.Personality = val(k.Personality, fail)
	audit := first(b.lacks(bpf.ProbesHaveHAVE_AUDIT, whyConfig+" (CONFIG_AUDIT)"), fail)
	p.Privilege.LoginUID = val(k.Loginuid, audit)
	p.Privilege.SessionID = val(k.Sessionid, audit)
	p.Privilege.Dumpable = val(k.Dumpable, first(b.lacks(bpf.ProbesHaveHAVE_DUMPABLE, whyNoMM), b.failed(bpf.ProbesFailedFAIL_MM)))

	s := &p.Sched
	s.Policy, s.Nice, s.RTPriority = val(k.Policy, fail), val(k.Nice, fail), val(k.RtPriority, fail)
	s.ResetOnFork = val(b.has(bpf.ProbesHaveHAVE_RESET_ON_FORK), fail)
	s.TimerSlack = val(k.TimerSlack, fail)
	s.CoreCookie = val(k.CoreCookie, first(b.lacks(bpf.ProbesHaveHAVE_COOKIE, whyConfig+" (CONFIG_SCHED_CORE)"), fail))
	s.IOPrio = val(k.Ioprio, first(b.lacks(bpf.ProbesHaveHAVE_IOPRIO, whyConfig+" (CONFIG_BLOCK)"), fail))
	cpus := slices.Clone(k.Affinity[:])
	for i := range cpus { // bits of CPUs that cannot exist mean nothing
		cpus[i] &= facts.cpus[i]
	}
	for len(cpus) > 0 && cpus[len(cpus)-1] == 0 {
		cpus = cpus[:len(cpus)-1]
	}
	why := fail
	if int(k.CpuWords) > len(k.Affinity) {
		// The kernel is built for more CPUs than there is room for;
		// bits beyond may be set unless the machine has fewer.
		why = first(why, facts.wideMask)
	}
	s.Affinity = val(cpus, why)

	fail = b.failed(bpf.ProbesFailedFAIL_SIGNAL)
	var rl posture.Rlimits
	for i := range rl {
		rl[i] = posture.Rlimit{Soft: k.Rlim[2*i], Hard: k.Rlim[2*i+1]}
	}
	p.Rlimits = val(rl, fail)
	p.OOM.ScoreAdj, p.OOM.ScoreAdjMin = val(k.OomAdj, fail), val(k.OomAdjMin, fail)
	p.Signals.Blocked, p.Signals.Pending = val(k.Blocked, fail), val(k.Pending, fail)
	p.Signals.Ignored = val(k.Ignored, first(b.lacks(bpf.ProbesHaveHAVE_SIGHAND, "the signal handlers were already released"),
		b.failed(bpf.ProbesFailedFAIL_SIGHAND), fail))

	fail = b.failed(bpf.ProbesFailedFAIL_CGROUP)
	p.Cgroup.V2 = val(k.CgroupV2, fail)
	p.Cgroup.Frozen = val(b.is(bpf.ProbesMoreMORE_FROZEN), first(b.without(bpf.ProbesMoreMORE_FROZEN_KNOWN, whyConfig), fail))
	var v1 []posture.CgroupV1
	for i := range k.CgroupV1 {
		if k.V1Mask&(1<<i) != 0 {
			name := facts.controllers[i]
			if name == "" {
				name = fmt.Sprintf("subsystem-%d", i)
			}
			v1 = append(v1, posture.CgroupV1{Controller: name, ID: k.CgroupV1[i]})
		}
	}
	slices.SortFunc(v1, func(x, y posture.CgroupV1) int { return strings.Compare(x.Controller, y.Controller) })
	p.Cgroup.V1 = val(v1, fail)
}

func (b builder) process(p *posture.Posture) {
	k := &b.e.Core
	fail := b.failed(bpf.ProbesFailedFAIL_PROCESS)
	q := &p.Process
	q.PID, q.PIDInside, q.Parent, q.Tracer = val(k.Pid, fail), val(k.PidInside, fail), val(k.Parent, fail), val(k.Tracer, fail)
	q.Session, q.Group, q.Threads = val(k.Session, fail), val(k.Pgrp, fail), val(k.Threads, fail)
	q.SessionLeader = val(b.has(bpf.ProbesHaveHAVE_SESSION_LEADER), fail)
	q.Subreaper = val(b.has(bpf.ProbesHaveHAVE_SUBREAPER), fail)
	q.TTY = val(posture.TTY{Major: k.TtyMajor, Minor: k.TtyMinor}, fail)
	b.attached(q)
}

// userDev turns the kernel's dev_t (12 bits major, 20 bits minor) into the
// number that stat(2) gives.
func userDev(d uint32) uint64 { return unix.Mkdev(d>>20, d&0xfffff) }

func (b builder) files(p *posture.Posture, files []byte) {
	k := &b.e.Core
	fail := first(b.lacks(bpf.ProbesHaveHAVE_FS, whyNoFS), b.failed(bpf.ProbesFailedFAIL_FS))
	f := &p.FS
	f.Umask = val(k.Umask, fail)
	f.Root = val(posture.Inode{Dev: userDev(k.RootDev), Ino: k.RootIno}, fail)
	f.Cwd = val(posture.Inode{Dev: userDev(k.CwdDev), Ino: k.CwdIno}, fail)
	f.CwdUnderRoot = val(b.has(bpf.ProbesHaveHAVE_CWD_UNDER),
		first(fail, b.lacks(bpf.ProbesHaveHAVE_CWD_WALK, "the working directory lies too deep to follow it up to the root")))
	f.RootIsMountRoot = val(b.has(bpf.ProbesHaveHAVE_ROOT_TOP), first(fail, b.lacks(bpf.ProbesHaveHAVE_NSPROXY, whyNoNS)))
	f.RootReadOnly = val(b.has(bpf.ProbesHaveHAVE_ROOT_RO), fail)
	f.RootPropagation = val(propagation(bpf.ProbesPropagation(k.Propagation)), fail)

	list := posture.Files{Open: make([]posture.File, len(files)/fileIDSize), Truncated: k.FilesLost}
	for i := range list.Open {
		c := cursor{files[i*fileIDSize:]}
		o := &list.Open[i]
		o.Inode.Ino, o.Magic = c.u64(), c.u64()
		c.u64() // the address of the struct file, for comparison only
		o.Inode.Dev = userDev(c.u32())
		o.Flags, o.FD = c.u32(), int32(c.u32())
		mode := c.u32()
		o.Mode, o.CloseOnExec = mode&0xffff, mode>>16 != 0
	}
	p.Files = val(list, first(b.lacks(bpf.ProbesHaveHAVE_FILES, whyNoFiles), b.failed(bpf.ProbesFailedFAIL_FILES)))
}

func (b builder) exec(p *posture.Posture, args, env []byte) {
	k := &b.e.Core
	fail := b.failed(bpf.ProbesFailedFAIL_MM)
	x := &p.Exec
	exe := first(b.lacks(bpf.ProbesHaveHAVE_MM, whyNoMM), fail, b.lacks(bpf.ProbesHaveHAVE_EXE, "the address space has no program file"))
	x.Exe = val(posture.Inode{Dev: userDev(k.ExeDev), Ino: k.ExeIno}, exe)
	x.ExeNlink = val(k.ExeNlink, exe)
	x.Comm = val(cString(k.Comm[:]), b.failed(bpf.ProbesFailedFAIL_TASK))
	x.Secure = val(b.has(bpf.ProbesHaveHAVE_SECURE), first(b.lacks(bpf.ProbesHaveHAVE_MM, whyNoMM), fail,
		b.lacks(bpf.ProbesHaveHAVE_AUXV, "the address space has no auxiliary vector")))
	x.ForkNoExec = val(k.TaskFlags&pfForkNoExec != 0, b.failed(bpf.ProbesFailedFAIL_TASK))

	mm := first(b.lacks(bpf.ProbesHaveHAVE_MM, whyNoMM), fail, b.lacks(bpf.ProbesHaveHAVE_ARGS, whyNotRead))
	x.Args = stringList(args, k.ArgEnd-k.ArgStart, first(mm, argsWhy(b.failed(bpf.ProbesFailedFAIL_ARGS))))
	x.Env = stringList(env, k.EnvEnd-k.EnvStart, first(mm, argsWhy(b.failed(bpf.ProbesFailedFAIL_ENV))))
}

func argsWhy(failed string) string {
	if failed != "" {
		return whyArgs
	}
	return ""
}

// stringList splits what execve laid out as strings with a zero byte each.
func stringList(b []byte, size uint64, why string) posture.Value[[]string] {
	if why == "" && uint64(len(b)) != size {
		why = fmt.Sprintf("%d bytes, of which %d can be read", size, len(b))
	}
	if why != "" {
		return posture.Unreadable[[]string](why)
	}
	list := []string{}
	if len(b) > 0 {
		list = strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	}
	return posture.Known(list)
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
