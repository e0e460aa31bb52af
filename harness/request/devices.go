package request

import (
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// IsBind reports whether a mount is a bind mount.
func IsBind(m *specs.Mount) bool {
	return slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// DefaultDevices are what the specification wants supplied without being asked
// (config-linux.md, Default Devices), and where its links lead
// (runtime-linux.md, Dev symbolic links). They are supplied in a /dev that the
// request mounts; a directory of the root that is called /dev is left as it is.
// Nothing is supplied where the request itself puts something.
func (r *Request) DefaultDevices() (devices []specs.LinuxDevice, links [][2]string, console bool) {
	if !r.suppliesDev() {
		return nil, nil, false
	}
	for _, d := range []specs.LinuxDevice{
		{Path: "/dev/null", Minor: 3},
		{Path: "/dev/zero", Minor: 5},
		{Path: "/dev/full", Minor: 7},
		{Path: "/dev/random", Minor: 8},
		{Path: "/dev/urandom", Minor: 9},
		{Path: "/dev/tty", Major: 5},
	} {
		if d.Type = "c"; d.Major == 0 {
			d.Major = 1
		}
		if !r.occupies(d.Path) {
			devices = append(devices, d)
		}
	}
	for _, l := range [][2]string{
		{"/dev/fd", "/proc/self/fd"},
		{"/dev/stdin", "/proc/self/fd/0"},
		{"/dev/stdout", "/proc/self/fd/1"},
		{"/dev/stderr", "/proc/self/fd/2"},
		{"/dev/ptmx", "pts/ptmx"},
	} {
		if !r.occupies(l[0]) {
			links = append(links, l)
		}
	}
	return devices, links, r.Process().Terminal && !r.occupies("/dev/console")
}

// suppliesDev: the request has a root, and mounts a file system on its /dev.
func (r *Request) suppliesDev() bool {
	if r.Spec.Root == nil || r.Spec.Root.Path == "" {
		return false
	}
	return slices.ContainsFunc(r.Spec.Mounts, func(m specs.Mount) bool {
		return path.Clean("/"+m.Destination) == "/dev" && !IsBind(&m) && !slices.Contains(m.Options, "remount")
	})
}

func (r *Request) occupies(at string) bool {
	return slices.ContainsFunc(r.Spec.Mounts, func(m specs.Mount) bool { return path.Clean("/"+m.Destination) == at }) ||
		slices.ContainsFunc(r.Linux().Devices, func(d specs.LinuxDevice) bool { return path.Clean("/"+d.Path) == at })
}

func (c *checker) mountOptions(r *Request, f string, m *specs.Mount) {
	mapped := len(m.UIDMappings)+len(m.GIDMappings) > 0
	asked := slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap")
	bind := IsBind(m) && !slices.Contains(m.Options, "remount")
	c.check((len(m.UIDMappings) == 0) == (len(m.GIDMappings) == 0), f+".uidMappings", "and gidMappings go together")
	c.check(!mapped && !asked || bind, f+".options", "an id map is for a bind mount")
	c.check(!asked || mapped || len(r.Linux().UIDMappings) > 0, f+".options", "idmap without mappings, of the mount or of a new user namespace")
	c.idMap(f+".uidMappings", m.UIDMappings, true)
	c.idMap(f+".gidMappings", m.GIDMappings, true)
	c.check(!slices.Contains(m.Options, "tmpcopyup") || m.Type == "tmpfs" && !IsBind(m), f+".options", "tmpcopyup is for a tmpfs")
}

func (c *checker) paths(r *Request) {
	l := r.Linux()
	own := r.Namespace(specs.MountNamespace).Asked
	c.check(own || len(l.MaskedPaths) == 0, "linux.maskedPaths", "need a mount namespace")
	c.check(own || len(l.ReadonlyPaths) == 0, "linux.readonlyPaths", "need a mount namespace")
	rooted := r.Spec.Root != nil && r.Spec.Root.Path != ""
	c.check(own && rooted || len(l.Devices) == 0, "linux.devices", "need a mount namespace and root.path: they would be made on the host")
	for i, d := range l.Devices {
		f := at("linux.devices", i)
		c.check(path.Clean("/"+d.Path) != "/", f+".path", "%q is the root", d.Path)
		c.check(d.Major <= 0xfff && d.Minor <= 0xfffff, f, "device number beyond the kernel's 12 and 20 bits")
		c.check(d.FileMode == nil || *d.FileMode <= 0o7777, f+".fileMode", "%#o is more than permission bits", deref(d.FileMode))
		c.check(deref(d.UID) != maxID && deref(d.GID) != maxID, f, "owner is no id")
	}
}
