package engine

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

// Config translates a request for this project's own launcher. Every field is
// either honoured or refused with an error that matches [ErrUnsupported]; all
// refusals are joined. It does no I/O.
//
// Three fields belong to the run rather than to the configuration, and are left
// to the caller: process.terminal, process.consoleSize (both for
// [checkpoint.Options]) and holdshort.passFDs. Annotations have no effect on a
// launch, except those of other engines that do, which are refused.
//
// Precondition: req.Validate() is nil.
func Config(req *request.Request, host Host) (*checkpoint.Config, error) {
	t := &translator{req: req, host: &host, cfg: &checkpoint.Config{}}
	t.spec()
	t.process()
	t.namespaces()
	t.mounts()
	t.network()
	t.cgroup()
	t.extension()
	if s := req.Linux().Seccomp; s != nil {
		p, err := seccompPolicy(s)
		t.fail("linux.seccomp", err)
		t.cfg.Seccomp = p
	}
	if err := errors.Join(t.errs...); err != nil {
		return nil, err
	}
	return t.cfg, nil
}

type translator struct {
	refusals
	req  *request.Request
	host *Host
	cfg  *checkpoint.Config
}

// spec refuses what is not about Linux processes at all.
func (t *translator) spec() {
	s := t.req.Spec
	t.refuse(s.Hooks != nil && !emptyHooks(s.Hooks), "hooks")
	t.refuse(s.Solaris != nil, "solaris")
	t.refuse(s.Windows != nil, "windows")
	t.refuse(s.VM != nil, "vm")
	t.refuse(s.ZOS != nil, "zos")
	t.refuse(s.FreeBSD != nil, "freebsd")
	for k := range s.Annotations {
		t.refuse(strings.HasPrefix(k, "run.oci."), "annotations."+k)
	}
	l := t.req.Linux()
	t.refuse(len(l.Devices) > 0, "linux.devices")
	t.refuse(len(l.MaskedPaths) > 0, "linux.maskedPaths")
	t.refuse(len(l.ReadonlyPaths) > 0, "linux.readonlyPaths")
	t.refuse(l.MountLabel != "", "linux.mountLabel")
	t.refuse(l.IntelRdt != nil, "linux.intelRdt")
	t.refuse(l.MemoryPolicy != nil, "linux.memoryPolicy")
}

func emptyHooks(h *specs.Hooks) bool {
	return len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer)+len(h.StartContainer)+len(h.Poststart)+len(h.Poststop) == 0 //nolint:staticcheck // prestart is deprecated, and refused all the same
}

func (t *translator) process() {
	p, c := t.req.Process(), t.cfg
	c.Args, c.Env, c.Cwd = p.Args, p.Env, p.Cwd
	t.refuse(p.CommandLine != "", "process.commandLine")
	t.refuse(p.User.Username != "", "process.user.username")
	t.refuse(p.ApparmorProfile != "", "process.apparmorProfile")
	t.refuse(p.SelinuxLabel != "", "process.selinuxLabel")
	t.refuse(p.ExecCPUAffinity != nil, "process.execCPUAffinity", "it is about processes that join a container")
	if !t.req.Ext.KeepIDs {
		c.UID, c.GID = checkpoint.Some(p.User.UID), checkpoint.Some(p.User.GID)
		if !t.req.Ext.DenySetgroups {
			groups := p.User.AdditionalGids
			if groups == nil {
				groups = []uint32{}
			}
			c.Groups = checkpoint.Some(groups)
		}
	}
	if p.User.Umask != nil {
		c.Umask = checkpoint.Some(*p.User.Umask)
	}
	c.NoNewPrivs = p.NoNewPrivileges
	if caps := p.Capabilities; caps != nil {
		set := func(field string, names []string) checkpoint.Option[checkpoint.CapSet] {
			s, err := request.CapSet(names)
			t.fail("process.capabilities."+field, err)
			return checkpoint.Some(checkpoint.CapSet(s))
		}
		c.Capabilities = checkpoint.Capabilities{
			Bounding: set("bounding", caps.Bounding), Permitted: set("permitted", caps.Permitted),
			Effective: set("effective", caps.Effective), Inheritable: set("inheritable", caps.Inheritable),
			Ambient: set("ambient", caps.Ambient),
		}
	}
	for _, l := range p.Rlimits {
		c.Rlimits = append(c.Rlimits, checkpoint.Rlimit{Resource: l.Type, Soft: l.Soft, Hard: l.Hard})
	}
	if p.OOMScoreAdj != nil {
		c.OOMScoreAdj = checkpoint.Some(*p.OOMScoreAdj)
	}
	t.scheduler(p.Scheduler)
	if io := p.IOPriority; io != nil {
		class, ok := request.IOClass(io.Class)
		t.refuse(!ok, "process.ioPriority.class", string(io.Class))
		c.IOPrio = checkpoint.Some(checkpoint.IOPrio{Class: class, Level: io.Priority})
	}
}

