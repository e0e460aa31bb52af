package engine

import (
	"maps"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

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
	c.UIDMap, c.GIDMap = idMap(l.UIDMappings), idMap(l.GIDMappings)
	mono, boot := request.Offsets(l.TimeOffsets)
	c.TimeOffsets = checkpoint.TimeOffsets{Monotonic: time.Duration(mono), Boottime: time.Duration(boot)}
	if s.Hostname != "" {
		c.Hostname = checkpoint.Some(s.Hostname)
	}
	if s.Domainname != "" {
		c.Domainname = checkpoint.Some(s.Domainname)
	}
	c.Sysctls = maps.Clone(l.Sysctl)
	if p := l.Personality; p != nil {
		word, ok := request.PersonalityWord(p)
		t.refuse(!ok || len(p.Flags) > 0, "linux.personality")
		c.Personality = checkpoint.Some(word)
	}
}

func idMap(m []specs.LinuxIDMapping) []checkpoint.IDMap {
	var out []checkpoint.IDMap
	for _, e := range m {
		out = append(out, checkpoint.IDMap{Inside: e.ContainerID, Outside: e.HostID, Count: e.Size})
	}
	return out
}
