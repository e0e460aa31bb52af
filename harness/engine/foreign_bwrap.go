package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var bwrap = Foreign{
	Name: "bwrap", Binary: "bwrap", build: buildBwrap,
	Knows: "mount namespace always; user, ipc, pid, net, uts, cgroup; binds, tmpfs, proc, mqueue; uid, gid; capabilities; seccomp",
	// bwrap(1): it always sets no_new_privs, and makes a second user namespace
	// where the ids that were asked for are not those that the set-up needs.
	Profile: &oracle.Profile{Name: "bwrap", AlwaysNoNewPrivs: true, EnvAdds: []string{"PWD"}, NestedUserNS: true, NoBounding: true},
}

func buildBwrap(f *form) error {
	f.add(f.engine.Binary)
	f.bwrapNamespaces()
	f.bwrapUser()
	f.bwrapMounts()
	f.bwrapCaps()
	p, x, rest := f.req.Process(), &f.req.Ext, &f.rest.Ext
	if p.Cwd != "" {
		f.add("--chdir", p.Cwd)
		f.rest.Spec.Process.Cwd = ""
	}
	f.add("--clearenv")
	for _, kv := range f.env() {
		k, v, _ := strings.Cut(kv, "=")
		f.add("--setenv", k, v)
	}
	if x.Session {
		f.add("--new-session")
		rest.Session = false
	}
	if x.Pdeathsig != nil && *x.Pdeathsig == request.Signal(unix.SIGKILL) {
		f.add("--die-with-parent")
		rest.Pdeathsig = nil
	}
	f.rest.Spec.Process.NoNewPrivileges = false // always
	rest.SearchPath = false                     // execvp
	if err := f.bwrapSeccomp(); err != nil {
		return err
	}
	if err := f.bwrapInfo(); err != nil {
		return err
	}
	f.add("--")
	f.add(f.program()...)
	return nil
}

// bwrapInfo has bwrap say which process is its child: the workload, or its init.
func (f *form) bwrapInfo() error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("engine: pipe: %w", err)
	}
	f.add("--info-fd", strconv.Itoa(f.file(os.NewFile(uintptr(p[1]), "info"))))
	fd := p[0] // not a file of package os, which would make it wait
	f.cmd.cleanups = append(f.cmd.cleanups, func() { _ = unix.Close(fd) })
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	var mu sync.Mutex
	var text []byte
	f.cmd.PID, f.cmd.Below = func() (int, error) {
		mu.Lock()
		defer mu.Unlock()
		b := make([]byte, 1024)
		for {
			n, err := unix.Read(fd, b)
			if n <= 0 || err != nil {
				break
			}
			text = append(text, b[:n]...)
		}
		var info struct {
			Child int `json:"child-pid"`
		}
		if err := json.Unmarshal(text, &info); err != nil {
			return 0, err
		}
		if info.Child == 0 {
			return 0, errors.New("bwrap has not named its child")
		}
		return info.Child, nil
	}, true
	return nil
}

func (f *form) bwrapNamespaces() {
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		flag string
	}{
		{specs.UserNamespace, "--unshare-user"},
		{specs.IPCNamespace, "--unshare-ipc"},
		{specs.PIDNamespace, "--unshare-pid"},
		{specs.NetworkNamespace, "--unshare-net"},
		{specs.UTSNamespace, "--unshare-uts"},
		{specs.CgroupNamespace, "--unshare-cgroup"},
	} {
		if f.takeNS(n.kind) {
			f.add(n.flag)
		}
	}
	f.alwaysNS(specs.MountNamespace)
	if f.req.Namespace(specs.PIDNamespace).Fresh() && !f.req.Ext.Init {
		f.add("--as-pid-1")
	}
	f.rest.Ext.Init = false
	if h := f.req.Spec.Hostname; h != "" {
		f.add("--hostname", h)
		f.rest.Spec.Hostname = ""
	}
	f.rest.Ext.Network.LoopbackUp = false // always
}