func (t *translator) scheduler(s *specs.Scheduler) {
	if s == nil {
		return
	}
	policy, ok := request.Policy(s.Policy)
	t.refuse(!ok, "process.scheduler.policy", string(s.Policy))
	out := checkpoint.Sched{
		Policy: policy, Priority: int(s.Priority), Runtime: time.Duration(s.Runtime),
		Deadline: time.Duration(s.Deadline), Period: time.Duration(s.Period),
	}
	for _, f := range s.Flags {
		t.refuse(f != specs.SchedFlagResetOnFork, "process.scheduler.flags", string(f))
		out.ResetOnFork = out.ResetOnFork || f == specs.SchedFlagResetOnFork
	}
	t.cfg.Scheduler = checkpoint.Some(out)
	if fair := policy == 0 || policy == 3; fair && t.req.Ext.Nice == nil {
		t.cfg.Nice = checkpoint.Some(int(s.Nice))
	} else {
		t.refuse(!fair && s.Nice != 0, "process.scheduler.nice", "the policy has none")
	}
}

var nsKinds = map[specs.LinuxNamespaceType]checkpoint.NamespaceKind{
	specs.PIDNamespace: checkpoint.PID, specs.NetworkNamespace: checkpoint.Net, specs.MountNamespace: checkpoint.Mnt,
	specs.IPCNamespace: checkpoint.IPC, specs.UTSNamespace: checkpoint.UTS, specs.UserNamespace: checkpoint.User,
	specs.CgroupNamespace: checkpoint.Cgroups, specs.TimeNamespace: checkpoint.Time,
}

func (t *translator) namespaces() {
	c, l, s := t.cfg, t.req.Linux(), t.req.Spec
	for _, n := range l.Namespaces {
		kind, ok := nsKinds[n.Type]
		t.refuse(!ok, "linux.namespaces", string(n.Type))
		c.Namespaces = append(c.Namespaces, checkpoint.Namespace{Kind: kind, Path: n.Path})
	}
	for _, n := range t.req.Ext.Namespaces {
		kind, ok := nsKinds[n.Type]
		t.refuse(!ok, "holdshort.namespaces", string(n.Type))
		c.Namespaces = append(c.Namespaces, checkpoint.Namespace{Kind: kind, PID: n.PID})
	}
	idMap := func(m []specs.LinuxIDMapping) []checkpoint.IDMap {
		var out []checkpoint.IDMap
		for _, e := range m {
			out = append(out, checkpoint.IDMap{Inside: e.ContainerID, Outside: e.HostID, Count: e.Size})
		}
		return out
	}
	c.UIDMap, c.GIDMap = idMap(l.UIDMappings), idMap(l.GIDMappings)
	mono, boot := request.Offsets(l.TimeOffsets)
	c.TimeOffsets = checkpoint.TimeOffsets{Monotonic: time.Duration(mono), Boottime: time.Duration(boot)}
	if s.Hostname != "" {
		c.Hostname = checkpoint.Some(s.Hostname)
	}
	if s.Domainname != "" {
		c.Domainname = checkpoint.Some(s.Domainname)
	}
	c.Sysctls = l.Sysctl
	if p := l.Personality; p != nil {
		word, ok := request.PersonalityWord(p)
		t.refuse(!ok || len(p.Flags) > 0, "linux.personality")
		c.Personality = checkpoint.Some(word)
	}
}

