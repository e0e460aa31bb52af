package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var (
	podman = Foreign{
		Name: "podman", Binary: "podman", build: buildPodman,
		Knows: "a root; a mount namespace always, all others but time; id maps; binds, tmpfs; ids and groups; capabilities; seccomp; limits, sysctls, OOM score, masked paths",
		Profile: &oracle.Profile{
			Name: "podman", CopiesStreams: true, Libseccomp: true, NewerIsENOSYS: true,
			// podman-run(1), "ENVIRONMENT"; HOME is the runtime's.
			EnvAdds: []string{"PATH", "TERM", "HOSTNAME", "HOME", "container"},
			Devices: append(DefaultDevices(), append(allow("c", 10, 200), allow("c", 5, 1)...)...),
			// Its own config.json has them, whatever was asked for: podman-run(1), "--volume", "--read-only".
			Mounts: []string{
				"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
				"/run/.containerenv", "/run/secrets",
			},
		},
	}
	docker = Foreign{
		Name: "docker", Binary: "docker", Knows: "nothing: its daemon starts the workload, see the shim",
		Profile: &oracle.Profile{Name: "docker"},
		build: func(*form) error {
			return &UnsupportedError{"docker", "a daemon starts its workload, which is no descendant of the command: put \"holdshort shim\" before the daemon's runtime"}
		},
	}
)

// buildPodman: podman-run(1), 4.3. What it would choose where nothing is asked
// for (limits, umask, OOM score, a policy for seccomp) is named as our own.
func buildPodman(f *form) error {
	root := f.root()
	if root == "" {
		return &UnsupportedError{"root", "podman needs a root file system"}
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	f.add(f.engine.Binary)
	if unix.Access("/run/systemd/system", unix.F_OK) != nil {
		f.add("--cgroup-manager=cgroupfs", "--events-backend=file")
	}
	pidFile := filepath.Join(dir, "pid")
	f.add("run", "--rm", "--interactive", "--pidfile", pidFile, "--log-driver=none", "--no-hosts", "--passwd=false", "--systemd=false", "--http-proxy=false", "--image-volume=ignore")
	f.cmd.PID = func() (int, error) { return readPID(pidFile) }
	f.podmanNamespaces()
	f.podmanUser()
	f.podmanSecurity()
	if err := f.podmanSeccomp(dir); err != nil {
		return err
	}
	f.podmanLimits()
	if f.req.Spec.Root.Readonly {
		f.add("--read-only", "--read-only-tmpfs=false")
		f.rest.Spec.Root.Readonly = false
	}
	f.takeMounts(f.podmanMount)
	p, rest := f.req.Process(), f.rest
	if p.Cwd != "" {
		f.add("--workdir", p.Cwd)
		rest.Spec.Process.Cwd = ""
	}
	rest.Ext.Session, rest.Ext.SearchPath, rest.Ext.NewKeyring = false, false, false // the runtime does
	f.add("--unsetenv-all")
	for _, kv := range f.env() {
		f.add("--env", kv)
	}
	f.add("--rootfs", root)
	f.add(f.program()...)
	return nil
}

func (f *form) podmanNamespaces() {
	f.alwaysNS(specs.MountNamespace)
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		flag string
		own  string
	}{
		{specs.PIDNamespace, "--pid=", "private"},
		{specs.IPCNamespace, "--ipc=", "private"},
		{specs.UTSNamespace, "--uts=", "private"},
		{specs.NetworkNamespace, "--network=", "none"},
		{specs.CgroupNamespace, "--cgroupns=", "private"},
	} {
		if f.takeNS(n.kind) {
			f.add(n.flag + n.own)
		} else {
			f.add(n.flag + "host")
		}
	}
	if f.req.Namespace(specs.NetworkNamespace).Fresh() {
		f.rest.Ext.Network.LoopbackUp = false // always
	}
	if f.req.Namespace(specs.UTSNamespace).Fresh() {
		h := f.req.Spec.Hostname
		if h == "" {
			h = ownHostname() // or it is the id of the container
		}
		f.add("--hostname", h)
		f.rest.Spec.Hostname = ""
	}
}

func (f *form) podmanUser() {
	u, l := f.req.Process().User, f.req.Linux()
	if f.req.Namespace(specs.UserNamespace).Fresh() && len(l.UIDMappings) > 0 && len(l.GIDMappings) > 0 {
		f.takeNS(specs.UserNamespace)
		for _, m := range l.UIDMappings {
			f.add("--uidmap", fmt.Sprintf("%d:%d:%d", m.ContainerID, m.HostID, m.Size))
		}
		for _, m := range l.GIDMappings {
			f.add("--gidmap", fmt.Sprintf("%d:%d:%d", m.ContainerID, m.HostID, m.Size))
		}
		f.rest.Spec.Linux.UIDMappings, f.rest.Spec.Linux.GIDMappings = nil, nil
	}
	if f.req.Ext.KeepIDs {
		f.refuse(len(u.AdditionalGids) > 0, "holdshort.keepIDs", "with other groups")
		u = specs.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Umask: u.Umask}
		f.rest.Ext.KeepIDs = false
	}
	f.add("--user", fmt.Sprintf("%d:%d", u.UID, u.GID))
	for _, g := range u.AdditionalGids {
		f.add("--group-add", fmt.Sprint(g))
	}
	umask := ownUmask() // or it is 0022
	if u.Umask != nil {
		umask = *u.Umask
	}
	f.add("--umask", fmt.Sprintf("%04o", umask))
	f.rest.Spec.Process.User = specs.User{}
}