// bwrapUser: one id is mapped, to the caller's own, and setgroups is denied.
func (f *form) bwrapUser() {
	p, l := f.req.Process(), f.req.Linux()
	groups, _ := os.Getgroups()
	if !f.req.Namespace(specs.UserNamespace).Fresh() {
		f.ownIDs("without a user namespace bwrap changes no id and no group")
		return
	}
	f.refuse(!f.req.Ext.DenySetgroups && len(groups) > 0, "process.user.additionalGids", "bwrap denies setgroups and drops no group")
	one := func(m []specs.LinuxIDMapping, inside, outside int) bool {
		return len(m) == 1 && m[0] == specs.LinuxIDMapping{ContainerID: uint32(inside), HostID: uint32(outside), Size: 1}
	}
	if f.req.Ext.KeepIDs || !one(l.UIDMappings, int(p.User.UID), os.Geteuid()) || !one(l.GIDMappings, int(p.User.GID), os.Getegid()) {
		return
	}
	f.add("--uid", fmt.Sprint(p.User.UID), "--gid", fmt.Sprint(p.User.GID))
	r := f.rest.Spec
	r.Linux.UIDMappings, r.Linux.GIDMappings = nil, nil
	r.Process.User.UID, r.Process.User.GID = 0, 0
	f.rest.Ext.DenySetgroups = false
}

func (f *form) bwrapMounts() {
	root := f.root()
	switch {
	case root == "":
		f.add("--dev-bind", "/", "/")
	case f.req.Spec.Root.Readonly:
		f.add("--ro-bind", root, "/")
		f.rest.Spec.Root.Readonly = false
	default:
		f.add("--bind", root, "/")
	}
	f.rest.Spec.Root = nil
	f.takeMounts(f.bwrapMount)
}

func (f *form) bwrapMount(m specs.Mount) bool {
	only := func(allowed ...string) bool { return onlyOptions(&m, allowed...) }
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		return false
	}
	has := func(o string) bool { return slices.Contains(m.Options, o) }
	switch {
	case request.IsBind(&m):
		// Binds are recursive, nosuid, and nodev unless it is --dev-bind.
		if !has("rbind") || !only("rbind", "ro", "rw", "nosuid", "nodev", "rprivate", "private", "rslave", "slave") {
			return false
		}
		flag := "--bind"
		switch {
		case has("ro"):
			flag = "--ro-bind"
		case !has("nodev"):
			flag = "--dev-bind"
		}
		f.add(flag, m.Source, m.Destination)
	case m.Type == "proc" && only("nosuid", "noexec", "nodev") && f.req.Namespace(specs.PIDNamespace).Fresh():
		// Without a pid namespace of its own it binds the caller's.
		f.add("--proc", m.Destination)
	case m.Type == "mqueue" && only("nosuid", "noexec", "nodev"):
		f.add("--mqueue", m.Destination)
	case m.Type == "tmpfs":
		for _, o := range m.Options {
			k, v, _ := strings.Cut(o, "=")
			switch k {
			case "size":
				n, err := strconv.ParseUint(v, 10, 63)
				if err != nil {
					return false
				}
				f.add("--size", fmt.Sprint(n))
			case "mode":
				f.add("--perms", "0"+strings.TrimLeft(v, "0"))
			case "nosuid", "nodev":
			default:
				return false
			}
		}
		f.add("--tmpfs", m.Destination)
	default:
		return false
	}
	return true
}

// bwrapCaps: one set, which is permitted, effective, inheritable and ambient. The
// bounding set stays the caller's (measured with 0.8, as root without a user
// namespace).
func (f *form) bwrapCaps() {
	c := f.req.Process().Capabilities
	if c == nil {
		return
	}
	sets := [][]string{c.Effective, c.Inheritable, c.Ambient}
	want, err := request.CapSet(c.Permitted)
	for _, s := range sets {
		if n, e := request.CapSet(s); e != nil || n != want {
			err = errors.Join(err, errors.New("the sets differ"))
		}
	}
	if err != nil {
		return
	}
	f.refuse(true, "process.capabilities.bounding", "bwrap has no option for it")
	f.add("--cap-drop", "ALL")
	for _, name := range c.Permitted {
		f.add("--cap-add", name)
	}
	f.rest.Spec.Process.Capabilities = nil
}

func (f *form) bwrapSeccomp() error {
	s := f.req.Linux().Seccomp
	if s == nil || s.ListenerPath != "" || len(s.Flags) > 0 {
		return nil
	}
	b, err := CompileSeccomp(s)
	if err != nil {
		return nil //nolint:nilerr // it stays among what cannot be expressed
	}
	m, err := memfd("seccomp.bpf", b)
	if err != nil {
		return err
	}
	f.add("--seccomp", strconv.Itoa(f.file(m)))
	f.rest.Spec.Linux.Seccomp = nil
	return nil
}

// memfd is an open file with this content.
func memfd(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("engine: memfd_create: %w", err)
	}
	m := os.NewFile(uintptr(fd), name)
	if _, err := m.Write(b); err != nil {
		m.Close()
		return nil, err
	}
	if _, err := m.Seek(0, 0); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}