// Options of a mount that are no flags of mount(2), and would reach the file
// system as if they were its own.
var notFlags = []string{
	"rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnoatime", "ratime",
	"rnodiratime", "rdiratime", "rrelatime", "rnorelatime", "rstrictatime", "rnostrictatime", "rnosymfollow", "rsymfollow",
	"idmap", "ridmap", "tmpcopyup", "copy-symlink", "dest-nofollow", "src-nofollow", "iversion", "noiversion", "lazytime",
	"nolazytime", "mand", "nomand", "silent", "loud", "symfollow", "noacl", "acl",
}

func (t *translator) mounts() {
	c, s := t.cfg, t.req.Spec
	if root := s.Root; root != nil && root.Path != "" {
		path := root.Path
		if !filepath.IsAbs(path) {
			t.refuse(t.req.Dir == "", "root.path", "a relative one, without a bundle")
			path = filepath.Join(t.req.Dir, path)
		}
		c.Root = checkpoint.Root{Path: path, ReadOnly: root.Readonly}
	}
	for i := range s.Mounts {
		m := &s.Mounts[i]
		field := fieldAt("mounts", i)
		t.refuse(len(m.UIDMappings)+len(m.GIDMappings) > 0, field+".uidMappings")
		for _, o := range m.Options {
			t.refuse(slices.Contains(notFlags, o), field+".options", o)
		}
		source, typ := m.Source, m.Type
		if slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			typ = "" // engines take "bind" and "none" for the type; the kernel takes neither
			if source != "" && !filepath.IsAbs(source) {
				t.refuse(t.req.Dir == "", field+".source", "a relative one, without a bundle")
				source = filepath.Join(t.req.Dir, source)
			}
		}
		c.Mounts = append(c.Mounts, checkpoint.Mount{Source: source, Target: m.Destination, Type: typ, Options: m.Options})
	}
	c.Propagation = strings.TrimPrefix(t.req.Linux().RootfsPropagation, "r")
}

func (t *translator) network() {
	for _, name := range sortedKeys(t.req.Linux().NetDevices) {
		inside := t.req.Linux().NetDevices[name].Name
		if inside == "" {
			inside = name
		}
		t.cfg.Network.Links = append(t.cfg.Network.Links, checkpoint.Link{Kind: checkpoint.Move, Host: name, Name: inside})
	}
	n := &t.req.Ext.Network
	t.cfg.Network.LoopbackUp = n.LoopbackUp
	for _, l := range n.Links {
		t.cfg.Network.Links = append(t.cfg.Network.Links, checkpoint.Link{
			Kind: checkpoint.LinkKind(l.Kind), Name: l.Name,
			Host: l.Host, Addresses: l.Addresses, HostAddresses: l.HostAddresses, MTU: l.MTU, Down: l.Down,
		})
	}
	for _, r := range n.Routes {
		t.cfg.Network.Routes = append(t.cfg.Network.Routes, checkpoint.Route(r))
	}
}

func (t *translator) extension() {
	c, e := t.cfg, &t.req.Ext
	c.Path, c.SearchPath = e.Path, e.SearchPath
	c.DenySetgroups, c.MapHelper = e.DenySetgroups, e.MapHelper
	if e.Securebits != nil {
		c.Securebits = checkpoint.Some(*e.Securebits)
	}
	if e.Pdeathsig != nil {
		c.Pdeathsig = checkpoint.Some(int(*e.Pdeathsig))
	}
	if e.Nice != nil {
		c.Nice = checkpoint.Some(*e.Nice)
	}
	if e.TimerSlack != nil {
		c.TimerSlack = checkpoint.Some(*e.TimerSlack)
	}
	if e.Personality != nil {
		c.Personality = checkpoint.Some(*e.Personality)
	}
	c.Affinity, c.Session, c.NewKeyring = e.Affinity, e.Session, e.NewKeyring
	c.IgnoreSignals, c.BlockSignals = numbers(e.IgnoreSignals), numbers(e.BlockSignals)
}

func numbers(list []request.Signal) []int {
	var out []int
	for _, s := range list {
		out = append(out, int(s))
	}
	return out
}

// Placement says in which cgroup hierarchies a configuration places the
// workload: what the oracle's features want to know.
func Placement(c *checkpoint.Config) (v2 bool, v1 []string) {
	return c.Cgroup.V2 != "", sortedKeys(c.Cgroup.V1)
}
