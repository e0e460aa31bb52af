package engine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var nspawn = Foreign{
	Name: "systemd-nspawn", Binary: "systemd-nspawn", build: buildNspawn,
	Knows: "a root with /usr and os-release; mount, pid, ipc and uts namespaces always; net, user; binds, tmpfs; capabilities (one set); limits, OOM score, affinity",
	Profile: &oracle.Profile{
		Name: "systemd-nspawn", AlwaysFilters: true,
		// systemd-nspawn(1), "--setenv=", and the container interface
		// (CONTAINER_INTERFACE.md).
		EnvAdds: []string{"PATH", "container", "TERM", "HOME", "USER", "LOGNAME", "container_uuid", "NOTIFY_SOCKET", "LANG", "container_host_id", "container_host_version_id", "container_host_build_id", "container_host_variant_id"},
		// systemd-nspawn(1): the API file systems, and /run/host.
		Mounts: []string{"/proc/", "/sys/", "/dev/", "/run/", "/tmp"},
	},
}

// buildNspawn: systemd-nspawn(1), 252.
func buildNspawn(f *form) error {
	f.add(f.engine.Binary, "--quiet", "--register=no", "--keep-unit", "--settings=no", "--pipe")
	f.add("--resolv-conf=off", "--timezone=off", "--link-journal=no")
	root := f.root()
	if root == "" {
		return &UnsupportedError{"root", "systemd-nspawn needs a root file system"}
	}
	f.add("--directory=" + root)
	if f.req.Spec.Root.Readonly {
		f.add("--read-only")
		f.rest.Spec.Root.Readonly = false
	}
	f.alwaysNS(specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace)
	if cgroupns := specs.CgroupNamespace; nspawnCgroupNS() {
		f.alwaysNS(cgroupns)
	}
	if f.takeNS(specs.NetworkNamespace) {
		f.add("--private-network")
		f.rest.Ext.Network.LoopbackUp = false // always
	}
	if f.req.Ext.Init {
		f.add("--as-pid2")
		f.rest.Ext.Init = false
	}
	f.nspawnUser()
	h := f.req.Spec.Hostname
	if h == "" {
		h = ownHostname()
	}
	f.add("--hostname=" + h)
	f.rest.Spec.Hostname = ""
	f.takeMounts(f.nspawnMount)
	p, rest := f.req.Process(), f.rest
	if p.Cwd != "" {
		f.add("--chdir=" + p.Cwd)
		rest.Spec.Process.Cwd = ""
	}
	if set, ok := capsAre(p.Capabilities, true, false); ok {
		f.add("--capability="+list(capNames(set, ident)), "--drop-capability="+list(capNames(^set, ident)))
		rest.Spec.Process.Capabilities = nil
	}
	if p.NoNewPrivileges {
		f.add("--no-new-privileges=yes")
		rest.Spec.Process.NoNewPrivileges = false
	}
	f.nspawnLimits()
	rest.Ext.Session, rest.Ext.SearchPath = false, false // always
	for _, kv := range f.env() {
		f.add("--setenv=" + kv)
	}
	f.add("--")
	f.add(f.program()...)
	return nil
}

// nspawnCgroupNS: nspawn makes a cgroup namespace where the kernel has them
// (cg_ns_supported, src/nspawn/nspawn.c).
func nspawnCgroupNS() bool { return unix.Access("/proc/self/ns/cgroup", unix.F_OK) == nil }

func ident(s string) string { return s }

func list(s []string) string { return strings.Join(s, ",") }

// nspawnUser: the program is root's; --user takes a name of the passwd file
// inside. One range of ids is mapped for both kinds of ids.
func (f *form) nspawnUser() {
	u, l := f.req.Process().User, f.req.Linux()
	root := u.UID == 0 && u.GID == 0 && len(u.AdditionalGids) == 0 || f.req.Ext.KeepIDs && unix.Geteuid() == 0
	if root {
		f.rest.Ext.KeepIDs = false
		f.rest.Spec.Process.User = specs.User{Umask: f.rest.Spec.Process.User.Umask}
	}
	for _, k := range []string{"uid", "gid", "additionalGids"} {
		f.whys["process.user."+k] = "it knows users by name alone, from the passwd file of the root"
	}
	if !f.req.Namespace(specs.UserNamespace).Fresh() {
		f.add("--private-users=no")
		return
	}
	if m := l.UIDMappings; len(m) == 1 && slices.Equal(m, l.GIDMappings) && m[0].ContainerID == 0 && m[0].Size%65536 == 0 && m[0].HostID%65536 == 0 && m[0].HostID != 0 {
		f.takeNS(specs.UserNamespace)
		f.add(fmt.Sprintf("--private-users=%d:%d", m[0].HostID, m[0].Size), "--private-users-ownership=off")
		f.rest.Spec.Linux.UIDMappings, f.rest.Spec.Linux.GIDMappings = nil, nil
	}
}

func (f *form) nspawnMount(m specs.Mount) bool {
	switch {
	case len(m.UIDMappings)+len(m.GIDMappings) > 0:
		return false
	case plainProc(&m):
		return true // always
	case request.IsBind(&m):
		if !onlyOptions(&m, "rbind", "bind", "ro", "rw") || strings.Contains(m.Source+m.Destination, ":") {
			return false
		}
		flag, how := "--bind=", "norbind"
		if slices.Contains(m.Options, "ro") {
			flag = "--bind-ro="
		}
		if slices.Contains(m.Options, "rbind") {
			how = "rbind"
		}
		source := m.Source
		if !filepath.IsAbs(source) {
			source = filepath.Join(f.req.Dir, source)
		}
		f.add(flag + source + ":" + m.Destination + ":" + how)
		return true
	case m.Type == "tmpfs":
		if !onlyOptions(&m, "nosuid", "nodev", "noexec", "ro", "size=", "mode=") {
			return false
		}
		f.add("--tmpfs=" + m.Destination + ":" + list(m.Options))
		return true
	}
	return false
}

// nspawnLimits: limits that are not named become those of process 1, so those
// that nobody asked for are named as our own.
func (f *form) nspawnLimits() {
	asked := map[string]string{}
	f.takeRlimits(func(name string, soft, hard uint64) bool {
		asked[strings.ToUpper(name)] = strings.ReplaceAll(limitPair(soft, hard), "unlimited", "infinity")
		return true
	})
	for n := range 16 {
		name := strings.TrimPrefix(request.RlimitName(n), "RLIMIT_")
		v, ok := asked[name]
		if !ok {
			v = strings.ReplaceAll(ownLimit(n), "unlimited", "infinity")
		}
		f.add("--rlimit=" + name + "=" + v)
	}
	p, rest := f.req.Process(), f.rest
	if n := p.OOMScoreAdj; n != nil {
		f.add("--oom-score-adjust=" + strconv.Itoa(*n))
		rest.Spec.Process.OOMScoreAdj = nil
	}
	if cpus := f.req.Ext.Affinity; len(cpus) > 0 {
		f.add("--cpu-affinity=" + strings.Trim(fmt.Sprint(cpus), "[]"))
		rest.Ext.Affinity = nil
	}
}
