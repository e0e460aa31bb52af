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
)

var lxc = Foreign{
	Name: "lxc-execute", Binary: "lxc-execute", build: buildLXC,
	Knows: "a root; mount, pid, ipc, uts and cgroup namespaces always; net, user; id maps; mounts; ids and groups; capabilities (bounding); limits, sysctls, OOM score",
	Profile: &oracle.Profile{
		Name: "lxc-execute", Init: true,
		// do_start (src/lxc/start.c) clears the environment and adds this;
		// lxc.container.conf(5), "ENVIRONMENT VARIABLES".
		EnvAdds: []string{"container", "PATH"},
	},
}

// lxcConf collects a file of lxc.container.conf(5).
type lxcConf struct{ strings.Builder }

func (c *lxcConf) set(key, value string) { fmt.Fprintf(c, "lxc.%s = %s\n", key, value) }

// buildLXC: lxc-execute(1) and lxc.container.conf(5), 5.0.
func buildLXC(f *form) error {
	root := f.root()
	if root == "" {
		return &UnsupportedError{"root", "without one lxc-execute shares the host's mounts in its own way"}
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // it looks for the way as the container's root
		return err
	}
	c := &lxcConf{}
	c.set("rootfs.path", "dir:"+root)
	c.set("autodev", "0")
	c.set("console.path", "none") // or it makes a file for it, which a read-only root refuses
	if f.req.Spec.Root.Readonly {
		c.set("rootfs.options", "ro")
		f.rest.Spec.Root.Readonly = false
	}
	f.lxcNamespaces(c)
	f.lxcMounts(c)
	f.lxcProcess(c)
	for _, kv := range f.env() {
		if strings.Contains(kv, "\n") {
			return &UnsupportedError{"process.env", "a value of more than one line"}
		}
		c.set("environment", kv)
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(c.String()), 0o600); err != nil {
		return err
	}
	f.rest.Ext.Session, f.rest.Ext.SearchPath, f.rest.Ext.Init = false, false, false // always
	f.add(f.engine.Binary, "--name", filepath.Base(dir), "--lxcpath", dir, "--rcfile", file, "--quiet", "--")
	f.add(f.program()...)
	return nil
}

func (f *form) lxcNamespaces(c *lxcConf) {
	// lxc.namespace.keep would share one; 5.0.2 then fails to set up mounts, and
	// hangs ("Failed to inform parent that we are done setting up mounts").
	f.alwaysNS(specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace)
	fresh := f.takeNS(specs.NetworkNamespace)
	if fresh {
		c.set("net.0.type", "empty")
		f.rest.Ext.Network.LoopbackUp = false // always
	} else {
		c.set("net.0.type", "none")
	}
	h := f.req.Spec.Hostname
	if h == "" {
		h = ownHostname() // or it is the container's name
	}
	c.set("uts.name", h)
	f.rest.Spec.Hostname = ""
	l, rest := f.req.Linux(), f.rest.Spec.Linux
	if f.req.Namespace(specs.UserNamespace).Fresh() && len(l.UIDMappings) > 0 && len(l.GIDMappings) > 0 {
		f.takeNS(specs.UserNamespace)
		for _, m := range l.UIDMappings {
			c.set("idmap", fmt.Sprintf("u %d %d %d", m.ContainerID, m.HostID, m.Size))
		}
		for _, m := range l.GIDMappings {
			c.set("idmap", fmt.Sprintf("g %d %d %d", m.ContainerID, m.HostID, m.Size))
		}
		rest.UIDMappings, rest.GIDMappings = nil, nil
	}
	for _, k := range sortedKeys(l.Sysctl) {
		c.set("sysctl."+k, l.Sysctl[k])
	}
	if rest != nil {
		rest.Sysctl = nil
	}
}

func (f *form) lxcMounts(c *lxcConf) {
	f.takeMounts(func(m specs.Mount) bool {
		known := []string{"ro", "rw", "nosuid", "nodev", "noexec", "bind", "rbind"}
		if m.Type == "tmpfs" {
			known = append(known, "size=", "mode=")
		}
		if len(m.UIDMappings)+len(m.GIDMappings) > 0 || !onlyOptions(&m, known...) || strings.ContainsAny(m.Source+m.Destination, " \t\n\\") {
			return false
		}
		kind, source := m.Type, m.Source
		if request.IsBind(&m) {
			if kind = "none"; !filepath.IsAbs(source) {
				source = filepath.Join(f.req.Dir, source)
			}
		}
		if source == "" {
			source = "none"
		}
		options := slices.Clone(m.Options)
		if len(options) == 0 {
			options = []string{"defaults"}
		}
		c.set("mount.entry", strings.Join([]string{source, strings.TrimPrefix(m.Destination, "/"), kind, list(options), "0 0"}, " "))
		return true
	})
}

func (f *form) lxcProcess(c *lxcConf) {
	p, rest := f.req.Process(), f.rest.Spec.Process
	if p.Cwd != "" {
		c.set("init.cwd", p.Cwd)
		rest.Cwd = ""
	}
	if f.req.Ext.KeepIDs {
		f.ownIDs("")
	} else {
		c.set("init.uid", fmt.Sprint(p.User.UID))
		c.set("init.gid", fmt.Sprint(p.User.GID))
		if len(p.User.AdditionalGids) > 0 {
			c.set("init.groups", strings.Trim(fmt.Sprint(p.User.AdditionalGids), "[]"))
		}
		rest.User = specs.User{Umask: rest.User.Umask}
	}
	if set, ok := capsAre(p.Capabilities, false, false); ok {
		keep := "none"
		if set != 0 {
			keep = strings.Join(capNames(set, lowerCap), " ")
		}
		c.set("cap.keep", keep)
		rest.Capabilities = nil
	}
	if p.NoNewPrivileges {
		c.set("no_new_privs", "1")
		rest.NoNewPrivileges = false
	}
	f.takeRlimits(func(name string, soft, hard uint64) bool {
		c.set("prlimit."+name, limitPair(soft, hard))
		return true
	})
	if n := p.OOMScoreAdj; n != nil {
		c.set("proc.oom_score_adj", fmt.Sprint(*n))
		rest.OOMScoreAdj = nil
	}
}
