package checkpoint

import (
	"errors"
	"runtime"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/internal/sysctl"
	"golang.org/x/sys/unix"
)

// sysctls are written by the child, in its own namespaces, below the descriptor
// of /proc. Those of a device that the host puts there are written by the host,
// once it is there.
func (p *plan) sysctls(cfg *Config) {
	for _, key := range sortedKeys(cfg.Sysctls) {
		value := cfg.Sysctls[key]
		dev := sysctl.Device(key)
		if dev != "" && slices.ContainsFunc(cfg.Network.Links, func(l Link) bool { return l.Name == dev }) {
			p.host = append(p.host, hostStep{StageSysctl, key, func(w *Workload) error { return w.netSysctl(sysctl.Path(key), value) }})
			continue
		}
		p.procFile(StageSysctl, key, "sys/"+sysctl.Path(key), value)
	}
}

// netSysctl writes in the workload's network namespace, which is what decides
// whose values there are in /proc/sys/net for the thread that opens it.
func (w *Workload) netSysctl(path, value string) error {
	return w.inNet(func() error {
		proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(proc)
		var fs unix.Statfs_t
		if err := unix.Fstatfs(proc, &fs); err != nil {
			return err
		}
		if fs.Type != unix.PROC_SUPER_MAGIC {
			return unix.ENODEV
		}
		fd, err := unix.Openat2(proc, "sys/"+path, &unix.OpenHow{
			Flags:   unix.O_WRONLY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			return err
		}
		_, err = unix.Write(fd, []byte(value))
		return errors.Join(err, unix.Close(fd))
	})
}

// inNet runs f in the workload's network namespace, on a thread that ends with
// it.
func (w *Workload) inNet(f func() error) error {
	fd, err := w.openProc("ns/net")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// validateSysctls refuses what would be changed for the whole machine, or for
// namespaces that the workload was not given.
func (c *Config) validateSysctls(v *validator) {
	for _, k := range sortedKeys(c.Sysctls) {
		v.strings("sysctls", []string{k, c.Sysctls[k]})
		kind := sysctl.Namespace(k)
		_, own := c.find(NamespaceKind(kind))
		v.check(kind != "", "sysctls", "%s belongs to no namespace: it would be changed for the whole machine", k)
		v.check(kind == "" || own, "sysctls", "%s needs a %s namespace", k, kind)
		name := map[string]Option[string]{"kernel/hostname": c.Hostname, "kernel/domainname": c.Domainname}[sysctl.Path(k)]
		v.check(!name.Set || name.Value == strings.TrimSpace(c.Sysctls[k]), "sysctls", "%s and the field for it differ", k)
	}
}
