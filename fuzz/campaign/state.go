package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// host is the namespaces that we are in ourselves, by the names of posture's
// fields.
type host map[string]uint32

func hostNamespaces() (host, error) {
	h := host{}
	for field, file := range map[string]string{
		"user": "user", "mnt": "mnt", "pid": "pid", "pid_for_children": "pid_for_children", "net": "net", "uts": "uts", "ipc": "ipc",
		"cgroup": "cgroup", "time": "time", "time_for_children": "time_for_children",
	} {
		var st unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+file, &st); err != nil {
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			return nil, err
		}
		h["namespaces."+field] = uint32(st.Ino)
	}
	return h, nil
}

// identity are the fields that name one process, file or object rather than say
// what is enforced: two launches of one request differ in them. What can be told
// of them all the same is in [host.state].
var identity = []string{
	"process.pid", "process.parent", "process.pid_inside", "user_namespace.parent", "cgroup.v2", "cgroup.v1",
	"fs.root", "fs.cwd", "exec.exe", "memory.mems_allowed",
}

// state is a posture without what is another in each launch of the same request.
func (h host) state(p *posture.Posture) map[string]string {
	out := map[string]string{}
	pid := ""
	if n, ok := p.Process.PID.Get(); ok {
		pid = strconv.FormatUint(uint64(n), 10)
	}
	for _, f := range posture.Fields() {
		if slices.Contains(identity, f.Path) || !f.Known(p) {
			continue
		}
		text := f.Format(p)
		switch {
		case strings.HasPrefix(f.Path, "namespaces."):
			text = h.class(f.Path, p)
		case strings.HasPrefix(f.Path, "keyrings."), f.Path == "sched.core_cookie", f.Path == "sched.autogroup":
			if f.Path != "keyrings.session_owner" && text != "0" {
				text = "one"
			}
		case f.Path == "process.session" || f.Path == "process.process_group":
			switch text {
			case pid:
				text = "its own"
			case "0":
			default:
				text = "another's"
			}
		}
		out[f.Path] = text
	}
	if files, ok := p.Files.Get(); ok {
		var list []string
		for _, f := range files.Open {
			list = append(list, fmt.Sprintf("%d:%o:%x:%x:%v", f.FD, f.Mode, f.Flags, f.Magic, f.CloseOnExec))
		}
		out["files"] = strings.Join(list, " ")
	}
	if rules, ok := p.Landlock.RuleList.Get(); ok {
		var list []string
		for _, r := range rules {
			list = append(list, fmt.Sprintf("%d:%s:%d:%x", r.Layer, r.Kind, r.Port, r.Access))
		}
		slices.Sort(list)
		out["landlock.rule_list"] = strings.Join(list, " ")
	}
	return out
}

func (h host) class(field string, p *posture.Posture) string {
	n, ok := namespaceOf(p, field)
	switch own, known := h[field]; {
	case !ok || !known:
		return "unknown"
	case n == own:
		return "host"
	}
	return "other"
}

func namespaceOf(p *posture.Posture, field string) (inode uint32, ok bool) {
	n := &p.Namespaces
	v, has := map[string]*posture.Value[posture.Namespace]{
		"namespaces.user": &n.User, "namespaces.mnt": &n.Mount, "namespaces.pid": &n.PID, "namespaces.pid_for_children": &n.PIDForChildren,
		"namespaces.net": &n.Net, "namespaces.uts": &n.UTS, "namespaces.ipc": &n.IPC, "namespaces.cgroup": &n.Cgroup,
		"namespaces.time": &n.Time, "namespaces.time_for_children": &n.TimeForChildren,
	}[field]
	if !has {
		return 0, false
	}
	x, ok := v.Get()
	return x.Inode, ok
}

// signature is the state in a few classes: so few that a campaign sees most of
// the combinations, and what it has not seen says something.
func (h host) signature(p *posture.Posture) map[string]string {
	out := map[string]string{}
	var ns []string
	for _, k := range []string{"user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time"} {
		if h.class("namespaces."+k, p) == "other" {
			ns = append(ns, k)
		}
	}
	out["namespaces"] = strings.Join(ns, " ")
	if uid, ok := p.IDs.EUID.Get(); ok {
		out["user"] = map[bool]string{true: "0", false: "other"}[uid == 0]
	}
	if c, ok := p.Capabilities.Effective.Get(); ok {
		switch {
		case c == 0:
			out["effective"] = "none"
		case c&(c+1) == 0: // all from the lowest on
			out["effective"] = "all"
		default:
			out["effective"] = "some"
		}
	}
	if v, ok := p.Privilege.NoNewPrivs.Get(); ok {
		out["no_new_privs"] = strconv.FormatBool(v)
	}
	if n, ok := p.Seccomp.Count.Get(); ok {
		out["seccomp"] = strconv.FormatBool(n > 0)
	}
	if n, ok := p.Landlock.Layers.Get(); ok {
		out["landlock"] = strconv.FormatBool(n > 0)
	}
	if v, ok := p.FS.RootIsMountRoot.Get(); ok {
		ro, _ := p.FS.RootReadOnly.Get()
		out["root"] = fmt.Sprintf("mount root %v, read-only %v", v, ro)
	}
	return out
}

// StateID identifies a state, as in [Signature] and [Example].
func StateID(state map[string]string) string { return hash(state) }

// hash identifies a state.
func hash(state map[string]string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(state)) {
		fmt.Fprintf(h, "%q=%q\n", k, state[k])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// differences names the fields in which two states differ, of those that both
// have.
func differences(a, b map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if v, ok := b[k]; ok && v != a[k] {
			out = append(out, k)
		}
	}
	return out
}