func (f *form) podmanSecurity() {
	p, l, rest := f.req.Process(), f.req.Linux(), f.rest.Spec
	// Of an ordinary user's capabilities only the bounding set is its.
	if set, ok := capsAre(p.Capabilities, false, false); ok && (set == 0 || p.User.UID == 0) {
		f.add("--cap-drop=all")
		for _, name := range capNames(set, ident) {
			f.add("--cap-add=" + name)
		}
		rest.Process.Capabilities = nil
	}
	if p.NoNewPrivileges {
		f.add("--security-opt=no-new-privileges")
		rest.Process.NoNewPrivileges = false
	}
	f.add("--security-opt=label=disable", "--security-opt=unmask=ALL")
	if len(l.MaskedPaths) > 0 {
		f.add("--security-opt=mask=" + strings.Join(l.MaskedPaths, ":"))
		rest.Linux.MaskedPaths = nil
	}
}

// podmanSeccomp writes the policy in the form of containers-common, which is
// that of the spec under other names.
func (f *form) podmanSeccomp(dir string) error {
	s := f.req.Linux().Seccomp
	if s == nil {
		f.add("--security-opt=seccomp=unconfined")
		return nil
	}
	type rule struct {
		Names    []string                 `json:"names"`
		Action   specs.LinuxSeccompAction `json:"action"`
		ErrnoRet *uint                    `json:"errnoRet,omitempty"`
		Args     []specs.LinuxSeccompArg  `json:"args"`
	}
	profile := struct {
		DefaultAction   specs.LinuxSeccompAction `json:"defaultAction"`
		DefaultErrnoRet *uint                    `json:"defaultErrnoRet,omitempty"`
		Architectures   []specs.Arch             `json:"architectures,omitempty"`
		Syscalls        []rule                   `json:"syscalls"`
	}{s.DefaultAction, s.DefaultErrnoRet, s.Architectures, []rule{}}
	if len(s.Flags) > 0 || s.ListenerPath != "" {
		return nil
	}
	for _, c := range s.Syscalls {
		profile.Syscalls = append(profile.Syscalls, rule{c.Names, c.Action, c.ErrnoRet, c.Args})
	}
	b, err := json.Marshal(profile)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "seccomp.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return err
	}
	f.add("--security-opt=seccomp=" + file)
	f.rest.Spec.Linux.Seccomp = nil
	return nil
}

func (f *form) podmanLimits() {
	f.takeRlimits(func(name string, soft, hard uint64) bool {
		f.add("--ulimit", name+"="+strings.ReplaceAll(limitPair(soft, hard), "unlimited", "-1"))
		return true
	})
	if !f.asksRlimit("RLIMIT_NOFILE") { // or it is as high as may be
		f.add("--ulimit", "nofile="+strings.ReplaceAll(ownLimit(unix.RLIMIT_NOFILE), "unlimited", "-1"))
	}
	if !f.asksRlimit("RLIMIT_NPROC") {
		// "--ulimit": by default 32768, to which it limits itself.
		const n = 32768
		f.add("--ulimit", fmt.Sprintf("nproc=%d:%d", n, n))
		f.implies("process.rlimits", "podman limits processes to 32768", func(r *request.Request) {
			r.Spec.Process.Rlimits = append(r.Spec.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_NPROC", Soft: n, Hard: n})
		})
	}
	p, l, rest := f.req.Process(), f.req.Linux(), f.rest.Spec
	oom := ownOOMScoreAdj() // or it is 0
	if n := p.OOMScoreAdj; n != nil {
		oom, rest.Process.OOMScoreAdj = *n, nil
	}
	f.add("--oom-score-adj", strconv.Itoa(oom))
	for _, k := range sortedKeys(l.Sysctl) {
		f.add("--sysctl", k+"="+l.Sysctl[k])
	}
	pids := int64(-1)
	if r := l.Resources; r != nil && r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit > 0 {
		pids = *r.Pids.Limit
		rest.Linux.Resources.Pids = nil
	}
	f.add("--pids-limit", fmt.Sprint(pids))
	if r := l.Resources; r != nil && r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit > 0 {
		f.add("--memory", fmt.Sprintf("%db", *r.Memory.Limit), "--memory-swap=-1")
		rest.Linux.Resources.Memory.Limit = nil
	}
	if rest.Linux != nil {
		rest.Linux.Sysctl = nil
	}
}

func ownUmask() uint32 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o022
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Umask:"); ok {
			if n, err := strconv.ParseUint(strings.TrimSpace(v), 8, 32); err == nil {
				return uint32(n)
			}
		}
	}
	return 0o022
}

func ownOOMScoreAdj() int {
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

func (f *form) podmanMount(m specs.Mount) bool {
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 || strings.ContainsAny(m.Source+m.Destination, ":,") {
		return false
	}
	switch {
	case plainProc(&m):
		return true // always
	case request.IsBind(&m):
		if !onlyOptions(&m, "bind", "rbind", "ro", "rw", "nosuid", "nodev", "noexec", "rprivate", "private") {
			return false
		}
		source := m.Source
		if !filepath.IsAbs(source) {
			source = filepath.Join(f.req.Dir, source)
		}
		// It adds nosuid, nodev and noexec where their opposites are not named.
		options := slices.Clone(m.Options)
		for _, o := range []string{"suid", "dev", "exec"} {
			if !slices.Contains(options, "no"+o) {
				options = append(options, o)
			}
		}
		f.add("--volume", source+":"+m.Destination+":"+list(options))
		return true
	case m.Type == "tmpfs":
		if !onlyOptions(&m, "ro", "rw", "nosuid", "nodev", "noexec", "size=", "mode=") {
			return false
		}
		options := slices.Clone(m.Options)
		for _, o := range []string{"suid", "dev", "exec"} {
			if !slices.Contains(options, "no"+o) {
				options = append(options, o)
			}
		}
		f.add("--tmpfs", m.Destination+":"+list(append(options, "notmpcopyup")))
		return true
	}
	return false
}
