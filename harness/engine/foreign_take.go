package engine

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// implied is what an engine does whether it is asked to or not.
type implied struct {
	field, why string
	ask        func(*request.Request)
}

// implies makes something part of the request that the engine cannot be kept
// from, and names it.
func (f *form) implies(field, why string, ask func(*request.Request)) {
	f.also = append(f.also, implied{field, why, ask})
}

// alwaysNS takes out namespaces that the engine makes in any case.
func (f *form) alwaysNS(kinds ...specs.LinuxNamespaceType) {
	for _, kind := range kinds {
		if f.takeNS(kind) {
			continue
		}
		f.implies("linux.namespaces", f.engine.Name+" always makes a "+string(kind)+" namespace", func(r *request.Request) {
			if r.Spec.Linux == nil {
				r.Spec.Linux = &specs.Linux{}
			}
			r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
		})
	}
}

// takeNS takes a new namespace out of what is left.
func (f *form) takeNS(kind specs.LinuxNamespaceType) bool {
	l := f.rest.Spec.Linux
	if l == nil {
		return false
	}
	i := slices.IndexFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind && n.Path == "" })
	if i < 0 {
		return false
	}
	l.Namespaces = slices.Delete(l.Namespaces, i, i+1)
	return true
}

// ownIDs takes out ids that are our own, for an engine that changes none.
func (f *form) ownIDs(why string) {
	u := f.req.Process().User
	groups, _ := os.Getgroups()
	same := u.UID == uint32(os.Geteuid()) && u.GID == uint32(os.Getegid()) && len(u.AdditionalGids)+len(groups) == 0
	f.refuse(!f.req.Ext.KeepIDs && !same, "process.user", why)
	if f.req.Ext.KeepIDs || same {
		umask := f.rest.Spec.Process.User.Umask
		f.rest.Ext.KeepIDs, f.rest.Spec.Process.User = false, specs.User{Umask: umask}
	}
}

// takeMounts takes out the mounts for which there were words.
func (f *form) takeMounts(say func(specs.Mount) bool) {
	var left []specs.Mount
	for _, m := range f.req.Spec.Mounts {
		if !say(m) {
			left = append(left, m)
		}
	}
	f.rest.Spec.Mounts = left
}

// takeRlimits takes out the limits for which there were words; name is as in
// "nofile".
func (f *form) takeRlimits(say func(name string, soft, hard uint64) bool) {
	p := f.rest.Spec.Process
	p.Rlimits = slices.DeleteFunc(p.Rlimits, func(r specs.POSIXRlimit) bool {
		return say(strings.ToLower(strings.TrimPrefix(r.Type, "RLIMIT_")), r.Soft, r.Hard)
	})
}

// asksRlimit reports whether a limit is asked for.
func (f *form) asksRlimit(name string) bool {
	return slices.ContainsFunc(f.req.Process().Rlimits, func(r specs.POSIXRlimit) bool { return r.Type == name })
}

// onlyOptions reports that a mount has no other options than these; one that
// ends in = stands for any value.
func onlyOptions(m *specs.Mount, allowed ...string) bool {
	return !slices.ContainsFunc(m.Options, func(o string) bool {
		k, _, value := strings.Cut(o, "=")
		return !slices.Contains(allowed, o) && !(value && slices.Contains(allowed, k+"="))
	})
}

// plainProc reports a proc file system as engines mount it unasked.
func plainProc(m *specs.Mount) bool {
	return m.Type == "proc" && m.Destination == "/proc" && onlyOptions(m, "nosuid", "noexec", "nodev", "rw") && len(m.UIDMappings)+len(m.GIDMappings) == 0
}

// capsAre reports that sets are asked for, that those that are named "one" are
// the same, and that the others are empty: engines with fewer words than the
// kernel has sets. It returns that one set.
func capsAre(c *specs.LinuxCapabilities, inheritable, ambient bool) (uint64, bool) {
	if c == nil {
		return 0, false
	}
	want, err := request.CapSet(c.Bounding)
	if err != nil {
		return 0, false
	}
	for _, s := range []struct {
		names []string
		one   bool
	}{{c.Permitted, true}, {c.Effective, true}, {c.Inheritable, inheritable}, {c.Ambient, ambient}} {
		got, err := request.CapSet(s.names)
		if err != nil || s.one && got != want || !s.one && got != 0 {
			return 0, false
		}
	}
	return want, true
}

// capNames are the names of a set as engines take them, in the order of the
// kernel's numbers.
func capNames(set uint64, name func(string) string) []string {
	var out []string
	for n, full := range request.CapNames() {
		if set&(1<<n) != 0 {
			out = append(out, name(full))
		}
	}
	return out
}

func lowerCap(name string) string { return strings.ToLower(strings.TrimPrefix(name, "CAP_")) }

// ownHostname is for engines that choose one where none is asked for.
func ownHostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// ownLimit is the limit that our children have, "soft:hard". The runtime of Go
// raises our own of open files, and undoes that for children alone.
func ownLimit(resource int) string {
	var r unix.Rlimit
	if unix.Getrlimit(resource, &r) != nil {
		return ""
	}
	if resource == unix.RLIMIT_NOFILE {
		if soft, err := exec.Command("/bin/sh", "-c", "ulimit -Sn").Output(); err == nil {
			if n, err := strconv.ParseUint(strings.TrimSpace(string(soft)), 10, 64); err == nil {
				r.Cur = n
			}
		}
	}
	return limitPair(r.Cur, r.Max)
}

func limitPair(soft, hard uint64) string { return limit(soft) + ":" + limit(hard) }

func limit(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return fmt.Sprint(n)
}
