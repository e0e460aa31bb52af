package checkpoint

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// mountFlags are the words of mount(8) that are flags of mount(2); clear lists
// those that take a flag away.
var mountFlags = map[string]struct {
	set, clear uintptr
}{
	"ro": {set: unix.MS_RDONLY}, "rw": {clear: unix.MS_RDONLY},
	"nosuid": {set: unix.MS_NOSUID}, "suid": {clear: unix.MS_NOSUID},
	"nodev": {set: unix.MS_NODEV}, "dev": {clear: unix.MS_NODEV},
	"noexec": {set: unix.MS_NOEXEC}, "exec": {clear: unix.MS_NOEXEC},
	"sync": {set: unix.MS_SYNCHRONOUS}, "async": {clear: unix.MS_SYNCHRONOUS},
	"dirsync": {set: unix.MS_DIRSYNC}, "remount": {set: unix.MS_REMOUNT},
	"bind": {set: unix.MS_BIND}, "rbind": {set: unix.MS_BIND | unix.MS_REC},
	"noatime": {set: unix.MS_NOATIME}, "atime": {clear: unix.MS_NOATIME},
	"nodiratime": {set: unix.MS_NODIRATIME}, "diratime": {clear: unix.MS_NODIRATIME},
	"relatime": {set: unix.MS_RELATIME}, "norelatime": {clear: unix.MS_RELATIME},
	"strictatime": {set: unix.MS_STRICTATIME}, "nostrictatime": {clear: unix.MS_STRICTATIME},
	"nosymfollow": {set: unix.MS_NOSYMFOLLOW}, "defaults": {},
}

const msBind = unix.MS_BIND

var propagations = map[string]uintptr{
	"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC,
	"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC,
	"shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
	"unbindable": unix.MS_UNBINDABLE, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC,
}

// parse splits the options of a mount into flags, propagation changes and data.
func (m *Mount) parse() (flags uintptr, propagation []uintptr, data string) {
	var rest []string
	for _, o := range m.Options {
		if f, ok := mountFlags[o]; ok {
			flags = flags&^f.clear | f.set
		} else if pr, ok := propagations[o]; ok {
			propagation = append(propagation, pr)
		} else {
			rest = append(rest, o)
		}
	}
	return flags, propagation, strings.Join(rest, ",")
}

func mountOp(source, target, fstype string, flags uintptr, data string) agent.Op {
	opt := func(s string) agent.Arg {
		if s == "" {
			return agent.N(0)
		}
		return agent.S(s)
	}
	return agent.Sys(unix.SYS_MOUNT, opt(source), agent.S(target), opt(fstype), agent.N(flags), opt(data))
}

