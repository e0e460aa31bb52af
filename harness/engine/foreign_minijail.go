package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var minijail = Foreign{
	Name: "minijail", Binary: "minijail0", build: buildMinijail,
	Knows:   "namespaces but time; id maps; a root; mounts by flags; ids and groups; capabilities (one set); seccomp; limits",
	Profile: &oracle.Profile{Name: "minijail"},
}

// buildMinijail: minijail0(1). With -T static everything is applied before
// execve; otherwise much of it is by a preloaded library, after it.
func buildMinijail(f *form) error {
	f.add(f.engine.Binary, "--no-default-runtime-environment", "-T", "static", "--logging=stderr")
	dir, err := f.dir()
	if err != nil {
		return err
	}
	pidFile := filepath.Join(dir, "pid")
	f.add("-f", pidFile)
	f.cmd.PID = func() (int, error) { return readPID(pidFile) }
	f.minijailNamespaces()
	f.minijailUser()
	if root := f.root(); root != "" {
		f.add("-P", root)
		if f.req.Process().Cwd == "/" {
			f.rest.Spec.Process.Cwd = "" // always
		}
	}
	f.takeMounts(f.minijailMount)
	p, rest := f.req.Process(), f.rest
	if set, ok := capsAre(p.Capabilities, true, true); ok {
		f.add("-c", fmt.Sprintf("0x%x", set), "--ambient")
		rest.Spec.Process.Capabilities = nil
		f.minijailSecurebits()
	}
	if p.NoNewPrivileges {
		f.add("-n")
		rest.Spec.Process.NoNewPrivileges = false
	}
	f.takeRlimits(func(name string, soft, hard uint64) bool {
		f.add("-R", fmt.Sprintf("RLIMIT_%s,%s,%s", strings.ToUpper(name), limit(soft), limit(hard)))
		return true
	})
	if s := f.req.Linux().Seccomp; s != nil && s.ListenerPath == "" && len(s.Flags) == 0 {
		if b, err := CompileSeccomp(s); err == nil {
			file := filepath.Join(dir, "seccomp.bpf")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				return err
			}
			f.add("--seccomp-bpf-binary=" + file)
			rest.Spec.Linux.Seccomp = nil
		}
	}
	if f.req.Ext.NewKeyring {
		f.add("-w")
		rest.Ext.NewKeyring = false
	}
	rest.Ext.Session, rest.Ext.SearchPath = false, false // always
	for n := range f.req.Ext.PassFDs {
		f.add("--preserve-fd", fmt.Sprint(3+n))
	}
	rest.Ext.PassFDs = 0
	f.cmd.Env = f.env()
	f.add("--")
	f.add(f.program()...)
	return nil
}

// minijailSecurebits: with -B, which keeps it from setting them, it does not
// limit the bounding set either ("SECURE_NOROOT not set, not dropping bounding
// set").
func (f *form) minijailSecurebits() {
	// Each bit and its lock, but those of raising ambient capabilities, which
	// it does later, and keep_caps, which execve clears.
	const all = 0x2f
	if b := f.req.Ext.Securebits; b != nil && *b == all {
		f.rest.Ext.Securebits = nil
		return
	}
	f.implies("holdshort.securebits", "with capabilities minijail sets and locks them all", func(r *request.Request) {
		bits := uint32(all)
		r.Ext.Securebits = &bits
	})
}

func (f *form) minijailNamespaces() {
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		flag string
	}{
		{specs.IPCNamespace, "-l"},
		{specs.NetworkNamespace, "-e"},
		{specs.CgroupNamespace, "-N"},
	} {
		if f.takeNS(n.kind) {
			f.add(n.flag)
		}
	}
	if f.req.Namespace(specs.NetworkNamespace).Fresh() {
		f.rest.Ext.Network.LoopbackUp = false // always
	}
	fresh := f.takeNS(specs.PIDNamespace)
	root := f.req.Spec.Root != nil && f.req.Spec.Root.Path != ""
	switch {
	case fresh || root:
		// -p and -P imply it.
		f.alwaysNS(specs.MountNamespace)
	case f.takeNS(specs.MountNamespace):
		f.add("-v")
	}
	switch {
	case fresh && f.req.Ext.Init:
		f.add("-p")
		f.rest.Ext.Init = false
	case fresh:
		f.add("-I")
	}
	if f.takeNS(specs.UTSNamespace) {
		if h := f.req.Spec.Hostname; h != "" {
			f.add("--uts=" + h)
			f.rest.Spec.Hostname = ""
		} else {
			f.add("--uts")
		}
	}
}

func (f *form) minijailUser() {
	u, l := f.req.Process().User, f.req.Linux()
	if f.req.Namespace(specs.UserNamespace).Fresh() && len(l.UIDMappings) > 0 && len(l.GIDMappings) > 0 && f.req.Namespace(specs.PIDNamespace).Fresh() {
		triples := func(ms []specs.LinuxIDMapping) string {
			var out []string
			for _, m := range ms {
				out = append(out, fmt.Sprintf("%d %d %d", m.ContainerID, m.HostID, m.Size))
			}
			return list(out)
		}
		f.takeNS(specs.UserNamespace)
		f.add("-U", "-m"+triples(l.UIDMappings), "-M"+triples(l.GIDMappings))
		f.rest.Spec.Linux.UIDMappings, f.rest.Spec.Linux.GIDMappings = nil, nil
	}
	if f.req.Ext.KeepIDs || u.UID == 0 || u.GID == 0 {
		f.ownIDs("minijail changes to nobody of the id 0")
		return
	}
	f.add("-u", fmt.Sprint(u.UID), "-g", fmt.Sprint(u.GID))
	for _, g := range u.AdditionalGids {
		f.add("--add-suppl-group", fmt.Sprint(g))
	}
	f.rest.Spec.Process.User = specs.User{Umask: f.rest.Spec.Process.User.Umask}
}

// mountFlags are those of mount(2) that have no propagation in them.
var mountFlags = map[string]uint64{"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "rw": 0}

func (f *form) minijailMount(m specs.Mount) bool {
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 || strings.Contains(m.Source+m.Destination, ",") {
		return false
	}
	if request.IsBind(&m) {
		// A bind of its own is recursive.
		if !slices.Contains(m.Options, "rbind") || !onlyOptions(&m, "rbind", "ro", "rw") {
			return false
		}
		source, writable := m.Source, "1"
		if !filepath.IsAbs(source) {
			source = filepath.Join(f.req.Dir, source)
		}
		if slices.Contains(m.Options, "ro") {
			writable = "0"
		}
		f.add("-b", source+","+m.Destination+","+writable)
		return true
	}
	if m.Type == "proc" && m.Destination == "/proc" && f.req.Namespace(specs.PIDNamespace).Fresh() {
		// It mounts /proc once more, read-only (-r).
		return slices.Contains(m.Options, "ro") && onlyOptions(&m, "ro", "nosuid", "nodev", "noexec")
	}
	var flags uint64
	var data []string
	for _, o := range m.Options {
		bit, ok := mountFlags[o]
		switch {
		case ok:
			flags |= bit
		case m.Type == "tmpfs" && (strings.HasPrefix(o, "size=") || strings.HasPrefix(o, "mode=")):
			data = append(data, o)
		default:
			return false
		}
	}
	if len(data) > 1 {
		return false // one option, as a comma ends it
	}
	source := m.Source
	if source == "" {
		source = "none"
	}
	f.add("-k", strings.Join(append([]string{source, m.Destination, m.Type, fmt.Sprintf("0x%x", flags)}, data...), ","))
	return true
}
