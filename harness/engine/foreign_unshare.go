package engine

import (
	"fmt"
	"os"
	"slices"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var unshare = Foreign{
	Name: "unshare", Binary: "unshare", build: buildUnshare,
	Knows:   "namespaces; one mapped id; time offsets; uid and gid; root (by chroot), working directory",
	Profile: &oracle.Profile{Name: "unshare"},
}

func buildUnshare(f *form) error {
	f.add(f.engine.Binary)
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		flag string
	}{
		{specs.UserNamespace, "--user"},
		{specs.MountNamespace, "--mount"},
		{specs.IPCNamespace, "--ipc"},
		{specs.PIDNamespace, "--pid"},
		{specs.NetworkNamespace, "--net"},
		{specs.UTSNamespace, "--uts"},
		{specs.CgroupNamespace, "--cgroup"},
		{specs.TimeNamespace, "--time"},
	} {
		if f.takeNS(n.kind) {
			f.add(n.flag)
		}
	}
	if f.req.Namespace(specs.PIDNamespace).Fresh() {
		f.add("--fork")
	}
	f.unshareUser()
	p, l, rest := f.req.Process(), f.req.Linux(), f.rest
	if off := l.TimeOffsets; len(off) > 0 {
		whole := !slices.ContainsFunc(sortedKeys(off), func(k string) bool { return off[k].Nanosecs != 0 })
		if whole {
			for _, k := range sortedKeys(off) {
				f.add("--" + k + "=" + fmt.Sprint(off[k].Secs))
			}
			rest.Spec.Linux.TimeOffsets = nil
		}
	}
	if kind := l.RootfsPropagation; slices.Contains([]string{"private", "shared", "slave"}, kind) && f.req.Namespace(specs.MountNamespace).Fresh() {
		f.add("--propagation", kind)
		rest.Spec.Linux.RootfsPropagation = ""
	}
	if root := f.root(); root != "" {
		f.add("--root=" + root)
	}
	if p.Cwd != "" {
		f.add("--wd=" + p.Cwd)
		rest.Spec.Process.Cwd = ""
	}
	rest.Ext.SearchPath = false // execvp
	rest.Ext.PassFDs = 0        // all are passed
	f.cmd.Env = f.env()
	f.add("--")
	f.add(f.program()...)
	return nil
}

func (f *form) unshareUser() {
	p, l, rest := f.req.Process(), f.req.Linux(), f.rest
	one := func(m []specs.LinuxIDMapping, outside int) (uint32, bool) {
		return firstID(m), len(m) == 1 && m[0].Size == 1 && m[0].HostID == uint32(outside)
	}
	if f.req.Namespace(specs.UserNamespace).Fresh() {
		uid, ok1 := one(l.UIDMappings, os.Geteuid())
		gid, ok2 := one(l.GIDMappings, os.Getegid())
		switch {
		case len(l.UIDMappings)+len(l.GIDMappings) == 0:
		case ok1 && ok2 && f.req.Ext.DenySetgroups && (f.req.Ext.KeepIDs || p.User.UID == uid && p.User.GID == gid):
			f.add("--map-user="+fmt.Sprint(uid), "--map-group="+fmt.Sprint(gid))
			rest.Spec.Linux.UIDMappings, rest.Spec.Linux.GIDMappings = nil, nil
			rest.Ext.DenySetgroups = false
			rest.Spec.Process.User.UID, rest.Spec.Process.User.GID = 0, 0
			rest.Ext.KeepIDs = false
		}
		return
	}
	switch {
	case f.req.Ext.KeepIDs:
		rest.Ext.KeepIDs = false
	case len(p.User.AdditionalGids) == 0:
		// --setgid drops the groups.
		f.add("--setgid", fmt.Sprint(p.User.GID), "--setuid", fmt.Sprint(p.User.UID))
		rest.Spec.Process.User.UID, rest.Spec.Process.User.GID = 0, 0
	}
}

func firstID(m []specs.LinuxIDMapping) uint32 {
	if len(m) == 0 {
		return 0
	}
	return m[0].ContainerID
}