// mounts builds the workload's mount table.
//
// The sources of bind mounts are cloned first (open_tree(2), since Linux 5.2),
// then the root is changed, and every target is resolved inside the new root:
// a symbolic link in it cannot lead out. The old root goes last, since mounting
// proc in a user namespace needs a fully visible one until then
// (mount_too_revealing, fs/namespace.c).
func (p *plan) mounts(cfg *Config) {
	if cfg == p.cfg && cfg.has(Mnt, false) {
		prop := cfg.Propagation
		if prop == "" {
			prop = "private"
		}
		p.setup.add(StageMounts, -1, "/", mountOp("", "/", "", propagations[strings.TrimPrefix(prop, "r")]|unix.MS_REC, ""))
	}
	trees := make([]int, len(cfg.Mounts))
	for i := range cfg.Mounts {
		m := &cfg.Mounts[i]
		flags, _, _ := m.parse()
		if flags&unix.MS_BIND == 0 || flags&unix.MS_REMOUNT != 0 {
			continue
		}
		trees[i] = p.reg()
		how := uint64(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
		if flags&unix.MS_REC != 0 {
			how |= unix.AT_RECURSIVE
		}
		atCWD := int64(unix.AT_FDCWD)
		op := agent.Sys(unix.SYS_OPEN_TREE, agent.N(atCWD), agent.S(m.Source), agent.N(how))
		op.Save = trees[i]
		p.setup.add(StageMounts, i, m.Source, op)
	}
	root := cfg.Root.Path
	if root != "" {
		p.setup.add(StageMounts, -1, root,
			mountOp(root, root, "", unix.MS_BIND|unix.MS_REC, ""),
			agent.Sys(unix.SYS_CHDIR, agent.S(root)))
		p.setup.add(StageMounts, -1, "pivot_root "+root, agent.Sys(unix.SYS_PIVOT_ROOT, agent.S("."), agent.S(".")))
	}
	for i := range cfg.Mounts {
		p.mount(i, &cfg.Mounts[i], trees[i])
	}
	if root != "" {
		// pivot_root(".", ".") leaves the old root stacked on the new one; see pivot_root(2), NOTES.
		p.setup.add(StageMounts, -1, "old root", agent.Sys(unix.SYS_UMOUNT2, agent.S("."), agent.N(unix.MNT_DETACH)),
			agent.Sys(unix.SYS_CHDIR, agent.S("/")))
		if cfg.Root.ReadOnly {
			p.setup.add(StageMounts, -1, "/", mountOp("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|lockedFlags(root), ""))
		}
	}
}

// lockedFlags are the flags of a mount that a remount inside a user namespace
// must repeat, or be refused (mount_namespaces(7), locked flags).
func lockedFlags(path string) uintptr {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	var f uintptr
	for flag, ms := range map[int64]uintptr{
		unix.ST_RDONLY: unix.MS_RDONLY, unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV,
		unix.ST_NOEXEC: unix.MS_NOEXEC, unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME,
		unix.ST_RELATIME: unix.MS_RELATIME,
	} {
		if st.Flags&flag != 0 {
			f |= ms
		}
	}
	return f
}

func (p *plan) mount(i int, m *Mount, tree int) {
	flags, propagation, data := m.parse()
	target := path.Clean("/" + m.Target)
	if flags&unix.MS_REMOUNT == 0 {
		p.target(i, m, target, flags)
	}
	switch {
	case tree != 0:
		atCWD := int64(unix.AT_FDCWD)
		p.setup.add(StageMounts, i, target,
			agent.Sys(unix.SYS_MOVE_MOUNT, agent.R(tree), agent.S(""), agent.N(atCWD), agent.S(target), agent.N(unix.MOVE_MOUNT_F_EMPTY_PATH)),
			closeReg(tree))
		if rest := flags &^ (unix.MS_BIND | unix.MS_REC); rest != 0 {
			p.setup.add(StageMounts, i, target, mountOp("", target, "", unix.MS_REMOUNT|unix.MS_BIND|rest|lockedFlags(m.Source), ""))
		}
	default:
		source := m.Source
		if source == "" {
			source = m.Type
		}
		p.setup.add(StageMounts, i, target, mountOp(source, target, m.Type, flags, data))
	}
	for _, pr := range propagation {
		p.setup.add(StageMounts, i, target, mountOp("", target, "", pr, ""))
	}
}

// target makes a missing mount point: a file for a file, else directories. That
// one of them is there already, or may not be made, is found out by the mount.
func (p *plan) target(i int, m *Mount, target string, flags uintptr) {
	for at := 1; at < len(target); at++ {
		if target[at] == '/' {
			p.mkdir(i, target[:at])
		}
	}
	if st, err := os.Stat(m.Source); flags&unix.MS_BIND != 0 && err == nil && !st.IsDir() {
		op := agent.Sys(unix.SYS_MKNODAT, agent.N(int64(unix.AT_FDCWD)), agent.S(target), agent.N(unix.S_IFREG|0o644), agent.N(0))
		op.AnyErr = true
		p.setup.add(StageMounts, i, target, op)
		return
	}
	if target != "/" {
		p.mkdir(i, target)
	}
}

func (p *plan) mkdir(i int, dir string) {
	op := agent.Sys(unix.SYS_MKDIRAT, agent.N(int64(unix.AT_FDCWD)), agent.S(dir), agent.N(0o755))
	op.AnyErr = true
	p.setup.add(StageMounts, i, dir, op)
}

func validMount(m *Mount) error {
	if !strings.HasPrefix(m.Target, "/") {
		return fmt.Errorf("target %q is not absolute", m.Target)
	}
	flags, _, _ := m.parse()
	if flags&unix.MS_BIND != 0 && flags&unix.MS_REMOUNT == 0 && m.Source == "" {
		return fmt.Errorf("bind mount on %q has no source", m.Target)
	}
	return nil
}
