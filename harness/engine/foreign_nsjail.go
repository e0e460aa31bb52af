package engine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var nsjail = Foreign{
	Name: "nsjail", Binary: "nsjail", build: buildNsjail,
	Knows:   "all namespaces; id maps; a root; binds, tmpfs; ids; capabilities (one set); nice, OOM score",
	Profile: &oracle.Profile{Name: "nsjail", AlwaysPdeathsig: true},
}

// buildNsjail: nsjail(1) and "nsjail --help", 3.6. A policy for seccomp is
// written in a language of its own (kafel), limits have one value for soft and
// hard and are counted in megabytes.
func buildNsjail(f *form) error {
	f.add(f.engine.Binary, "-Mo", "-Q", "--time_limit", "0", "--disable_rlimits")
	f.nsjailNamespaces()
	f.nsjailUser()
	root := f.root()
	if root == "" {
		root = "/"
	}
	f.add("--chroot", root)
	if r := f.req.Spec.Root; r == nil || !r.Readonly {
		f.add("--rw")
	} else {
		f.rest.Spec.Root.Readonly = false
	}
	f.nsjailMounts()
	p, rest := f.req.Process(), f.rest
	if p.Cwd != "" {
		f.add("--cwd", p.Cwd)
		rest.Spec.Process.Cwd = ""
	}
	if set, ok := capsAre(p.Capabilities, true, true); ok {
		for _, name := range capNames(set, ident) {
			f.add("--cap", name)
		}
		rest.Spec.Process.Capabilities = nil
	}
	if !p.NoNewPrivileges {
		f.add("--disable_no_new_privs")
	}
	rest.Spec.Process.NoNewPrivileges = false
	nice := ownNice()
	if n := f.req.Ext.Nice; n != nil {
		nice, rest.Ext.Nice = *n, nil
	}
	f.add("--nice_level", fmt.Sprint(nice)) // or it is 19
	if n := p.OOMScoreAdj; n != nil {
		f.add("--oom_score_adj", fmt.Sprint(*n))
		rest.Spec.Process.OOMScoreAdj = nil
	}
	if f.req.Ext.CoreSched {
		f.add("--use_core_scheduling")
		rest.Ext.CoreSched = false
	}
	rest.Ext.Session = false // always
	for n := range f.req.Ext.PassFDs {
		f.add("--pass_fd", fmt.Sprint(3+n))
	}
	rest.Ext.PassFDs = 0
	for _, kv := range f.env() {
		f.add("--env", kv)
	}
	f.add("--")
	f.add(f.program()...)
	return nil
}

// ownNice is our own nice value.
func ownNice() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - n // the system call answers in this way, getpriority(2)
}

func (f *form) nsjailNamespaces() {
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		name string
	}{
		{specs.MountNamespace, "newns"},
		{specs.PIDNamespace, "newpid"},
		{specs.IPCNamespace, "newipc"},
		{specs.UTSNamespace, "newuts"},
		{specs.NetworkNamespace, "newnet"},
		{specs.CgroupNamespace, "newcgroup"},
		{specs.UserNamespace, "newuser"},
	} {
		if !f.takeNS(n.kind) {
			f.add("--disable_clone_" + n.name)
		}
	}
	if f.takeNS(specs.TimeNamespace) {
		f.add("--enable_clone_newtime")
	}
	if f.req.Namespace(specs.NetworkNamespace).Fresh() && !f.req.Ext.Network.LoopbackUp {
		f.add("--iface_no_lo")
	}
	f.rest.Ext.Network.LoopbackUp = false
	if f.req.Namespace(specs.UTSNamespace).Fresh() {
		h := f.req.Spec.Hostname
		if h == "" {
			h = ownHostname() // or it is NSJAIL
		}
		f.add("--hostname", h)
		f.rest.Spec.Hostname = ""
	}
}

// nsjailUser: the ids inside are those of the first range.
func (f *form) nsjailUser() {
	u, l := f.req.Process().User, f.req.Linux()
	if f.req.Ext.KeepIDs {
		u.UID, u.GID = uint32(unix.Geteuid()), uint32(unix.Getegid())
	}
	if !f.req.Namespace(specs.UserNamespace).Fresh() {
		f.add("--user", fmt.Sprint(u.UID), "--group", fmt.Sprint(u.GID))
	} else {
		if len(l.UIDMappings) == 0 || len(l.GIDMappings) == 0 || l.UIDMappings[0].ContainerID != u.UID || l.GIDMappings[0].ContainerID != u.GID {
			return
		}
		for _, m := range l.UIDMappings {
			f.add("--user", fmt.Sprintf("%d:%d:%d", m.ContainerID, m.HostID, m.Size))
		}
		for _, m := range l.GIDMappings {
			f.add("--group", fmt.Sprintf("%d:%d:%d", m.ContainerID, m.HostID, m.Size))
		}
		f.rest.Spec.Linux.UIDMappings, f.rest.Spec.Linux.GIDMappings = nil, nil
	}
	f.rest.Ext.KeepIDs = false
	left := &f.rest.Spec.Process.User
	left.UID, left.GID = 0, 0
}

func (f *form) nsjailMounts() {
	proc := false
	f.takeMounts(func(m specs.Mount) bool {
		if len(m.UIDMappings)+len(m.GIDMappings) > 0 || strings.Contains(m.Source+m.Destination, ":") {
			return false
		}
		switch {
		case m.Type == "proc" && m.Destination == "/proc" && onlyOptions(&m, "ro", "rw"): // without nosuid and the like
			proc = true
			if !slices.Contains(m.Options, "ro") {
				f.add("--proc_rw")
			}
			return true
		case request.IsBind(&m):
			if !slices.Contains(m.Options, "rbind") || !onlyOptions(&m, "rbind", "ro", "rw") {
				return false
			}
			source, flag := m.Source, "--bindmount"
			if !filepath.IsAbs(source) {
				source = filepath.Join(f.req.Dir, source)
			}
			if slices.Contains(m.Options, "ro") {
				flag = "--bindmount_ro"
			}
			f.add(flag, source+":"+m.Destination)
			return true
		case m.Type == "tmpfs" && onlyOptions(&m, "size=", "mode="):
			f.add("--mount", "none:"+m.Destination+":tmpfs:"+list(m.Options))
			return true
		}
		return false
	})
	if !proc {
		f.add("--disable_proc")
	}
}
