package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var firejail = Foreign{
	Name: "firejail", Binary: "firejail", build: buildFirejail,
	Knows: "the host's files, with mount, pid, uts and (for root) ipc namespaces always; an empty net; tmpfs, masked and read-only paths; capabilities (bounding); a few limits, nice, affinity, OOM score",
	Profile: &oracle.Profile{
		Name: "firejail", Init: true,
		// src/firejail/env.c sets these; bash, through which it starts the
		// program, sets the last ones.
		EnvAdds: []string{
			"container", "FIREJAIL_QUIET", "QT_X11_NO_MITSHM", "QML_DISABLE_DISK_CACHE", "KDE_FORK_SLAVES", "PROMPT_COMMAND", "SHELL",
			"PATH", "PWD", "OLDPWD", "SHLVL", "_",
		},
	},
}

// buildFirejail: firejail(1), 0.9.72.
func buildFirejail(f *form) error {
	f.add(f.engine.Binary, "--quiet", "--noprofile")
	f.alwaysNS(specs.MountNamespace, specs.PIDNamespace, specs.UTSNamespace)
	switch { // --ipc-namespace: "enabled by default for sandboxes started as root"
	case os.Geteuid() == 0:
		f.alwaysNS(specs.IPCNamespace)
	case f.takeNS(specs.IPCNamespace):
		f.add("--ipc-namespace")
	}
	if f.takeNS(specs.NetworkNamespace) {
		f.add("--net=none")
		f.rest.Ext.Network.LoopbackUp = false // always
	}
	f.rest.Ext.Init = false // always
	f.ownIDs("as root firejail changes no id")
	if r := f.req.Spec.Root; r != nil {
		f.whys["root.path"] = "--chroot is off unless /etc/firejail/firejail.config says otherwise"
		if r.Readonly && r.Path == "" {
			f.add("--read-only=/")
			f.rest.Spec.Root.Readonly = false
		}
	}
	if h := f.req.Spec.Hostname; h != "" {
		f.add("--hostname=" + h)
		f.rest.Spec.Hostname = ""
	}
	f.firejailMounts()
	p, rest := f.req.Process(), f.rest
	if p.Cwd != "" {
		f.add("--private-cwd=" + p.Cwd)
		rest.Spec.Process.Cwd = ""
	}
	if set, ok := capsAre(p.Capabilities, false, false); ok {
		if set == 0 {
			f.add("--caps.drop=all")
		} else {
			f.add("--caps.keep=" + strings.Join(capNames(set, lowerCap), ","))
		}
		rest.Spec.Process.Capabilities = nil
	}
	if p.NoNewPrivileges {
		f.add("--nonewprivs")
		rest.Spec.Process.NoNewPrivileges = false
	}
	f.takeRlimits(func(name string, soft, hard uint64) bool {
		if soft != hard || !slices.Contains([]string{"as", "cpu", "fsize", "nofile", "nproc", "sigpending"}, name) || limit(soft) == "unlimited" {
			return false
		}
		f.add(fmt.Sprintf("--rlimit-%s=%d", name, soft))
		return true
	})
	if n := p.OOMScoreAdj; n != nil && *n >= 0 {
		f.add(fmt.Sprintf("--oom=%d", *n))
		rest.Spec.Process.OOMScoreAdj = nil
	}
	if n := f.req.Ext.Nice; n != nil {
		f.add(fmt.Sprintf("--nice=%d", *n))
		rest.Ext.Nice = nil
	}
	if cpus := f.req.Ext.Affinity; len(cpus) > 0 {
		f.add("--cpu=" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(cpus)), ","), "[]"))
		rest.Ext.Affinity = nil
	}
	if rest.Spec.Linux != nil && rest.Spec.Linux.Seccomp != nil {
		f.whys["linux.seccomp"] = "a list of names is one of several filters, with exceptions of its own"
	}
	rest.Ext.SearchPath = false
	f.cmd.Env = f.env()
	f.add("--")
	f.add(f.program()...)
	return nil
}

func (f *form) firejailMounts() {
	f.takeMounts(func(m specs.Mount) bool {
		switch {
		case plainProc(&m):
			return true // always
		case m.Type == "tmpfs" && onlyOptions(&m, "nosuid", "nodev"):
			f.add("--tmpfs=" + m.Destination)
			return true
		}
		return false
	})
	l := f.rest.Spec.Linux
	if l == nil {
		return
	}
	for _, path := range l.MaskedPaths {
		f.add("--blacklist=" + path)
	}
	for _, path := range l.ReadonlyPaths {
		f.add("--read-only=" + path)
	}
	l.MaskedPaths, l.ReadonlyPaths = nil, nil
}
